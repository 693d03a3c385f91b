package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// The accounts of each bank begin with nothing and may go a little below it: some payments find too little money.
const (
	accountsEUR    = 30
	accountsCZK    = 10
	overdraftMinor = 300
	amountMaxMinor = 600
	witnessSets    = 3 // one account of each at every bank
)

func ordinary(currency transfer.Currency, i int) transfer.AccountID {
	return transfer.AccountID(fmt.Sprintf("%s-%02d", currency, i))
}

func cash(currency transfer.Currency) transfer.AccountID {
	return transfer.AccountID("@cash-" + currency)
}

func witnessAccount(set int) transfer.AccountID {
	return transfer.AccountID(fmt.Sprintf("witness-%d", set))
}

// allTerms are the accounts to open at every bank.
func allTerms() (terms []client.Terms) {
	for currency, count := range map[transfer.Currency]int{"EUR": accountsEUR, "CZK": accountsCZK} {
		terms = append(terms, client.Terms{ID: cash(currency), Currency: currency, Unlimited: true})
		for i := range count {
			terms = append(terms, client.Terms{ID: ordinary(currency, i), Currency: currency, OverdraftMinor: overdraftMinor})
		}
	}
	for set := range witnessSets {
		terms = append(terms, client.Terms{ID: witnessAccount(set), Currency: "EUR", Unlimited: true})
	}
	return terms
}

// traffic makes payments. It is owned by one worker.
type traffic struct{ rng *rand.Rand }

func (t traffic) bank() transfer.BankID { return banks[t.rng.IntN(len(banks))].id }

// account prefers those at the front: they are hot.
func (t traffic) account(currency transfer.Currency) transfer.AccountID {
	count := accountsEUR
	if currency == "CZK" {
		count = accountsCZK
	}
	return ordinary(currency, t.rng.IntN(1+t.rng.IntN(count)))
}

// next makes a payment: mostly one amount from one account to another, sometimes cash, several receivers, or somebody who doesn't exist.
func (t traffic) next() transfer.Transfer {
	currency := transfer.Currency("EUR")
	if t.rng.IntN(8) == 0 {
		currency = "CZK"
	}
	from, receivers := t.account(currency), 1
	switch t.rng.IntN(10) {
	case 0:
		from = cash(currency)
	case 1:
		receivers = 2 + t.rng.IntN(3)
	}
	legs := make([]transfer.Leg, 1, 1+receivers)
	var total int64
	for range receivers {
		minor := 1 + t.rng.Int64N(amountMaxMinor)
		total += minor
		to := t.account(currency)
		if t.rng.IntN(50) == 0 {
			to = "nobody"
		}
		legs = append(legs, transfer.Leg{Bank: t.bank(), Account: to, Direction: transfer.Credit, AmountMinor: minor, Currency: currency})
	}
	legs[0] = transfer.Leg{Bank: t.bank(), Account: from, Direction: transfer.Debit, AmountMinor: total, Currency: currency}
	return transfer.Transfer{ID: client.NewID(), Legs: legs, Reference: "chaos"}
}

// between makes a payment from one witness account of a set to another, at two different banks.
func (t traffic) between(set int) transfer.Transfer {
	from := t.rng.IntN(len(banks))
	to := (from + 1 + t.rng.IntN(len(banks)-1)) % len(banks)
	minor, id := 1+t.rng.Int64N(1_000_000), witnessAccount(set)
	return transfer.Transfer{ID: client.NewID(), Reference: "witness", Legs: []transfer.Leg{
		{Bank: banks[from].id, Account: id, Direction: transfer.Debit, AmountMinor: minor, Currency: "EUR"},
		{Bank: banks[to].id, Account: id, Direction: transfer.Credit, AmountMinor: minor, Currency: "EUR"},
	}}
}
