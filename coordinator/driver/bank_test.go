package driver_test

import (
	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// modelBank keeps the law of package bank in the plainest way, with one pot of money.
type modelBank struct {
	name  transfer.BankID
	funds int64 // what a debit may still use
	known map[transfer.ID]*holding
}

type holdingState uint8

const (
	held holdingState = iota + 1
	applied
	refused    // a No: a tombstone that remembers why
	rolledBack // freed, or a tombstone
)

func (s holdingState) String() string {
	return [...]string{"nothing", "held", "committed", "refused", "rolled back"}[s]
}

// holding is what a bank knows of one id.
type holding struct {
	state       holdingState
	fingerprint transfer.Fingerprint // zero: no prepare was ever seen
	legs        []transfer.Leg
	reason      transfer.Reason
}

func newModelBank(name transfer.BankID, funds int64) *modelBank {
	return &modelBank{name: name, funds: funds, known: map[transfer.ID]*holding{}}
}

func (b *modelBank) answer(r bank.Request) bank.Answer {
	a := bank.Answer{Op: r.Op, ID: r.ID, Fingerprint: r.Fingerprint}
	h := b.known[r.ID]
	switch r.Op {
	case bank.Prepare:
		a.Result, a.Reason = b.prepare(h, r)
	case bank.Commit:
		a.Result = b.commit(h, r.CapturedMinor)
	case bank.Rollback:
		a.Result = b.rollback(h, r.ID)
	case bank.Resolve:
		a.Result = b.resolve(h, r)
	}
	return a
}

func (b *modelBank) prepare(h *holding, r bank.Request) (bank.Result, transfer.Reason) {
	switch {
	case h == nil:
		return b.reserve(r)
	case h.state == rolledBack:
		return bank.No, transfer.Reason{Code: transfer.ErrRolledBack.Code}
	case h.fingerprint != r.Fingerprint:
		return bank.No, transfer.Reason{Code: transfer.ErrPrepareConflict.Code}
	case h.state == refused:
		return bank.No, h.reason
	default:
		return bank.Yes, transfer.Reason{}
	}
}

func (b *modelBank) reserve(r bank.Request) (bank.Result, transfer.Reason) {
	h := &holding{state: held, fingerprint: r.Fingerprint, legs: r.Legs}
	b.known[r.ID] = h
	debits := sum(r.Legs, transfer.Debit)
	if debits > b.funds {
		h.state, h.reason = refused, transfer.Reason{Code: transfer.ErrInsufficientFunds.Code}
		return bank.No, h.reason
	}
	b.funds -= debits
	return bank.Yes, transfer.Reason{}
}

// commit: what a hold has reserved and a client hasn't captured is free again.
func (b *modelBank) commit(h *holding, captured []int64) bank.Result {
	switch {
	case h != nil && h.state == held:
		h.state = applied
		reserved := sum(h.legs, transfer.Debit)
		h.legs = (&transfer.Transfer{Legs: h.legs}).CapturedLegs(captured)
		b.funds += sum(h.legs, transfer.Credit) + reserved - sum(h.legs, transfer.Debit)
		return bank.Done
	case h != nil && h.state == applied:
		return bank.Done
	}
	return bank.Violation
}

func (b *modelBank) rollback(h *holding, id transfer.ID) bank.Result {
	switch {
	case h == nil:
		b.known[id] = &holding{state: rolledBack}
	case h.state == applied:
		return bank.Violation
	case h.state == held:
		h.state = rolledBack
		b.funds += sum(h.legs, transfer.Debit)
	default:
		h.state = rolledBack
	}
	return bank.Done
}

func (b *modelBank) resolve(h *holding, r bank.Request) bank.Result {
	switch {
	case h == nil:
		b.known[r.ID] = &holding{state: rolledBack}
		return bank.RolledBack
	case h.fingerprint != r.Fingerprint:
		return bank.RolledBack // for this content; what is held under another stays
	case h.state == held:
		return bank.Prepared
	case h.state == applied:
		return bank.Committed
	}
	return bank.RolledBack
}

// forget makes the bank break the law: it no longer knows what it said yes to.
func (b *modelBank) forget(id transfer.ID) { delete(b.known, id) }

func sum(legs []transfer.Leg, d transfer.Direction) int64 {
	total := int64(0)
	for _, l := range legs {
		if l.Direction == d {
			total += l.AmountMinor
		}
	}
	return total
}
