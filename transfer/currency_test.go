package transfer_test

import (
	"errors"
	"testing"

	"github.com/quorate/quorate/transfer"
)

// everyCurrency finds the codes of the table from outside: it asks for all words of three capitals.
func everyCurrency() []transfer.Currency {
	var known []transfer.Currency
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			for c := 'A'; c <= 'Z'; c++ {
				if code := transfer.Currency([]rune{a, b, c}); code.Known() {
					known = append(known, code)
				}
			}
		}
	}
	return known
}

func TestParseCurrency(t *testing.T) {
	tests := []struct {
		name, text string
		ok         bool
	}{
		{"a circulating currency", "CZK", true},
		{"a funds code with a minor unit", "CLF", true},
		{"the currency of Sierra Leone since 2022", "SLE", true},
		{"the Caribbean guilder of 2025", "XCG", true},
		{"small letters", "czk", false},
		{"nothing", "", false},
		{"a longer word", "CZKX", false},
		{"gold has no minor unit", "XAU", false},
		{"the code for tests", "XTS", false},
		{"a currency that has left the list: the kuna", "HRK", false},
		{"a currency that has left the list: the lev, replaced by the euro in 2026", "BGN", false},
		{"a currency that has left the list: the Antillean guilder", "ANG", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := transfer.ParseCurrency(tt.text)
			switch {
			case tt.ok && (err != nil || c != transfer.Currency(tt.text) || !c.Known()):
				t.Errorf("got %q, %v", c, err)
			case !tt.ok && (!errors.Is(err, transfer.ErrInvalidCurrency) || c != ""):
				t.Errorf("got %q, %v; want it refused", c, err)
			}
		})
	}
}

func TestExponentIsTheOneOfTheStandard(t *testing.T) {
	zero := []transfer.Currency{"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"}
	three := []transfer.Currency{"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}
	four := []transfer.Currency{"CLF", "UYW"}
	want := map[transfer.Currency]int{}
	for _, c := range everyCurrency() {
		want[c] = 2
	}
	for digits, list := range map[int][]transfer.Currency{0: zero, 3: three, 4: four} {
		for _, c := range list {
			if _, known := want[c]; !known {
				t.Errorf("%s is missing from the table", c)
			}
			want[c] = digits
		}
	}
	for c, digits := range want {
		if got := c.Exponent(); got != digits {
			t.Errorf("%s has %d digits, want %d", c, got, digits)
		}
	}
	if got := transfer.Currency("nonsense").Exponent(); got != 0 {
		t.Errorf("an unknown code has %d digits", got)
	}
}
