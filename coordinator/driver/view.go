package driver

import (
	"slices"

	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/transfer"
)

// View is a record as a client may see it: with an outcome that was told already and that the log is only about to hold.
func (d *Driver) View(r *coordinator.Record) transfer.Record {
	if f := d.flights.byID[r.Transfer.ID]; f != nil && f.staged() {
		return f.public()
	}
	return r.Public()
}

// Doubt is a transfer that is staged and whose outcome isn't known.
type Doubt struct {
	Record  transfer.Record
	Waiting []transfer.BankID // have not said yet that they hold it
}

// doubtLegsMax bounds how much one answer lists: it has to travel in one message.
const doubtLegsMax = 8192

// InDoubt lists up to limit of them, the oldest first.
func (d *Driver) InDoubt(limit int) []Doubt {
	var doubts []Doubt
	for _, r := range d.machine.Unsettled() {
		if seen := d.View(r); seen.State == transfer.Pending {
			doubts = append(doubts, Doubt{Record: seen})
		}
	}
	slices.SortStableFunc(doubts, func(a, b Doubt) int { return a.Record.CreatedAt.Compare(b.Record.CreatedAt) })
	doubts = doubts[:min(len(doubts), limit)]
	legs := 0
	for i := range doubts {
		if legs += len(doubts[i].Record.Transfer.Legs); legs > doubtLegsMax {
			return doubts[:max(i, 1)]
		}
		f := d.flights.byID[doubts[i].Record.Transfer.ID]
		if f == nil {
			continue
		}
		for s := range f.slots {
			if !f.slots[s].prepared {
				doubts[i].Waiting = append(doubts[i].Waiting, f.slots[s].pipeline.bank)
			}
		}
	}
	return doubts
}
