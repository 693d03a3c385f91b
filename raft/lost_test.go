package raft_test

import (
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
)

// A node that lost what it had promised in terms up to 5 votes for nobody and asks for no votes, until its log ends with an entry of a later
// reign. What it acknowledges meanwhile is true.
func TestANodeThatLostItsPromisesVotesOnceItsLogIsOfALaterReign(t *testing.T) {
	r, err := raft.New(raft.Config{ID: 1, Voters: []raft.NodeID{1, 2, 3}, ElectionTicks: 10, HeartbeatTicks: 1,
		State: raft.State{HardState: raft.HardState{Term: 6}, Lost: 5}})
	if err != nil {
		t.Fatal(err)
	}
	said := func(kind raft.MessageKind) *raft.Message {
		t.Helper()
		var all []raft.Message
		for r.HasReady() {
			rd := r.Ready()
			all = append(append(all, rd.Messages...), rd.Durable...)
			if rd.Persist != nil {
				r.Persisted(rd.Persist.Seq)
			}
		}
		if i := slices.IndexFunc(all, func(m raft.Message) bool { return m.Kind == kind }); i >= 0 {
			return &all[i]
		}
		return nil
	}
	step := func(m raft.Message) {
		t.Helper()
		m.To = 1
		if err := r.Step(m); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		r.Tick()
	}
	if m := said(raft.PreVote); m != nil || !r.Incomplete() {
		t.Errorf("it campaigns: %+v", m)
	}
	step(raft.Message{Kind: raft.Append, From: 2, Term: 5, Entries: []raft.Entry{{Index: 1, Term: 5}}})
	if m := said(raft.AppendReply); m == nil || !m.Reject || m.Term != 6 {
		t.Errorf("to a leader of a lost term it says %+v", m)
	}
	step(raft.Message{Kind: raft.Vote, From: 2, Term: 7, Index: 9, LogTerm: 5})
	if m := said(raft.VoteReply); m == nil || !m.Reject {
		t.Errorf("it votes: %+v", m)
	}
	step(raft.Message{Kind: raft.Append, From: 3, Term: 8, Entries: []raft.Entry{{Index: 1, Term: 5}}})
	if m := said(raft.AppendReply); m == nil || m.Reject || m.Index != 1 || !r.Incomplete() {
		t.Errorf("to an old entry it says %+v, incomplete %v", m, r.Incomplete())
	}
	step(raft.Message{Kind: raft.Vote, From: 2, Term: 9, Index: 9, LogTerm: 8, Transfer: true})
	if m := said(raft.VoteReply); m == nil || !m.Reject {
		t.Errorf("with an old log it votes: %+v", m)
	}
	step(raft.Message{Kind: raft.Append, From: 2, Term: 10, Index: 1, LogTerm: 5, Entries: []raft.Entry{{Index: 2, Term: 10}}})
	if m := said(raft.AppendReply); m == nil || m.Reject || r.Incomplete() {
		t.Errorf("to a new leader's entry it says %+v, incomplete %v", m, r.Incomplete())
	}
	step(raft.Message{Kind: raft.Vote, From: 3, Term: 11, Index: 2, LogTerm: 10, Transfer: true})
	if m := said(raft.VoteReply); m == nil || m.Reject {
		t.Errorf("it is whole and says %+v", m)
	}
}
