package ledger_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/ledger"
	storev1 "github.com/quorate/quorate/proto/quorate/store/v1"
	"github.com/quorate/quorate/transfer"
)

// pay moves one minor unit from @cash to an account, count times, a second apart.
func (b *book) pay(to transfer.AccountID, count int) {
	b.t.Helper()
	for range count {
		b.at = b.at.Add(time.Second)
		b.fund(to, 1)
	}
}

func seqsOf(entries []bank.Entry) (seqs []uint64) {
	for i := range entries {
		seqs = append(seqs, entries[i].Seq)
	}
	return seqs
}

// asFirstFormat takes out of the store what the first format didn't have.
func (d *disk) asFirstFormat(t *testing.T) {
	t.Helper()
	var meta storev1.LedgerMeta
	if err := proto.Unmarshal(d.values["m"], &meta); err != nil {
		t.Fatal(err)
	}
	meta.Version, meta.ReachedAtUnixNanos, meta.LinesFrom = 1, 0, 0
	d.values["m"], _ = proto.Marshal(&meta)
	for key := range d.values {
		if key[0] == 's' {
			delete(d.values, key)
		}
	}
}

// A bank of the first format has no lines for its old entries. Its statements are whole all the same, in any period, and a page
// doesn't look at the whole journal.
func TestStatementOfABankOfTheFirstFormat(t *testing.T) {
	b := newBook(t, newDisk())
	b.open(czk("@cash"), czk("alice"), czk("bob"))
	b.pay("alice", 2)
	b.pay("bob", 4100) // more than a page may look at
	b.pay("alice", 1)
	b.save()
	b.disk.asFirstFormat(t)
	old := newBook(t, b.disk)
	old.at = b.at
	old.check()
	middle := old.at.Add(time.Second / 2)
	old.pay("alice", 1)
	old.save()
	old.pay("alice", 1)
	old.check()
	entries, last, more, err := old.Statement("alice", 4, time.Time{}, time.Time{}, 1000)
	if err != nil || len(entries) != 0 || !more || last != 4+4096 {
		t.Errorf("a page that looks at enough: %d entries, up to %d, more: %t, %v", len(entries), last, more, err)
	}
	for _, row := range []struct {
		since, until time.Time
		entries      int
	}{{entries: 5}, {since: middle, entries: 2}, {until: middle, entries: 3}, {since: epoch.Add(2 * time.Second), until: middle, entries: 2}} {
		if got := old.statement("alice", row.since, row.until); len(got) != row.entries {
			t.Errorf("since %v until %v: entries %v, want %d", row.since, row.until, seqsOf(got), row.entries)
		}
	}
	again := newBook(t, b.disk) // what was written since has lines
	again.check()
}

// Leaders' clocks differ. An entry whose time goes back counts to the time that the bank had reached, so that two
// periods that follow one another have every entry once.
func TestPeriodsOfAStatementLeaveNothingOut(t *testing.T) {
	b := newBook(t, newDisk())
	b.open(czk("@cash"), czk("alice"))
	for _, second := range []int{1, 5, 3, 4, 6} {
		b.at = epoch.Add(time.Duration(second) * time.Second)
		b.fund("alice", 1)
	}
	noon := epoch.Add(5 * time.Second)
	for _, stored := range []bool{false, true} {
		if stored {
			b.save()
		}
		before, after := b.statement("alice", time.Time{}, noon), b.statement("alice", noon, time.Time{})
		if len(before) != 1 || len(after) != 4 {
			t.Errorf("stored %t: entries %v before, %v after", stored, seqsOf(before), seqsOf(after))
		}
		if balance := after[len(after)-1].BalanceMinor; balance != 5 {
			t.Errorf("stored %t: the balance at the end is %d", stored, balance)
		}
	}
}

func TestDamagedStatementIsFound(t *testing.T) {
	for name, damage := range map[string]func(d *disk, key string){
		"a line is missing": func(d *disk, key string) { delete(d.values, key) },
		"a line has another time": func(d *disk, key string) {
			d.values[key], _ = proto.Marshal(&storev1.LedgerLine{Version: 1, ReachedAtUnixNanos: 1})
		},
		"a line too many": func(d *disk, key string) {
			d.values[strings.Replace(key, "alice", "bob", 1)] = d.values[key]
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := aliceAndBob(t, newDisk())
			b.save()
			for key := range b.disk.values {
				if strings.HasPrefix(key, "salice\x00") {
					damage(b.disk, key)
					break
				}
			}
			l, err := ledger.New(b.disk)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Check(); err == nil {
				t.Error("the check finds nothing")
			}
		})
	}
}

func TestStatementOfNobody(t *testing.T) {
	b := aliceAndBob(t, newDisk())
	b.save()
	for _, id := range []transfer.AccountID{"nobody", "", "a\x00b"} {
		if entries, _, more, err := b.Statement(id, 0, time.Time{}, time.Time{}, math.MaxInt); len(entries) != 0 || more || err != nil {
			t.Errorf("%q: %v, more: %t, %v", id, entries, more, err)
		}
	}
}

// A page that stored entries fill exactly goes on after its last entry, too, though all of the account's that are stored are on it.
func TestPagesEndAlikeInStoreAndMemory(t *testing.T) {
	for stored := range 4 {
		b := newBook(t, newDisk())
		b.open(czk("@cash"), czk("alice"), czk("bob"))
		pay := func(rounds int) {
			for range rounds {
				b.pay("alice", 1)
				b.pay("bob", 1)
			}
		}
		pay(stored)
		b.save()
		pay(3 - stored)
		entries, last, more, err := b.Statement("alice", 0, time.Time{}, time.Time{}, 1)
		if err != nil || len(entries) != 1 || !more || last != entries[0].Seq {
			t.Errorf("with %d of 3 stored: entries %v, last %d, more %t, error %v", stored, seqsOf(entries), last, more, err)
		}
	}
}

// TestLinesAreNumberedAsTheirEntries also while a checkpoint is gathered in parts and the journal grows beside it.
func TestLinesAreNumberedAsTheirEntries(t *testing.T) {
	b := newBook(t, newDisk())
	b.open(czk("@cash"), czk("alice"), czk("bob"))
	b.pay("alice", 3)
	b.disk.kvs, b.disk.pending = b.Checkpoint(), true
	b.pay("bob", 2)
	b.pay("alice", 1)
	b.disk.kvs = append(b.disk.kvs, b.Sealed(2)...)
	b.pay("bob", 1)
	for range 2 {
		b.save()
		b.check()
		for account, want := range map[transfer.AccountID]int{"alice": 4, "bob": 3} {
			if got := b.statement(account, time.Time{}, time.Time{}); len(got) != want {
				t.Errorf("%s has the entries %v, want %d", account, seqsOf(got), want)
			}
		}
	}
}
