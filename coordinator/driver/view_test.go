package driver_test

import (
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/transfer"
)

// A list must not say "pending" of what a client has been told: between the answer and its Decide only the driver knows.
func TestAListKnowsWhatWasTold(t *testing.T) {
	d := newDesk(time.Second)
	if _, err := d.machine.Apply(1, coordinator.Encode(d.now, []coordinator.Fact{{Number: true}})); err != nil {
		t.Fatal(err)
	}
	d.index = 1
	d.lead()
	one := theTransfer()
	d.submit(one)
	d.agree()
	listed := func() transfer.Record {
		t.Helper()
		page, err := d.machine.List(&coordinator.Filter{}, 0, 10, 10, d.driver.View)
		if err != nil || len(page.Listed) != 1 {
			t.Fatalf("listed: %+v, %v", page, err)
		}
		return page.Listed[0].Record
	}
	yes := func(at transfer.BankID) {
		d.driver.Answers(d.now, at, []bank.Answer{{Op: bank.Prepare, ID: one.ID, Fingerprint: one.Fingerprint(), Result: bank.Yes}})
		d.take()
	}
	yes("A")
	if doubts := d.driver.InDoubt(10); len(doubts) != 1 || !slices.Equal(doubts[0].Waiting, []transfer.BankID{"B"}) || listed().State != transfer.Pending {
		t.Errorf("with one vote: %+v, listed %v", doubts, listed().State)
	}
	yes("B")
	if record, err := d.machine.Lookup(one.ID); err != nil || record.State != transfer.Pending {
		t.Fatalf("the log holds the decision already: %+v, %v", record, err)
	}
	if doubts := d.driver.InDoubt(10); len(doubts) != 0 || listed().State != transfer.Committed {
		t.Errorf("with all votes: %+v, listed %v", doubts, listed().State)
	}
}
