package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// paperBooks are books written by hand.
type paperBooks struct {
	journals  map[transfer.BankID][]bank.Entry
	transfers map[transfer.ID]transfer.Record
}

func (p *paperBooks) Transfer(_ context.Context, id transfer.ID) (transfer.Record, error) {
	r, ok := p.transfers[id]
	if !ok {
		return r, fmt.Errorf("%w: %s", transfer.ErrTransferNotFound, id)
	}
	return r, nil
}

func (p *paperBooks) Entries(_ context.Context, b transfer.BankID, after uint64, limit int) ([]bank.Entry, error) {
	rest := p.journals[b][after:]
	return rest[:min(limit, len(rest))], nil
}

func (p *paperBooks) Audit(_ context.Context, b transfer.BankID) (bank.Audit, error) {
	total := bank.Total{Currency: "EUR"}
	for _, e := range p.journals[b] {
		total.PostedMinor += e.AmountMinor
	}
	return bank.Audit{Totals: []bank.Total{total}, LastEntry: uint64(len(p.journals[b]))}, nil
}

func (p *paperBooks) post(b transfer.BankID, id byte, minor int64) {
	p.journals[b] = append(p.journals[b], bank.Entry{Seq: uint64(len(p.journals[b]) + 1), Transfer: transfer.ID{id}, Currency: "EUR", AmountMinor: minor})
}

func (p *paperBooks) record(id byte, state transfer.State, minor int64) {
	p.transfers[transfer.ID{id}] = transfer.Record{State: state, Transfer: transfer.Transfer{ID: transfer.ID{id}, Legs: []transfer.Leg{
		{Bank: "A", Direction: transfer.Debit, AmountMinor: minor, Currency: "EUR"},
		{Bank: "B", Direction: transfer.Credit, AmountMinor: minor, Currency: "EUR"},
	}}}
}

func TestAuditorSeesWhatHappenedToTheMoney(t *testing.T) {
	for _, test := range []struct {
		name string
		want int64
		play func(*paperBooks)
	}{
		{"nothing moved", 0, func(*paperBooks) {}},
		{"a whole transfer", 0, func(p *paperBooks) { p.record(1, transfer.Committed, 5); p.post("A", 1, -5); p.post("B", 1, 5) }},
		{"decided and not yet applied at B", 0, func(p *paperBooks) { p.record(1, transfer.Committed, 5); p.post("A", 1, -5) }},
		{"decided and not yet applied at A", 0, func(p *paperBooks) { p.record(1, transfer.Committed, 5); p.post("B", 1, 5) }},
		{"applied at A though aborted", -5, func(p *paperBooks) { p.record(1, transfer.Aborted, 5); p.post("A", 1, -5) }},
		{"applied twice at B", 5, func(p *paperBooks) {
			p.record(1, transfer.Committed, 5)
			p.post("A", 1, -5)
			p.post("B", 1, 5)
			p.post("B", 1, 5)
		}},
		{"another amount at B", 1, func(p *paperBooks) { p.record(1, transfer.Committed, 5); p.post("A", 1, -5); p.post("B", 1, 6) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &paperBooks{journals: map[transfer.BankID][]bank.Entry{}, transfers: map[transfer.ID]transfer.Record{}}
			test.play(p)
			a := newAuditor([]transfer.BankID{"A", "B"})
			for range 2 { // a second look must see the same
				d, err := a.audit(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				if d.Minor["EUR"] != test.want {
					t.Errorf("got %d, want %d", d.Minor["EUR"], test.want)
				}
			}
		})
	}
}
