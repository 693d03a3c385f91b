package api

import (
	"fmt"
	"strconv"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// orderOfJSON reads a transfer from a body; the key stands for the id, and must do so if the body has one, too.
func orderOfJSON(spec *transferSpecJSON, keyHeader string) order {
	var o order
	o.transfer.Reference = spec.Reference
	if spec.TimeoutMS != nil {
		timeout := time.Duration(max(0, min(*spec.TimeoutMS, TimeoutMost.Milliseconds()+1))) * time.Millisecond // what doesn't fit is refused
		o.timeout = &timeout
	}
	o.hold = spec.Hold
	if spec.HoldTimeoutMS != nil {
		timeout := time.Duration(max(0, min(*spec.HoldTimeoutMS, HoldTimeoutMost.Milliseconds()+1))) * time.Millisecond
		o.holdTimeout = &timeout
	}
	if o.transfer.ID, o.err = idOfJSON(spec.ID, keyHeader); o.err != nil {
		return o
	}
	for i, l := range spec.Legs[:min(len(spec.Legs), transfer.LegsMax+1)] {
		leg, err := legOfJSON(l)
		if err != nil {
			o.err = fmt.Errorf("leg %d: %w", i+1, err)
			return o
		}
		o.transfer.Legs = append(o.transfer.Legs, leg)
	}
	return o
}

func idOfJSON(text, keyHeader string) (transfer.ID, error) {
	if keyHeader == "" {
		return idOfText(text)
	}
	key, err := unquoteKey(keyHeader)
	if err != nil {
		return transfer.ID{}, err
	}
	ofKey, err := IDOfKey(key)
	if err != nil || text == "" {
		return ofKey, err
	}
	id, err := transfer.ParseID(text)
	if err == nil && id != ofKey { // one of them would be passed over, and whoever relies on it pays twice
		err = fmt.Errorf("%w: the body has the id %s, and the Idempotency-Key stands for %s; leave one of them out", transfer.ErrInvalidRequest, id, ofKey)
	}
	return id, err
}

func legOfJSON(l legJSON) (transfer.Leg, error) {
	amount, err := minorOfJSON(l.AmountMinor)
	if err != nil {
		return transfer.Leg{}, fmt.Errorf("%w: got %q", transfer.ErrInvalidAmount, clip(l.AmountMinor))
	}
	leg := transfer.Leg{
		Bank: transfer.BankID(l.Bank), Account: transfer.AccountID(l.Account), AmountMinor: amount, Currency: transfer.Currency(l.Currency),
	}
	switch l.Direction {
	case transfer.Debit.String():
		leg.Direction = transfer.Debit
	case transfer.Credit.String():
		leg.Direction = transfer.Credit
	default:
		return transfer.Leg{}, fmt.Errorf("%w: got %q", transfer.ErrInvalidDirection, clip(l.Direction))
	}
	return leg, nil
}

// minorOfJSON reads digits and nothing else: no sign, no spaces.
func minorOfJSON(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}

func minorToJSON(n int64) string { return strconv.FormatInt(n, 10) }

// timeToJSON is in UTC with at most microseconds; nil if there is none.
func timeToJSON(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Microsecond)
	return &t
}

func transferToJSON(r *transfer.Record) transferJSON {
	out := transferJSON{
		ID:        r.Transfer.ID.String(),
		State:     r.State.String(),
		Settled:   r.Settled,
		Legs:      make([]legJSON, len(r.Transfer.Legs)),
		Reference: r.Transfer.Reference,
		CreatedAt: timeToJSON(r.CreatedAt),
		DecidedAt: timeToJSON(r.DecidedAt),
		HoldUntil: timeToJSON(r.Transfer.HoldUntil),
	}
	for _, amount := range r.CapturedMinor {
		out.Captured = append(out.Captured, minorToJSON(amount))
	}
	if r.State == transfer.Aborted {
		out.Reason = &reasonJSON{Code: string(r.Reason.Code), Bank: string(r.Reason.Bank), Detail: r.Reason.Detail}
		if s := r.Reason.Shortfall; s != nil {
			out.Reason.Shortfall = &shortfallJSON{
				Account: string(s.Account), Currency: string(s.Currency), AvailableMinor: minorToJSON(s.AvailableMinor), NeededMinor: minorToJSON(s.NeededMinor),
			}
		}
	}
	for i, l := range r.Transfer.Legs {
		out.Legs[i] = legJSON{
			Bank: string(l.Bank), Account: string(l.Account), Direction: l.Direction.String(),
			AmountMinor: minorToJSON(l.AmountMinor), Currency: string(l.Currency),
		}
	}
	return out
}

func termsOfJSON(spec *accountSpecJSON) (bank.Terms, error) {
	terms := bank.Terms{ID: transfer.AccountID(spec.ID), Currency: transfer.Currency(spec.Currency), Unlimited: spec.Unlimited}
	if spec.OverdraftMinor == "" {
		return terms, nil
	}
	overdraft, err := minorOfJSON(spec.OverdraftMinor)
	if err != nil {
		return terms, fmt.Errorf("%w: got %q", transfer.ErrInvalidOverdraft, clip(spec.OverdraftMinor))
	}
	terms.OverdraftMinor = overdraft
	return terms, nil
}

func accountToJSON(bankID transfer.BankID, a *bank.Account) accountJSON {
	out := accountJSON{
		ID: string(a.ID), Bank: string(bankID), Currency: string(a.Currency), Status: a.Status.String(),
		PostedMinor: minorToJSON(a.PostedMinor), HeldMinor: minorToJSON(a.HeldMinor), IncomingMinor: minorToJSON(a.IncomingMinor),
		OverdraftMinor: minorToJSON(a.OverdraftMinor), Unlimited: a.Unlimited,
	}
	if available, limited := a.AvailableMinor(); limited {
		out.AvailableMinor = minorToJSON(available)
	}
	return out
}

func entryToJSON(e *bank.Entry) entryJSON {
	return entryJSON{
		Seq: e.Seq, TransferID: e.Transfer.String(), Account: string(e.Account), Currency: string(e.Currency),
		AmountMinor: minorToJSON(e.AmountMinor), BalanceMinor: minorToJSON(e.BalanceMinor),
		PostedAt: timeToJSON(e.At), Reference: e.Reference,
	}
}

func auditToJSON(bankID transfer.BankID, a bank.Audit) auditJSON {
	out := auditJSON{Bank: string(bankID), Totals: []totalJSON{}, OpenHolds: a.OpenHolds, LastEntry: a.LastEntry}
	for _, t := range a.Totals {
		out.Totals = append(out.Totals, totalJSON{
			Currency: string(t.Currency), PostedMinor: minorToJSON(t.PostedMinor), HeldMinor: minorToJSON(t.HeldMinor),
			IncomingMinor: minorToJSON(t.IncomingMinor), Accounts: t.Accounts,
		})
	}
	return out
}

func statusToJSON(s *Status) statusJSON {
	out := statusJSON{
		Cluster: s.Cluster, Node: s.Node, Version: s.Version, StartedAt: timeToJSON(s.Started),
		Groups: []groupStatusJSON{}, Banks: []bankStatusJSON{},
		InFlight: s.InFlight, InDoubt: s.InDoubt, Committed: s.Committed, Aborted: s.Aborted,
		LastSyncP99US: s.LastSyncP99.Microseconds(), DiskFull: s.DiskFull, DiskFreeBytes: s.DiskFree,
	}
	for _, g := range s.Groups {
		out.Groups = append(out.Groups, groupStatusJSON{
			Group: g.Group, Role: g.Role, Leader: g.Leader, Term: g.Term, Commit: g.Commit, Applied: g.Applied, Members: nodesToJSON(g.Members),
		})
	}
	for _, b := range s.Banks {
		out.Banks = append(out.Banks, bankStatusJSON{ID: string(b.ID), Nodes: nodesToJSON(b.Nodes), Leader: b.Leader, Up: b.Up, Breaker: b.Breaker})
	}
	return out
}

// nodesToJSON makes an empty list of none, not null.
func nodesToJSON(nodes []uint64) []uint64 {
	if nodes == nil {
		return []uint64{}
	}
	return nodes
}
