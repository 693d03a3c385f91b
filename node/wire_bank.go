package node

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// What coordinators and banks say to each other is most of what nodes say, so its messages are written and read by hand: a request or an answer
// as generated code has it takes four allocations on each side. The bytes are those of BankRequests and BankAnswers in peer.proto.

const (
	requestBytes = 128 // about, with one leg
	answerBytes  = 48
)

func encodeBankRequests(m *lane.BankRequests) []byte {
	b := make([]byte, 0, 64+requestBytes*len(m.Requests))
	b = wire.AppendText(b, 1, string(m.Bank))
	b = wire.AppendText(b, 2, string(m.Coordinator))
	for i := range m.Requests {
		var mark int
		b, mark = wire.OpenMessage(b, 3)
		b = wire.CloseMessage(appendBankRequest(b, &m.Requests[i]), mark)
	}
	return b
}

func appendBankRequest(b []byte, r *bank.Request) []byte {
	b = wire.AppendUint(b, 1, uint64(r.Op))
	b = wire.AppendBytes(b, 2, r.ID[:])
	if namesContent(r.Op) {
		b = wire.AppendBytes(b, 3, r.Fingerprint[:])
	}
	for i := range r.Legs {
		l := &r.Legs[i]
		var mark int
		b, mark = wire.OpenMessage(b, 4)
		b = wire.AppendText(b, 1, string(l.Bank))
		b = wire.AppendText(b, 2, string(l.Account))
		b = wire.AppendUint(b, 3, uint64(l.Direction))
		b = wire.AppendUint(b, 4, uint64(l.AmountMinor))
		b = wire.AppendText(b, 5, string(l.Currency))
		b = wire.CloseMessage(b, mark)
	}
	b = wire.AppendText(b, 5, r.Reference)
	b = wire.AppendSint(b, 6, unixNano(r.HoldUntil))
	return appendPacked(b, 7, r.CapturedMinor)
}

// appendPacked writes a repeated int64 as protobuf does: all amounts in one field.
func appendPacked(b []byte, number wire.Field, amounts []int64) []byte {
	if len(amounts) == 0 {
		return b
	}
	b, mark := wire.OpenMessage(b, number)
	for _, amount := range amounts {
		b = binary.AppendUvarint(b, uint64(amount))
	}
	return wire.CloseMessage(b, mark)
}

func decodeBankRequests(data []byte) (lane.Message, error) {
	count := wire.CountMessages(data, 3)
	m := lane.BankRequests{Requests: make([]bank.Request, 0, count)}
	legs := make([]transfer.Leg, 0, count)
	c := wire.NewCursor(data)
	for c.Next() {
		switch c.Number {
		case 1:
			m.Bank = transfer.BankID(c.ValidText())
		case 2:
			m.Coordinator = lane.GroupID(c.ValidText())
		case 3:
			one := c.Message()
			var r bank.Request
			r, legs = decodeBankRequest(&one, legs)
			m.Requests = append(m.Requests, r)
			c.Join(&one)
		default:
			c.Skip()
		}
	}
	if c.Err != nil {
		return nil, fmt.Errorf("%w: bank requests: %w", errMalformed, c.Err)
	}
	return m, nil
}

// decodeBankRequest puts the legs behind those of the requests before it: one allocation for most messages.
func decodeBankRequest(c *wire.Cursor, legs []transfer.Leg) (bank.Request, []transfer.Leg) {
	var r bank.Request
	first, named := len(legs), false
	for c.Next() {
		switch c.Number {
		case 1:
			r.Op = bank.Op(c.Bounded(uint64(bank.Resolve)))
		case 2:
			r.ID = c.ID()
		case 3:
			r.Fingerprint, named = c.ID(), true
		case 4:
			leg := c.Message()
			if len(legs)-first == transfer.LegsMax {
				c.Damage("more than %d legs", transfer.LegsMax)
				break
			}
			legs = append(legs, decodePeerLeg(&leg))
			c.Join(&leg)
		case 5:
			r.Reference = c.ValidText()
		case 6:
			r.HoldUntil = fromUnixNano(c.Sint())
		case 7:
			r.CapturedMinor = decodePacked(c)
		default:
			c.Skip()
		}
	}
	if r.Op < bank.Prepare || r.ID.IsZero() || (namesContent(r.Op) && !named) {
		c.Damage("a request for operation %d on %s, content named: %t", r.Op, r.ID, named)
	}
	if !namesContent(r.Op) {
		r.Fingerprint = transfer.Fingerprint{}
	}
	r.Legs = legs[first:len(legs):len(legs)]
	return r, legs
}

func decodePacked(c *wire.Cursor) []int64 {
	var amounts []int64
	for rest := c.Text(); len(rest) > 0; {
		v, n := protowire.ConsumeVarint([]byte(rest[:min(len(rest), binary.MaxVarintLen64)]))
		if n < 0 || v > math.MaxInt64 || len(amounts) == transfer.LegsMax {
			c.Damage("field %d: amount %d is cut off, below zero or one too many", c.Number, len(amounts)+1)
			return nil
		}
		amounts = append(amounts, int64(v))
		rest = rest[n:]
	}
	return amounts
}

func decodePeerLeg(c *wire.Cursor) (l transfer.Leg) {
	for c.Next() {
		switch c.Number {
		case 1:
			l.Bank = transfer.BankID(c.ValidText())
		case 2:
			l.Account = transfer.AccountID(c.ValidText())
		case 3:
			l.Direction = transfer.Direction(c.Bounded(uint64(transfer.Credit)))
		case 4:
			l.AmountMinor = int64(c.Uint())
		case 5:
			l.Currency = transfer.Currency(c.ValidText())
		default:
			c.Skip()
		}
	}
	return l
}

func encodeBankAnswers(m *lane.BankAnswers) []byte {
	b := make([]byte, 0, 64+answerBytes*len(m.Answers))
	b = wire.AppendText(b, 1, string(m.Bank))
	b = wire.AppendText(b, 2, string(m.Coordinator))
	for i := range m.Answers {
		var mark int
		b, mark = wire.OpenMessage(b, 3)
		b = wire.CloseMessage(appendBankAnswer(b, &m.Answers[i]), mark)
	}
	return wire.AppendUint(b, 4, uint64(m.LeaderHint))
}

func appendBankAnswer(b []byte, a *bank.Answer) []byte {
	b = wire.AppendUint(b, 1, uint64(a.Op))
	b = wire.AppendBytes(b, 2, a.ID[:])
	b = wire.AppendUint(b, 3, uint64(a.Result))
	if a.Reason != (transfer.Reason{}) {
		var mark int
		b, mark = wire.OpenMessage(b, 4)
		b = wire.AppendText(b, 1, string(a.Reason.Code))
		b = wire.AppendText(b, 2, string(a.Reason.Bank))
		b = wire.AppendText(b, 3, a.Reason.Detail)
		b = wire.CloseMessage(wire.AppendShortfall(b, 4, a.Reason.Shortfall), mark)
	}
	if namesContent(a.Op) {
		b = wire.AppendBytes(b, 5, a.Fingerprint[:])
	}
	return b
}

func decodeBankAnswers(data []byte) (lane.Message, error) {
	m := lane.BankAnswers{Answers: make([]bank.Answer, 0, wire.CountMessages(data, 3))}
	c := wire.NewCursor(data)
	for c.Next() {
		switch c.Number {
		case 1:
			m.Bank = transfer.BankID(c.ValidText())
		case 2:
			m.Coordinator = lane.GroupID(c.ValidText())
		case 3:
			one := c.Message()
			m.Answers = append(m.Answers, decodeBankAnswer(&one))
			c.Join(&one)
		case 4:
			m.LeaderHint = raft.NodeID(c.Uint())
		default:
			c.Skip()
		}
	}
	if c.Err != nil {
		return nil, fmt.Errorf("%w: bank answers: %w", errMalformed, c.Err)
	}
	return m, nil
}

func decodeBankAnswer(c *wire.Cursor) (a bank.Answer) {
	named := false
	for c.Next() {
		switch c.Number {
		case 1:
			a.Op = bank.Op(c.Bounded(uint64(bank.Resolve)))
		case 2:
			a.ID = c.ID()
		case 3:
			a.Result = bank.Result(c.Bounded(uint64(bank.Violation)))
		case 4:
			reason := c.Message()
			a.Reason = decodePeerReason(&reason)
			c.Join(&reason)
			c.Once()
		case 5:
			a.Fingerprint, named = c.ID(), true
		default:
			c.Skip()
		}
	}
	if a.ID.IsZero() || (namesContent(a.Op) && !named) {
		c.Damage("an answer to operation %d on %s, content named: %t", a.Op, a.ID, named)
	}
	if !namesContent(a.Op) {
		a.Fingerprint = transfer.Fingerprint{}
	}
	return a
}

func decodePeerReason(c *wire.Cursor) (r transfer.Reason) {
	for c.Next() {
		switch c.Number {
		case 1:
			r.Code = transfer.Code(c.ValidText())
		case 2:
			r.Bank = transfer.BankID(c.ValidText())
		case 3:
			r.Detail = c.ValidText()
		case 4:
			shortfall := c.Message()
			r.Shortfall = decodePeerShortfall(&shortfall)
			c.Join(&shortfall)
			c.Once()
		default:
			c.Skip()
		}
	}
	return r
}

// decodePeerShortfall skips what a later version may have added, which the readers of stored shortfalls refuse.
func decodePeerShortfall(c *wire.Cursor) *transfer.Shortfall {
	s := &transfer.Shortfall{}
	for c.Next() {
		switch c.Number {
		case 1:
			s.Account = transfer.AccountID(c.ValidText())
		case 2:
			s.Currency = transfer.Currency(c.ValidText())
		case 3:
			s.AvailableMinor = c.Sint()
		case 4:
			s.NeededMinor = c.Amount()
		default:
			c.Skip()
		}
	}
	return s
}
