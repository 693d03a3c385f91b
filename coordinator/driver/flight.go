package driver

import (
	"container/heap"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/transfer"
)

// phase is how far a flight has come in this driver's eyes.
type phase uint8

const (
	voting    phase = iota + 1 // banks are asked to prepare
	resolving                  // another reign's transfer is past its deadline, or cancelled: banks are asked what they hold
	holding                    // every bank has reserved its part of a hold; Hold is proposed, and nobody has been told
	held                       // Hold is applied: told to the client, who has to capture it or to void it
	capturing                  // Decide(commit) of a hold is proposed, and nobody has been told
	aborting                   // Decide(abort) is proposed, and nobody has been told
	committed                  // known to be committed: told to the client and the banks
	aborted                    // Decide(abort) is applied: told to the client and the banks
)

// flight is one transfer on its way through this reign.
type flight struct {
	transfer    transfer.Transfer
	fingerprint transfer.Fingerprint
	phase       phase
	mine        bool                // staged by this reign: nobody else can have told its client anything
	record      *coordinator.Record // what the machine made of the Stage: read only; nil: it hasn't accepted it yet
	decided     bool                // the decision is applied
	cancelled   bool                // a client's cancel, and not the deadline, has begun the resolving, or came while it became held
	reason      transfer.Reason
	decidedAt   time.Time // when this reign knew the outcome
	captured    []int64   // of a hold: one amount for each leg; nil: all of it
	confirming  bool      // that it is held is on its way into the log once more
	due         time.Time // when to give up: the deadline, or the end of a hold
	slots       []slot    // one per bank
	waiters     []Waiter
	rivals      []Waiter // asked for other content under the id, before this one was staged
	timed       bool     // has a deadline that counts

	next *flight // begun after it (flights.follow)
	over bool    // it is no longer among the driver's flights

	slotRoom   [2]slot // what most transfers need, in one allocation
	waiterRoom [1]Waiter
}

// slot is one bank's part in a flight.
type slot struct {
	flight   *flight
	pipeline *pipeline
	op       bank.Op // what the bank is being asked; zero: nothing
	sentAt   time.Time
	queued   bool // waits its turn
	sent     bool // counts as outstanding
	prepared bool // the bank has durably said yes, or that it holds or has applied the transfer
	done     bool // the bank has confirmed the outcome
}

func (d *Driver) newFlight(t *transfer.Transfer, fingerprint transfer.Fingerprint) *flight {
	f := &flight{transfer: *t, fingerprint: fingerprint, phase: voting, due: t.Deadline}
	f.slots, f.waiters = f.slotRoom[:0], f.waiterRoom[:0]
	for i := range t.Legs {
		p := d.banks[t.Legs[i].Bank]
		if p == nil { // not Holds: its arguments would cost an allocation each on the hot path
			invariant.Fail("transfer %s names bank %s, which this cluster doesn't have", t.ID, t.Legs[i].Bank)
		}
		if f.slotOf(p) == nil { // nobody points at a slot yet: they may move
			f.slots = append(f.slots, slot{flight: f, pipeline: p})
		}
	}
	d.flights.add(f)
	return f
}

// staged says that the machine has accepted the Stage.
func (f *flight) staged() bool { return f.record != nil }

// undecided says that this driver has nothing to tell yet: neither the outcome, nor that it is held.
func (f *flight) undecided() bool {
	switch f.phase {
	case held, committed, aborted:
		return false
	}
	return true
}

// slotOf finds the part of one bank; nil if the transfer doesn't touch it.
func (f *flight) slotOf(p *pipeline) *slot {
	for i := range f.slots {
		if f.slots[i].pipeline == p {
			return &f.slots[i]
		}
	}
	return nil
}

// request builds what the slot's bank is asked now. Resolve names the content as Prepare does: what the bank holds under
// the id may be other content, left by a Stage that was lost, and mustn't count. play: content_resolve_names_it
func (s *slot) request() bank.Request {
	r := bank.Request{Op: s.op, ID: s.flight.transfer.ID}
	if s.op == bank.Prepare || s.op == bank.Resolve {
		r.Fingerprint = s.flight.fingerprint
	}
	if s.op == bank.Prepare {
		r.Legs = s.flight.transfer.LegsAt(s.pipeline.bank)
		r.Reference = s.flight.transfer.Reference
		r.HoldUntil = s.flight.transfer.HoldUntil
	}
	if s.op == bank.Commit {
		r.CapturedMinor = s.flight.transfer.CapturedAt(s.pipeline.bank, s.flight.captured)
	}
	return r
}

// public is the flight as a client may see it: the record, plus a decision that the log is only about to hold.
func (f *flight) public() transfer.Record {
	record := transfer.Record{Transfer: f.transfer, State: transfer.Pending}
	if f.staged() {
		record = f.record.Public()
	}
	if f.phase == committed {
		record.State, record.CapturedMinor = transfer.Committed, f.captured
		if !f.decided {
			record.DecidedAt = f.decidedAt
		}
	}
	return record
}

// waitersMax bounds who waits for one transfer. A client that has gone still has its place, so the oldest makes room: if it is
// alive, its host asks again.
const waitersMax = 64

func (d *Driver) addWaiter(f *flight, w Waiter) { f.waiters = d.queue(f.waiters, w) }

func (d *Driver) queue(waiters []Waiter, w Waiter) []Waiter {
	if slices.Contains(waiters, w) {
		return waiters
	}
	if len(waiters) >= waitersMax {
		d.reply(Reply{Waiter: waiters[0], Lost: true})
		waiters = slices.Delete(waiters, 0, 1)
	}
	return append(waiters, w)
}

// contest: the id is taken as soon as a Stage is accepted, and not before. This node may be deposed without knowing it, and the
// rival's content may be the one that was committed elsewhere. play: duplicate_other_content_at_a_deposed_leader
func (d *Driver) contest(f *flight, w Waiter) {
	if f.staged() {
		d.refuse(w, fmt.Errorf("%w: %s", transfer.ErrIDConflict, f.transfer.ID))
		return
	}
	f.rivals = d.queue(f.rivals, w)
}

// loseRivals has those who contested a flight ask again.
func (d *Driver) loseRivals(f *flight) {
	for _, w := range f.rivals {
		d.reply(Reply{Waiter: w, Lost: true})
	}
	f.rivals = nil
}

// wait lets a waiter hear the outcome, at once if it is known, or that a hold is held.
func (d *Driver) wait(f *flight, w Waiter) {
	if f.phase == held {
		d.confirmHeld(f)
	}
	if f.undecided() || f.phase == held {
		d.addWaiter(f, w)
		return
	}
	d.reply(Reply{Waiter: w, Record: f.public()})
}

// tell answers everybody who waits for the outcome.
func (d *Driver) tell(f *flight) {
	if len(f.waiters) == 0 {
		return
	}
	record := f.public()
	for _, w := range f.waiters {
		d.reply(Reply{Waiter: w, Record: record})
	}
	f.waiters = nil
}

// deadlines has flights in the order in which they are due, then by id so that the order never depends on chance. Nearly all end long before, and to
// take one out of its place costs more than to leave it: so it stays until its time has come, or half of all are such.
type deadlines struct {
	heap deadlineHeap
	over int // in the heap, of flights that wait for nothing any more
}

// overKept is how many of them may stay however few others there are.
const overKept = 1 << 6

// deadline has its time beside the flight: the heap compares many of them, and few flights are in the processor's cache.
type deadline struct {
	due    time.Time
	flight *flight
}

// counts is false of a flight that has ended, or is due at another time since.
func (d deadline) counts() bool { return d.flight.timed && d.due.Equal(d.flight.due) }

func (d *deadlines) add(f *flight) {
	f.timed = true
	heap.Push(&d.heap, f)
}

func (d *deadlines) remove(f *flight) {
	if !f.timed {
		return
	}
	f.timed = false
	if d.over++; d.over > max(overKept, len(d.heap)/2) {
		d.heap = slices.DeleteFunc(d.heap, func(e deadline) bool { return !e.counts() })
		heap.Init(&d.heap)
		d.over = 0
	}
}

// isDue says whether a flight's time has come.
func (d *deadlines) isDue(now time.Time) bool {
	for len(d.heap) > 0 && !d.heap[0].due.After(now) {
		if d.heap[0].counts() {
			return true
		}
		heap.Pop(&d.heap)
		d.over--
	}
	return false
}

// next takes out the next flight whose time has come; nil if there is none.
func (d *deadlines) next(now time.Time) *flight {
	if !d.isDue(now) {
		return nil
	}
	f := heap.Pop(&d.heap).(*flight)
	f.timed = false
	return f
}

// deadlineHeap serves container/heap.
type deadlineHeap []deadline

func (h deadlineHeap) Len() int { return len(h) }
func (h deadlineHeap) Less(i, j int) bool {
	if c := h[i].due.Compare(h[j].due); c != 0 {
		return c < 0
	}
	return string(h[i].flight.transfer.ID[:]) < string(h[j].flight.transfer.ID[:])
}
func (h deadlineHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push adds a flight.
func (h *deadlineHeap) Push(x any) {
	f := x.(*flight)
	*h = append(*h, deadline{f.due, f})
}

// Pop takes out the last one.
func (h *deadlineHeap) Pop() any {
	last := len(*h) - 1
	f := (*h)[last].flight
	(*h)[last] = deadline{}
	*h = (*h)[:last]
	return f
}
