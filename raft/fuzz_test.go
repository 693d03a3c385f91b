package raft_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
)

// FuzzStep gives a node whatever peers may send. Nothing may panic, and what is refused as unsafe or
// nonsense leaves a core that keeps all its promises.
func FuzzStep(f *testing.F) {
	f.Add([]byte{0, 5, 1, 1, 1, 1, 0, 0, 2})
	f.Add([]byte{1, 6, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	f.Add([]byte{2, 9, 3, 3, 3, 3, 3, 3, 3, 3, 9, 1, 2, 2, 2, 2, 255, 255, 255, 4, 4, 4, 4})
	f.Fuzz(func(t *testing.T, data []byte) {
		b := &bytesOfAPeer{data}
		r := aNode(t, b.next()%4)
		for len(b.data) > 0 {
			commit, last := r.Commit(), r.Status().Last
			err := r.Step(b.message())
			if err != nil && !errors.Is(err, raft.ErrBadMessage) && !errors.Is(err, raft.ErrUnsafe) {
				t.Fatalf("an error that isn't one of the two: %v", err)
			}
			if errors.Is(err, raft.ErrUnsafe) && r.Status().Last != last || r.Commit() < commit {
				t.Fatalf("commit %d to %d, last %d to %d, %v", commit, r.Commit(), last, r.Status().Last, err)
			}
			if b.next()%3 == 0 {
				r.Tick()
			}
			if b.next()%2 == 0 {
				work(r)
			}
			// A leader that never was may put two changes into the log. No member can know that it lies.
			if err := r.Verify(); err != nil && !strings.Contains(err.Error(), "membership changes") {
				t.Fatal(err)
			}
		}
	})
}

// aNode returns a follower, a candidate, a leader, or a leader that sends a snapshot.
func aNode(t *testing.T, which byte) *raft.Raft {
	r, err := raft.New(raft.Config{ID: 1, Voters: []raft.NodeID{1, 2, 3}, State: raft.State{
		HardState: raft.HardState{Term: 3, Commit: 2}, Entries: entries(1, 1, 2, 3), Applied: 2,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if which == 0 {
		return r
	}
	for r.Role() == raft.Follower {
		r.Tick()
	}
	say := func(m raft.Message) {
		m.From, m.To = 2, 1
		if err := r.Step(m); err != nil {
			t.Fatal(err)
		}
		work(r)
	}
	say(raft.Message{Kind: raft.PreVoteReply, Term: 4})
	if which == 1 {
		return r
	}
	say(raft.Message{Kind: raft.VoteReply, Term: 4})
	say(raft.Message{Kind: raft.AppendReply, Term: 4, Index: 5})
	if which == 3 {
		if err := r.Compact(4); err != nil {
			t.Fatal(err)
		}
		m := raft.Message{Kind: raft.AppendReply, From: 3, To: 1, Term: 4, Index: 4, Reject: true, Hint: 1, HintTerm: 1}
		if err := r.Step(m); err != nil {
			t.Fatal(err)
		}
		r.Ready()
		c := membership.Of(1, 2, 3)
		if err := r.SendChunk(3, raft.SnapshotChunk{Last: raft.EntryID{Index: 5, Term: 4}, Membership: c.Encode(), Data: []byte("abc")}); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// bytesOfAPeer makes messages of bytes: mostly small numbers, as real ones have, and sometimes enormous ones.
type bytesOfAPeer struct{ data []byte }

func (b *bytesOfAPeer) next() byte {
	if len(b.data) == 0 {
		return 0
	}
	v := b.data[0]
	b.data = b.data[1:]
	return v
}

func (b *bytesOfAPeer) number() uint64 {
	v := b.next()
	if v < 250 {
		return uint64(v % 9)
	}
	return binary.LittleEndian.Uint64([]byte{b.next(), b.next(), 0, 0, 0, 0, b.next(), b.next()})
}

func (b *bytesOfAPeer) message() raft.Message {
	m := raft.Message{
		Kind: raft.MessageKind(b.next() % 13), From: raft.NodeID(2 + b.next()%3), To: 1, Term: raft.Term(b.number()),
		LogTerm: raft.Term(b.number()), Index: raft.Index(b.number()), Commit: raft.Index(b.number()),
	}
	flags := b.next()
	m.Reject, m.Transfer = flags&1 > 0, flags&2 > 0
	if flags&4 > 0 {
		m.Hint, m.HintTerm, m.Round, m.Compact = raft.Index(b.number()), raft.Term(b.number()), b.number(), raft.Index(b.number())
	}
	for i := range raft.Index(b.next() % 4) {
		e := raft.Entry{Index: m.Index + 1 + i, Term: m.LogTerm + raft.Term(b.next()%3), Kind: raft.EntryKind(b.next() % 4)}
		if e.Kind == raft.Membership {
			e.Data = []byte{1, b.next() % 4, b.next() % 8}
		}
		m.Entries = append(m.Entries, e)
	}
	if flags&8 > 0 {
		c := membership.Of(1, 2, 3)
		m.Snapshot = &raft.SnapshotChunk{
			Last: raft.EntryID{Index: raft.Index(b.number()), Term: raft.Term(b.number())}, Offset: b.number(),
			Data: make([]byte, b.next()%5), Done: flags&16 > 0, Membership: c.Encode(),
		}
	}
	return m
}
