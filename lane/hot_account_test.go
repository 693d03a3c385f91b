package lane_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/transfer"
)

// TestAHotAccountIsNeitherOversoldNorStarved: 10,000 transfers that come at the same time, through every node and four coordinator groups, want one unit each
// from an account that has 6,000. Exactly so many get theirs, and every other hears that there is nothing left.
func TestAHotAccountIsNeitherOversoldNorStarved(t *testing.T) {
	const transfers, funds = 10_000, 6_000
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.mustAnswer(w.ask(1, lane.OpenAccount{Bank: "A", Terms: bank.Terms{ID: "x", Currency: "EUR", OverdraftMinor: funds}}))
	w.mustAnswer(w.ask(1, lane.OpenAccount{Bank: "B", Terms: bank.Terms{ID: "y", Currency: "EUR"}}))
	w.run(20 * time.Second)
	w.mustBeHome()
	asked := make([][]lane.Event, len(w.nodes()))
	first := w.request + 1
	for i := range transfers {
		w.request++
		p := w.payment(0)
		binary.BigEndian.PutUint32(p.ID[:], uint32(i+1))
		at := i % len(asked)
		asked[at] = append(asked[at], lane.Asked{Request: w.request, Until: w.now.Add(time.Minute), Ask: lane.Submit{Transfer: p}})
	}
	for i, node := range w.nodes() {
		w.step(node, asked[i]...)
	}
	committed := 0
	for request := first; request <= w.request; request++ {
		r := w.mustAnswer(request).Transfer
		switch s := r.Reason.Shortfall; {
		case r.State == transfer.Committed:
			committed++
		case r.Reason.Code != transfer.ErrInsufficientFunds.Code || s == nil:
			t.Fatalf("transfer %s: %v %+v", r.Transfer.ID, r.State, r.Reason)
		case *s != transfer.Shortfall{Account: "x", Currency: "EUR", AvailableMinor: 0, NeededMinor: 1}:
			t.Fatalf("transfer %s was refused with %+v: there was money left", r.Transfer.ID, *s)
		}
	}
	if committed != funds {
		t.Errorf("%d transfers got their unit, there were %d", committed, funds)
	}
	w.run(5 * time.Second)
	x := w.mustAnswer(w.ask(2, lane.GetAccount{Bank: "A", ID: "x"})).Accounts[0]
	y := w.mustAnswer(w.ask(3, lane.GetAccount{Bank: "B", ID: "y"})).Accounts[0]
	if x.PostedMinor != -funds || x.HeldMinor != 0 || y.PostedMinor != funds || y.IncomingMinor != 0 {
		t.Errorf("the accounts are at %+v and %+v", x, y)
	}
}
