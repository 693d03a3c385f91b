package driver

import (
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/transfer"
)

// Lead begins a reign: everything that earlier reigns left unfinished is taken up from the records.
func (d *Driver) Lead(now time.Time) {
	invariant.Holds(!d.leading, "a reign begins while another one, with %d transfers in flight, has not ended", len(d.flights.byID))
	d.leading = true
	for _, r := range d.machine.Unsettled() {
		d.recover(now, r)
	}
}

func (d *Driver) recover(now time.Time, r *coordinator.Record) {
	f := d.newFlight(&r.Transfer, r.Fingerprint)
	f.record = r
	switch {
	case r.State == transfer.Committed:
		f.phase, f.decided, f.captured = committed, true, r.CapturedMinor
		d.ask(f, bank.Commit)
	case r.State == transfer.Aborted:
		f.phase, f.decided = aborted, true
		d.ask(f, bank.Rollback)
	case r.State == transfer.Held:
		d.becomeHeld(f)
	case f.transfer.Deadline.After(now):
		d.deadlines.add(f)
		d.ask(f, bank.Prepare)
	case mutant.On(mutant.AbortOnGuess):
		d.proposeAbort(now, f, d.lateReason(f))
	default:
		d.resolve(f)
	}
}

// resolve asks every bank that has not said yes what it holds; what it never prepared it refuses from then on. A bank that
// doesn't answer keeps the transfer in doubt: the earlier leader may have told the client "committed".
func (d *Driver) resolve(f *flight) {
	f.phase = resolving
	d.deadlines.remove(f)
	d.ask(f, bank.Resolve)
}

// Depose ends a reign: whoever waits must ask the next leader, and everything else is forgotten.
func (d *Driver) Depose() {
	d.leading = false
	for _, f := range d.sortedFlights() {
		for _, w := range f.waiters {
			d.reply(Reply{Waiter: w, Lost: true})
		}
		d.loseRivals(f)
	}
	d.loseClosings()
	d.flights, d.applied = newFlights(), [coordinator.Held + 1]*flight{}
	d.deadlines, d.held = deadlines{}, 0
	d.facts, d.settled = nil, nil
	for _, p := range d.bankOrder {
		p.reset()
	}
}
