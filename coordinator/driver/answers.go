package driver

import (
	"slices"
	"strings"
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
	p.heard(now)
	for i := range answers {
		a := &answers[i]
		f := d.flights.follow(&p.next, a.ID)
		if f == nil {
			continue
		}
		s := f.slotOf(p)
		if s == nil || s.op != a.Op || !f.isAbout(a) {
			continue
		}
		d.onAnswer(now, f, s, a)
	}
	p.forgetAnswered()
}

// isAbout says whether an answer speaks of this content. A late one may speak of what an earlier reign, whose Stage was
// lost, had asked under the same id.
func (f *flight) isAbout(a *bank.Answer) bool {
	return (a.Op != bank.Prepare && a.Op != bank.Resolve) || a.Fingerprint == f.fingerprint
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
		d.proposeAbort(now, f, reasonOfNo(&f.transfer, s.pipeline.bank, &a.Reason))
	}
}

// Bounds of what a bank's reason may put into the log.
const (
	reasonCodeBytesMax   = 64
	reasonDetailBytesMax = 256
)

// reasonOfNo makes a bank's reason fit for the log: a bank is a stranger, and what it says must harm nobody. What only
// coordinators say is not for a bank to say. An abort that says orphaned would even be taken for the answer to an
// inquiry, and lose against its own Stage. play: bank_no_says_orphaned
func reasonOfNo(t *transfer.Transfer, from transfer.BankID, r *transfer.Reason) transfer.Reason {
	code := transfer.Code(clip(string(r.Code), reasonCodeBytesMax))
	switch code {
	case "", transfer.ErrOrphaned.Code, transfer.ErrCancelled.Code, transfer.ErrDeadlineExceeded.Code:
		code = transfer.ErrRolledBack.Code
	}
	reason := transfer.Reason{Code: code, Bank: from, Detail: clip(r.Detail, reasonDetailBytesMax)}
	if code == transfer.ErrInsufficientFunds.Code && isAbout(r.Shortfall, t, from) {
		reason.Shortfall = r.Shortfall
	}
	return reason
}

// isAbout says whether a shortfall is about a debit that the bank was asked for.
func isAbout(s *transfer.Shortfall, t *transfer.Transfer, from transfer.BankID) bool {
	return s != nil && slices.ContainsFunc(t.Legs, func(l transfer.Leg) bool {
		return l.Direction == transfer.Debit && l.Bank == from && l.Account == s.Account && l.Currency == s.Currency
	})
}

// clip returns at most so many bytes of a stranger's text, without what is no UTF-8.
func clip(s string, bytesMax int) string {
	return strings.ToValidUTF8(s[:min(len(s), bytesMax)], "")
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
		d.proposeAbort(now, f, f.unpreparedReason(s.pipeline.bank))
	}
}

// unpreparedReason says why a transfer of another reign is aborted, now that a bank has said that it never prepared it.
func (f *flight) unpreparedReason(at transfer.BankID) transfer.Reason {
	if f.cancelled {
		return cancelledBeforeCommit
	}
	return transfer.Reason{Code: transfer.ErrDeadlineExceeded.Code, Bank: at, Detail: "bank " + string(at) + " had not prepared before the deadline"}
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
