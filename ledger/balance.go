package ledger

import (
	"math"
	"slices"
	"strings"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/transfer"
)

// total is the sum over all accounts of one currency. It moves with them, leg by leg.
type total struct {
	bank.Total
	entriesMinor int64 // the same as PostedMinor, but counted by the journal: neither moves without the other
}

// totals is sorted by currency. There are few.
type totals []*total

func (ts totals) find(c transfer.Currency) (int, bool) {
	return slices.BinarySearchFunc(ts, c, func(t *total, c transfer.Currency) int {
		return strings.Compare(string(t.Currency), string(c))
	})
}

func (ts totals) of(c transfer.Currency) *total {
	if i, ok := ts.find(c); ok {
		return ts[i]
	}
	return nil
}

func (ts *totals) add(t bank.Total) *total {
	i, _ := ts.find(t.Currency)
	added := &total{Total: t, entriesMinor: t.PostedMinor}
	*ts = slices.Insert(*ts, i, added)
	return added
}

// Totals are the sums over all accounts, sorted by currency.
func (l *Ledger) Totals() []bank.Total {
	totals := make([]bank.Total, len(l.totals))
	for i, t := range l.totals {
		totals[i] = t.Total
	}
	return totals
}

// refuse says why a leg can't be reserved; the zero Reason if it can. Credits of the same transfer
// never fund its debits: they are incoming until the commit.
func (a *account) refuse(leg *transfer.Leg) transfer.Reason {
	switch {
	case a.Status == bank.Frozen:
		return reasonOf(transfer.ErrAccountFrozen, "account %s is frozen", a.ID)
	case a.Status == bank.Closed:
		return reasonOf(transfer.ErrAccountClosed, "account %s is closed", a.ID)
	case a.Currency != leg.Currency:
		return reasonOf(transfer.ErrCurrencyMismatch, "account %s is kept in %s, the leg is in %.8s", a.ID, a.Currency, leg.Currency)
	}
	if leg.Direction == transfer.Debit {
		available, limited := a.AvailableMinor()
		if mutant.On(mutant.HoldsAreSpendable) {
			available += a.HeldMinor
		}
		if mutant.On(mutant.IncomingIsSpendable) {
			available += a.IncomingMinor
		}
		if mutant.On(mutant.OverdraftIsFree) {
			limited = false
		}
		if limited && available < leg.AmountMinor {
			reason := reasonOf(transfer.ErrInsufficientFunds, "account %s has %s %s available, the debit needs %s", a.ID,
				transfer.FormatMinor(available, a.Currency), a.Currency, transfer.FormatMinor(leg.AmountMinor, a.Currency))
			reason.Shortfall = &transfer.Shortfall{Account: a.ID, Currency: a.Currency, AvailableMinor: available, NeededMinor: leg.AmountMinor}
			return reason
		}
	}
	if !roomFor(a.PostedMinor, a.HeldMinor, a.IncomingMinor, leg) {
		return reasonOf(transfer.ErrBalanceOverflow, "account %s has posted %s %s, a %s of %s would leave 64 bits", a.ID,
			transfer.FormatMinor(a.PostedMinor, a.Currency), a.Currency, leg.Direction, transfer.FormatMinor(leg.AmountMinor, a.Currency))
	}
	if !roomFor(a.total.PostedMinor, a.total.HeldMinor, a.total.IncomingMinor, leg) {
		return reasonOf(transfer.ErrBalanceOverflow, "the bank has posted %s %s in all, a %s of %s would leave 64 bits",
			transfer.FormatMinor(a.total.PostedMinor, a.Currency), a.Currency, leg.Direction, transfer.FormatMinor(leg.AmountMinor, a.Currency))
	}
	return transfer.Reason{}
}

// roomFor says whether posted − held and posted + incoming still fit into 64 bits with the leg reserved. Then every
// balance on the way fits too, whichever holds are committed and in whatever order.
func roomFor(posted, held, incoming int64, leg *transfer.Leg) bool {
	var ok bool
	if leg.Direction == transfer.Debit {
		held, ok = transfer.AddMinor(held, leg.AmountMinor)
	} else {
		incoming, ok = transfer.AddMinor(incoming, leg.AmountMinor)
	}
	return ok && inRange(posted, held, incoming)
}

// inRange says whether posted − held and posted + incoming fit into 64 bits, as refuse sees to.
func inRange(posted, held, incoming int64) bool {
	return posted >= math.MinInt64+held && posted <= math.MaxInt64-incoming
}

// reserve holds a leg (by +1) or frees it (by −1).
func (a *account) reserve(amountMinor int64, by int) {
	a.holds += by
	if amountMinor < 0 {
		a.HeldMinor -= amountMinor * int64(by)
		a.total.HeldMinor -= amountMinor * int64(by)
	} else {
		a.IncomingMinor += amountMinor * int64(by)
		a.total.IncomingMinor += amountMinor * int64(by)
	}
}

// post turns a reserved leg into balance: all of it, or what is captured of it, and the rest is free.
func (a *account) post(reservedMinor, amountMinor int64) {
	posted, ok := transfer.AddMinor(a.PostedMinor, amountMinor)
	total, totalOK := transfer.AddMinor(a.total.PostedMinor, amountMinor)
	if !ok || !totalOK { // not Holds: it would box its arguments for every leg
		invariant.Fail("account %s: posted %d, total %d: adding %d leaves 64 bits", a.ID, a.PostedMinor, a.total.PostedMinor, amountMinor)
	}
	a.reserve(reservedMinor, -1)
	a.PostedMinor, a.total.PostedMinor = posted, total
}
