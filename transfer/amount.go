package transfer

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// AddMinor adds two amounts; ok is false if the sum doesn't fit into 64 bits.
func AddMinor(a, b int64) (sum int64, ok bool) {
	sum = a + b
	if (b > 0 && sum < a) || (b < 0 && sum > a) {
		return 0, false
	}
	return sum, true
}

// FormatMinor prints minor units as a decimal of the currency: 1050 CZK is "10.50".
// It is exact: no float is involved.
func FormatMinor(minor int64, c Currency) string {
	digits := c.Exponent()
	sign := ""
	magnitude := uint64(minor)
	if minor < 0 {
		sign = "-"
		magnitude = -magnitude // two's complement: right for math.MinInt64 too
	}
	s := strconv.FormatUint(magnitude, 10)
	if digits == 0 {
		return sign + s
	}
	if len(s) <= digits {
		s = strings.Repeat("0", digits-len(s)+1) + s
	}
	cut := len(s) - digits
	return sign + s[:cut] + "." + s[cut:]
}

// ParseDecimal reads a decimal of the currency into minor units: "10.5" CZK is 1050. More fraction digits
// than the currency has, signs other than one leading minus, exponents and spaces are refused.
func ParseDecimal(s string, c Currency) (int64, error) {
	digits := c.Exponent()
	body, negative := strings.CutPrefix(s, "-")
	whole, fraction, dotted := strings.Cut(body, ".")
	if whole == "" || (dotted && fraction == "") || len(fraction) > digits || !isDigits(whole) || !isDigits(fraction) {
		return 0, &decimalError{clip(s), c}
	}
	text := whole + fraction + strings.Repeat("0", digits-len(fraction))
	largest := uint64(math.MaxInt64)
	if negative {
		largest++ // two's complement reaches one further down than up
	}
	magnitude, err := strconv.ParseUint(text, 10, 64)
	if err != nil || magnitude > largest {
		return 0, fmt.Errorf("%w: %q %s", ErrAmountOverflow, clip(s), c)
	}
	if negative {
		return int64(-magnitude), nil
	}
	return int64(magnitude), nil
}

// decimalError is ErrInvalidAmount in other words. That one speaks of minor units: who has typed "10,50" where decimals are read
// would make 1050 of it, a hundred times too much.
type decimalError struct {
	text     string
	currency Currency
}

func (e *decimalError) Error() string {
	digits := e.currency.Exponent()
	if digits == 0 {
		return fmt.Sprintf("%q is no whole number, and %s has no fraction digits. try: 10", e.text, e.currency)
	}
	example := "10." + ("5" + strings.Repeat("0", digits))[:digits]
	return fmt.Sprintf("%q is no decimal with at most %d fraction digits of %s. try: %s", e.text, digits, e.currency, example)
}

func (e *decimalError) Unwrap() error { return ErrInvalidAmount }

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
