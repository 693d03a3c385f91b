package api

import (
	"context"
	"errors"
	"time"

	"github.com/quorate/quorate/transfer"
)

// A client that submits a transfer again names the time that is left, and that shrinks by itself. Of an id that the cluster knows it says nothing:
// told that such a transfer isn't applied, because of its times, who asks would pay again under a new id.

// lookTimeout is for all that one request has to look for.
const lookTimeout = time.Second

// look has the defaults stand for times that have become too short, where the transfer is known: it is answered with its outcome, and nothing new is begun.
// Where that can't be found out, this is why the order is refused.
func (d *desk) look(ctx context.Context, orders []order) {
	for i := range orders {
		if orders[i].isLate(d.timeouts) {
			d.lookFor(ctx, orders[i:])
			return
		}
	}
}

func (d *desk) lookFor(ctx context.Context, orders []order) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for i := range orders {
		o := &orders[i]
		if !o.isLate(d.timeouts) || mayMove(ctx, o.transfer.Legs) != nil {
			continue
		}
		switch _, err := d.backend.Transfer(ctx, o.transfer.ID); {
		case err == nil:
			o.timeout, o.holdTimeout = nil, nil
		case !errors.Is(err, transfer.ErrTransferNotFound):
			o.err = err
		}
	}
}

// isLate says of an order that its times may have been right some time ago.
func (o *order) isLate(limits Timeouts) bool {
	timeout := limits.Default
	if o.timeout != nil {
		timeout = *o.timeout
	}
	return o.err == nil && (timeout < limits.Min || o.hold && o.holdTimeout != nil && *o.holdTimeout <= timeout)
}
