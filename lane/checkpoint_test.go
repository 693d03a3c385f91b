package lane_test

import (
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
)

// TestALargeCheckpointIsGatheredOverManySteps: no step takes long for it, and the lane asks to be stepped again at once until it is whole, also if nothing else happens.
func TestALargeCheckpointIsGatheredOverManySteps(t *testing.T) {
	const transfers = 100
	limits := lane.DefaultLimits()
	limits.CheckpointStep = 1
	w := newWorld(t, "quorate", lane.Directory{Coordinators: [][]raft.NodeID{{1}}, Banks: []lane.BankPlace{{Bank: "A", Members: []raft.NodeID{1}}, {Bank: "B", Members: []raft.NodeID{1}}}}, limits)
	w.run(2 * time.Second)
	w.openAccounts("A", "B")
	for i := range transfers {
		w.ask(1, lane.Submit{Transfer: w.payment(byte(i + 1))})
	}
	w.run(time.Second)
	events := []lane.Event{lane.Asked{Request: 1000, Until: w.now.Add(time.Hour), Ask: lane.SaveReplica{Group: lane.CoordinatorGroup(0)}}}
	for steps := 0; ; steps++ {
		effects := w.lanes[1].Step(w.now, events)
		events = nil
		for i := range effects.Checkpoints {
			if c := &effects.Checkpoints[i]; c.Group == lane.CoordinatorGroup(0) {
				if steps < transfers || len(c.Checkpoint.State) < transfers {
					t.Errorf("%d records after %d more steps", len(c.Checkpoint.State), steps)
				}
				return
			}
		}
		if effects.Due.IsZero() || effects.Due.After(w.now) {
			t.Fatalf("after %d steps the lane wants to be stepped at %v, it is %v", steps, effects.Due, w.now)
		}
	}
}
