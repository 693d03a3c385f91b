package driver

import (
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// Answers takes a bank's answers. One that fits nothing that is being asked is late or repeated, and is
// ignored: it was durable when it was given and has been counted, or no longer matters.
func (d *Driver) Answers(now time.Time, from transfer.BankID, answers []bank.Answer) {
	p := d.banks[from]
	if !d.leading || p == nil {
		return
	}
	p.heard()
	for i := range answers {
		a := &answers[i]
		f := d.flights[a.ID]
		if f == nil {
			continue
		}
		s := f.slotOf(p)
		if s == nil || s.op != a.Op {
			continue
		}
		d.onAnswer(now, f, s, a)
	}
}

func (d *Driver) onAnswer(now time.Time, f *flight, s *slot, a *bank.Answer) {
	switch a.Op {
	case bank.Prepare:
		d.onVote(now, f, s, a)
	case bank.Resolve:
		d.onResolved(now, f, s, a)
	case bank.Commit, bank.Rollback:
		d.onConfirmed(f, s, a)
	}
}

// onVote: anything but a clear yes or no is no vote, and the bank is asked again.
func (d *Driver) onVote(now time.Time, f *flight, s *slot, a *bank.Answer) {
	switch a.Result {
	case bank.Yes:
		s.stop()
		s.prepared = true
		d.decideIfCommitted(now, f)
	case bank.No:
		s.stop()
		reason := a.Reason
		reason.Bank = s.pipeline.bank
		d.proposeAbort(now, f, reason)
	}
}

// onResolved: prepared counts as a yes, and so does committed, which only a leader who knew can have asked for.
func (d *Driver) onResolved(now time.Time, f *flight, s *slot, a *bank.Answer) {
	switch a.Result {
	case bank.Prepared, bank.Committed:
		s.stop()
		s.prepared = true
		d.decideIfCommitted(now, f)
	case bank.RolledBack:
		s.stop()
		reason := d.lateReason(f)
		reason.Bank = s.pipeline.bank
		reason.Detail = "bank " + string(s.pipeline.bank) + " had not prepared before the deadline"
		d.proposeAbort(now, f, reason)
	}
}

// onConfirmed: a bank that can't do what was decided has broken the contract, and money is at risk. The
// host raises the alarm; the bank is asked again until somebody has mended it.
func (d *Driver) onConfirmed(f *flight, s *slot, a *bank.Answer) {
	switch a.Result {
	case bank.Done:
		s.stop()
		s.done = true
		d.settleIfDone(f)
	case bank.Violation:
		d.violations = append(d.violations, Violation{Bank: s.pipeline.bank, Op: a.Op, ID: a.ID})
	}
}
