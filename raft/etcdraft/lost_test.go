package etcdraft_test

import (
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
)

// A node that lost what it had promised in terms up to 5 votes for nobody and asks for no votes, until its log ends with an entry of a later reign: as with the other engine
// (raft/lost_test.go). What it acknowledges meanwhile is true.
func TestANodeThatLostItsPromisesVotesOnceItsLogIsOfALaterReign(t *testing.T) {
	s := start(t, raft.Config{ElectionTicks: 10, HeartbeatTicks: 1, State: raft.State{HardState: raft.HardState{Term: 6}, Lost: 5}})
	said := func(kind raft.MessageKind) *raft.Message {
		all := s.work()
		if i := slices.IndexFunc(all, func(m raft.Message) bool { return m.Kind == kind }); i >= 0 {
			return &all[i]
		}
		return nil
	}
	s.tick(100)
	if m := said(raft.PreVote); m != nil || !s.Incomplete() {
		t.Errorf("it campaigns: %+v", m)
	}
	s.must(raft.Message{Kind: raft.Append, From: 2, Term: 5, Entries: []raft.Entry{{Index: 1, Term: 5}}})
	if m := said(raft.AppendReply); m == nil || !m.Reject || m.Term != 6 {
		t.Errorf("to a leader of a lost term it says %+v", m)
	}
	s.must(raft.Message{Kind: raft.PreVote, From: 2, Term: 7, Index: 9, LogTerm: 5})
	if m := said(raft.PreVoteReply); m != nil && !m.Reject {
		t.Errorf("it would vote: %+v", m)
	}
	s.must(raft.Message{Kind: raft.Vote, From: 2, Term: 7, Index: 9, LogTerm: 5})
	if m := said(raft.VoteReply); m != nil && !m.Reject {
		t.Errorf("it votes: %+v", m)
	}
	s.must(raft.Message{Kind: raft.TimeoutNow, From: 2, Term: 7})
	if m := said(raft.Vote); m != nil {
		t.Errorf("it campaigns when it is told to: %+v", m)
	}
	s.must(raft.Message{Kind: raft.Append, From: 3, Term: 8, Entries: []raft.Entry{{Index: 1, Term: 5}}})
	if m := said(raft.AppendReply); m == nil || m.Reject || m.Index != 1 || !s.Incomplete() {
		t.Errorf("to an old entry it says %+v, incomplete %v", m, s.Incomplete())
	}
	s.must(raft.Message{Kind: raft.Vote, From: 2, Term: 9, Index: 9, LogTerm: 8, Transfer: true})
	if m := said(raft.VoteReply); m != nil && !m.Reject {
		t.Errorf("with an old log it votes: %+v", m)
	}
	s.must(raft.Message{Kind: raft.Append, From: 2, Term: 10, Index: 1, LogTerm: 5, Entries: []raft.Entry{{Index: 2, Term: 10}}})
	if m := said(raft.AppendReply); m == nil || m.Reject || s.Incomplete() {
		t.Errorf("to a new leader's entry it says %+v, incomplete %v", m, s.Incomplete())
	}
	s.must(raft.Message{Kind: raft.Vote, From: 3, Term: 11, Index: 2, LogTerm: 10, Transfer: true})
	if m := said(raft.VoteReply); m == nil || m.Reject {
		t.Errorf("it is whole and says %+v", m)
	}
}
