package ledger_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/ledger"
	"github.com/quorate/quorate/transfer"
)

// Whatever the bytes, Decode returns; and what it understands, Encode can say again.
func FuzzDecode(f *testing.F) {
	f.Add(ledger.Encode(goldenAt, goldenEntry()))
	f.Add(ledger.Encode(goldenAt, goldenChanges()))
	f.Add(ledger.Encode(epoch, nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		at, commands, err := ledger.Decode(data)
		if err != nil {
			return
		}
		again := ledger.Encode(at, commands)
		at2, commands2, err := ledger.Decode(again)
		if err != nil || !at2.Equal(at) {
			t.Fatalf("%v became %v: %v", at, at2, err)
		}
		if diff := cmp.Diff(commands, commands2, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		if !bytes.Equal(again, ledger.Encode(at2, commands2)) {
			t.Fatal("the same commands are two different entries")
		}
	})
}

// A log entry that can be read can be applied, and leaves a bank whose books are right.
func FuzzApply(f *testing.F) {
	f.Add(ledger.Encode(goldenAt, goldenEntry()))
	f.Add(ledger.Encode(goldenAt, goldenChanges()))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := aliceAndBob(t, newDisk())
		_, _, unreadable := ledger.Decode(data)
		_, err := b.Apply(b.index+1, data)
		if (err == nil) != (unreadable == nil) {
			t.Fatalf("decode: %v, apply: %v", unreadable, err)
		}
		if err == nil {
			b.save()
			b.check()
		}
	})
}

// Whatever a disk returns under any key, it is read or called damaged, and nothing panics.
func FuzzRecords(f *testing.F) {
	for _, name := range []string{"state_v2.txt", "state_v4.txt"} {
		for key, value := range undump(f, name).values {
			f.Add([]byte(key), value)
		}
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		d := undump(t, "state_v4.txt")
		d.values[string(key)] = value
		l, err := ledger.New(d)
		if err != nil {
			return
		}
		for id := range byte(8) {
			q := request(bank.Resolve, transfer.ID{id})
			if _, err := l.Apply(l.Index()+1, ledger.Encode(epoch, []ledger.Command{{Request: &q}})); err != nil {
				break
			}
		}
		_, _, _ = l.Account("alice") // any answer will do
		_, _ = l.Accounts("", 100)
		_, _ = l.Entries(0, 100)
		_, _, _, _ = l.Statement("alice", 0, epoch, time.Time{}, 100)
		_ = l.Check()
	})
}
