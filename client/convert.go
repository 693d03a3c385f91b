package client

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// specOf is a valid transfer as a message, without its times: see reckon.
func specOf(t *transfer.Transfer) *quoratev1.TransferSpec {
	block := make([]quoratev1.Leg, len(t.Legs)) // one allocation for all
	legs := make([]*quoratev1.Leg, len(t.Legs))
	for i, l := range t.Legs {
		p := &block[i]
		p.Bank, p.Account, p.AmountMinor, p.Currency = string(l.Bank), string(l.Account), l.AmountMinor, string(l.Currency)
		p.Direction = quoratev1.Direction_DIRECTION_CREDIT
		if l.Direction == transfer.Debit {
			p.Direction = quoratev1.Direction_DIRECTION_DEBIT
		}
		legs[i] = p
	}
	return &quoratev1.TransferSpec{Id: t.ID.String(), Legs: legs, Reference: t.Reference, Hold: t.IsHold()}
}

// recordOf reads a node's answer. Its transfer has no Deadline: nobody needs it any more.
func recordOf(p *quoratev1.Transfer) (transfer.Record, error) {
	id, err := transfer.ParseID(p.GetId())
	if err != nil {
		return transfer.Record{}, fmt.Errorf("%w: the node's answer: %s", transfer.ErrInternal, err)
	}
	state, err := stateOf(p.GetState())
	if err != nil {
		return transfer.Record{}, err
	}
	record := transfer.Record{
		Transfer:  transfer.Transfer{ID: id, Reference: p.GetReference(), Legs: make([]transfer.Leg, len(p.GetLegs())), HoldUntil: timeOf(p.GetHoldUntil())},
		State:     state,
		Settled:   p.GetSettled(),
		CreatedAt: timeOf(p.GetCreatedAt()),
		DecidedAt: timeOf(p.GetDecidedAt()),

		CapturedMinor: p.GetCapturedMinor(),
	}
	if r := p.GetReason(); r != nil {
		record.Reason = transfer.Reason{Code: transfer.Code(r.GetCode()), Bank: transfer.BankID(r.GetBank()), Detail: r.GetDetail()}
		if s := r.GetShortfall(); s != nil {
			record.Reason.Shortfall = &transfer.Shortfall{
				Account: transfer.AccountID(s.GetAccount()), Currency: transfer.Currency(s.GetCurrency()),
				AvailableMinor: s.GetAvailableMinor(), NeededMinor: s.GetNeededMinor(),
			}
		}
	}
	for i, l := range p.GetLegs() {
		record.Transfer.Legs[i] = transfer.Leg{
			Bank: transfer.BankID(l.GetBank()), Account: transfer.AccountID(l.GetAccount()), Direction: directionOf(l.GetDirection()),
			AmountMinor: l.GetAmountMinor(), Currency: transfer.Currency(l.GetCurrency()),
		}
	}
	return record, nil
}

// stateOf refuses what it doesn't know: no state may be taken for another.
func stateOf(s quoratev1.TransferState) (transfer.State, error) {
	switch s {
	case quoratev1.TransferState_TRANSFER_STATE_PENDING:
		return transfer.Pending, nil
	case quoratev1.TransferState_TRANSFER_STATE_COMMITTED:
		return transfer.Committed, nil
	case quoratev1.TransferState_TRANSFER_STATE_ABORTED:
		return transfer.Aborted, nil
	case quoratev1.TransferState_TRANSFER_STATE_HELD:
		return transfer.Held, nil
	}
	return 0, fmt.Errorf("%w: the node's answer has state %d", transfer.ErrInternal, s)
}

func directionOf(d quoratev1.Direction) transfer.Direction {
	switch d {
	case quoratev1.Direction_DIRECTION_DEBIT:
		return transfer.Debit
	case quoratev1.Direction_DIRECTION_CREDIT:
		return transfer.Credit
	}
	return 0
}

func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func accountOf(a *quoratev1.Account) Account {
	return Account{
		Terms: Terms{
			ID: transfer.AccountID(a.GetId()), Currency: transfer.Currency(a.GetCurrency()),
			OverdraftMinor: a.GetOverdraftMinor(), Unlimited: a.GetUnlimited(),
		},
		PostedMinor:    a.GetPostedMinor(),
		HeldMinor:      a.GetHeldMinor(),
		IncomingMinor:  a.GetIncomingMinor(),
		AvailableMinor: a.GetAvailableMinor(),
		Status:         AccountStatus(a.GetStatus()),
	}
}

func entriesOf(in []*quoratev1.Entry) ([]Entry, error) {
	out := make([]Entry, len(in))
	for i, e := range in {
		id, err := transfer.ParseID(e.GetTransferId())
		if err != nil {
			return nil, fmt.Errorf("%w: entry %d: %s", transfer.ErrInternal, e.GetSeq(), err)
		}
		out[i] = Entry{
			Seq: e.GetSeq(), Transfer: id, Account: transfer.AccountID(e.GetAccount()), Currency: transfer.Currency(e.GetCurrency()),
			AmountMinor: e.GetAmountMinor(), BalanceMinor: e.GetBalanceMinor(), At: timeOf(e.GetPostedAt()), Reference: e.GetReference(),
		}
	}
	return out, nil
}

func auditOf(a *quoratev1.Audit) Audit {
	out := Audit{Bank: transfer.BankID(a.GetBank()), OpenHolds: a.GetOpenHolds(), LastEntry: a.GetLastEntry()}
	for _, t := range a.GetTotals() {
		out.Totals = append(out.Totals, Total{
			Currency: transfer.Currency(t.GetCurrency()), PostedMinor: t.GetPostedMinor(), HeldMinor: t.GetHeldMinor(),
			IncomingMinor: t.GetIncomingMinor(), Accounts: t.GetAccounts(),
		})
	}
	return out
}

func statusOf(s *quoratev1.Status) Status {
	out := Status{
		Cluster: s.GetCluster(), Node: s.GetNode(), Version: s.GetVersion(), Started: timeOf(s.GetStartedAt()),
		InFlight: int(s.GetInFlight()), InDoubt: int(s.GetInDoubt()), Committed: s.GetCommitted(), Aborted: s.GetAborted(),
		LastSyncP99: s.GetLastSyncP99().AsDuration(), DiskFull: s.GetDiskFull(), DiskFree: s.GetDiskFreeBytes(),
	}
	for _, g := range s.GetGroups() {
		out.Groups = append(out.Groups, GroupStatus{
			Group: g.GetGroup(), Role: g.GetRole(), Leader: g.GetLeader(), Term: g.GetTerm(),
			Commit: g.GetCommit(), Applied: g.GetApplied(), Members: g.GetMembers(),
		})
	}
	out.Banks = banksOf(s.GetBanks())
	return out
}

func banksOf(in []*quoratev1.BankStatus) (out []BankStatus) {
	for _, b := range in {
		out = append(out, BankStatus{ID: transfer.BankID(b.GetId()), Nodes: b.GetNodes(), Leader: b.GetLeader(), Up: b.GetUp(), Breaker: b.GetBreaker()})
	}
	return out
}
