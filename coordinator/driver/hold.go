package driver

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/transfer"
)

// A hold is a transfer in two steps of its client's, as card payments need it: first all banks reserve their parts, or none; then the client
// captures it, in full or in part, or voids it, or its time ends. The first step is an ordinary transfer up to the commit condition, which here
// makes it held and not committed. That is a fact in the log, so that no later leader has to ask the banks, and the second step is another: nobody
// hears of either before it is applied, so a leader that takes over finds one of the two, and knows what was told.

// voided is why a hold is aborted that its client doesn't want any more.
var voided = transfer.Reason{Code: transfer.ErrVoided.Code, Detail: "its client voided it"}

// admitHold says no to more holds than a coordinator may keep in mind.
func (d *Driver) admitHold(t *transfer.Transfer) error {
	switch {
	case d.held >= d.limits.HeldMax:
		return fmt.Errorf("%w: %d holds wait for their clients", transfer.ErrBusy, d.held)
	case !t.HoldUntil.After(t.Deadline):
		return fmt.Errorf("%w: it ends at %s, and its banks have until %s to prepare", transfer.ErrInvalidHold,
			t.HoldUntil.Format(time.RFC3339), t.Deadline.Format(time.RFC3339))
	}
	return nil
}

// holdIfPrepared proposes that a hold is held, as soon as every bank has reserved its part.
func (d *Driver) holdIfPrepared(f *flight) {
	if f.transfer.IsHold() && f.isPrepared() {
		f.phase = holding
		d.deadlines.remove(f)
		d.facts = append(d.facts, coordinator.Fact{Hold: &f.transfer.ID})
	}
}

// onHeld: from here on only its client decides about it, or its end.
func (d *Driver) onHeld(now time.Time, f *flight) {
	if f == nil {
		return
	}
	f.confirming = false
	switch {
	case f.phase == holding && f.cancelled:
		d.becomeHeld(f)
		d.proposeAbort(now, f, cancelledBeforeCommit)
	case f.phase == holding:
		d.becomeHeld(f)
		d.tell(f)
	case f.phase == held:
		d.tell(f)
	}
}

// confirmHeld writes once more that a hold is held, for somebody who submits it again: held is no outcome, and may be over elsewhere if
// this node was deposed and doesn't know it yet. play: hold_at_a_deposed_leader
func (d *Driver) confirmHeld(f *flight) {
	if !f.confirming {
		f.confirming = true
		d.facts = append(d.facts, coordinator.Fact{Hold: &f.transfer.ID})
	}
}

func (d *Driver) becomeHeld(f *flight) {
	f.phase = held
	d.held++
	f.due = f.transfer.HoldUntil
	d.deadlines.add(f)
}

// Capture commits a hold: all of it without amounts, or what transfer.Capture makes of them. It is answered with what became of the hold, which
// may have been voided before. The same capture again is answered with the same, another one refused.
func (d *Driver) Capture(now time.Time, w Waiter, id transfer.ID, amountsMinor []int64) {
	r := d.holdOf(w, id)
	if r == nil {
		return
	}
	captured, err := r.Transfer.Capture(amountsMinor)
	if err != nil {
		d.refuse(w, fmt.Errorf("capture %s: %w", id, err))
		return
	}
	f := d.flights.byID[id]
	if f != nil && f.phase == held {
		if !f.due.After(now) {
			d.giveUp(now, f, d.lateReason(f))
		} else {
			d.capture(now, f, captured)
		}
	}
	switch {
	case f == nil && (r.State == transfer.Aborted || slices.Equal(r.CapturedMinor, captured)):
		d.reply(Reply{Waiter: w, Record: r.Public()})
	case f == nil, (f.phase == capturing || f.phase == committed) && !slices.Equal(f.captured, captured):
		d.refuse(w, fmt.Errorf("%w: %s", transfer.ErrHoldConcluded, id))
	default:
		d.waitForEnd(f, w)
	}
}

func (d *Driver) capture(now time.Time, f *flight, captured []int64) {
	f.phase, f.captured, f.decidedAt = capturing, captured, now
	d.held--
	d.deadlines.remove(f)
	d.decide(f, transfer.Committed)
}

// Void aborts a hold, and is answered with what became of it: it may have been captured before.
func (d *Driver) Void(now time.Time, w Waiter, id transfer.ID) {
	r := d.holdOf(w, id)
	if r == nil {
		return
	}
	f := d.flights.byID[id]
	if f == nil {
		d.reply(Reply{Waiter: w, Record: r.Public()})
		return
	}
	if f.phase == held {
		d.proposeAbort(now, f, voided)
	}
	d.waitForEnd(f, w)
}

// waitForEnd waits for the outcome of what was held once.
func (d *Driver) waitForEnd(f *flight, w Waiter) {
	switch f.phase {
	case capturing, aborting, committed, aborted:
		d.wait(f, w)
	default:
		d.refuse(w, fmt.Errorf("%w: %s", transfer.ErrNotHeldYet, f.transfer.ID))
	}
}

// holdOf finds a hold's record, or answers why there is none.
func (d *Driver) holdOf(w Waiter, id transfer.ID) *coordinator.Record {
	if !d.leading {
		d.reply(Reply{Waiter: w, Lost: true})
		return nil
	}
	known, err := d.machine.Lookup(id)
	switch {
	case err != nil:
		d.refuse(w, fmt.Errorf("%w: %w", transfer.ErrInternal, err))
	case known != nil && known.IsTombstone():
		d.reply(Reply{Waiter: w, Record: known.Public()})
	case known != nil && !known.Transfer.IsHold():
		d.refuse(w, fmt.Errorf("%w: %s", transfer.ErrNotAHold, id))
	case known != nil:
		return known
	case d.flights.byID[id] != nil && d.flights.byID[id].transfer.IsHold(): // not staged yet
		d.refuse(w, fmt.Errorf("%w: %s", transfer.ErrNotHeldYet, id))
	default:
		d.refuse(w, fmt.Errorf("%w: %s", transfer.ErrTransferNotFound, id))
	}
	return nil
}
