package ledger_test

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/ledger"
	storev1 "github.com/quorate/quorate/proto/quorate/store/v1"
	"github.com/quorate/quorate/transfer"
)

// busyBank has every kind of record on its disk: accounts, journal entries, open holds, and transfers that ended in every way.
func busyBank(t *testing.T) *book {
	t.Helper()
	b := newBook(t, newDisk())
	b.open(bank.Terms{ID: "@cash", Currency: "CZK", Unlimited: true}, czk("alice"), czk("bob"), bank.Terms{ID: "eve", Currency: "EUR"})
	b.fund("alice", 1000)
	b.save()
	for _, q := range []bank.Request{
		prepare(transfer.ID{1}, debit("alice", 10), credit("bob", 10)), request(bank.Commit, transfer.ID{1}),
		prepare(transfer.ID{2}, debit("alice", 20)), request(bank.Rollback, transfer.ID{2}),
		prepare(transfer.ID{3}, debit("bob", 5000)),
		prepare(transfer.ID{4}, debit("alice", 40), debit("bob", 4), credit("alice", 1)),
		request(bank.Rollback, transfer.ID{5}),
	} {
		b.ask(q)
	}
	b.save()
	return b
}

func TestAScanFindsWhatTheBankRecorded(t *testing.T) {
	b := busyBank(t)
	s, err := ledger.Scan(b.disk)
	if err != nil || s.Recorded != b.Hash() || s.Computed != b.Hash() || s.Records != uint64(len(b.disk.values)) {
		t.Errorf("the bank has hash %016x and %d records, its scan says %+v, %v", b.Hash(), len(b.disk.values), s, err)
	}
	if s, err := ledger.Scan(newDisk()); err != nil || s != (ledger.Scanned{}) {
		t.Errorf("an empty bank: %+v, %v", s, err)
	}
	b.disk.failing = true
	if _, err := ledger.Scan(b.disk); !errors.Is(err, errDisk) || errors.Is(err, wire.ErrDamaged) {
		t.Errorf("a disk that fails: %v", err)
	}
}

// TestAScanFindsEveryRecordThatIsGone takes one record after the other away.
func TestAScanFindsEveryRecordThatIsGone(t *testing.T) {
	b := busyBank(t)
	for _, key := range slices.Sorted(maps.Keys(b.disk.values)) {
		value := b.disk.values[key]
		delete(b.disk.values, key)
		if s, err := ledger.Scan(b.disk); err == nil && s.Recorded == s.Computed {
			t.Errorf("record %q is gone, and nothing is missing: %+v", key, s)
		}
		b.disk.values[key] = value
	}
}

// TestAScanFindsWhatWasChanged changes records into others that can be read just as well.
func TestAScanFindsWhatWasChanged(t *testing.T) {
	for name, change := range map[string]func(d *disk){
		"a balance": func(d *disk) {
			change(t, d, "aalice", &storev1.LedgerAccount{}, func(a *storev1.LedgerAccount) { a.PostedMinor++ })
		},
		"two balances, so that the total stays": func(d *disk) {
			change(t, d, "aalice", &storev1.LedgerAccount{}, func(a *storev1.LedgerAccount) { a.PostedMinor++ })
			change(t, d, "abob", &storev1.LedgerAccount{}, func(a *storev1.LedgerAccount) { a.PostedMinor-- })
		},
		"a total": func(d *disk) {
			change(t, d, "tCZK", &storev1.LedgerTotal{}, func(a *storev1.LedgerTotal) { a.PostedMinor++ })
		},
		"a journal entry": func(d *disk) {
			change(t, d, "e\x00\x00\x00\x00\x00\x00\x00\x03", &storev1.LedgerEntry{}, func(e *storev1.LedgerEntry) { e.Reference = "rent" })
		},
		"the account of a hold": func(d *disk) {
			id := transfer.ID{4}
			change(t, d, "h"+string(id[:]), &storev1.LedgerHold{}, func(h *storev1.LedgerHold) { h.Legs[0].AmountMinor-- })
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := busyBank(t)
			before := maps.Clone(b.disk.values)
			change(b.disk)
			if maps.EqualFunc(before, b.disk.values, bytes.Equal) {
				t.Fatal("nothing was changed")
			}
			if s, err := ledger.Scan(b.disk); err == nil && s.Recorded == s.Computed {
				t.Errorf("it isn't found: %+v", s)
			}
		})
	}
}

// change rewrites one record in the words of the generated code.
func change[M proto.Message](t *testing.T, d *disk, key string, record M, how func(M)) {
	t.Helper()
	if err := proto.Unmarshal(d.values[key], record); err != nil || len(d.values[key]) == 0 {
		t.Fatalf("record %q: %v", key, err)
	}
	how(record)
	value, err := proto.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	d.values[key] = value
}

func TestWhatABankKnowsOfATransfer(t *testing.T) {
	b := busyBank(t)
	four := prepare(transfer.ID{4}, debit("alice", 40), debit("bob", 4), credit("alice", 1))
	for name, c := range map[string]struct {
		about bank.Request
		want  bank.Result
	}{
		"committed":                          {prepare(transfer.ID{1}, debit("alice", 10), credit("bob", 10)), bank.Committed},
		"committed, with other content":      {prepare(transfer.ID{1}, debit("alice", 11)), bank.RolledBack},
		"rolled back":                        {prepare(transfer.ID{2}, debit("alice", 20)), bank.RolledBack},
		"refused":                            {prepare(transfer.ID{3}, debit("bob", 5000)), bank.No},
		"prepared":                           {four, bank.Prepared},
		"prepared, with other content":       {prepare(transfer.ID{4}, debit("alice", 41)), bank.RolledBack},
		"rolled back before it was heard of": {prepare(transfer.ID{5}, debit("alice", 20)), bank.RolledBack},
		"unknown":                            {prepare(transfer.ID{6}, debit("alice", 20)), 0},
	} {
		got, err := b.Find(c.about.ID, c.about.Fingerprint)
		if err != nil || got != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if got, err := b.Find(transfer.ID{6}, transfer.Fingerprint{}); err != nil || got != 0 {
		t.Errorf("having asked for an unknown id has changed it: %v, %v", got, err)
	}
	want := []ledger.OpenHold{{ID: four.ID, Fingerprint: four.Fingerprint, PreparedAt: b.at}}
	if got := b.Holds(); !slices.Equal(got, want) {
		t.Errorf("holds %+v", got)
	}
}
