package api

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/quorate/quorate/bank"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// orderOfSpec reads a transfer from a message. A spec without an id gets one.
func orderOfSpec(spec *quoratev1.TransferSpec) order {
	var o order
	if spec == nil {
		o.err = fmt.Errorf("%w: the transfer is missing", transfer.ErrInvalidRequest)
		return o
	}
	o.transfer.ID, o.err = idOfText(spec.GetId())
	o.transfer.Reference = spec.GetReference()
	o.transfer.Legs = legsOfProto(spec.GetLegs())
	if timeout := spec.GetTimeout(); timeout != nil {
		asked := timeout.AsDuration() // of what doesn't fit it makes the longest, which is refused
		o.timeout = &asked
	}
	o.hold = spec.GetHold()
	if timeout := spec.GetHoldTimeout(); timeout != nil {
		asked := timeout.AsDuration()
		o.holdTimeout = &asked
	}
	return o
}

func idOfText(id string) (transfer.ID, error) {
	if id == "" {
		return newID()
	}
	return transfer.ParseID(id)
}

// legsOfProto keeps no more legs than Validate needs to see that there are too many.
func legsOfProto(in []*quoratev1.Leg) []transfer.Leg {
	in = in[:min(len(in), transfer.LegsMax+1)]
	legs := make([]transfer.Leg, len(in))
	for i, l := range in {
		legs[i] = transfer.Leg{
			Bank:        transfer.BankID(l.GetBank()),
			Account:     transfer.AccountID(l.GetAccount()),
			Direction:   directionOfProto(l.GetDirection()),
			AmountMinor: l.GetAmountMinor(),
			Currency:    transfer.Currency(l.GetCurrency()),
		}
	}
	return legs
}

// directionOfProto gives zero, which Validate refuses, for what it doesn't know.
func directionOfProto(d quoratev1.Direction) transfer.Direction {
	switch d {
	case quoratev1.Direction_DIRECTION_DEBIT:
		return transfer.Debit
	case quoratev1.Direction_DIRECTION_CREDIT:
		return transfer.Credit
	}
	return 0
}

func protoOfDirection(d transfer.Direction) quoratev1.Direction {
	switch d {
	case transfer.Debit:
		return quoratev1.Direction_DIRECTION_DEBIT
	case transfer.Credit:
		return quoratev1.Direction_DIRECTION_CREDIT
	}
	return quoratev1.Direction_DIRECTION_UNSPECIFIED
}

func protoOfRecord(r *transfer.Record) *quoratev1.Transfer {
	out := &quoratev1.Transfer{}
	fillTransfer(out, r)
	return out
}

// fillTransfer makes a transfer that says nothing yet say what the record does.
func fillTransfer(out *quoratev1.Transfer, r *transfer.Record) {
	out.Id = r.Transfer.ID.String()
	out.Legs = protoOfLegs(r.Transfer.Legs)
	out.Reference = r.Transfer.Reference
	out.State = protoOfState(r.State)
	out.Settled = r.Settled
	out.CreatedAt = protoOfTime(r.CreatedAt)
	out.DecidedAt = protoOfTime(r.DecidedAt)
	out.HoldUntil, out.CapturedMinor = protoOfTime(r.Transfer.HoldUntil), r.CapturedMinor
	if r.State == transfer.Aborted {
		out.Reason = &quoratev1.Reason{Code: string(r.Reason.Code), Bank: string(r.Reason.Bank), Detail: r.Reason.Detail}
		if s := r.Reason.Shortfall; s != nil {
			out.Reason.Shortfall = &quoratev1.Shortfall{
				Account: string(s.Account), Currency: string(s.Currency), AvailableMinor: s.AvailableMinor, NeededMinor: s.NeededMinor,
			}
		}
	}
}

func protoOfLegs(legs []transfer.Leg) []*quoratev1.Leg {
	block := make([]quoratev1.Leg, len(legs)) // one allocation for all
	out := make([]*quoratev1.Leg, len(legs))
	for i := range legs {
		l, p := &legs[i], &block[i]
		p.Bank, p.Account = string(l.Bank), string(l.Account)
		p.Direction = protoOfDirection(l.Direction)
		p.AmountMinor, p.Currency = l.AmountMinor, string(l.Currency)
		out[i] = p
	}
	return out
}

func protoOfState(s transfer.State) quoratev1.TransferState {
	switch s {
	case transfer.Pending:
		return quoratev1.TransferState_TRANSFER_STATE_PENDING
	case transfer.Committed:
		return quoratev1.TransferState_TRANSFER_STATE_COMMITTED
	case transfer.Aborted:
		return quoratev1.TransferState_TRANSFER_STATE_ABORTED
	case transfer.Held:
		return quoratev1.TransferState_TRANSFER_STATE_HELD
	}
	return quoratev1.TransferState_TRANSFER_STATE_UNSPECIFIED
}

func protoOfTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// protoOfFailure says in a batch why one transfer has no outcome.
func protoOfFailure(err error) *quoratev1.Error {
	code, verdict := Judge(err)
	out := &quoratev1.Error{
		Code: string(code), Message: message(err), Retryable: verdict.Retryable, Outcome: protoOfOutcome(verdict.Outcome),
	}
	if verdict.RetryAfter > 0 {
		out.RetryAfter = durationpb.New(verdict.RetryAfter)
	}
	return out
}

func protoOfOutcome(o Outcome) quoratev1.Outcome {
	switch o {
	case NotApplied:
		return quoratev1.Outcome_OUTCOME_NOT_APPLIED
	case Applied:
		return quoratev1.Outcome_OUTCOME_APPLIED
	case Unknown:
		return quoratev1.Outcome_OUTCOME_UNKNOWN
	}
	return quoratev1.Outcome_OUTCOME_UNSPECIFIED
}

func protoOfAccount(a *bank.Account) *quoratev1.Account {
	out := &quoratev1.Account{
		Id:             string(a.ID),
		Currency:       string(a.Currency),
		OverdraftMinor: a.OverdraftMinor,
		Unlimited:      a.Unlimited,
		PostedMinor:    a.PostedMinor,
		HeldMinor:      a.HeldMinor,
		IncomingMinor:  a.IncomingMinor,
		Status:         protoOfAccountStatus(a.Status),
	}
	if available, limited := a.AvailableMinor(); limited {
		out.AvailableMinor = &available
	}
	return out
}

func protoOfAccountStatus(s bank.AccountStatus) quoratev1.AccountStatus {
	switch s {
	case bank.Open:
		return quoratev1.AccountStatus_ACCOUNT_STATUS_OPEN
	case bank.Frozen:
		return quoratev1.AccountStatus_ACCOUNT_STATUS_FROZEN
	case bank.Closed:
		return quoratev1.AccountStatus_ACCOUNT_STATUS_CLOSED
	}
	return quoratev1.AccountStatus_ACCOUNT_STATUS_UNSPECIFIED
}

func protoOfEntries(entries []bank.Entry) (out []*quoratev1.Entry) {
	for i := range entries {
		out = append(out, protoOfEntry(&entries[i]))
	}
	return out
}

func protoOfEntry(e *bank.Entry) *quoratev1.Entry {
	return &quoratev1.Entry{
		Seq:          e.Seq,
		TransferId:   e.Transfer.String(),
		Account:      string(e.Account),
		Currency:     string(e.Currency),
		AmountMinor:  e.AmountMinor,
		BalanceMinor: e.BalanceMinor,
		PostedAt:     protoOfTime(e.At),
		Reference:    e.Reference,
	}
}

func protoOfAudit(id transfer.BankID, a bank.Audit) *quoratev1.Audit {
	out := &quoratev1.Audit{Bank: string(id), OpenHolds: a.OpenHolds, LastEntry: a.LastEntry}
	for _, t := range a.Totals {
		out.Totals = append(out.Totals, &quoratev1.Total{
			Currency:      string(t.Currency),
			PostedMinor:   t.PostedMinor,
			HeldMinor:     t.HeldMinor,
			IncomingMinor: t.IncomingMinor,
			Accounts:      t.Accounts,
		})
	}
	return out
}

func protoOfStatus(s *Status) *quoratev1.Status {
	out := &quoratev1.Status{
		Cluster:     s.Cluster,
		Node:        s.Node,
		Version:     s.Version,
		StartedAt:   protoOfTime(s.Started),
		InFlight:    int64(s.InFlight),
		InDoubt:     int64(s.InDoubt),
		Committed:   s.Committed,
		Aborted:     s.Aborted,
		LastSyncP99: durationpb.New(s.LastSyncP99),

		DiskFull: s.DiskFull, DiskFreeBytes: s.DiskFree,
	}
	for _, g := range s.Groups {
		out.Groups = append(out.Groups, &quoratev1.GroupStatus{
			Group: g.Group, Role: g.Role, Leader: g.Leader, Term: g.Term, Commit: g.Commit, Applied: g.Applied, Members: g.Members,
		})
	}
	for _, b := range s.Banks {
		out.Banks = append(out.Banks, &quoratev1.BankStatus{Id: string(b.ID), Nodes: b.Nodes, Leader: b.Leader, Up: b.Up, Breaker: b.Breaker})
	}
	return out
}
