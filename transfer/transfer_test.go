package transfer_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/transfer"
)

var someID = transfer.ID{0x01, 0x92, 15: 0x7f}

// rent is a small transfer in order: the tests change one thing of it at a time.
func rent() transfer.Transfer {
	return transfer.Transfer{
		ID: someID,
		Legs: []transfer.Leg{
			{Bank: "north", Account: "alice", Direction: transfer.Debit, AmountMinor: 1050, Currency: "CZK"},
			{Bank: "south", Account: "bob", Direction: transfer.Credit, AmountMinor: 1000, Currency: "CZK"},
			{Bank: "north", Account: "@fees", Direction: transfer.Credit, AmountMinor: 50, Currency: "CZK"},
		},
		Deadline:  time.Unix(1_700_000_000, 0),
		Reference: "rent, November",
	}
}

func TestBanksAreListedOnceInOrderOfFirstMention(t *testing.T) {
	tr := rent()
	if got := tr.Banks(); !slices.Equal(got, []transfer.BankID{"north", "south"}) {
		t.Errorf("banks are %v", got)
	}
	if got := (&transfer.Transfer{}).Banks(); len(got) != 0 {
		t.Errorf("no legs, banks %v", got)
	}
}

func TestLegsAtABankKeepTheirOrder(t *testing.T) {
	tr := rent()
	tests := []struct {
		name string
		bank transfer.BankID
		want []transfer.Leg
	}{
		{"a bank with two legs has both", "north", []transfer.Leg{tr.Legs[0], tr.Legs[2]}},
		{"a bank with one leg has one", "south", []transfer.Leg{tr.Legs[1]}},
		{"a bank that isn't named has none", "west", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tr.LegsAt(tt.bank); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestWhoAppendsToLegsAtABankChangesNoTransfer(t *testing.T) {
	tr := rent()
	for _, bank := range tr.Banks() {
		_ = append(tr.LegsAt(bank), transfer.Leg{Bank: "west"})
	}
	if want := rent(); !slices.Equal(tr.Legs, want.Legs) {
		t.Errorf("legs are %v, were %v", tr.Legs, want.Legs)
	}
}

func TestSignedAmountIsTheEffectOnTheAccount(t *testing.T) {
	tests := []struct {
		name string
		leg  transfer.Leg
		want int64
	}{
		{"a debit lowers", transfer.Leg{Direction: transfer.Debit, AmountMinor: 7}, -7},
		{"a credit raises", transfer.Leg{Direction: transfer.Credit, AmountMinor: 7}, 7},
		{"the largest debit fits", transfer.Leg{Direction: transfer.Debit, AmountMinor: math.MaxInt64}, -math.MaxInt64},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.leg.SignedMinor(); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestWordsOfDirectionAndState(t *testing.T) {
	for word, got := range map[string]string{
		"debit":     transfer.Debit.String(),
		"credit":    transfer.Credit.String(),
		"invalid":   transfer.Direction(0).String(),
		"pending":   transfer.Pending.String(),
		"committed": transfer.Committed.String(),
		"aborted":   transfer.Aborted.String(),
		"unknown":   transfer.State(0).String(),
	} {
		if got != word {
			t.Errorf("got %q, want %q", got, word)
		}
	}
}

// TestFingerprintIsFixedForEver: fingerprints are stored in logs and at banks, so other bytes would
// turn every retry of an older transfer into a conflict.
func TestFingerprintIsFixedForEver(t *testing.T) {
	tr := rent()
	want := transfer.Fingerprint{
		0xdf, 0xff, 0xf6, 0x25, 0xd3, 0xf4, 0x67, 0x1a,
		0x6e, 0x82, 0xfb, 0xc0, 0xac, 0xd6, 0xed, 0x86,
	}
	if got := tr.Fingerprint(); got != want {
		t.Errorf("got %#v", got)
	}
}

func TestFingerprintKnowsContentOnly(t *testing.T) {
	tests := []struct {
		name   string
		change func(*transfer.Transfer)
		same   bool
	}{
		{"the id is not content", func(tr *transfer.Transfer) { tr.ID[3]++ }, true},
		{"the deadline is not content", func(tr *transfer.Transfer) { tr.Deadline = tr.Deadline.Add(time.Hour) }, true},
		{"the reference is", func(tr *transfer.Transfer) { tr.Reference += "." }, false},
		{"the order of the legs is", func(tr *transfer.Transfer) { slices.Reverse(tr.Legs) }, false},
		{"one leg fewer is", func(tr *transfer.Transfer) { tr.Legs = tr.Legs[:2] }, false},
		{"one leg twice is", func(tr *transfer.Transfer) { tr.Legs = append(tr.Legs, tr.Legs[0]) }, false},
		{"a letter moved from the bank to the account is", func(tr *transfer.Transfer) {
			tr.Legs[0].Bank, tr.Legs[0].Account = "nort", "halice"
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before, after := rent(), rent()
			tt.change(&after)
			if same := before.Fingerprint() == after.Fingerprint(); same != tt.same {
				t.Errorf("same fingerprint: %t, want %t", same, tt.same)
			}
		})
	}
}

// TestFingerprintChangesWithAnyFieldOfAnyLeg is the law behind "same id, other content: conflict".
func TestFingerprintChangesWithAnyFieldOfAnyLeg(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		legs := rapid.SliceOfN(anyLeg, 1, 8).Draw(t, "legs")
		before := transfer.Transfer{Legs: legs, Reference: rapid.String().Draw(t, "reference")}
		after := before
		after.Legs = slices.Clone(legs)
		leg := &after.Legs[rapid.IntRange(0, len(legs)-1).Draw(t, "which leg")]
		other := anyLeg.Draw(t, "other leg")
		field := rapid.SampledFrom([]string{"bank", "account", "direction", "amount", "currency"}).Draw(t, "field")
		switch field {
		case "bank":
			leg.Bank = other.Bank
		case "account":
			leg.Account = other.Account
		case "direction":
			leg.Direction = other.Direction
		case "amount":
			leg.AmountMinor = other.AmountMinor
		case "currency":
			leg.Currency = other.Currency
		}
		sameContent := slices.Equal(before.Legs, after.Legs)
		if same := before.Fingerprint() == after.Fingerprint(); same != sameContent {
			t.Fatalf("%s changed: same content %t, same fingerprint %t", field, sameContent, same)
		}
	})
}

// anyLeg draws legs in and out of order: names of any bytes, amounts of any sign, currencies that nobody has.
var anyLeg = rapid.Custom(func(t *rapid.T) transfer.Leg {
	return transfer.Leg{
		Bank:        transfer.BankID(anyName.Draw(t, "bank")),
		Account:     transfer.AccountID(anyName.Draw(t, "account")),
		Direction:   transfer.Direction(rapid.Uint8Range(0, 3).Draw(t, "direction")),
		AmountMinor: rapid.Int64().Draw(t, "amount"),
		Currency:    transfer.Currency(rapid.SampledFrom([]string{"CZK", "EUR", "JPY", "", "czk", "XTS"}).Draw(t, "currency")),
	}
})

var anyName = rapid.OneOf(rapid.SampledFrom([]string{"north", "south", "@cash", "@", ""}), rapid.String(),
	rapid.Just(strings.Repeat("n", transfer.NameBytesMax+1)))
