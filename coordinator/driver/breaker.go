package driver

import (
	"fmt"

	"github.com/quorate/quorate/transfer"
)

// Breaker says whether a bank is given new transfers. It is no state of its own: it follows from how long the bank has been silent and from
// what it owes. Only what is new is refused; votes, outcomes and inquiries of what was begun are driven on as ever, and their repetitions are what
// finds out that the bank is back: whatever it answers closes the breaker.
type Breaker uint8

// While a bank is silent and owes nothing, nobody would hear that it is back: the next transfer is let through as a probe, and owes from then on.
const (
	BreakerClosed   Breaker = iota // the bank answers, or hasn't been silent for long
	BreakerHalfOpen                // silent, and nothing is asked of it: the next transfer is the probe
	BreakerOpen                    // silent, and being asked: nothing new is begun that touches it
)

func (b Breaker) String() string {
	switch b {
	case BreakerClosed:
		return "closed"
	case BreakerHalfOpen:
		return "half_open"
	case BreakerOpen:
		return "open"
	}
	return "invalid"
}

// BreakerMoved says that a bank's breaker has opened, or closed again.
type BreakerMoved struct {
	Bank transfer.BankID
	Open bool
}

// tripped says that the bank has been silent for too long.
func (p *pipeline) tripped() bool { return p.silence >= p.limits.BreakerSilences }

func (p *pipeline) breaker() Breaker {
	switch {
	case !p.tripped():
		return BreakerClosed
	case p.owed == 0:
		return BreakerHalfOpen
	}
	return BreakerOpen
}

// admit says no to a new transfer that the bank couldn't take now. Half of the flights is all that may wait for one bank: one that is slow must not
// take the room of transfers that don't touch it. play: bank_silent_leaves_room
func (p *pipeline) admit() error {
	if p.breaker() == BreakerOpen { // play: breaker_refuses_what_is_new
		return fmt.Errorf("%w: bank %s was silent %d times in a row", transfer.ErrBankUnavailable, p.bank, p.silence)
	}
	if 2*p.owed >= p.limits.FlightsMax {
		return fmt.Errorf("%w: bank %s owes an answer to %d requests", transfer.ErrBusy, p.bank, p.owed)
	}
	return nil
}

// breakerMoved reports each opening and closing once.
func (p *pipeline) breakerMoved() (BreakerMoved, bool) {
	if p.reported == p.tripped() {
		return BreakerMoved{}, false
	}
	p.reported = !p.reported
	return BreakerMoved{Bank: p.bank, Open: p.reported}, true
}

// BankBreaker says whether the bank is given new transfers.
func (d *Driver) BankBreaker(id transfer.BankID) Breaker {
	if p := d.banks[id]; p != nil {
		return p.breaker()
	}
	return BreakerClosed
}
