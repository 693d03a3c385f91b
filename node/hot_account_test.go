package node_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/transfer"
)

// TestAHotAccountIsNeitherOversoldNorStarved: 10,000 transfers at the same time, through every node and three coordinator groups, want one unit each
// from an account that has 6,000. Exactly so many get theirs, and every other hears that there is nothing left.
func TestAHotAccountIsNeitherOversoldNorStarved(t *testing.T) {
	const transfers, funds = hotTransfers, hotTransfers * 6 / 10
	c := newCluster(t, 3, "quorate")
	for i := range c.nodes {
		c.configs[i].Coordinators = 3
	}
	c.limits = patient() // under the race detector, what comes at once takes a while
	for i := range c.nodes {
		c.start(i)
	}
	c.mustAsk(0, lane.OpenAccount{Bank: "A", Terms: bank.Terms{ID: "alice", Currency: "EUR", OverdraftMinor: funds}})
	for _, at := range []transfer.BankID{"B", "C"} {
		c.mustAsk(0, lane.OpenAccount{Bank: at, Terms: bank.Terms{ID: "bob", Currency: "EUR"}})
	}

	wanted := make([][]transfer.Transfer, len(c.nodes))
	for i := range transfers {
		p := payment(newID(t), "A", []transfer.BankID{"B", "C"}[i%2], 1)
		p.Deadline = time.Now().Add(10 * time.Minute)
		at := i % len(c.nodes)
		wanted[at] = append(wanted[at], *p)
	}
	var clients sync.WaitGroup
	records := make([][]transfer.Record, len(c.nodes))
	for i := range c.nodes {
		clients.Go(func() { records[i] = c.submitUntilDecided(i, wanted[i]) })
	}
	clients.Wait()

	committed := 0
	for _, r := range slices.Concat(records...) {
		switch s := r.Reason.Shortfall; {
		case r.State == transfer.Committed:
			committed++
		case r.Reason.Code != transfer.ErrInsufficientFunds.Code || s == nil:
			t.Fatalf("transfer %s: %v %+v", r.Transfer.ID, r.State, r.Reason)
		case *s != transfer.Shortfall{Account: "alice", Currency: "EUR", AvailableMinor: 0, NeededMinor: 1}:
			t.Fatalf("transfer %s was refused with %+v: there was money left", r.Transfer.ID, *s)
		}
	}
	if committed != funds {
		t.Errorf("%d transfers got their unit, there were %d", committed, funds)
	}
	alice := c.atRest(1, "A", "alice")
	if alice.PostedMinor != -funds {
		t.Errorf("alice is at %d, want %d", alice.PostedMinor, -funds)
	}
	if got := c.atRest(1, "B", "bob").PostedMinor + c.atRest(1, "C", "bob").PostedMinor; got != funds {
		t.Errorf("%d units arrived, want %d", got, funds)
	}
}

// patient is the usual limits, but that nobody asks again or campaigns as soon.
func patient() lane.Limits {
	l := lane.DefaultLimits()
	l.ElectionTicks *= 4
	l.ReforwardAfter *= 10
	l.OrphanAfter *= 10
	l.Driver.RetryAfter *= 10
	l.Driver.RetryAfterMax *= 10
	return l
}

// submitUntilDecided submits all of them at once, and again what isn't decided yet, as a client does.
func (c *cluster) submitUntilDecided(at int, transfers []transfer.Transfer) []transfer.Record {
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Minute)
	defer cancel()
	records := make([]transfer.Record, len(transfers))
	for {
		var asks []lane.Ask
		var open []int
		for i := range transfers {
			if records[i].State != transfer.Committed && records[i].State != transfer.Aborted {
				asks, open = append(asks, lane.Submit{Transfer: &transfers[i]}), append(open, i)
			}
		}
		if len(open) == 0 {
			return records
		}
		for i, a := range c.nodes[at].Do(ctx, asks...) {
			if records[open[i]] = a.Transfer; a.Err != nil && (ctx.Err() != nil || errors.Is(a.Err, transfer.ErrStopping)) {
				c.t.Errorf("transfer %s is not decided: %v", transfers[open[i]].ID, a.Err)
				return records
			}
		}
	}
}

// atRest reads an account once nothing is held or on its way any more.
func (c *cluster) atRest(at int, id transfer.BankID, account transfer.AccountID) bank.Account {
	c.t.Helper()
	for patience := time.Now().Add(time.Minute); ; {
		a := c.mustAsk(at, lane.GetAccount{Bank: id, ID: account}).Accounts[0]
		if a.HeldMinor == 0 && a.IncomingMinor == 0 {
			return a
		}
		if time.Now().After(patience) {
			c.t.Fatalf("bank %s still waits for an outcome: %+v", id, a)
		}
	}
}
