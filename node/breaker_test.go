package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/quorate/quorate/coordinator/driver"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/transfer"
)

// TestASilentBankIsGivenNoNewTransfers: a bank's node is cut off. What was begun waits for it, what is new is refused at once, other banks work, and all
// of that ends when the bank is back.
func TestASilentBankIsGivenNoNewTransfers(t *testing.T) {
	c := newCluster(t, 3, "quorate")
	for i := range c.nodes {
		c.configs[i].CoordinatorNodes = []uint64{1, 2}
	}
	for i := range c.nodes {
		c.start(i)
	}
	c.openAccounts(0)
	submit := func(patience time.Duration, to transfer.BankID) lane.Answer {
		p := payment(newID(t), "A", to, 1)
		p.Deadline = time.Now().Add(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return c.nodes[0].Do(ctx, lane.Submit{Transfer: p})[0]
	}
	works := func(to transfer.BankID) bool {
		a := submit(time.Minute, to)
		return a.Err == nil && a.Transfer.State == transfer.Committed
	}
	breaker := func() (is driver.Breaker) {
		for i := range 2 { // whichever leads
			for _, b := range c.mustAsk(i, lane.GetStatus{}).Status.Banks {
				if b.Bank == "C" {
					is = max(is, b.Breaker)
				}
			}
		}
		return is
	}

	c.nodes[2].Isolate(true)
	begun := make(chan lane.Answer)
	go func() { begun <- submit(5*time.Minute, "C") }() // ends when bank C is back
	eventually(t, time.Minute, "transfers to a silent bank are begun", func() bool {
		return errors.Is(submit(100*time.Millisecond, "C").Err, transfer.ErrBankUnavailable) && breaker() == driver.BreakerOpen
	})
	eventually(t, time.Minute, "transfers that don't touch the silent bank are refused", func() bool { return works("B") })

	c.nodes[2].Isolate(false)
	if a := <-begun; a.Err != nil || a.Transfer.State != transfer.Committed {
		t.Errorf("what was begun before: %v %v %+v", a.Err, a.Transfer.State, a.Transfer.Reason)
	}
	eventually(t, time.Minute, "the bank is back, and its transfers are refused", func() bool { return works("C") && breaker() == driver.BreakerClosed })
}
