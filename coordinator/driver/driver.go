package driver

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/room"
	"github.com/quorate/quorate/transfer"
)

// Config is what a Driver is built from.
type Config struct {
	Seed   uint64
	Banks  []transfer.BankID // every bank of the cluster
	Limits Limits
}

// Limits bound what the driver keeps and how hard it presses the banks.
type Limits struct {
	FlightsMax         int           // transfers in flight; more are refused with ErrBusy
	HeldMax            int           // holds that wait for their clients; more are refused with ErrBusy
	BankOutstandingMax int           // requests on their way to one bank; more wait their turn
	RetryAfter         time.Duration // an unanswered request is repeated after this long, at first
	RetryAfterMax      time.Duration // … and at most this long while the bank stays silent
	BreakerSilences    int           // a bank that was silent so many times in a row is given no new transfers
}

// Waiter is who asked: the host's own name for an open request.
type Waiter struct {
	Node    uint64
	Request uint64
}

// Reply answers a waiter. Lost says that this driver will never know: ask the leader of the
// moment. With Err nil and Lost false, Record is the answer.
type Reply struct {
	Waiter Waiter
	Record transfer.Record
	Err    error
	Lost   bool
}

// Call is a batch of requests for one bank.
type Call struct {
	Bank     transfer.BankID
	Requests []bank.Request
}

// Effects is what the driver wants done, each list in order.
type Effects struct {
	Facts   []coordinator.Fact // to propose
	Calls   []Call
	Replies []Reply
	// Violations are banks that answered that they can't do what was decided: money is at risk, someone must look.
	Violations []Violation
	Breakers   []BreakerMoved
}

// Violation is a broken promise of a bank.
type Violation struct {
	Bank transfer.BankID
	Op   bank.Op
	ID   transfer.ID
}

// Driver drives the transfers of one coordinator group while its node leads it.
type Driver struct {
	machine   *coordinator.Machine // read only
	limits    Limits
	leading   bool
	flights   flights
	applied   [coordinator.Held + 1]*flight // of which the next fact of a kind is expected
	held      int                           // of the flights
	deadlines deadlines
	banks     map[transfer.BankID]*pipeline
	bankOrder []*pipeline              // sorted as configured: effects come in a fixed order
	closings  map[transfer.ID]*closing // tombstones on their way into the log

	facts      []coordinator.Fact
	stated     []coordinator.Fact     // handed out last: the room of the next
	decisions  []coordinator.Decision // facts point at them; behind them is room for more
	settled    []transfer.ID          // ride in the next batch of facts
	replies    []Reply
	replied    []Reply // as stated
	violations []Violation

	counts Counts
}

// Counts is what the driver has seen since it was made.
type Counts struct {
	Committed uint64 // transfers whose outcome became known here
	Aborted   uint64
	InFlight  int // without those that are held
	Held      int // holds that wait for their clients
	InDoubt   int // staged, outcome not yet known
}

// New makes a driver that leads nothing yet.
func New(cfg Config, machine *coordinator.Machine) *Driver {
	d := &Driver{machine: machine, limits: cfg.Limits, flights: newFlights(), banks: map[transfer.BankID]*pipeline{}, closings: map[transfer.ID]*closing{}}
	for i, id := range cfg.Banks {
		p := newPipeline(id, cfg.Limits, rand.New(rand.NewPCG(cfg.Seed, uint64(i))))
		d.banks[id] = p
		d.bankOrder = append(d.bankOrder, p)
	}
	return d
}

// Leading says whether the driver accepts work.
func (d *Driver) Leading() bool { return d.leading }

// Counts says what is going on.
func (d *Driver) Counts() Counts {
	c := d.counts
	c.InFlight, c.Held = len(d.flights.byID)-d.held, d.held
	c.InDoubt = d.machine.StagedCount()
	return c
}

// Load says how many transfers, holds and ids the driver has in mind, and how many requests are on their way to the bank that has most of them.
func (d *Driver) Load() (kept, outstanding int) {
	for _, p := range d.bankOrder {
		outstanding = max(outstanding, p.outstanding)
	}
	return len(d.flights.byID) + len(d.closings), outstanding
}

// Idle says that nothing is under way: no transfer is undecided or unsettled but for those that are held, and no id is being closed.
func (d *Driver) Idle() bool {
	return len(d.flights.byID) == d.held && len(d.closings) == 0 && len(d.facts) == 0
}

// Due says that a Tick would give something up: an idle driver needs one for the end of a hold.
func (d *Driver) Due(now time.Time) bool { return d.leading && d.deadlines.isDue(now) }

// Submit takes a validated transfer for a waiter. It is answered at once if its outcome is known or the
// submission is refused, otherwise when the outcome is.
func (d *Driver) Submit(now time.Time, w Waiter, t *transfer.Transfer) {
	if !d.leading {
		d.reply(Reply{Waiter: w, Lost: true})
		return
	}
	fingerprint := t.Fingerprint()
	if f, ok := d.flights.byID[t.ID]; ok {
		if f.fingerprint == fingerprint {
			d.wait(f, w)
		} else {
			d.contest(f, w)
		}
		return
	}
	known, err := d.machine.Lookup(t.ID)
	if err != nil {
		d.refuse(w, fmt.Errorf("%w: %w", transfer.ErrInternal, err))
		return
	}
	if known != nil {
		d.replyKnown(w, known, fingerprint)
		return
	}
	if err := d.admit(now, t); err != nil {
		d.refuse(w, err)
		return
	}
	if t.IsHold() { // it may stay for a month, and came in a message with many others
		own := t.Clone()
		t = &own
	}
	f := d.newFlight(t, fingerprint)
	f.mine = true
	f.waiters = append(f.waiters, w)
	d.facts = append(d.facts, coordinator.Fact{Stage: &f.transfer})
	d.deadlines.add(f)
	d.ask(f, bank.Prepare)
}

// replyKnown answers a submission of an id that the machine knows and that is not in flight:
// its outcome is decided and settled.
func (d *Driver) replyKnown(w Waiter, known *coordinator.Record, fingerprint transfer.Fingerprint) {
	if !known.SameContent(fingerprint) {
		d.refuse(w, fmt.Errorf("%w: %s", transfer.ErrIDConflict, known.Transfer.ID))
		return
	}
	invariant.Holds(known.State.Decided(), "transfer %s is %s but not in flight", known.Transfer.ID, known.State)
	d.reply(Reply{Waiter: w, Record: known.Public()})
}

// admit says no to what can't or mustn't be begun; nothing has happened yet.
func (d *Driver) admit(now time.Time, t *transfer.Transfer) error {
	if err := d.admitOne(); err != nil {
		return err
	}
	for i := range t.Legs {
		p := d.banks[t.Legs[i].Bank]
		if p == nil {
			return fmt.Errorf("leg %d: %w: %q", i+1, transfer.ErrUnknownBank, t.Legs[i].Bank)
		}
		if err := p.admit(); err != nil {
			return err
		}
	}
	if t.IsHold() {
		if err := d.admitHold(t); err != nil {
			return err
		}
	}
	if !t.Deadline.After(now) {
		return fmt.Errorf("%w: its time was over %v before it was begun, by its leader's clock; if it hasn't waited as long, the nodes' clocks differ", transfer.ErrBusy, now.Sub(t.Deadline).Round(time.Millisecond))
	}
	return nil
}

// admitOne says no to more than the driver may keep in mind.
func (d *Driver) admitOne() error {
	if n := len(d.flights.byID) - d.held + len(d.closings); n >= d.limits.FlightsMax {
		return fmt.Errorf("%w: %d transfers are in flight", transfer.ErrBusy, n)
	}
	return nil
}

// Get answers with what is known of a transfer. The host has made sure that the machine is as new as
// any answer already given (ReadIndex). A transfer that another reign staged may have been answered
// "committed" before: the answer waits for its outcome.
func (d *Driver) Get(w Waiter, id transfer.ID) {
	f, inFlight := d.flights.byID[id]
	switch {
	case !d.leading:
		d.reply(Reply{Waiter: w, Lost: true})
	case inFlight && f.undecided() && !f.mine:
		d.addWaiter(f, w)
	case inFlight && (f.staged() || !f.undecided()):
		d.reply(Reply{Waiter: w, Record: f.public()})
	default:
		d.replyRecord(w, id)
	}
}

func (d *Driver) replyRecord(w Waiter, id transfer.ID) {
	known, err := d.machine.Lookup(id)
	switch {
	case err != nil:
		d.refuse(w, fmt.Errorf("%w: %w", transfer.ErrInternal, err))
	case known == nil:
		d.refuse(w, fmt.Errorf("%w: %s", transfer.ErrTransferNotFound, id))
	default:
		d.reply(Reply{Waiter: w, Record: known.Public()})
	}
}

// Applied takes what became of facts that were committed in the log.
func (d *Driver) Applied(now time.Time, results []coordinator.Applied) {
	if !d.leading {
		return
	}
	for i := range results {
		r := &results[i]
		f := d.flights.follow(&d.applied[r.Kind], r.ID)
		switch r.Kind {
		case coordinator.Staged:
			d.onStaged(now, f, r.Record)
		case coordinator.StageRefused:
			d.onStageRefused(now, f, r.Record)
		case coordinator.Held:
			d.onHeld(now, f)
		case coordinator.Decided:
			d.onDecided(now, f, r.Record)
		case coordinator.DecideRefused:
			d.onTombstoneRefused(now, r.ID)
		case coordinator.Settled:
			if f != nil {
				d.flights.remove(f)
			}
		default:
			invariant.Fail("unknown kind of applied fact %d", r.Kind)
		}
	}
}

// Tick looks at the clock: deadlines, and requests that were not answered in time.
func (d *Driver) Tick(now time.Time) {
	if !d.leading {
		return
	}
	for f := d.deadlines.next(now); f != nil; f = d.deadlines.next(now) {
		d.giveUp(now, f, d.lateReason(f))
	}
	for _, p := range d.bankOrder {
		p.repeatUnanswered(now)
	}
}

// roomKept bounds the room that is kept for what is handed out next: one item each for as many transfers as a few busy clients have in flight.
const roomKept = 1 << 13

// Take hands out what has gathered since the last call. The facts and the replies are there until the next.
func (d *Driver) Take(now time.Time) Effects {
	e := Effects{Facts: d.facts, Replies: d.replies, Violations: d.violations}
	if len(d.settled) > 0 {
		e.Facts = append(e.Facts, coordinator.Fact{Settle: d.settled})
	}
	for _, p := range d.bankOrder {
		if requests := p.take(now); len(requests) > 0 {
			e.Calls = append(e.Calls, Call{Bank: p.bank, Requests: requests})
		}
		if moved, ok := p.breakerMoved(); ok {
			e.Breakers = append(e.Breakers, moved)
		}
	}
	d.facts, d.stated = room.Emptied(d.stated, roomKept), e.Facts
	d.replies, d.replied = room.Emptied(d.replied, roomKept), d.replies
	d.settled, d.violations = nil, nil
	return e
}

func (d *Driver) reply(r Reply) { d.replies = append(d.replies, r) }

func (d *Driver) refuse(w Waiter, err error) { d.reply(Reply{Waiter: w, Err: err}) }
