package quorum_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/raft/quorum"
)

// voters draws a set of up to 12 ids out of 15, so that two sets often overlap.
func voters(t *rapid.T, name string) quorum.Majority {
	ids := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 15), 0, 12, rapid.ID[uint64]).Draw(t, name)
	var m quorum.Majority
	for _, id := range ids {
		m = append(m, quorum.NodeID(id))
	}
	slices.Sort(m)
	return m
}

func acks(t *rapid.T) func(quorum.NodeID) quorum.Index {
	acked := map[quorum.NodeID]quorum.Index{}
	for id := range quorum.NodeID(16) {
		acked[id] = quorum.Index(rapid.Uint64Range(0, 6).Draw(t, "acked"))
	}
	return func(id quorum.NodeID) quorum.Index { return acked[id] }
}

// obviouslyCommitted tries every index from the top.
func obviouslyCommitted(m quorum.Majority, acked func(quorum.NodeID) quorum.Index) quorum.Index {
	if len(m) == 0 {
		return quorum.IndexMax
	}
	for i := quorum.Index(6); i > 0; i-- {
		have := 0
		for _, id := range m {
			if acked(id) >= i {
				have++
			}
		}
		if 2*have > len(m) {
			return i
		}
	}
	return 0
}

func TestCommittedIsWhatMoreThanHalfHave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := quorum.Joint{Incoming: voters(t, "incoming"), Outgoing: voters(t, "outgoing")}
		acked := acks(t)
		want := min(obviouslyCommitted(j.Incoming, acked), obviouslyCommitted(j.Outgoing, acked))
		if got := j.Committed(acked); got != want {
			t.Fatalf("committed %d, want %d", got, want)
		}
	})
}

// obviousVote asks what every way of filling in the open votes would give.
func obviousVote(m quorum.Majority, cast map[quorum.NodeID]bool) quorum.Result {
	if len(m) == 0 {
		return quorum.Won
	}
	yes, no := 0, 0
	for _, id := range m {
		if granted, said := cast[id]; said && granted {
			yes++
		} else if said {
			no++
		}
	}
	switch {
	case 2*yes > len(m):
		return quorum.Won
	case 2*(len(m)-no) <= len(m):
		return quorum.Lost
	default:
		return quorum.Pending
	}
}

func TestVoteIsWonLostOrPending(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := quorum.Joint{Incoming: voters(t, "incoming"), Outgoing: voters(t, "outgoing")}
		cast := map[quorum.NodeID]bool{}
		for id := range quorum.NodeID(16) {
			if rapid.Bool().Draw(t, "said") {
				cast[id] = rapid.Bool().Draw(t, "granted")
			}
		}
		in, out := obviousVote(j.Incoming, cast), obviousVote(j.Outgoing, cast)
		want := quorum.Pending
		if in == quorum.Lost || out == quorum.Lost {
			want = quorum.Lost
		} else if in == quorum.Won && out == quorum.Won {
			want = quorum.Won
		}
		got := j.Vote(func(id quorum.NodeID) (bool, bool) { granted, said := cast[id]; return granted, said })
		if got != want {
			t.Fatalf("vote %d, want %d", got, want)
		}
	})
}

func TestTwoMajoritiesShareAVoter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := voters(t, "voters")
		a, b := map[quorum.NodeID]bool{}, map[quorum.NodeID]bool{}
		for _, id := range m {
			if rapid.Bool().Draw(t, "for a") {
				a[id] = true
			} else {
				b[id] = true
			}
		}
		won := func(yes map[quorum.NodeID]bool) bool {
			return m.Vote(func(id quorum.NodeID) (bool, bool) { return yes[id], true }) == quorum.Won
		}
		if len(m) > 0 && won(a) && won(b) {
			t.Fatalf("%v and %v both decide", a, b)
		}
	})
}

func TestMembership(t *testing.T) {
	j := quorum.Joint{Incoming: quorum.Majority{1}, Outgoing: quorum.Majority{1, 2}}
	if !j.Has(2) || j.Has(3) {
		t.Error("2 votes, 3 doesn't")
	}
	if j.IsOnly(1) {
		t.Error("1 decides alone while 2 votes too")
	}
	for _, alone := range []quorum.Joint{{Incoming: quorum.Majority{1}}, {Incoming: quorum.Majority{1}, Outgoing: quorum.Majority{1}}} {
		if !alone.IsOnly(1) || alone.IsOnly(2) {
			t.Errorf("%v: 1 decides alone", alone)
		}
	}
}
