package etcdraft_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
)

// What a leader on etcd's core appends, a follower on etcd's core hands to its disk and its machine unchanged: kinds, empty data and
// membership changes come through two translations and etcd's log.
func TestEntriesComeThroughUnchanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sent []raft.Entry
		for i := range rapid.IntRange(1, 6).Draw(t, "entries") {
			e := raft.Entry{Index: raft.Index(i + 1), Term: 2, Kind: raft.EntryKind(rapid.IntRange(0, 2).Draw(t, "kind"))}
			switch e.Kind {
			case raft.Normal:
				e.Data = rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "data")
			case raft.Membership:
				e.Data = membership.EncodeChanges(drawChanges(t))
			}
			sent = append(sent, e)
		}
		r, err := etcds.start(raft.Config{ID: 1, Voters: []raft.NodeID{1, 2, 3}})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Step(raft.Message{Kind: raft.Append, From: 2, To: 1, Term: 2, Entries: sent, Commit: 9}); err != nil {
			t.Fatal(err)
		}
		rd := r.Ready()
		r.Persisted(rd.Persist.Seq)
		same := cmp.Comparer(bytes.Equal)
		if diff := cmp.Diff(sent, rd.Persist.Entries, same); diff != "" {
			t.Fatalf("to the disk: %s", diff)
		}
		if diff := cmp.Diff(sent, r.Ready().Committed, same); diff != "" {
			t.Fatalf("to the machine: %s", diff)
		}
	})
}

func drawChanges(t *rapid.T) (changes []membership.Change) {
	for range rapid.IntRange(0, 3).Draw(t, "changes") {
		changes = append(changes, membership.Change{
			Kind: membership.ChangeKind(rapid.IntRange(1, 3).Draw(t, "change")), Node: raft.NodeID(rapid.Uint64Range(1, 300).Draw(t, "node")),
		})
	}
	return changes
}

// Any changes one after the other, sensible or not: etcd's core must come to the membership that ours comes to.
func TestBothEnginesComeToTheSameMembership(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := raft.Config{ID: 1, Voters: []raft.NodeID{1, 2, 3}}
		nodes := []engine{}
		for _, c := range []core{ours, etcds} {
			r, err := c.start(cfg)
			if err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, r)
		}
		for i := range rapid.IntRange(1, 12).Draw(t, "entries") {
			var changes []membership.Change
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				changes = append(changes, membership.Change{
					Kind: membership.ChangeKind(rapid.IntRange(1, 3).Draw(t, "kind")), Node: raft.NodeID(rapid.IntRange(1, 5).Draw(t, "node")),
				})
			}
			e := raft.Entry{Index: raft.Index(i + 1), Term: 1, Kind: raft.Membership, Data: membership.EncodeChanges(changes)}
			for _, r := range nodes {
				m := raft.Message{Kind: raft.Append, From: 2, To: 1, Term: 1, Index: e.Index - 1, LogTerm: min(1, raft.Term(i)), Entries: []raft.Entry{e}, Commit: e.Index}
				if err := r.Step(m); err != nil {
					t.Fatal(err)
				}
				if rd := r.Ready(); rd.Persist != nil {
					r.Persisted(rd.Persist.Seq)
				}
				r.Ready()
				r.Applied(e.Index)
				if err := r.Verify(); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(nodes[0].Members(), nodes[1].Members()); diff != "" {
				t.Fatalf("after %v: %s", changes, diff)
			}
		}
	})
}

// What our leader proposes as a change, etcd's leader must be able to read as one of its own: it decodes it on the way into the log.
func TestLeaderOnEtcdsCoreTakesAJointChangeToItsEnd(t *testing.T) {
	s := start(t, raft.Config{})
	s.lead()
	s.must(raft.Message{Kind: raft.AppendReply, From: 3, Term: 1, Index: 1})
	id, err := s.ProposeMembership(membership.Change{Kind: membership.AddLearner, Node: 4}, membership.Change{Kind: membership.AddLearner, Node: 5})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ProposeMembership(membership.Change{Kind: membership.Remove, Node: 3}); err == nil {
		t.Fatal("a second change before the first is applied")
	}
	s.work()
	s.must(raft.Message{Kind: raft.AppendReply, From: 2, Term: 1, Index: id.Index})
	s.work()
	if m := s.Members(); !m.Joint() || s.Status().Last != id.Index+1 {
		t.Fatalf("members %+v, the log ends at %d", m, s.Status().Last)
	}
	s.must(raft.Message{Kind: raft.AppendReply, From: 2, Term: 1, Index: id.Index + 1})
	s.work()
	if m := s.Members(); m.Joint() || !m.IsLearner(4) || !m.IsLearner(5) {
		t.Fatalf("members %+v", m)
	}
}
