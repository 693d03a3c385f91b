package driver

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/transfer"
)

// cancelledBeforeCommit is why a cancelled transfer is aborted, cancelledUnknown why an id is closed that nobody had staged.
var (
	cancelledBeforeCommit = transfer.Reason{Code: transfer.ErrCancelled.Code, Detail: "a client cancelled it before it was committed"}
	cancelledUnknown      = transfer.Reason{Code: transfer.ErrCancelled.Code, Detail: "a client cancelled it before any coordinator knew it"}
)

// Cancel wants a transfer aborted, and is answered with what became of it: a cancel wins only before the commit condition
// holds. An unknown id is closed for ever, so that a client whose submission was lost can be sure that it never happens.
func (d *Driver) Cancel(now time.Time, w Waiter, id transfer.ID) {
	if !d.leading {
		d.reply(Reply{Waiter: w, Lost: true})
		return
	}
	if f, ok := d.flights.byID[id]; ok {
		d.giveUp(now, f, cancelledBeforeCommit)
		d.wait(f, w)
		return
	}
	known, err := d.machine.Lookup(id)
	switch {
	case err != nil:
		d.refuse(w, fmt.Errorf("%w: %w", transfer.ErrInternal, err))
	case known != nil:
		invariant.Holds(known.State.Decided(), "transfer %s is %s but not in flight", id, known.State)
		d.reply(Reply{Waiter: w, Record: known.Public()})
	default:
		d.cancelUnknown(now, w, id)
	}
}

// cancelUnknown: the answer waits until the tombstone is in the log. It is one more thing to keep in mind,
// and so it needs a place among the flights.
func (d *Driver) cancelUnknown(now time.Time, w Waiter, id transfer.ID) {
	if d.closings[id] == nil {
		if err := d.admitOne(); err != nil {
			d.refuse(w, err)
			return
		}
	}
	c := d.closeID(now, id, cancelledUnknown)
	c.waiters = d.queue(c.waiters, w)
}
