package raft_test

import (
	"testing"

	"github.com/quorate/quorate/raft"
)

// TestAnAnswerToAnOldTermRefusesNothing: an append of term 1 comes late, its sender leads term 2 by now. With the index of the
// append in it, the answer looked like a refusal in term 2; the leader searched its compacted log and gave the member up.
func TestAnAnswerToAnOldTermRefusesNothing(t *testing.T) {
	r, err := raft.New(raft.Config{ID: 2, Voters: []raft.NodeID{1, 2, 3}, State: raft.State{HardState: raft.HardState{Term: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []raft.MessageKind{raft.Append, raft.Heartbeat} {
		if err := r.Step(raft.Message{Kind: kind, From: 1, To: 2, Term: 1, Index: 7, LogTerm: 1}); err != nil {
			t.Fatal(err)
		}
		ready := r.Ready()
		answers := append(ready.Messages, ready.Durable...)
		if len(answers) != 1 || !answers[0].Reject || answers[0].Index != 0 || answers[0].Term != 2 {
			t.Errorf("answers to kind %d: %+v, want one that names term 2 and no index", kind, answers)
		}
	}
}
