package transfer

import (
	"fmt"
	"slices"
)

// Capture says what a client takes of a hold: one amount for each leg, in minor units, each from 1 to what the leg holds, and balanced per
// currency as the legs are. None means everything. One is enough if there are two legs in one currency, for it is the amount of
// both. Returned is nil for everything, else one amount for each leg.
func (t *Transfer) Capture(amountsMinor []int64) ([]int64, error) {
	switch {
	case len(amountsMinor) == 0:
		return nil, nil
	case len(amountsMinor) == 1 && len(t.Legs) == 2 && t.Legs[0].Currency == t.Legs[1].Currency:
		amountsMinor = []int64{amountsMinor[0], amountsMinor[0]}
	case len(amountsMinor) != len(t.Legs):
		return nil, fmt.Errorf("%w: %d amounts for %d legs", ErrInvalidCapture, len(amountsMinor), len(t.Legs))
	}
	all := true
	for i, amount := range amountsMinor {
		leg := &t.Legs[i]
		if amount < 1 || amount > leg.AmountMinor {
			return nil, fmt.Errorf("%w: leg %d holds %s %s, not %s", ErrInvalidCapture, i+1,
				FormatMinor(leg.AmountMinor, leg.Currency), leg.Currency, FormatMinor(amount, leg.Currency))
		}
		all = all && amount == leg.AmountMinor
	}
	if all {
		return nil, nil
	}
	captured := Transfer{Legs: t.CapturedLegs(amountsMinor)}
	if err := captured.balanced(); err != nil {
		return nil, err
	}
	return slices.Clone(amountsMinor), nil
}

// CapturedLegs is the legs with what was captured of them; nil: everything.
func (t *Transfer) CapturedLegs(amountsMinor []int64) []Leg {
	if amountsMinor == nil {
		return t.Legs
	}
	legs := slices.Clone(t.Legs)
	for i := range legs {
		legs[i].AmountMinor = amountsMinor[i]
	}
	return legs
}

// CapturedAt lists the amounts at one bank, in the order of its legs; nil: everything.
func (t *Transfer) CapturedAt(bank BankID, amountsMinor []int64) []int64 {
	var here []int64
	for i, amount := range amountsMinor {
		if t.Legs[i].Bank == bank {
			here = append(here, amount)
		}
	}
	return here
}
