package lane_test

import (
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// TestADiskThatStandsStillForThirtySeconds takes its node the groups that have something to write, and nothing else: transfers go on, also those that are asked for at that node, and when the
// disk moves again, all nodes have the same.
func TestADiskThatStandsStillForThirtySeconds(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, onThree(), lane.DefaultLimits())
		w.openAccounts("A", "B")
		w.run(20 * time.Second)
		slow := w.reigns()["coordinator/0"].leader
		if slow == 0 {
			t.Fatal("nobody leads the coordinators")
		}
		w.stalled = slow
		began := w.now
		for i := byte(0); w.now.Sub(began) < 30*time.Second; i++ {
			asked := w.now
			at := raft.NodeID(1 + i%3)
			if r := w.mustAnswer(w.ask(at, lane.Submit{Transfer: w.payment(i)})).Transfer; r.State != transfer.Committed {
				t.Fatalf("after %v, at node %d: %v %v", asked.Sub(began), at, r.State, r.Reason)
			}
			if took := w.now.Sub(asked); i > 0 && took > time.Second {
				t.Errorf("after %v a transfer at node %d takes %v", asked.Sub(began), at, took)
			}
			w.run(time.Second)
		}
		for group, r := range w.reigns() {
			if r.leader == slow && group != lane.ClusterGroup { // that one has had nothing to write, and can't notice
				t.Errorf("node %d still leads %s", slow, group)
			}
		}
		w.stalled = 0
		w.run(10 * time.Second)
		for _, group := range []lane.GroupID{"coordinator/0", "bank/A", "bank/B"} {
			first := w.mustAnswer(w.ask(1, lane.HashReplica{Group: group})).Hash
			for _, node := range three {
				if got := w.mustAnswer(w.ask(node, lane.HashReplica{Group: group, Index: first.Index})).Hash; got != first {
					t.Errorf("%s: node %d has %+v, node 1 %+v", group, node, got, first)
				}
			}
		}
		w.frozen[slow%3+1] = true // now nothing goes on without it
		if r := w.mustAnswer(w.ask((slow+1)%3+1, lane.Submit{Transfer: w.payment(100)})).Transfer; r.State != transfer.Committed {
			t.Errorf("with its disk: %v %v", r.State, r.Reason)
		}
	})
}
