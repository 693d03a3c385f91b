package raft_test

import (
	"errors"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
)

// behind returns a leader (of 1, 2, 3; term 4; log 5..5) whose peer 3 needs a snapshot.
func behind(t *testing.T) *raft.Raft {
	t.Helper()
	return aNode(t, 3)
}

func chunk(offset uint64, data string) raft.SnapshotChunk {
	c := membership.Of(1, 2, 3)
	return raft.SnapshotChunk{Last: raft.EntryID{Index: 5, Term: 4}, Membership: c.Encode(), Offset: offset, Data: []byte(data)}
}

func TestOnlyTheChunkThatWasAskedForIsSent(t *testing.T) {
	r := behind(t)
	work(r)
	older := chunk(3, "x")
	older.Last.Index = 4
	damaged := chunk(0, "abc")
	damaged.Membership = []byte{1}
	for name, row := range map[string]struct {
		to   raft.NodeID
		c    raft.SnapshotChunk
		want error
	}{
		"to who needs none":         {2, chunk(0, "abc"), raft.ErrNoSnapshot},
		"to a stranger":             {9, chunk(0, "abc"), raft.ErrNoSnapshot},
		"another offset":            {3, chunk(3, "def"), raft.ErrNoSnapshot},
		"of another snapshot":       {3, older, raft.ErrNoSnapshot},
		"with a damaged membership": {3, damaged, membership.ErrInvalid},
	} {
		if err := r.SendChunk(row.to, row.c); !errors.Is(err, row.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.SendChunk(3, chunk(0, "abc")); err != nil {
		t.Errorf("the same chunk again: %v", err)
	}
}

func TestTheFirstChunkMustFitTheLog(t *testing.T) {
	for name, last := range map[string]raft.EntryID{"before the compacted log": {Index: 3, Term: 2}, "beyond what is applied": {Index: 6, Term: 4}} {
		r := behind(t)
		r.SnapshotFailed(3)
		refuse := raft.Message{Kind: raft.HeartbeatReply, From: 3, To: 1, Term: 4}
		if err := r.Step(refuse); err != nil {
			t.Fatal(err)
		}
		offer := r.Ready().Offer
		if len(offer) != 1 || offer[0] != (raft.Offer{To: 3}) {
			t.Fatalf("%+v", offer)
		}
		c := chunk(0, "abc")
		c.Last = last
		if err := r.SendChunk(3, c); !errors.Is(err, raft.ErrNoSnapshot) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChunksFollowTheAnswers(t *testing.T) {
	r := behind(t)
	r.Ready()
	answer := func(offset uint64, reject bool) []raft.Offer {
		t.Helper()
		last := raft.SnapshotChunk{Last: raft.EntryID{Index: 5, Term: 4}, Offset: offset}
		if err := r.Step(raft.Message{Kind: raft.SnapshotReply, From: 3, To: 1, Term: 4, Snapshot: &last, Reject: reject}); err != nil {
			t.Fatal(err)
		}
		return r.Ready().Offer
	}
	if o := answer(3, false); len(o) != 1 || o[0].Offset != 3 {
		t.Errorf("the next chunk: %+v", o)
	}
	if o := answer(3, false); len(o) != 0 {
		t.Errorf("the same answer again: %+v", o)
	}
	if o := answer(0, false); len(o) != 1 || o[0].Offset != 0 {
		t.Errorf("a peer that starts over: %+v", o)
	}
	if o := answer(0, true); len(o) != 1 || o[0].Last.Index != 0 {
		t.Errorf("a peer that can't use it is asked again what it has, which leads to a new one: %+v", o)
	}
}

func TestChunksThatNoSnapshotHasAreRefused(t *testing.T) {
	for name, change := range map[string]func(*raft.SnapshotChunk){
		"nowhere":          func(c *raft.SnapshotChunk) { c.Last = raft.EntryID{} },
		"of the future":    func(c *raft.SnapshotChunk) { c.Last.Term = 9 },
		"an endless one":   func(c *raft.SnapshotChunk) { c.Offset = 1 << 63 },
		"damaged at last":  func(c *raft.SnapshotChunk) { c.Done, c.Membership = true, nil },
		"beyond every log": func(c *raft.SnapshotChunk) { c.Last.Index = 1 << 63 },
	} {
		r := aNode(t, 0)
		c := chunk(0, "abc")
		change(&c)
		if err := r.Step(raft.Message{Kind: raft.Snapshot, From: 2, To: 1, Term: 4, Snapshot: &c}); !errors.Is(err, raft.ErrBadMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMessagesForOthersAreRefused(t *testing.T) {
	r := aNode(t, 0)
	for name, m := range map[string]raft.Message{
		"for another": {Kind: raft.Heartbeat, From: 2, To: 3, Term: 3}, "from nobody": {Kind: raft.Heartbeat, To: 1, Term: 3},
	} {
		if err := r.Step(m); !errors.Is(err, raft.ErrBadMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// In one Ready all chunks belong to one snapshot: a second one must wait until the host has taken the first.
func TestASecondSnapshotWaitsForTheFirstToBeTaken(t *testing.T) {
	r := aNode(t, 0)
	first, second := chunk(0, "abc"), chunk(0, "xyz")
	first.Last, first.Done = raft.EntryID{Index: 8, Term: 4}, true
	second.Last = raft.EntryID{Index: 9, Term: 4}
	for _, c := range []raft.SnapshotChunk{first, second} {
		if err := r.Step(raft.Message{Kind: raft.Snapshot, From: 2, To: 1, Term: 4, Snapshot: &c}); err != nil {
			t.Fatal(err)
		}
	}
	rd := r.Ready()
	if len(rd.Chunks) != 1 || rd.Persist == nil || rd.Persist.Install == nil || rd.Persist.Install.Last != first.Last {
		t.Fatalf("%+v", rd)
	}
}

// Two leaders' snapshots of the same state may differ in their bytes: chunks of one are never continued with chunks of the other.
func TestChunksOfTwoLeadersAreNotMixed(t *testing.T) {
	r := aNode(t, 0)
	say := func(from raft.NodeID, term raft.Term, c raft.SnapshotChunk) []raft.Message {
		t.Helper()
		c.Last = raft.EntryID{Index: 8, Term: 4}
		if err := r.Step(raft.Message{Kind: raft.Snapshot, From: from, To: 1, Term: term, Snapshot: &c}); err != nil {
			t.Fatal(err)
		}
		return work(r)
	}
	say(2, 4, chunk(0, "abc"))
	answers := say(3, 5, chunk(3, "xyz"))
	if len(answers) != 1 || answers[0].Kind != raft.SnapshotReply || answers[0].Snapshot.Offset != 0 {
		t.Errorf("want: begin again, got %+v", answers)
	}
}
