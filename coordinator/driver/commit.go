package driver

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/transfer"
)

// isCommitted is the commit condition, and this is the only place that states it: staged by a quorum, accepted
// by the machine, and every bank durably prepared. No abort may be on its way into the log. A hold is never committed by its
// banks: only by a capture in the log (hold.go).
func (f *flight) isCommitted() bool { return !f.transfer.IsHold() && f.isPrepared() }

// isPrepared: staged, and every bank has reserved its part.
func (f *flight) isPrepared() bool {
	if mutant.On(mutant.CommitOnOneYes) && f.staged() && f.phase == voting && f.slots[0].prepared {
		return true
	}
	if !f.staged() && !mutant.On(mutant.CommitUnstaged) || (f.phase != voting && f.phase != resolving) {
		return false
	}
	for i := range f.slots {
		if !f.slots[i].prepared {
			return false
		}
	}
	return true
}

// decideIfCommitted tells the client and the banks as soon as the commit condition holds, and writes
// the decision down for whoever leads next. What is a hold becomes held instead.
func (d *Driver) decideIfCommitted(now time.Time, f *flight) {
	if !f.isCommitted() {
		d.holdIfPrepared(f)
		return
	}
	f.decidedAt = now
	d.decide(f, transfer.Committed)
	d.becomeCommitted(f)
}

// decide puts the decision on its way into the log. Only what the machine has accepted as staged is decided: a decision
// names an id, and must never meet another transfer under it.
func (d *Driver) decide(f *flight, state transfer.State) {
	invariant.Holds(f.staged() || mutant.On(mutant.CommitUnstaged), "transfer %s is decided %s before it is staged", f.transfer.ID, state)
	if len(d.decisions) == cap(d.decisions) {
		d.decisions = make([]coordinator.Decision, 0, decisionsAtOnce)
	}
	d.decisions = append(d.decisions, coordinator.Decision{ID: f.transfer.ID, State: state, Reason: f.reason, At: f.decidedAt, CapturedMinor: f.captured})
	d.facts = append(d.facts, coordinator.Fact{Decide: &d.decisions[len(d.decisions)-1]})
}

// decisionsAtOnce is for how many decisions room is made.
const decisionsAtOnce = 1 << 5

func (d *Driver) becomeCommitted(f *flight) {
	f.phase = committed
	d.deadlines.remove(f)
	d.counts.Committed++
	d.tell(f)
	d.ask(f, bank.Commit)
}

// proposeAbort begins to abort, as soon as the transfer is staged. Nobody hears of it before it is applied: until then the
// votes of the banks may still be all that decides, in the eyes of a later leader.
func (d *Driver) proposeAbort(now time.Time, f *flight, reason transfer.Reason) {
	switch f.phase {
	case voting, resolving:
	case held:
		d.held--
	default:
		return
	}
	f.phase = aborting
	f.reason, f.decidedAt = reason, now
	d.deadlines.remove(f)
	for i := range f.slots {
		f.slots[i].stop()
	}
	if f.staged() {
		d.decide(f, transfer.Aborted)
	}
	if mutant.On(mutant.AbortOnNoAtOnce) {
		for _, w := range f.waiters {
			d.reply(Reply{Waiter: w, Record: transfer.Record{Transfer: f.transfer, State: transfer.Aborted, Reason: reason}})
		}
		f.waiters = nil
	}
}

// onStaged: the Stage is committed and accepted. Votes that came earlier count from here on.
func (d *Driver) onStaged(now time.Time, f *flight, r *coordinator.Record) {
	if f == nil || f.staged() {
		return
	}
	if r.Fingerprint != f.fingerprint { // not Holds: it would allocate its arguments each time
		invariant.Fail("transfer %s is staged with content %x, and its votes are for %x", r.Transfer.ID, r.Fingerprint, f.fingerprint)
	}
	f.record = r
	for _, w := range f.rivals {
		d.refuse(w, fmt.Errorf("%w: %s", transfer.ErrIDConflict, f.transfer.ID))
	}
	f.rivals = nil
	if f.phase == aborting {
		d.decide(f, transfer.Aborted)
		return
	}
	d.decideIfCommitted(now, f)
}

// onStageRefused: the id was closed or taken between Submit and the log. What our parallel prepares may have reserved
// is rolled back, except at banks where the id belongs to the transfer that came first.
func (d *Driver) onStageRefused(now time.Time, f *flight, known *coordinator.Record) {
	if f == nil || !f.mine || f.staged() {
		return
	}
	waiters := f.waiters
	f.waiters = nil
	d.loseRivals(f)
	d.drop(f)
	for _, w := range waiters {
		if known.SameContent(f.fingerprint) {
			d.reply(Reply{Waiter: w, Record: known.Public()})
		} else {
			d.refuse(w, transfer.ErrIDConflict)
		}
	}
	for i := range f.slots {
		s := &f.slots[i]
		if known.State == transfer.Aborted || len(known.Transfer.LegsAt(s.pipeline.bank)) == 0 {
			s.pipeline.once(bank.Request{Op: bank.Rollback, ID: f.transfer.ID})
		}
	}
	if !known.Settled {
		d.recover(now, known)
	}
}

// onDecided: the decision is in the log. This is where aborts become known. A flight that isn't staged yet has met a
// tombstone; its own Stage comes next in the log and is refused. play: orphan_retry_races_the_tombstone
func (d *Driver) onDecided(now time.Time, f *flight, r *coordinator.Record) {
	if f == nil || !f.staged() {
		d.onTombstone(r)
		return
	}
	if f.decided {
		return
	}
	f.decided = true
	switch r.State {
	case transfer.Committed:
		f.captured = r.CapturedMinor
		if f.phase != committed {
			d.becomeCommitted(f)
		}
	case transfer.Aborted:
		invariant.Holds(f.phase != committed, "transfer %s was told to be committed and is aborted in the log: %s", r.Transfer.ID, r.Reason.Code)
		f.phase = aborted
		d.deadlines.remove(f)
		d.counts.Aborted++
		d.tell(f)
		d.ask(f, bank.Rollback)
	default:
		invariant.Fail("transfer %s is decided %s", r.Transfer.ID, r.State)
	}
	d.settleIfDone(f)
}

// giveUp ends the voting: its deadline has passed, or a client cancels it. A transfer of this reign is aborted, since nobody else
// can have told its client anything; one that another reign staged may have been acknowledged, so the banks are asked what they hold.
// A hold that is held nobody but its client decides about, or its end.
func (d *Driver) giveUp(now time.Time, f *flight, why transfer.Reason) {
	switch {
	case f.phase == held:
		d.proposeAbort(now, f, why)
	case f.phase == holding, f.phase == resolving && f.transfer.IsHold():
		f.cancelled = true // it becomes held first, if its banks have reserved it: an earlier reign may have told its client so
	case f.phase != voting:
	case f.mine:
		d.proposeAbort(now, f, why)
	default:
		f.cancelled = why.Code == transfer.ErrCancelled.Code
		d.resolve(f)
	}
}

// lateReason names the banks that had not answered.
func (d *Driver) lateReason(f *flight) transfer.Reason {
	if f.phase == held {
		return transfer.Reason{Code: transfer.ErrHoldExpired.Code, Detail: "it was not captured before " + f.due.Format(time.RFC3339)}
	}
	for i := range f.slots {
		if s := &f.slots[i]; !s.prepared {
			return transfer.Reason{Code: transfer.ErrDeadlineExceeded.Code, Bank: s.pipeline.bank, Detail: "bank " + string(s.pipeline.bank) + " had not prepared in time"}
		}
	}
	return transfer.Reason{Code: transfer.ErrDeadlineExceeded.Code, Detail: "the coordinators had not agreed on it in time"}
}

// settleIfDone: the decision is in the log and every bank has confirmed it.
func (d *Driver) settleIfDone(f *flight) {
	if !f.decided {
		return
	}
	for i := range f.slots {
		if !f.slots[i].done {
			return
		}
	}
	d.settled = append(d.settled, f.transfer.ID)
}

// drop forgets a flight; requests that are under way for it are no longer waited for.
func (d *Driver) drop(f *flight) {
	for i := range f.slots {
		f.slots[i].stop()
	}
	d.deadlines.remove(f)
	d.flights.remove(f)
}
