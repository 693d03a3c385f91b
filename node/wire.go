package node

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/lane"
	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
	"github.com/quorate/quorate/transport"
)

// errMalformed says that a peer sent bytes that can't be a message of ours.
var errMalformed = errors.New("malformed message")

// messageToProto puts a lane's message into an envelope. It shares bytes with the message.
func messageToProto(message lane.Message) *peerv1.Envelope {
	switch m := message.(type) {
	case lane.RaftMessage:
		return transport.RaftEnvelope(string(m.Group), &m.Message)
	case lane.BankRequests:
		return &peerv1.Envelope{Message: &peerv1.Envelope_BankRequests{BankRequests: encodeBankRequests(&m)}}
	case lane.BankAnswers:
		return &peerv1.Envelope{Message: &peerv1.Envelope_BankAnswers{BankAnswers: encodeBankAnswers(&m)}}
	case lane.Inquiry:
		return &peerv1.Envelope{Message: &peerv1.Envelope_Inquiry{Inquiry: inquiryToProto(&m)}}
	case lane.Forward:
		return &peerv1.Envelope{Message: &peerv1.Envelope_Forward{Forward: forwardToProto(&m)}}
	case lane.Pulse:
		return &peerv1.Envelope{Message: &peerv1.Envelope_Pulse{Pulse: pulseToProto(m)}}
	case lane.ForwardReply:
		return &peerv1.Envelope{Message: &peerv1.Envelope_ForwardReply{ForwardReply: forwardReplyToProto(&m)}}
	}
	if e := membershipToProto(message); e != nil {
		return e
	}
	invariant.Fail("message %T has no wire form", message)
	return nil
}

// messageFromProto reads what a peer sent. Every field is checked.
func messageFromProto(e *peerv1.Envelope) (lane.Message, error) {
	switch m := e.GetMessage().(type) {
	case *peerv1.Envelope_Raft:
		group, message, err := transport.DecodeRaft(m.Raft)
		return lane.RaftMessage{Group: lane.GroupID(group), Message: message}, err
	case *peerv1.Envelope_BankRequests:
		return decodeBankRequests(m.BankRequests)
	case *peerv1.Envelope_BankAnswers:
		return decodeBankAnswers(m.BankAnswers)
	case *peerv1.Envelope_Inquiry:
		return inquiryFromProto(m.Inquiry)
	case *peerv1.Envelope_Forward:
		return forwardFromProto(m.Forward)
	case *peerv1.Envelope_Pulse:
		return pulseFromProto(m.Pulse), nil
	case *peerv1.Envelope_ForwardReply:
		return forwardReplyFromProto(m.ForwardReply)
	}
	return membershipFromProto(e)
}

// namesContent says whether requests and answers of an operation carry the transfer's fingerprint.
func namesContent(op bank.Op) bool { return op == bank.Prepare || op == bank.Resolve }

func inquiryToProto(m *lane.Inquiry) *peerv1.Inquiry {
	p := &peerv1.Inquiry{Coordinator: string(m.Coordinator), Bank: string(m.Bank), Ids: make([][]byte, len(m.IDs))}
	for i := range m.IDs {
		p.Ids[i] = m.IDs[i][:]
	}
	return p
}

func inquiryFromProto(p *peerv1.Inquiry) (lane.Message, error) {
	m := lane.Inquiry{Coordinator: lane.GroupID(p.GetCoordinator()), Bank: transfer.BankID(p.GetBank()), IDs: make([]transfer.ID, len(p.GetIds()))}
	for i, b := range p.GetIds() {
		id, err := transfer.IDFromBytes(b)
		if err != nil {
			return nil, fmt.Errorf("%w: inquiry: %w", errMalformed, err)
		}
		m.IDs[i] = id
	}
	return m, nil
}

func pulseToProto(m lane.Pulse) *peerv1.Pulse {
	p := &peerv1.Pulse{Quiesced: make([]*peerv1.Quiesced, len(m.Quiesced))}
	for i, q := range m.Quiesced {
		p.Quiesced[i] = &peerv1.Quiesced{Group: string(q.Group), Term: uint64(q.Term), Last: uint64(q.Last)}
	}
	return p
}

func pulseFromProto(p *peerv1.Pulse) lane.Pulse {
	m := lane.Pulse{}
	for _, q := range p.GetQuiesced() {
		m.Quiesced = append(m.Quiesced, lane.Quiesced{Group: lane.GroupID(q.GetGroup()), Term: raft.Term(q.GetTerm()), Last: raft.Index(q.GetLast())})
	}
	return m
}

func legsToProto(legs []transfer.Leg) []*peerv1.Leg {
	if len(legs) == 0 {
		return nil
	}
	values := make([]peerv1.Leg, len(legs))
	pointers := make([]*peerv1.Leg, len(legs))
	for i := range legs {
		l, p := &legs[i], &values[i]
		p.Bank, p.Account, p.Direction = string(l.Bank), string(l.Account), uint32(l.Direction)
		p.AmountMinor, p.Currency = l.AmountMinor, string(l.Currency)
		pointers[i] = p
	}
	return pointers
}

func legsFromProto(p []*peerv1.Leg) ([]transfer.Leg, error) {
	if len(p) == 0 {
		return nil, nil
	}
	if len(p) > transfer.LegsMax {
		return nil, fmt.Errorf("%w: %d legs", errMalformed, len(p))
	}
	legs := make([]transfer.Leg, len(p))
	for i, l := range p {
		if l.GetDirection() > uint32(transfer.Credit) {
			return nil, fmt.Errorf("%w: leg %d has direction %d", errMalformed, i, l.GetDirection())
		}
		legs[i] = transfer.Leg{
			Bank:        transfer.BankID(l.GetBank()),
			Account:     transfer.AccountID(l.GetAccount()),
			Direction:   transfer.Direction(l.GetDirection()),
			AmountMinor: l.GetAmountMinor(),
			Currency:    transfer.Currency(l.GetCurrency()),
		}
	}
	return legs, nil
}

func amountsFromProto(p []int64) ([]int64, error) {
	if len(p) > transfer.LegsMax || slices.ContainsFunc(p, func(amount int64) bool { return amount < 0 }) {
		return nil, fmt.Errorf("%w: %d amounts, too many or one below zero", errMalformed, len(p))
	}
	return p, nil
}

func reasonToProto(r transfer.Reason) *peerv1.Reason {
	if r == (transfer.Reason{}) {
		return nil
	}
	p := &peerv1.Reason{Code: string(r.Code), Bank: string(r.Bank), Detail: r.Detail}
	if s := r.Shortfall; s != nil {
		p.Shortfall = &peerv1.Shortfall{Account: string(s.Account), Currency: string(s.Currency), AvailableMinor: s.AvailableMinor, NeededMinor: s.NeededMinor}
	}
	return p
}

func reasonFromProto(p *peerv1.Reason) transfer.Reason {
	r := transfer.Reason{Code: transfer.Code(p.GetCode()), Bank: transfer.BankID(p.GetBank()), Detail: p.GetDetail()}
	if s := p.GetShortfall(); s != nil {
		r.Shortfall = &transfer.Shortfall{
			Account: transfer.AccountID(s.Account), Currency: transfer.Currency(s.Currency), AvailableMinor: s.AvailableMinor, NeededMinor: s.NeededMinor,
		}
	}
	return r
}

// unixNano writes the zero time as zero, which no clock of ours shows.
func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromUnixNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
