package driver

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/transfer"
)

// Inquired answers a bank that has held transfers for too long. What is in flight is being driven anyway. What is decided
// is told again. What nobody knows is closed for ever first (a tombstone in the log), and only then is the
// bank told to roll back: a client's late retry of the id hears "aborted" and can't race the rollback.
func (d *Driver) Inquired(now time.Time, from transfer.BankID, ids []transfer.ID) error {
	p := d.banks[from]
	if !d.leading || p == nil {
		return nil
	}
	for _, id := range ids {
		if _, inFlight := d.flights[id]; inFlight {
			continue
		}
		known, err := d.machine.Lookup(id)
		if err != nil {
			return fmt.Errorf("look up transfer %s for an inquiry of bank %s: %w", id, from, err)
		}
		if known != nil {
			d.tellBank(p, known)
			continue
		}
		d.proposeTombstone(now, p, id)
	}
	return nil
}

func (d *Driver) proposeTombstone(now time.Time, p *pipeline, id transfer.ID) {
	waiting, proposed := d.inquired[id]
	if !slices.Contains(waiting, p) {
		d.inquired[id] = append(waiting, p)
	}
	if proposed {
		return
	}
	reason := transfer.Reason{Code: transfer.ErrOrphaned.Code, Bank: p.bank, Detail: "bank " + string(p.bank) + " held it and no coordinator knew it"}
	d.facts = append(d.facts, coordinator.Fact{Decide: &coordinator.Decision{ID: id, State: transfer.Aborted, Reason: reason, At: now}})
}

// onTombstone: the id is closed; now the banks that asked may hear it.
func (d *Driver) onTombstone(r *coordinator.Record) {
	id := r.Transfer.ID
	for _, p := range d.inquired[id] {
		d.tellBank(p, r)
	}
	delete(d.inquired, id)
}

// tellBank repeats a decided outcome to one bank, once: if it is lost, the bank asks again. A bank without a leg in what was
// committed holds other content under the id, left by a Stage that was lost: it must not apply that.
// play: content_bank_without_a_leg_inquires
func (d *Driver) tellBank(p *pipeline, r *coordinator.Record) {
	switch {
	case r.State == transfer.Pending:
	case r.State == transfer.Committed && len(r.Transfer.LegsAt(p.bank)) > 0:
		p.once(bank.Request{Op: bank.Commit, ID: r.Transfer.ID})
	default:
		p.once(bank.Request{Op: bank.Rollback, ID: r.Transfer.ID})
	}
}

func (d *Driver) sortedFlights() []*flight {
	flights := make([]*flight, 0, len(d.flights))
	for _, f := range d.flights {
		flights = append(flights, f)
	}
	slices.SortFunc(flights, func(a, b *flight) int { return bytes.Compare(a.transfer.ID[:], b.transfer.ID[:]) })
	return flights
}
