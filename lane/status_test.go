package lane_test

import (
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/transfer"
)

// TestANodeCountsAllThatItHasDecided: also when it leads no more.
func TestANodeCountsAllThatItHasDecided(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.openAccounts("A", "B", "C")
	const payments = 8
	for i := range byte(payments) {
		if r := w.mustAnswer(w.ask(1, lane.Submit{Transfer: w.payment(i)})).Transfer; r.State != transfer.Committed {
			t.Fatalf("payment %d is %v %v", i, r.State, r.Reason)
		}
	}
	w.run(20 * time.Second) // each group is with its preferred member
	count := func() (all uint64) {
		for _, id := range w.nodes() {
			all += w.mustAnswer(w.ask(id, lane.GetStatus{})).Status.Counts.Committed
		}
		return all
	}
	if before := count(); before != payments {
		t.Errorf("%d are counted, %d were committed", before, payments)
	}
	for group, r := range w.reigns() {
		if lane.IsCoordinator(group) {
			w.accepted(1, lane.TransferLeader{Group: group, To: r.leader%3 + 1})
		}
	}
	if after := count(); after != payments {
		t.Errorf("%d are counted after other nodes lead, %d were committed", after, payments)
	}
}
