package transfer_test

import (
	"errors"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/transfer"
)

func TestValidate(t *testing.T) {
	pair := func(currency transfer.Currency, debit, credit int64) []transfer.Leg {
		return []transfer.Leg{
			{Bank: "north", Account: "alice", Direction: transfer.Debit, AmountMinor: debit, Currency: currency},
			{Bank: "south", Account: "bob", Direction: transfer.Credit, AmountMinor: credit, Currency: currency},
		}
	}
	manyLegs := func(n int) []transfer.Leg {
		var legs []transfer.Leg
		for range n / 2 {
			legs = append(legs, pair("CZK", 1, 1)...)
		}
		return legs
	}
	tests := []struct {
		name   string
		change func(*transfer.Transfer)
		want   error
	}{
		{"a transfer in order is accepted", func(*transfer.Transfer) {}, nil},
		{"an id that nobody has set is refused", func(tr *transfer.Transfer) { tr.ID = transfer.ID{} }, transfer.ErrInvalidID},
		{"no leg is too few", func(tr *transfer.Transfer) { tr.Legs = nil }, transfer.ErrTooFewLegs},
		{"one leg is too few", func(tr *transfer.Transfer) { tr.Legs = tr.Legs[:1] }, transfer.ErrTooFewLegs},
		{"256 legs are accepted", func(tr *transfer.Transfer) { tr.Legs = manyLegs(256) }, nil},
		{"258 legs are too many", func(tr *transfer.Transfer) { tr.Legs = manyLegs(258) }, transfer.ErrTooManyLegs},
		{"a transfer within one bank is accepted", func(tr *transfer.Transfer) { tr.Legs[1].Bank = "north" }, nil},
		{"no reference is accepted", func(tr *transfer.Transfer) { tr.Reference = "" }, nil},
		{"a reference of 256 bytes is accepted", func(tr *transfer.Transfer) { tr.Reference = strings.Repeat("r", 256) }, nil},
		{"a reference of 257 bytes is refused", func(tr *transfer.Transfer) { tr.Reference = strings.Repeat("r", 257) }, transfer.ErrInvalidReference},
		{"a reference that isn't UTF-8 is refused", func(tr *transfer.Transfer) { tr.Reference = "\xff" }, transfer.ErrInvalidReference},
		{"a leg without a bank is refused", func(tr *transfer.Transfer) { tr.Legs[0].Bank = "" }, transfer.ErrInvalidName},
		{"a leg without an account is refused", func(tr *transfer.Transfer) { tr.Legs[2].Account = "" }, transfer.ErrInvalidName},
		{"a leg without a direction is refused", func(tr *transfer.Transfer) { tr.Legs[0].Direction = 0 }, transfer.ErrInvalidDirection},
		{"a third direction is refused", func(tr *transfer.Transfer) { tr.Legs[0].Direction = 3 }, transfer.ErrInvalidDirection},
		{"an amount of zero is refused", func(tr *transfer.Transfer) { tr.Legs[0].AmountMinor = 0 }, transfer.ErrInvalidAmount},
		{"an amount below zero is refused", func(tr *transfer.Transfer) { tr.Legs[0].AmountMinor = -1050 }, transfer.ErrInvalidAmount},
		{"the lowest number is refused", func(tr *transfer.Transfer) { tr.Legs[0].AmountMinor = math.MinInt64 }, transfer.ErrInvalidAmount},
		{"the largest amount is accepted", func(tr *transfer.Transfer) { tr.Legs = pair("CZK", math.MaxInt64, math.MaxInt64) }, nil},
		{"a currency in small letters is refused", func(tr *transfer.Transfer) { tr.Legs[0].Currency = "czk" }, transfer.ErrInvalidCurrency},
		{"a leg without a currency is refused", func(tr *transfer.Transfer) { tr.Legs[1].Currency = "" }, transfer.ErrInvalidCurrency},
		{"money that appears is refused", func(tr *transfer.Transfer) { tr.Legs[1].AmountMinor++ }, transfer.ErrUnbalanced},
		{"money that vanishes is refused", func(tr *transfer.Transfer) { tr.Legs[0].AmountMinor++ }, transfer.ErrUnbalanced},
		{"two debits are no transfer", func(tr *transfer.Transfer) { tr.Legs = slices.Repeat(tr.Legs[:1], 2) }, transfer.ErrUnbalanced},
		{"each currency balances by itself", func(tr *transfer.Transfer) {
			tr.Legs = append(pair("CZK", 2500, 2500), pair("EUR", 100, 100)...)
		}, nil},
		{"one currency can't pay for another", func(tr *transfer.Transfer) {
			tr.Legs = append(pair("CZK", 100, 50), pair("EUR", 50, 100)...)
		}, transfer.ErrUnbalanced},
		{"debits that add up to more than 64 bits are refused", func(tr *transfer.Transfer) {
			tr.Legs = append(pair("CZK", math.MaxInt64, math.MaxInt64), pair("CZK", 1, 1)...)
		}, transfer.ErrAmountOverflow},
		{"two overflows don't balance each other", func(tr *transfer.Transfer) {
			tr.Legs = slices.Repeat(pair("CZK", math.MaxInt64, math.MaxInt64), 3)
		}, transfer.ErrAmountOverflow},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := rent()
			tt.change(&tr)
			if err := tr.Validate(); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestRefusalNamesTheLegAsPeopleCount(t *testing.T) {
	tr := rent()
	tr.Legs[2].AmountMinor = -5
	err := tr.Validate()
	if err == nil || !strings.HasPrefix(err.Error(), "leg 3: ") || !strings.HasSuffix(err.Error(), "got -5") {
		t.Errorf("got %v", err)
	}
}

func TestValidateName(t *testing.T) {
	tests := []struct {
		name string
		give string
		ok   bool
	}{
		{"letters, digits and the four signs are a name", "aZ0.9_x-y:z", true},
		{"one character is a name", "a", true},
		{"64 characters are a name", strings.Repeat("a", 64), true},
		{"65 characters are too many", strings.Repeat("a", 65), false},
		{"nothing is no name", "", false},
		{"a house account starts with @", "@cash", true},
		{"@ alone is no name", "@", false},
		{"@ in the middle is no name", "a@b", false},
		{"@ twice is no name", "@@cash", false},
		{"a space is refused", "a b", false},
		{"a slash is refused, it would change a URL", "a/b", false},
		{"a line break is refused, it would forge a log line", "a\nb", false},
		{"letters beyond ASCII are refused, they can look alike", "аlice", false},
		{"a NUL is refused", "a\x00", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := transfer.ValidateName(tt.give)
			if (err == nil) != tt.ok || (err != nil && !errors.Is(err, transfer.ErrInvalidName)) {
				t.Errorf("%q: got %v", tt.give, err)
			}
		})
	}
}

// TestValidateNeverPanics: whatever a face puts together from outside bytes, the answer is a value with a code.
func TestValidateNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := anyTransfer.Draw(t, "transfer")
		err := tr.Validate()
		var coded *transfer.Error
		if err != nil && (!errors.As(err, &coded) || coded.Kind != transfer.KindInvalid) {
			t.Fatalf("an error without a code for bad input: %v", err)
		}
	})
}

// TestAcceptedTransferBalances checks Validate against the slower, obvious sum over numbers of any size.
func TestAcceptedTransferBalances(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		tr := nearlyBalanced.Draw(t, "transfer")
		if tr.Validate() != nil {
			return
		}
		accepted++
		sums := map[transfer.Currency]*big.Int{}
		for _, l := range tr.Legs {
			if sums[l.Currency] == nil {
				sums[l.Currency] = new(big.Int)
			}
			sums[l.Currency].Add(sums[l.Currency], big.NewInt(l.SignedMinor()))
		}
		for currency, sum := range sums {
			if sum.Sign() != 0 {
				t.Fatalf("accepted with a sum of %s %s", sum, currency)
			}
		}
	})
	if accepted == 0 {
		t.Error("no drawn transfer was accepted: the law was not tried")
	}
}

var anyTransfer = rapid.Custom(func(t *rapid.T) transfer.Transfer {
	id := transfer.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	return transfer.Transfer{
		ID:        id,
		Legs:      rapid.SliceOfN(anyLeg, 0, 300).Draw(t, "legs"),
		Reference: rapid.String().Draw(t, "reference"),
	}
})

// nearlyBalanced draws a leg and its counterpart, then often spoils one amount.
var nearlyBalanced = rapid.Custom(func(t *rapid.T) transfer.Transfer {
	tr := transfer.Transfer{ID: someID}
	for range rapid.IntRange(1, 6).Draw(t, "pairs") {
		leg := transfer.Leg{
			Bank: "north", Account: "alice", Direction: transfer.Debit,
			AmountMinor: rapid.OneOf(rapid.Int64Range(1, 100), rapid.Int64Range(math.MaxInt64-3, math.MaxInt64)).Draw(t, "amount"),
			Currency:    rapid.SampledFrom([]transfer.Currency{"CZK", "EUR"}).Draw(t, "currency"),
		}
		other := leg
		other.Bank, other.Direction = "south", transfer.Credit
		tr.Legs = append(tr.Legs, leg, other)
	}
	if rapid.Bool().Draw(t, "spoil") {
		leg := &tr.Legs[rapid.IntRange(0, len(tr.Legs)-1).Draw(t, "which")]
		leg.AmountMinor = rapid.Int64().Draw(t, "spoilt amount")
	}
	return tr
})
