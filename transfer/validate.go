package transfer

import (
	"fmt"
	"unicode/utf8"
)

// Bounds of a transfer.
const (
	LegsMin           = 2
	LegsMax           = 256
	NameBytesMax      = 64
	ReferenceBytesMax = 256
)

// Validate checks every rule that needs nothing but the transfer itself. The error wraps
// one of the Err values of this package and names the leg. Whether banks and accounts exist is
// for those to say who know.
func (t *Transfer) Validate() error {
	if t.ID.IsZero() {
		return fmt.Errorf("%w: all zeros", ErrInvalidID)
	}
	if len(t.Legs) < LegsMin {
		return fmt.Errorf("%w: got %d", ErrTooFewLegs, len(t.Legs))
	}
	if len(t.Legs) > LegsMax {
		return fmt.Errorf("%w: got %d", ErrTooManyLegs, len(t.Legs))
	}
	if len(t.Reference) > ReferenceBytesMax || !utf8.ValidString(t.Reference) {
		return fmt.Errorf("%w: got %d bytes", ErrInvalidReference, len(t.Reference))
	}
	for i := range t.Legs {
		if err := t.Legs[i].validate(); err != nil {
			return fmt.Errorf("leg %d: %w", i+1, err)
		}
	}
	return t.balanced()
}

func (l *Leg) validate() error {
	if err := ValidateName(string(l.Bank)); err != nil {
		return fmt.Errorf("bank: %w", err)
	}
	if err := ValidateName(string(l.Account)); err != nil {
		return fmt.Errorf("account: %w", err)
	}
	if l.Direction != Debit && l.Direction != Credit {
		return fmt.Errorf("%w: got %d", ErrInvalidDirection, l.Direction)
	}
	if l.AmountMinor <= 0 {
		return fmt.Errorf("%w: got %d", ErrInvalidAmount, l.AmountMinor)
	}
	if !l.Currency.Known() {
		return fmt.Errorf("%w: got %q", ErrInvalidCurrency, clip(string(l.Currency)))
	}
	return nil
}

// balanced checks that, per currency, debits equal credits, and that neither side overflows.
func (t *Transfer) balanced() error {
	for i := range t.Legs {
		currency := t.Legs[i].Currency
		if t.mentionedBefore(i) {
			continue
		}
		var debits, credits int64
		for j := i; j < len(t.Legs); j++ {
			if t.Legs[j].Currency != currency {
				continue
			}
			side := &credits
			if t.Legs[j].Direction == Debit {
				side = &debits
			}
			sum, ok := AddMinor(*side, t.Legs[j].AmountMinor)
			if !ok {
				return fmt.Errorf("%w: %s", ErrAmountOverflow, currency)
			}
			*side = sum
		}
		if debits != credits {
			return fmt.Errorf("%w: %s debits %s, credits %s", ErrUnbalanced, currency,
				FormatMinor(debits, currency), FormatMinor(credits, currency))
		}
	}
	return nil
}

func (t *Transfer) mentionedBefore(leg int) bool {
	for i := range leg {
		if t.Legs[i].Currency == t.Legs[leg].Currency {
			return true
		}
	}
	return false
}

// ValidateName checks the name of a bank or an account: 1 to 64 characters of
// A-Z a-z 0-9 . _ - : with an optional @ in front.
func ValidateName(name string) error {
	if len(name) == 0 || len(name) > NameBytesMax || name == "@" {
		return fmt.Errorf("%w: got %q", ErrInvalidName, clip(name))
	}
	for i := range len(name) {
		c := name[i]
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c == '.' || c == '_' || c == '-' || c == ':' || (c == '@' && i == 0)
		if !ok {
			return fmt.Errorf("%w: got %q", ErrInvalidName, clip(name))
		}
	}
	return nil
}
