package transfer

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"
)

// BankID names a bank of the cluster, as in its configuration.
type BankID string

// AccountID names an account within its bank. One that starts with @ is a house account (@cash, @fees):
// the other side of money that enters or leaves the system.
type AccountID string

// Direction says which way a leg moves money, seen from its account.
type Direction uint8

// A debit lowers the account's balance, a credit raises it.
const (
	Debit  Direction = 1
	Credit Direction = 2
)

func (d Direction) String() string {
	switch d {
	case Debit:
		return "debit"
	case Credit:
		return "credit"
	}
	return "invalid"
}

// Leg moves one amount into or out of one account.
type Leg struct {
	Bank        BankID
	Account     AccountID
	Direction   Direction
	AmountMinor int64 // minor units of Currency, above zero
	Currency    Currency
}

// SignedMinor is the leg's effect on its account's balance.
func (l Leg) SignedMinor() int64 {
	if l.Direction == Debit {
		return -l.AmountMinor
	}
	return l.AmountMinor
}

// Transfer is what a client submits. It commits at every bank its legs name or at none.
type Transfer struct {
	ID        ID
	Legs      []Leg
	Deadline  time.Time // when to give up if not every bank has prepared; not part of the content
	Reference string    // free text of the client, printed on statements
	// HoldUntil makes it a hold: its banks reserve its legs, and its client captures or voids it. At this time it is voided for him. Zero:
	// it is no hold. Whether it is one is content, the time isn't.
	HoldUntil time.Time
}

// IsHold says whether a client has to capture the transfer before it commits.
func (t *Transfer) IsHold() bool { return !t.HoldUntil.IsZero() }

// Clone is the same transfer with memory of its own: who keeps one for long doesn't keep the message that it came in.
func (t *Transfer) Clone() Transfer {
	own := *t
	own.Reference = strings.Clone(t.Reference)
	own.Legs = slices.Clone(t.Legs)
	for i := range own.Legs {
		l := &own.Legs[i]
		l.Bank, l.Account, l.Currency = BankID(strings.Clone(string(l.Bank))), AccountID(strings.Clone(string(l.Account))), Currency(strings.Clone(string(l.Currency)))
	}
	return own
}

// Banks lists the banks of the legs, each once, in the order of first mention.
func (t *Transfer) Banks() []BankID {
	banks := make([]BankID, 0, 2)
next:
	for i := range t.Legs {
		for _, b := range banks {
			if b == t.Legs[i].Bank {
				continue next
			}
		}
		banks = append(banks, t.Legs[i].Bank)
	}
	return banks
}

// LegsAt lists the legs at one bank, in their order. They may be a part of the transfer's own: read only.
func (t *Transfer) LegsAt(bank BankID) []Leg {
	first := slices.IndexFunc(t.Legs, func(l Leg) bool { return l.Bank == bank })
	if first < 0 {
		return nil
	}
	end := first + 1
	for end < len(t.Legs) && t.Legs[end].Bank == bank {
		end++
	}
	legs := t.Legs[first:end:end]
	for _, l := range t.Legs[end:] {
		if l.Bank == bank { // not one after the other: append makes a copy
			legs = append(legs, l)
		}
	}
	return legs
}

// Fingerprint stands for the content of a transfer: its legs in order, its reference, and whether it is a hold. The id and the
// times are not content: a client that asks again later asks for the same transfer.
type Fingerprint [16]byte

// Fingerprint computes the content's SHA-256, cut to 128 bits: every field is preceded by
// its length or has a fixed size, so different contents never share the hashed bytes.
func (t *Transfer) Fingerprint() Fingerprint {
	b := make([]byte, 0, 256)
	for i := range t.Legs {
		l := &t.Legs[i]
		b = appendString(b, string(l.Bank))
		b = appendString(b, string(l.Account))
		b = append(b, byte(l.Direction))
		b = binary.BigEndian.AppendUint64(b, uint64(l.AmountMinor))
		b = appendString(b, string(l.Currency))
	}
	b = appendString(b, t.Reference)
	if t.IsHold() {
		b = append(b, 'h')
	}
	sum := sha256.Sum256(b)
	return Fingerprint(sum[:16])
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}
