package driver

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/transfer"
)

// Inquired answers a bank that has held transfers for too long. What is in flight is being driven anyway. What is decided
// is told again. What nobody knows is closed for ever first (a tombstone in the log), and only then is the
// bank told to roll back: a client's late retry of the id hears "aborted" and can't race the rollback. driven says that all of them are in flight, so there
// was nothing to do.
func (d *Driver) Inquired(now time.Time, from transfer.BankID, ids []transfer.ID) (driven bool, err error) {
	p := d.banks[from]
	if !d.leading || p == nil {
		return false, nil
	}
	driven = true
	for _, id := range ids {
		if _, inFlight := d.flights.byID[id]; inFlight {
			continue
		}
		driven = false
		known, err := d.machine.Lookup(id)
		if err != nil {
			return driven, fmt.Errorf("look up transfer %s for an inquiry of bank %s: %w", id, from, err)
		}
		if known != nil {
			d.tellBank(p, known)
			continue
		}
		d.closeOrphan(now, p, id)
	}
	return driven, nil
}

// closing is a tombstone on its way into the log: when it is there, banks and clients that wait for it may hear it.
type closing struct {
	banks   []*pipeline
	waiters []Waiter
}

// closeID proposes a tombstone for an id that nobody knows. If one is on its way, its reason stands.
func (d *Driver) closeID(now time.Time, id transfer.ID, reason transfer.Reason) *closing {
	c := d.closings[id]
	if c == nil {
		c = &closing{}
		d.closings[id] = c
		d.facts = append(d.facts, coordinator.Fact{Decide: &coordinator.Decision{ID: id, State: transfer.Aborted, Reason: reason, At: now, Tombstone: true}})
	}
	return c
}

// closeOrphan needs a place among the flights; without one it leaves the id to the bank's next inquiry.
func (d *Driver) closeOrphan(now time.Time, p *pipeline, id transfer.ID) {
	if d.closings[id] == nil && d.admitOne() != nil {
		return
	}
	reason := transfer.Reason{Code: transfer.ErrOrphaned.Code, Bank: p.bank, Detail: "bank " + string(p.bank) + " held it and no coordinator knew it"}
	c := d.closeID(now, id, reason)
	if !slices.Contains(c.banks, p) {
		c.banks = append(c.banks, p)
	}
}

// onTombstone: the id is closed; now those who asked may hear it.
func (d *Driver) onTombstone(r *coordinator.Record) {
	c := d.closings[r.Transfer.ID]
	if c == nil {
		return
	}
	delete(d.closings, r.Transfer.ID)
	for _, p := range c.banks {
		d.tellBank(p, r)
	}
	for _, w := range c.waiters {
		d.reply(Reply{Waiter: w, Record: r.Public()})
	}
}

// onTombstoneRefused: a Stage came first in the log. Its flight will tell the banks, and is what the clients cancel.
func (d *Driver) onTombstoneRefused(now time.Time, id transfer.ID) {
	c := d.closings[id]
	if c == nil {
		return
	}
	delete(d.closings, id)
	for _, w := range c.waiters {
		d.Cancel(now, w, id)
	}
}

// loseClosings has the clients that wait for a tombstone ask again. Banks do so anyway.
func (d *Driver) loseClosings() {
	ids := slices.SortedFunc(maps.Keys(d.closings), func(a, b transfer.ID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range ids {
		for _, w := range d.closings[id].waiters {
			d.reply(Reply{Waiter: w, Lost: true})
		}
	}
	clear(d.closings)
}

// tellBank repeats a decided outcome to one bank, once: if it is lost, the bank asks again. A bank without a leg in what was
// committed holds other content under the id, left by a Stage that was lost: it must not apply that.
// play: content_bank_without_a_leg_inquires
func (d *Driver) tellBank(p *pipeline, r *coordinator.Record) {
	switch {
	case !r.State.Decided():
	case r.State == transfer.Committed && len(r.Transfer.LegsAt(p.bank)) > 0:
		p.once(bank.Request{Op: bank.Commit, ID: r.Transfer.ID, CapturedMinor: r.Transfer.CapturedAt(p.bank, r.CapturedMinor)})
	default:
		p.once(bank.Request{Op: bank.Rollback, ID: r.Transfer.ID})
	}
}

func (d *Driver) sortedFlights() []*flight {
	flights := make([]*flight, 0, len(d.flights.byID))
	for _, f := range d.flights.byID {
		flights = append(flights, f)
	}
	slices.SortFunc(flights, func(a, b *flight) int { return bytes.Compare(a.transfer.ID[:], b.transfer.ID[:]) })
	return flights
}
