package node_test

import (
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/transfer"
)

// A cancel through any node reaches the leader. The bank of a transfer is down, so that only the cancel can end it before its deadline.
func TestCancelFromAnyNode(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine string) {
		c := startCluster(t, 3, engine)
		c.openAccounts(0)
		c.stop(2) // with bank C
		for i := range 2 {
			p := payment(newID(t), "A", "C", 100)
			p.Deadline = time.Now().Add(time.Minute)
			heard := make(chan lane.Answer, 1)
			go func() { heard <- c.nodes[0].Do(t.Context(), lane.Submit{Transfer: p})[0] }() // answered below
			r := c.mustAsk(i, lane.CancelTransfer{ID: p.ID}).Transfer
			if a := <-heard; r.State != transfer.Aborted || r.Reason.Code != transfer.ErrCancelled.Code || a.Err != nil || a.Transfer.State != r.State || a.Transfer.Reason.Code != r.Reason.Code {
				t.Errorf("through node %d: the cancel is told %v %v, the submission %v %v %v", i+1, r.State, r.Reason, a.Transfer.State, a.Transfer.Reason, a.Err)
			}
			if again := c.mustAsk(1-i, lane.CancelTransfer{ID: p.ID}).Transfer; again.State != transfer.Aborted || again.Reason != r.Reason {
				t.Errorf("again: %v %v", again.State, again.Reason)
			}
		}
		if a := c.mustAsk(0, lane.GetAccount{Bank: "A", ID: "alice"}).Accounts[0]; a.PostedMinor != 0 {
			t.Errorf("money has moved: %+v", a)
		}
		late := payment(newID(t), "A", "B", 1)
		c.mustAsk(0, lane.Submit{Transfer: late})
		if r := c.mustAsk(1, lane.CancelTransfer{ID: late.ID}).Transfer; r.State != transfer.Committed {
			t.Errorf("a cancel that comes too late is told %v %v", r.State, r.Reason)
		}
	})
}
