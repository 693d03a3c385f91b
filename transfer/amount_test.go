package transfer_test

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/transfer"
)

func TestFormatMinor(t *testing.T) {
	tests := []struct {
		name     string
		minor    int64
		currency transfer.Currency
		want     string
	}{
		{"two digits after the point", 1050, "CZK", "10.50"},
		{"less than one unit keeps its zero", 5, "CZK", "0.05"},
		{"zero is printed in full", 0, "CZK", "0.00"},
		{"a currency without minor units has no point", 1050, "JPY", "1050"},
		{"three digits", 1, "KWD", "0.001"},
		{"four digits", 12345, "CLF", "1.2345"},
		{"a minus comes first", -5, "CZK", "-0.05"},
		{"the largest amount", math.MaxInt64, "CZK", "92233720368547758.07"},
		{"the lowest amount", math.MinInt64, "CZK", "-92233720368547758.08"},
		{"the lowest amount without a point", math.MinInt64, "JPY", "-9223372036854775808"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := transfer.FormatMinor(tt.minor, tt.currency); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseDecimal(t *testing.T) {
	tests := []struct {
		name     string
		text     string
		currency transfer.Currency
		want     int64
		err      error
	}{
		{"all digits", "10.50", "CZK", 1050, nil},
		{"missing digits are zeros", "10.5", "CZK", 1050, nil},
		{"a whole number", "10", "CZK", 1000, nil},
		{"leading zeros", "0010.50", "CZK", 1050, nil},
		{"a leading minus", "-0.05", "CZK", -5, nil},
		{"minus zero is zero", "-0", "CZK", 0, nil},
		{"no minor units", "1050", "JPY", 1050, nil},
		{"the largest amount", "92233720368547758.07", "CZK", math.MaxInt64, nil},
		{"the lowest amount", "-92233720368547758.08", "CZK", math.MinInt64, nil},
		{"one more than the largest", "92233720368547758.08", "CZK", 0, transfer.ErrAmountOverflow},
		{"one less than the lowest", "-92233720368547758.09", "CZK", 0, transfer.ErrAmountOverflow},
		{"far too many digits", strings.Repeat("9", 400), "CZK", 0, transfer.ErrAmountOverflow},
		{"a digit that the currency doesn't have", "10.505", "CZK", 0, transfer.ErrInvalidAmount},
		{"even if it is a zero", "10.500", "CZK", 0, transfer.ErrInvalidAmount},
		{"a point where there are no minor units", "10.0", "JPY", 0, transfer.ErrInvalidAmount},
		{"nothing", "", "CZK", 0, transfer.ErrInvalidAmount},
		{"a minus alone", "-", "CZK", 0, transfer.ErrInvalidAmount},
		{"two minuses", "--1", "CZK", 0, transfer.ErrInvalidAmount},
		{"a plus", "+1", "CZK", 0, transfer.ErrInvalidAmount},
		{"a point alone", ".", "CZK", 0, transfer.ErrInvalidAmount},
		{"nothing before the point", ".5", "CZK", 0, transfer.ErrInvalidAmount},
		{"nothing after the point", "5.", "CZK", 0, transfer.ErrInvalidAmount},
		{"two points", "1.2.3", "CLF", 0, transfer.ErrInvalidAmount},
		{"a decimal comma", "10,50", "CZK", 0, transfer.ErrInvalidAmount},
		{"thousands", "1,000.00", "CZK", 0, transfer.ErrInvalidAmount},
		{"an exponent", "1e3", "CZK", 0, transfer.ErrInvalidAmount},
		{"a space", " 1", "CZK", 0, transfer.ErrInvalidAmount},
		{"an underscore", "1_000", "CZK", 0, transfer.ErrInvalidAmount},
		{"digits of another script", "１０", "CZK", 0, transfer.ErrInvalidAmount},
		{"a minus in the fraction", "1.-5", "CZK", 0, transfer.ErrInvalidAmount},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := transfer.ParseDecimal(tt.text, tt.currency)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %d, %v; want %d, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestUnreadableAmountIsQuotedShort(t *testing.T) {
	_, err := transfer.ParseDecimal(strings.Repeat("x", 10_000), "CZK")
	if err == nil || len(err.Error()) > 300 {
		t.Errorf("the message repeats too much of the input: %d bytes", len(err.Error()))
	}
}

// TestEveryAmountSurvivesItsPrintedForm tries each currency: what is printed is read back as the same number.
func TestEveryAmountSurvivesItsPrintedForm(t *testing.T) {
	for _, currency := range everyCurrency() {
		t.Run(string(currency), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				minor := anyAmount.Draw(t, "minor")
				text := transfer.FormatMinor(minor, currency)
				got, err := transfer.ParseDecimal(text, currency)
				if err != nil || got != minor {
					t.Fatalf("%d is printed %q and read as %d, %v", minor, text, got, err)
				}
			})
		})
	}
}

// TestAddMinorAgreesWithNumbersOfAnySize checks the overflow test against the slower, obvious sum.
func TestAddMinorAgreesWithNumbersOfAnySize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyAmount.Draw(t, "a"), anyAmount.Draw(t, "b")
		want := new(big.Int).Add(big.NewInt(a), big.NewInt(b))
		got, ok := transfer.AddMinor(a, b)
		if ok != want.IsInt64() || (ok && got != want.Int64()) {
			t.Fatalf("%d + %d is %s, got %d, %t", a, b, want, got, ok)
		}
	})
}

var anyAmount = rapid.OneOf(
	rapid.Int64(),
	rapid.Int64Range(-1000, 1000),
	rapid.SampledFrom([]int64{math.MinInt64, math.MinInt64 + 1, math.MaxInt64 - 1, math.MaxInt64}),
)

func FuzzParseDecimal(f *testing.F) {
	for _, text := range []string{"10.50", "-0.05", "92233720368547758.07", "-92233720368547758.08", "1e3", "", "-", ".", "１０", "10.500"} {
		f.Add(text, "CZK")
	}
	f.Add("1.2345", "CLF")
	f.Add("1050", "JPY")
	f.Add("1", "nonsense")
	f.Fuzz(func(t *testing.T, text, code string) {
		currency := transfer.Currency(code)
		minor, err := transfer.ParseDecimal(text, currency)
		if err != nil {
			if !errors.Is(err, transfer.ErrInvalidAmount) && !errors.Is(err, transfer.ErrAmountOverflow) {
				t.Fatalf("%q: an error without its code: %v", text, err)
			}
			return
		}
		again, err := transfer.ParseDecimal(transfer.FormatMinor(minor, currency), currency)
		if err != nil || again != minor {
			t.Fatalf("%q is %d, printed and read again it is %d, %v", text, minor, again, err)
		}
	})
}

// TestBadDecimalIsExplainedInDecimals: whoever reads "minor units" takes the point out, and pays a hundred times as much.
func TestBadDecimalIsExplainedInDecimals(t *testing.T) {
	tests := []struct {
		text     string
		currency transfer.Currency
		want     string
	}{
		{"10,50", "EUR", `"10,50" is no decimal with at most 2 fraction digits of EUR. try: 10.50`},
		{"1.2345", "KWD", `"1.2345" is no decimal with at most 3 fraction digits of KWD. try: 10.500`},
		{"10.5", "JPY", `"10.5" is no whole number, and JPY has no fraction digits. try: 10`},
	}
	for _, tt := range tests {
		t.Run(tt.text+" "+string(tt.currency), func(t *testing.T) {
			_, err := transfer.ParseDecimal(tt.text, tt.currency)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}
