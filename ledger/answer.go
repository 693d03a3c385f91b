package ledger

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/transfer"
)

// prepare answers rules 1 to 3 of the law.
func (l *Ledger) prepare(q *bank.Request, ordinal int) (bank.Answer, error) {
	if h := l.holds.byID[q.ID]; h != nil {
		if h.fingerprint != q.Fingerprint && !mutant.On(mutant.PrepareOtherContent) {
			return no(q, conflictReason(q.ID)), nil
		}
		return answer(q, bank.Yes), nil
	}
	f, known, err := l.finished.find(l.reader, q.ID)
	if err != nil {
		return bank.Answer{}, err
	}
	if known {
		return f.repeat(q), nil
	}
	h := l.holds.make()
	h.id, h.fingerprint = q.ID, q.Fingerprint
	h.preparedNanos, h.index, h.ordinal = l.atNanos, l.index, uint32(ordinal)
	if !q.HoldUntil.IsZero() {
		h.untilNanos = q.HoldUntil.UnixNano()
	}
	reason := checkRequest(q)
	if reason.Code == "" {
		if reason, err = l.reserve(h, q.Legs); err != nil {
			return bank.Answer{}, err
		}
	}
	if reason.Code != "" {
		l.holds.recycle(h)
		if mutant.On(mutant.NoIsNotFinal) {
			return no(q, reason), nil
		}
		final := reason // a copy of its own: only a refusal pays for the allocation
		l.finish(finished{id: q.ID, prepared: true, fingerprint: q.Fingerprint, state: refused, reason: &final})
		return no(q, reason), nil
	}
	h.reference = strings.Clone(q.Reference)
	l.hold(h)
	return answer(q, bank.Yes), nil
}

// checkRequest looks at what can be judged without any account.
func checkRequest(q *bank.Request) transfer.Reason {
	switch {
	case q.ID.IsZero():
		return reasonOf(transfer.ErrInvalidID, "the transfer id is all zeros")
	case len(q.Legs) == 0:
		return reasonOf(transfer.ErrInvalidRequest, "the prepare has no leg for this bank")
	case len(q.Legs) > transfer.LegsMax:
		return reasonOf(transfer.ErrTooManyLegs, "the prepare has %d legs", len(q.Legs))
	case len(q.Reference) > transfer.ReferenceBytesMax || !utf8.ValidString(q.Reference):
		return reasonOf(transfer.ErrInvalidReference, "the reference has %d bytes, or is no UTF-8", len(q.Reference))
	}
	for i := range q.Legs {
		leg := &q.Legs[i]
		if leg.Direction != transfer.Debit && leg.Direction != transfer.Credit {
			return reasonOf(transfer.ErrInvalidDirection, "a leg on account %.64q has direction %d", leg.Account, leg.Direction)
		}
		if leg.AmountMinor <= 0 {
			return reasonOf(transfer.ErrInvalidAmount, "a leg on account %.64q has the amount %d", leg.Account, leg.AmountMinor)
		}
	}
	return transfer.Reason{}
}

// commit answers rule 4: the legs, or what is captured of them, become entries, once.
func (l *Ledger) commit(q *bank.Request) (bank.Answer, error) {
	h := l.holds.find(q.ID)
	if h == nil {
		f, known, err := l.finished.find(l.reader, q.ID)
		if err != nil {
			return bank.Answer{}, err
		}
		if known && f.state == committed {
			return answer(q, bank.Done), nil
		}
		return answer(q, bank.Violation), nil
	}
	if !h.captures(q.CapturedMinor) {
		return answer(q, bank.Violation), nil
	}
	for i := range h.legs {
		a, reserved := h.legs[i].account, h.legs[i].amountMinor
		amount := h.postedMinor(i, q.CapturedMinor)
		if mutant.On(mutant.EntryWithoutLeg) && i > 0 && i == len(h.legs)-1 {
			a.reserve(reserved, -1)
			l.touch(a)
			break
		}
		a.post(reserved, amount)
		a.checkFreed()
		l.touch(a)
		l.hash += l.journal.add(posting{
			transfer:     h.id,
			account:      a,
			amountMinor:  amount,
			balanceMinor: a.PostedMinor,
			nanos:        l.atNanos,
			reference:    h.reference,
		})
	}
	l.end(h, committed)
	return answer(q, bank.Done), nil
}

// rollback answers rule 5. A refusal becomes a rollback too: from then on that is what a prepare hears.
func (l *Ledger) rollback(q *bank.Request) (bank.Answer, error) {
	if h := l.holds.find(q.ID); h != nil {
		if !mutant.On(mutant.RollbackKeepsHeld) {
			h.reserveAll(-1)
		}
		for i := range h.legs {
			h.legs[i].account.checkFreed()
			l.touch(h.legs[i].account)
		}
		l.end(h, rolledBack)
		return answer(q, bank.Done), nil
	}
	f, known, err := l.finished.find(l.reader, q.ID)
	if err != nil {
		return bank.Answer{}, err
	}
	switch {
	case !known && mutant.On(mutant.RollbackWithoutTombstone):
	case !known:
		l.finish(finished{id: q.ID, state: rolledBack})
	case f.state == committed:
		return answer(q, bank.Violation), nil
	case f.state == refused:
		l.hash -= digestOfFinished(&f)
		l.finish(finished{id: q.ID, prepared: true, fingerprint: f.fingerprint, state: rolledBack})
	}
	return answer(q, bank.Done), nil
}

// resolve answers rule 6: whoever asks may rely on it that nothing can be prepared any more. What is here under the
// id with other content stays as it is, and keeps the content that was asked about out.
func (l *Ledger) resolve(q *bank.Request) (bank.Answer, error) {
	found, err := l.Find(q.ID, q.Fingerprint)
	switch {
	case err != nil:
		return bank.Answer{}, err
	case found == bank.Prepared || found == bank.Committed:
		return answer(q, found), nil
	case found == 0:
		l.finish(finished{id: q.ID, state: rolledBack})
	}
	return answer(q, bank.RolledBack), nil
}

func answer(q *bank.Request, r bank.Result) bank.Answer {
	return bank.Answer{Op: q.Op, ID: q.ID, Fingerprint: q.Fingerprint, Result: r}
}

func no(q *bank.Request, reason transfer.Reason) bank.Answer {
	return bank.Answer{Op: q.Op, ID: q.ID, Fingerprint: q.Fingerprint, Result: bank.No, Reason: reason}
}

// reasonOf leaves Reason.Bank empty: a ledger doesn't know the name under which others know it.
func reasonOf(code *transfer.Error, format string, args ...any) transfer.Reason {
	return transfer.Reason{Code: code.Code, Detail: fmt.Sprintf(format, args...)}
}

func conflictReason(id transfer.ID) transfer.Reason {
	return reasonOf(transfer.ErrPrepareConflict, "transfer %s is known here with other content", id)
}

func noAccountReason(id transfer.AccountID) transfer.Reason {
	if transfer.ValidateName(string(id)) != nil {
		return reasonOf(transfer.ErrInvalidName, "a leg names the account %.64q", id)
	}
	return reasonOf(transfer.ErrAccountNotFound, "the bank has no account %s", id)
}
