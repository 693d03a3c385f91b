package workload

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// BerkaHome is the bank whose records the Berka data are.
const BerkaHome transfer.BankID = "HOME"

// BerkaCurrency is the currency of all its amounts.
const BerkaCurrency transfer.Currency = "CZK"

// BerkaOverdraftMinor is how far a client's account may go below zero. It is generous: some of the real accounts were
// overdrawn, and movements of one day stand in no fixed order.
const BerkaOverdraftMinor = 1_000_000_000

// BerkaBanks lists the home bank and its 13 partners.
func BerkaBanks() []transfer.BankID {
	return []transfer.BankID{BerkaHome, "AB", "CD", "EF", "GH", "IJ", "KL", "MN", "OP", "QR", "ST", "UV", "WX", "YZ"}
}

const berkaHeader = `"trans_id";"account_id";"date";"type";"operation";"amount";"balance";"k_symbol";"bank";"account"`

// Berka reads trans.asc and yields each row as a transfer, in the order of the file. The id follows from trans_id, so the
// same row is the same transfer in every run. Deadline is left to the caller. An error names its line and ends the sequence.
func Berka(r io.Reader) iter.Seq2[transfer.Transfer, error] {
	return func(yield func(transfer.Transfer, error) bool) {
		lines := bufio.NewScanner(r)
		for number := 1; lines.Scan(); number++ {
			text := strings.TrimRight(lines.Text(), "\r")
			if number == 1 && text == berkaHeader {
				continue
			}
			t, err := berkaTransfer(text)
			if err != nil {
				yield(transfer.Transfer{}, fmt.Errorf("line %d: %w", number, err))
				return
			}
			if !yield(t, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(transfer.Transfer{}, fmt.Errorf("read rows: %w", err))
		}
	}
}

// berkaRow is one line of trans.asc.
type berkaRow struct {
	id, account, date, kind, operation, amount, symbol, bank, partner string
}

func berkaTransfer(line string) (transfer.Transfer, error) {
	fields := strings.Split(line, ";")
	if len(fields) != 10 {
		return transfer.Transfer{}, fmt.Errorf("it has %d fields, a row of trans.asc has 10", len(fields))
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(strings.Trim(fields[i], `"`))
	}
	row := berkaRow{fields[0], fields[1], fields[2], fields[3], fields[4], fields[5], fields[7], fields[8], fields[9]}
	amount, err := transfer.ParseDecimal(row.amount, BerkaCurrency)
	if err != nil {
		return transfer.Transfer{}, fmt.Errorf("amount: %w", err)
	}
	from, to, err := row.route()
	if err != nil {
		return transfer.Transfer{}, err
	}
	t := transfer.Transfer{
		ID: berkaID(row.id),
		Legs: []transfer.Leg{
			{Bank: from.bank, Account: from.account, Direction: transfer.Debit, AmountMinor: amount, Currency: BerkaCurrency},
			{Bank: to.bank, Account: to.account, Direction: transfer.Credit, AmountMinor: amount, Currency: BerkaCurrency},
		},
		Reference: "trans " + row.id + " of " + row.date,
	}
	if err := t.Validate(); err != nil {
		return transfer.Transfer{}, fmt.Errorf("row %s: %w", row.id, err)
	}
	return t, nil
}

type place struct {
	bank    transfer.BankID
	account transfer.AccountID
}

// route says where a row's money comes from and goes to, by the table of the data's README.
func (r *berkaRow) route() (from, to place, err error) {
	client := place{BerkaHome, transfer.AccountID(r.account)}
	partner := place{transfer.BankID(r.bank), transfer.AccountID(r.partner)}
	switch {
	case r.operation == "VKLAD":
		return place{BerkaHome, "@cash"}, client, nil
	case r.operation == "VYBER" && (r.symbol == "SLUZBY" || r.symbol == "SANKC. UROK"):
		return client, place{BerkaHome, "@fees"}, nil
	case r.operation == "VYBER" || r.operation == "VYBER KARTOU":
		return client, place{BerkaHome, "@cash"}, nil
	case r.operation == "" && r.symbol == "UROK":
		return place{BerkaHome, "@interest"}, client, nil
	case r.operation == "PREVOD Z UCTU":
		return partner, client, nil
	case r.operation == "PREVOD NA UCET":
		return client, partner, nil
	}
	return from, to, fmt.Errorf("row %s: type %q, operation %q, symbol %q is no known movement", r.id, r.kind, r.operation, r.symbol)
}

// berkaID makes a UUID of version 8 (RFC 9562 §5.8: custom) from a hash of the row's own number.
func berkaID(number string) transfer.ID {
	sum := sha256.Sum256([]byte("berka trans_id " + number))
	id := transfer.ID(sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Place is an account at a bank, with the terms to open it on.
type Place struct {
	Bank  transfer.BankID
	Terms bank.Terms
}

// PlacesOf lists the accounts that transfers touch, each once, in the order of first mention, with an overdraft limit for
// clients' accounts; house accounts (@…) have none.
func PlacesOf(transfers []transfer.Transfer, overdraftMinor int64) []Place {
	type key struct {
		bank    transfer.BankID
		account transfer.AccountID
	}
	seen := map[key]bool{}
	var places []Place
	for i := range transfers {
		for _, leg := range transfers[i].Legs {
			k := key{leg.Bank, leg.Account}
			if seen[k] {
				continue
			}
			seen[k] = true
			terms := bank.Terms{ID: leg.Account, Currency: leg.Currency, OverdraftMinor: overdraftMinor}
			if strings.HasPrefix(string(leg.Account), "@") {
				terms.OverdraftMinor, terms.Unlimited = 0, true
			}
			places = append(places, Place{Bank: leg.Bank, Terms: terms})
		}
	}
	return places
}
