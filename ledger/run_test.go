package ledger_test

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/ledger"
	storev1 "github.com/quorate/quorate/proto/quorate/store/v1"
	"github.com/quorate/quorate/transfer"
)

// records counts those of a kind.
func (d *disk) records(kind byte) (n int) {
	for key := range d.values {
		if key[0] == kind {
			n++
		}
	}
	return n
}

// TestManyEntriesTakeFewRecords, and every page, period and entry is what it is without runs. Two checkpoints are gathered in parts, and the journal grows beside them.
func TestManyEntriesTakeFewRecords(t *testing.T) {
	single, runs := newBook(t, newDisk()), newBook(t, newDisk())
	for _, b := range []*book{single, runs} {
		if b == runs {
			b.WriteRuns()
		}
		b.open(czk("@cash"), czk("alice"), czk("bob"))
		for range 2 {
			b.pay("alice", 50)
			b.pay("bob", 7)
			b.disk.kvs, b.disk.pending = b.Checkpoint(), true
			b.pay("bob", 3)
			for range 5 {
				b.disk.kvs = append(b.disk.kvs, b.Sealed(2)...)
			}
			b.save()
			b.check()
		}
	}
	// 114 entries, then 120; of alice 50 each time, of bob 7, then 10, of @cash as many as of both.
	if entries, lines := runs.disk.records('e'), runs.disk.records('s'); entries != 4+4 || lines != (2+1+2)+(2+1+2) {
		t.Errorf("%d records of entries, %d of lines", entries, lines)
	}
	if entries, lines := single.disk.records('e'), single.disk.records('s'); entries != 234 || lines != 234 {
		t.Errorf("without runs: %d records of entries, %d of lines", entries, lines)
	}
	for _, b := range []*book{runs, newBook(t, runs.disk)} {
		last := b.LastEntry()
		for after := range last {
			want, err := single.Entries(after, 5)
			got, err2 := b.Entries(after, 5)
			if !slices.Equal(want[:min(len(want), int(last-after))], got) || err != nil || err2 != nil {
				t.Fatalf("entries after %d: %v, want %v (%v, %v)", after, seqsOf(got), seqsOf(want), err, err2)
			}
		}
		for _, account := range []transfer.AccountID{"alice", "bob", "@cash"} {
			for second := 0; second < 130; second += 9 {
				from := epoch.Add(time.Duration(second) * time.Second)
				want, got := single.statement(account, from, from.Add(20*time.Second)), b.statement(account, from, from.Add(20*time.Second))
				if b != runs { // it knows what is stored
					want = slices.DeleteFunc(want, func(e bank.Entry) bool { return e.Seq > last })
				}
				if !slices.Equal(want, got) {
					t.Fatalf("statement of %s from second %d: %v, want %v", account, second, seqsOf(got), seqsOf(want))
				}
			}
		}
	}
	if s, err := ledger.Scan(runs.disk); err != nil || s.Recorded != s.Computed || s.Records != uint64(len(runs.disk.values)) {
		t.Errorf("scan: %+v, %v", s, err)
	}
}

// TestRunsAreLeftToThoseWhoCanReadThem: without WriteRuns there is one entry or line in a record, as builds before wrote and read them.
func TestRunsAreLeftToThoseWhoCanReadThem(t *testing.T) {
	b := newBook(t, newDisk())
	b.open(czk("@cash"), czk("alice"))
	b.pay("alice", 3)
	b.save()
	var meta storev1.LedgerMeta
	if err := proto.Unmarshal(b.disk.values["m"], &meta); err != nil || meta.GetVersion() != 2 || b.disk.records('e') != 6 {
		t.Errorf("version %d, %d records of entries, %v", meta.GetVersion(), b.disk.records('e'), err)
	}
	b.WriteRuns()
	b.pay("alice", 3)
	b.save()
	if err := proto.Unmarshal(b.disk.values["m"], &meta); err != nil || meta.GetVersion() != 4 || b.disk.records('e') != 7 {
		t.Errorf("with runs: version %d, %d records of entries, %v", meta.GetVersion(), b.disk.records('e'), err)
	}
	again := newBook(t, b.disk)
	again.at = b.at
	again.check()
	again.pay("alice", 1)
	again.save()
	if err := proto.Unmarshal(b.disk.values["m"], &meta); err != nil || meta.GetVersion() != 4 {
		t.Errorf("after a restart: version %d, %v", meta.GetVersion(), err)
	}
}

func TestADamagedRunIsFound(t *testing.T) {
	seq := func(n byte) string { return string([]byte{0, 0, 0, 0, 0, 0, 0, n}) }
	entries, lines := "e"+seq(6), "salice\x00"+seq(6)
	gaps := func(numbers ...uint64) (b []byte) {
		for _, n := range numbers {
			b = binary.AppendUvarint(b, n)
		}
		return b
	}
	second := uint64(time.Second)
	changeEntries := func(how func(e *storev1.LedgerEntry)) func(t *testing.T, d *disk) {
		return func(t *testing.T, d *disk) { change(t, d, entries, &storev1.LedgerEntry{}, how) }
	}
	changeLines := func(how func(l *storev1.LedgerLine)) func(t *testing.T, d *disk) {
		return func(t *testing.T, d *disk) { change(t, d, lines, &storev1.LedgerLine{}, how) }
	}
	for name, damage := range map[string]func(t *testing.T, d *disk){
		"an entry is gone":  changeEntries(func(e *storev1.LedgerEntry) { e.Before = e.Before[1:] }),
		"all but the last":  changeEntries(func(e *storev1.LedgerEntry) { e.Before = nil }),
		"an entry too many": changeEntries(func(e *storev1.LedgerEntry) { e.Before = append(e.Before, e.Before[0]) }),
		"in another order":  changeEntries(func(e *storev1.LedgerEntry) { slices.Reverse(e.Before) }),
		"more than numbers": changeEntries(func(e *storev1.LedgerEntry) { e.Before = slices.Concat(e.Before, e.Before) }),
		"one within one": changeEntries(func(e *storev1.LedgerEntry) {
			e.Before[1].Before, e.Before = e.Before[:1], e.Before[1:]
		}),
		"entries of another number": func(t *testing.T, d *disk) {
			d.values["e"+seq(5)] = d.values[entries]
			delete(d.values, entries)
		},
		"a line is gone":             changeLines(func(l *storev1.LedgerLine) { l.Before = gaps(2, second) }),
		"a line too many":            changeLines(func(l *storev1.LedgerLine) { l.Before = gaps(2, second, 1, 0, 1, second) }),
		"a line of another entry":    changeLines(func(l *storev1.LedgerLine) { l.Before = gaps(1, second, 3, second) }),
		"a line of another time":     changeLines(func(l *storev1.LedgerLine) { l.Before = gaps(2, second, 2, second+1) }),
		"a line of the same entry":   changeLines(func(l *storev1.LedgerLine) { l.Before = gaps(0, second, 4, second) }),
		"a line before all entries":  changeLines(func(l *storev1.LedgerLine) { l.Before = gaps(2, second, 4, second) }),
		"a time that goes up":        changeLines(func(l *storev1.LedgerLine) { l.Before = gaps(2, second, 2, math.MaxUint64) }),
		"a time out of range":        changeLines(func(l *storev1.LedgerLine) { l.Before = gaps(2, math.MaxInt64, 2, math.MaxInt64) }),
		"half a line":                changeLines(func(l *storev1.LedgerLine) { l.Before = gaps(2, second, 2) }),
		"half a number":              changeLines(func(l *storev1.LedgerLine) { l.Before = append(gaps(2, second, 2), 0x80) }),
		"lines of the first version": changeLines(func(l *storev1.LedgerLine) { l.Version = 1 }),
		"none before":                changeLines(func(l *storev1.LedgerLine) { l.Before = nil }),
		"lines of somebody else": func(t *testing.T, d *disk) {
			d.values["s@bash\x00"+seq(6)] = d.values[lines]
			delete(d.values, lines)
		},
		"lines of nobody": func(t *testing.T, d *disk) {
			d.values["salice\x01"+seq(6)] = d.values[lines]
			delete(d.values, lines)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, newDisk())
			b.WriteRuns()
			b.open(czk("@cash"), czk("alice"))
			b.pay("alice", 3)
			b.save()
			var sound storev1.LedgerLine
			if err := proto.Unmarshal(b.disk.values[lines], &sound); err != nil || string(sound.GetBefore()) != string(gaps(2, second, 2, second)) {
				t.Fatalf("the sound lines are %x, %v", sound.GetBefore(), err)
			}
			damage(t, b.disk)
			l, err := ledger.New(b.disk)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Check(); err == nil {
				t.Error("the check finds nothing")
			}
			if s, err := ledger.Scan(b.disk); err == nil && s.Recorded == s.Computed {
				t.Errorf("the scan finds nothing: %+v", s)
			}
			for after := range uint64(6) { // whatever they say, nothing panics
				if entries, err := l.Entries(after, 2); err != nil && !errors.Is(err, wire.ErrDamaged) {
					t.Errorf("entries after %d: %v, %v", after, seqsOf(entries), err)
				}
				if entries, _, _, err := l.Statement("alice", after, epoch, time.Time{}, 2); err != nil && !errors.Is(err, wire.ErrDamaged) {
					t.Errorf("statement after %d: %v, %v", after, seqsOf(entries), err)
				}
			}
		})
	}
}
