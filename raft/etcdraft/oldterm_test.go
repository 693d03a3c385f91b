package etcdraft_test

import (
	"testing"

	"github.com/quorate/quorate/raft"
)

// TestAnAnswerToAnOldTermRefusesNothing: as with the other engine (raft/oldterm_test.go). Members of one group may run on either.
func TestAnAnswerToAnOldTermRefusesNothing(t *testing.T) {
	for _, kind := range []raft.MessageKind{raft.Append, raft.Heartbeat} {
		s := start(t, raft.Config{ID: 2, State: raft.State{HardState: raft.HardState{Term: 2}}})
		s.must(raft.Message{Kind: kind, From: 1, Term: 1, Index: 7, LogTerm: 1})
		answers := s.work()
		if len(answers) != 1 || !answers[0].Reject || answers[0].Index != 0 || answers[0].Term != 2 {
			t.Errorf("answers to kind %d: %+v, want one that names term 2 and no index", kind, answers)
		}
	}
}
