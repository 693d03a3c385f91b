package coordinator_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/transfer"
)

var epoch = time.Date(2026, 3, 14, 9, 26, 53, 589793238, time.UTC)

// at is a moment so many seconds after the epoch of these tests.
func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

func id(n int) transfer.ID {
	return transfer.ID{0x01, 0x92, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, byte(n >> 8), byte(n)}
}

// payment is a transfer from bank A to bank B; another amount is other content.
func payment(n int, amountMinor int64) *transfer.Transfer {
	return &transfer.Transfer{
		ID:        id(n),
		Deadline:  at(30),
		Reference: "rent",
		Legs: []transfer.Leg{
			{Bank: "A", Account: "alice", Direction: transfer.Debit, AmountMinor: amountMinor, Currency: "CZK"},
			{Bank: "B", Account: "bob", Direction: transfer.Credit, AmountMinor: amountMinor, Currency: "CZK"},
		},
	}
}

// holdOf is a payment that its client has to capture.
func holdOf(n int, amountMinor int64) *transfer.Transfer {
	t := payment(n, amountMinor)
	t.HoldUntil = at(3600)
	return t
}

func hold(n int) coordinator.Fact {
	held := id(n)
	return coordinator.Fact{Hold: &held}
}

// capture commits a hold; without amounts all of it.
func capture(n int, amountsMinor ...int64) coordinator.Fact {
	f := commit(n)
	f.Decide.CapturedMinor = amountsMinor
	return f
}

// number begins to number transfers.
var number = coordinator.Fact{Number: true}

func stage(t *transfer.Transfer) coordinator.Fact { return coordinator.Fact{Stage: t} }

func commit(n int) coordinator.Fact {
	return coordinator.Fact{Decide: &coordinator.Decision{ID: id(n), State: transfer.Committed, At: at(2)}}
}

func abort(n int, code *transfer.Error) coordinator.Fact {
	reason := transfer.Reason{Code: code.Code, Bank: "A", Detail: "alice has 0.00"}
	return coordinator.Fact{Decide: &coordinator.Decision{ID: id(n), State: transfer.Aborted, Reason: reason, At: at(2)}}
}

// tombstone closes an id that the leader believes to be unknown.
func tombstone(n int, code *transfer.Error) coordinator.Fact {
	f := abort(n, code)
	f.Decide.Tombstone = true
	return f
}

func settle(ids ...int) coordinator.Fact {
	f := coordinator.Fact{Settle: []transfer.ID{}}
	for _, n := range ids {
		f.Settle = append(f.Settle, id(n))
	}
	return f
}

// memory is what a disk would hold: a Reader over what store was given.
type memory map[string][]byte

func (m memory) store(writes []coordinator.KV) {
	for _, w := range writes {
		if w.Value == nil {
			delete(m, string(w.Key))
		} else {
			m[string(w.Key)] = slices.Clone(w.Value)
		}
	}
}

func (m memory) Get(key []byte) ([]byte, bool, error) {
	value, ok := m[string(key)]
	return value, ok, nil
}

func (m memory) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if key >= string(from) && key < string(to) && !fn([]byte(key), m[key]) {
			return nil
		}
	}
	return nil
}

func newMachine(t testing.TB, reader coordinator.Reader) *coordinator.Machine {
	t.Helper()
	m, err := coordinator.New(reader)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return m
}

func apply(t testing.TB, m *coordinator.Machine, index uint64, facts ...coordinator.Fact) []coordinator.Applied {
	t.Helper()
	results, err := m.Apply(index, coordinator.Encode(at(1), facts))
	if err != nil {
		t.Fatalf("Apply entry %d: %v", index, err)
	}
	return results
}

func lookup(t testing.TB, m *coordinator.Machine, n int) *coordinator.Record {
	t.Helper()
	r, err := m.Lookup(id(n))
	if err != nil {
		t.Fatalf("Lookup %s: %v", id(n), err)
	}
	return r
}
