package node

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/lane"
	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

func forwardToProto(m *lane.Forward) *peerv1.Forward {
	p := &peerv1.Forward{Request: m.Request, Group: string(m.Group)}
	switch a := m.Ask.(type) {
	case lane.Submit:
		p.Ask = &peerv1.Forward_Submit{Submit: transferToProto(a.Transfer)}
	case lane.CaptureTransfer:
		p.Ask = &peerv1.Forward_Capture{Capture: &peerv1.Capture{Id: a.ID[:], AmountsMinor: a.AmountsMinor}}
	case lane.VoidTransfer:
		p.Ask = &peerv1.Forward_Void{Void: a.ID[:]}
	case lane.CancelTransfer:
		p.Ask = &peerv1.Forward_CancelTransfer{CancelTransfer: a.ID[:]}
	case lane.GetTransfer:
		p.Ask = &peerv1.Forward_GetTransfer{GetTransfer: a.ID[:]}
	case lane.OpenAccount:
		p.Ask = &peerv1.Forward_OpenAccount{OpenAccount: accountToProto(&bank.Account{Terms: a.Terms})}
	case lane.ChangeAccount:
		p.Ask = &peerv1.Forward_ChangeAccount{ChangeAccount: changeToProto(&a.Change)}
	case lane.GetStatement:
		p.Ask = &peerv1.Forward_Statement{Statement: &peerv1.StatementPage{
			Account: string(a.Account), AfterSeq: a.AfterSeq, Limit: uint32(a.Limit), SinceUnixNano: unixNano(a.Since), UntilUnixNano: unixNano(a.Until),
		}}
	case lane.GetAccount:
		p.Ask = &peerv1.Forward_GetAccount{GetAccount: string(a.ID)}
	case lane.ListAccounts:
		p.Ask = &peerv1.Forward_ListAccounts{ListAccounts: &peerv1.Page{After: string(a.After), Limit: uint32(a.Limit)}}
	case lane.ListEntries:
		p.Ask = &peerv1.Forward_ListEntries{ListEntries: &peerv1.Page{AfterSeq: a.AfterSeq, Limit: uint32(a.Limit)}}
	case lane.AuditBank:
		p.Ask = &peerv1.Forward_Audit{Audit: &peerv1.Empty{}}
	case lane.ListTransfers:
		p.Ask = &peerv1.Forward_ListTransfers{ListTransfers: transferPageToProto(&a)}
	case lane.ListInDoubt:
		p.Ask = &peerv1.Forward_ListInDoubt{ListInDoubt: uint32(a.Limit)}
	case lane.ReadDecisions:
		p.Ask = &peerv1.Forward_ReadDecisions{ReadDecisions: decisionPageToProto(&a)}
	default:
		invariant.Holds(askToProto(p, m.Ask), "request %T is never forwarded", m.Ask)
	}
	return p
}

// forwardFromProto reads a forwarded request. The bank of an account request is the one that the group names.
func forwardFromProto(p *peerv1.Forward) (lane.Message, error) {
	group := lane.GroupID(p.GetGroup())
	at := lane.BankOf(group)
	m := lane.Forward{Request: p.GetRequest(), Group: group}
	switch a := p.GetAsk().(type) {
	case *peerv1.Forward_Submit:
		t, err := transferFromProto(a.Submit)
		if err == nil {
			err = t.Validate()
		}
		if err != nil {
			return nil, fmt.Errorf("%w: forwarded transfer: %w", errMalformed, err)
		}
		m.Ask = lane.Submit{Transfer: &t}
	case *peerv1.Forward_Capture:
		id, err := idFromProto(a.Capture.GetId())
		if err != nil {
			return nil, err
		}
		amounts, err := amountsFromProto(a.Capture.GetAmountsMinor())
		if err != nil {
			return nil, err
		}
		m.Ask = lane.CaptureTransfer{ID: id, AmountsMinor: amounts}
	case *peerv1.Forward_Void:
		id, err := idFromProto(a.Void)
		if err != nil {
			return nil, err
		}
		m.Ask = lane.VoidTransfer{ID: id}
	case *peerv1.Forward_CancelTransfer:
		id, err := idFromProto(a.CancelTransfer)
		if err != nil {
			return nil, err
		}
		m.Ask = lane.CancelTransfer{ID: id}
	case *peerv1.Forward_GetTransfer:
		id, err := idFromProto(a.GetTransfer)
		if err != nil {
			return nil, err
		}
		m.Ask = lane.GetTransfer{ID: id}
	case *peerv1.Forward_OpenAccount:
		account := accountFromProto(a.OpenAccount)
		m.Ask = lane.OpenAccount{Bank: at, Terms: account.Terms}
	case *peerv1.Forward_ChangeAccount:
		change, err := changeFromProto(a.ChangeAccount)
		if err != nil {
			return nil, err
		}
		m.Ask = lane.ChangeAccount{Bank: at, Change: change}
	case *peerv1.Forward_Statement:
		m.Ask = lane.GetStatement{
			Bank: at, Account: transfer.AccountID(a.Statement.GetAccount()), AfterSeq: a.Statement.GetAfterSeq(), Limit: int(a.Statement.GetLimit()),
			Since: fromUnixNano(a.Statement.GetSinceUnixNano()), Until: fromUnixNano(a.Statement.GetUntilUnixNano()),
		}
	case *peerv1.Forward_GetAccount:
		m.Ask = lane.GetAccount{Bank: at, ID: transfer.AccountID(a.GetAccount)}
	case *peerv1.Forward_ListAccounts:
		m.Ask = lane.ListAccounts{Bank: at, After: transfer.AccountID(a.ListAccounts.GetAfter()), Limit: int(a.ListAccounts.GetLimit())}
	case *peerv1.Forward_ListEntries:
		m.Ask = lane.ListEntries{Bank: at, AfterSeq: a.ListEntries.GetAfterSeq(), Limit: int(a.ListEntries.GetLimit())}
	case *peerv1.Forward_Audit:
		m.Ask = lane.AuditBank{Bank: at}
	case *peerv1.Forward_ListTransfers:
		ask, err := transferPageFromProto(group, a.ListTransfers)
		if err != nil {
			return nil, err
		}
		m.Ask = ask
	case *peerv1.Forward_ListInDoubt:
		m.Ask = lane.ListInDoubt{Group: group, Limit: int(a.ListInDoubt)}
	case *peerv1.Forward_ReadDecisions:
		ask, err := decisionPageFromProto(group, a.ReadDecisions)
		if err != nil {
			return nil, err
		}
		m.Ask = ask
	default:
		if m.Ask = askFromProto(p); m.Ask == nil {
			return nil, fmt.Errorf("%w: a forwarded request of no known kind", errMalformed)
		}
	}
	return m, nil
}

func forwardReplyToProto(m *lane.ForwardReply) *peerv1.ForwardReply {
	p := &peerv1.ForwardReply{Request: m.Request, NotLeader: m.NotLeader, LeaderHint: uint64(m.LeaderHint)}
	if m.NotLeader {
		return p
	}
	if m.Answer.Err != nil {
		p.ErrorCode, p.ErrorDetail = codeOf(m.Answer.Err), m.Answer.Err.Error()
		return p
	}
	if m.Answer.Transfer.State != 0 {
		p.Transfer = recordToProto(&m.Answer.Transfer)
	}
	for i := range m.Answer.Accounts {
		p.Accounts = append(p.Accounts, accountToProto(&m.Answer.Accounts[i]))
	}
	for i := range m.Answer.Entries {
		p.Entries = append(p.Entries, entryToProto(&m.Answer.Entries[i]))
	}
	for _, t := range m.Answer.Audit.Totals {
		p.Totals = append(p.Totals, &peerv1.Total{Currency: string(t.Currency), PostedMinor: t.PostedMinor, HeldMinor: t.HeldMinor, IncomingMinor: t.IncomingMinor, Accounts: t.Accounts})
	}
	for i := range m.Answer.Tokens {
		t := tokenToProto(&m.Answer.Tokens[i])
		t.Hash = nil // nobody needs it
		p.Tokens = append(p.Tokens, t)
	}
	for i := range m.Answer.Members {
		p.Members = append(p.Members, memberToProto(&m.Answer.Members[i]))
	}
	p.OpenHolds, p.LastEntry = m.Answer.Audit.OpenHolds, m.Answer.Audit.LastEntry
	p.LastSeq, p.More = m.Answer.LastSeq, m.Answer.More
	listToProto(&m.Answer, p)
	return p
}

func forwardReplyFromProto(p *peerv1.ForwardReply) (lane.Message, error) {
	m := lane.ForwardReply{Request: p.GetRequest(), NotLeader: p.GetNotLeader(), LeaderHint: raft.NodeID(p.GetLeaderHint())}
	if m.NotLeader {
		return m, nil
	}
	if p.ErrorCode != "" {
		m.Answer.Err = forwardedError(p.ErrorCode, p.ErrorDetail)
		return m, nil
	}
	if p.Transfer != nil {
		record, err := recordFromProto(p.Transfer)
		if err != nil {
			return nil, err
		}
		m.Answer.Transfer = record
	}
	for _, a := range p.Accounts {
		m.Answer.Accounts = append(m.Answer.Accounts, accountFromProto(a))
	}
	for _, e := range p.Entries {
		entry, err := entryFromProto(e)
		if err != nil {
			return nil, err
		}
		m.Answer.Entries = append(m.Answer.Entries, entry)
	}
	for _, t := range p.Totals {
		m.Answer.Audit.Totals = append(m.Answer.Audit.Totals, bank.Total{Currency: transfer.Currency(t.Currency), PostedMinor: t.PostedMinor, HeldMinor: t.HeldMinor, IncomingMinor: t.IncomingMinor, Accounts: t.Accounts})
	}
	for _, n := range p.Members {
		member, err := memberFromProto(n)
		if err != nil {
			return nil, err
		}
		m.Answer.Members = append(m.Answer.Members, member)
	}
	for _, t := range p.Tokens {
		m.Answer.Tokens = append(m.Answer.Tokens, tokenFromProto(t))
	}
	m.Answer.Audit.OpenHolds, m.Answer.Audit.LastEntry = p.OpenHolds, p.LastEntry
	m.Answer.LastSeq, m.Answer.More = p.LastSeq, p.More
	return m, listFromProto(p, &m.Answer)
}

// codeOf names an error on the wire; what has no code is a fault of ours.
func codeOf(err error) string {
	var coded *transfer.Error
	if errors.As(err, &coded) {
		return string(coded.Code)
	}
	return string(transfer.ErrInternal.Code)
}

// peerError is an error as another node told it: its words, and the code behind them.
type peerError struct {
	code   *transfer.Error
	detail string
}

func (e *peerError) Error() string { return e.detail }
func (e *peerError) Unwrap() error { return e.code }

func forwardedError(code, detail string) error {
	known, ok := transfer.ErrorOf(transfer.Code(code))
	if !ok {
		return fmt.Errorf("%w: %s: %s", transfer.ErrInternal, code, detail)
	}
	return &peerError{code: known, detail: detail}
}

func idFromProto(b []byte) (transfer.ID, error) {
	id, err := transfer.IDFromBytes(b)
	if err != nil {
		return id, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return id, nil
}

func transferToProto(t *transfer.Transfer) *peerv1.Transfer {
	return &peerv1.Transfer{Id: t.ID[:], Legs: legsToProto(t.Legs), DeadlineUnixNano: unixNano(t.Deadline), Reference: t.Reference, HoldUntilUnixNano: unixNano(t.HoldUntil)}
}

func transferFromProto(p *peerv1.Transfer) (transfer.Transfer, error) {
	id, err := idFromProto(p.GetId())
	if err != nil {
		return transfer.Transfer{}, err
	}
	legs, err := legsFromProto(p.GetLegs())
	if err != nil {
		return transfer.Transfer{}, err
	}
	return transfer.Transfer{ID: id, Legs: legs, Deadline: fromUnixNano(p.DeadlineUnixNano), Reference: p.Reference, HoldUntil: fromUnixNano(p.HoldUntilUnixNano)}, nil
}

func recordToProto(r *transfer.Record) *peerv1.TransferRecord {
	return &peerv1.TransferRecord{
		Transfer:        transferToProto(&r.Transfer),
		State:           uint32(r.State),
		Reason:          reasonToProto(r.Reason),
		Settled:         r.Settled,
		CreatedUnixNano: unixNano(r.CreatedAt),
		DecidedUnixNano: unixNano(r.DecidedAt),
		CapturedMinor:   r.CapturedMinor,
	}
}

func recordFromProto(p *peerv1.TransferRecord) (transfer.Record, error) {
	t, err := transferFromProto(p.Transfer)
	if err != nil {
		return transfer.Record{}, err
	}
	if p.State < uint32(transfer.Pending) || p.State > uint32(transfer.Held) {
		return transfer.Record{}, fmt.Errorf("%w: transfer %s in state %d", errMalformed, t.ID, p.State)
	}
	captured, err := amountsFromProto(p.CapturedMinor)
	if err != nil {
		return transfer.Record{}, err
	}
	return transfer.Record{
		Transfer:  t,
		State:     transfer.State(p.State),
		Reason:    reasonFromProto(p.Reason),
		Settled:   p.Settled,
		CreatedAt: fromUnixNano(p.CreatedUnixNano),
		DecidedAt: fromUnixNano(p.DecidedUnixNano),

		CapturedMinor: captured,
	}, nil
}

func accountToProto(a *bank.Account) *peerv1.Account {
	return &peerv1.Account{
		Id:             string(a.ID),
		Currency:       string(a.Currency),
		OverdraftMinor: a.OverdraftMinor,
		Unlimited:      a.Unlimited,
		PostedMinor:    a.PostedMinor,
		HeldMinor:      a.HeldMinor,
		IncomingMinor:  a.IncomingMinor,
		Status:         uint32(a.Status),
	}
}

func accountFromProto(p *peerv1.Account) bank.Account {
	return bank.Account{
		Terms: bank.Terms{
			ID:             transfer.AccountID(p.GetId()),
			Currency:       transfer.Currency(p.GetCurrency()),
			OverdraftMinor: p.GetOverdraftMinor(),
			Unlimited:      p.GetUnlimited(),
		},
		PostedMinor:   p.GetPostedMinor(),
		HeldMinor:     p.GetHeldMinor(),
		IncomingMinor: p.GetIncomingMinor(),
		Status:        bank.AccountStatus(p.GetStatus()),
	}
}

func changeToProto(c *bank.Change) *peerv1.AccountChange {
	return &peerv1.AccountChange{Account: string(c.Account), Kind: uint32(c.Kind), OverdraftMinor: c.OverdraftMinor, Unlimited: c.Unlimited}
}

// changeFromProto refuses what would be damage in a bank's log.
func changeFromProto(p *peerv1.AccountChange) (bank.Change, error) {
	c := bank.Change{
		Account: transfer.AccountID(p.GetAccount()), Kind: bank.ChangeKind(min(p.GetKind(), 1<<8-1)), OverdraftMinor: p.GetOverdraftMinor(), Unlimited: p.GetUnlimited(),
	}
	if err := c.Validate(); err != nil {
		return c, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return c, nil
}

func entryToProto(e *bank.Entry) *peerv1.Entry {
	return &peerv1.Entry{
		Seq:          e.Seq,
		Transfer:     e.Transfer[:],
		Account:      string(e.Account),
		Currency:     string(e.Currency),
		AmountMinor:  e.AmountMinor,
		BalanceMinor: e.BalanceMinor,
		AtUnixNano:   unixNano(e.At),
		Reference:    e.Reference,
	}
}

func entryFromProto(p *peerv1.Entry) (bank.Entry, error) {
	id, err := transfer.IDFromBytes(p.GetTransfer())
	if err != nil {
		return bank.Entry{}, fmt.Errorf("%w: entry %d: %w", errMalformed, p.GetSeq(), err)
	}
	return bank.Entry{
		Seq:          p.Seq,
		Transfer:     id,
		Account:      transfer.AccountID(p.Account),
		Currency:     transfer.Currency(p.Currency),
		AmountMinor:  p.AmountMinor,
		BalanceMinor: p.BalanceMinor,
		At:           fromUnixNano(p.AtUnixNano),
		Reference:    p.Reference,
	}, nil
}
