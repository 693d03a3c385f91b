package storage_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden file; a change of it is a change of the durable format")

// goldenUpdates write every kind of record. A golden file is for ever: what it holds must stay readable.
func goldenUpdates() []storage.GroupUpdate {
	return []storage.GroupUpdate{{
		Group: "bank/HOME", HardState: &raft.HardState{Term: 300, Vote: 2, Commit: 4, Accepted: 299},
		Entries: []raft.Entry{
			{Index: 1, Term: 1, Kind: raft.Noop},
			{Index: 2, Term: 1, Data: []byte("dropped")},
			{Index: 3, Term: 1, Kind: raft.Membership, Data: []byte{1, 2, 3}},
			{Index: 4, Term: 299, Data: []byte("kept")},
			{Index: 5, Term: 300, Kind: raft.Noop},
		},
		State:   []storage.KV{kv("account", "balance"), kv("empty", "")},
		Applied: 3, Membership: []byte{1, 2, 3}, Compact: raft.EntryID{Index: 2, Term: 1},
	}, {
		Group: "coordinator/0", HardState: &raft.HardState{Term: 1},
	}}
}

func goldenState() raft.State {
	u := goldenUpdates()[0]
	return raft.State{HardState: *u.HardState, Entries: u.Entries[2:], Applied: 3, Membership: u.Membership, Compacted: u.Compact}
}

func TestFormat1GoldenBytes(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	mustCommit(t, s, goldenUpdates()...)
	mustClose(t, s)
	var got strings.Builder
	withPebble(t, fs, dir, func(db *pebble.DB) error {
		it, err := db.NewIter(nil)
		if err != nil {
			return err
		}
		for it.First(); it.Valid(); it.Next() {
			fmt.Fprintf(&got, "%x %x\n", it.Key(), it.Value())
		}
		return it.Close()
	})
	file := filepath.Join("testdata", "format1.golden")
	if *rewrite {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the durable format has changed: -want +got\n%s", diff)
	}
}

func TestFormat1CanBeRead(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "format1.golden"))
	if err != nil {
		t.Fatal(err)
	}
	fs := vfs.NewMem()
	withPebble(t, fs, dir, func(db *pebble.DB) error {
		for line := range strings.Lines(string(b)) {
			var key, value []byte
			if _, err := fmt.Sscanf(line, "%x %x", &key, &value); err != nil && len(value) > 0 {
				return err
			}
			if err := db.Set(key, value, pebble.Sync); err != nil {
				return err
			}
		}
		return nil
	})
	s := mustOpen(t, fs)
	defer mustClose(t, s)
	wantState(t, s, "bank/HOME", goldenState())
	wantState(t, s, "coordinator/0", raft.State{HardState: raft.HardState{Term: 1}})
	if got := scan(t, s.Reader("bank/HOME"), nil, nil); len(got) != 2 || got[0] != "account=balance" {
		t.Errorf("state: %q", got)
	}
}

// Whatever the bytes are, the decoders don't panic, and what they accept has only one form.
func FuzzDecode(f *testing.F) {
	key := storage.AppendEntryKey(nil, storage.GroupPrefix("g"), 7)
	for _, e := range goldenUpdates()[0].Entries {
		value := make([]byte, storage.EntryBytes(&e))
		storage.PutEntry(value, key, &e)
		f.Add(value)
	}
	f.Add(storage.AppendHardState(nil, key, &raft.HardState{Term: 1 << 60, Vote: 1, Commit: 2, Accepted: 3}))
	f.Add(storage.AppendIdentity(nil, []byte{0}, node1))
	f.Add([]byte("quorate\x80"))
	f.Add([]byte("quorate\x02"))
	f.Fuzz(func(t *testing.T, value []byte) {
		if e, err := storage.DecodeEntry(key, value); err == nil {
			again := make([]byte, storage.EntryBytes(&e))
			storage.PutEntry(again, key, &e)
			if !bytes.Equal(again, value) {
				t.Errorf("entry %+v has two forms: %x and %x", e, value, again)
			}
		}
		if hs, err := storage.DecodeHardState(key, value); err == nil {
			if again := storage.AppendHardState(nil, key, &hs); !bytes.Equal(again, value) {
				t.Errorf("hard state %+v has two forms: %x and %x", hs, value, again)
			}
		}
		id, err := storage.DecodeIdentity("data", value)
		if err != nil {
			if !errors.Is(err, storage.ErrForeign) && !errors.Is(err, storage.ErrNewerFormat) && !errors.Is(err, storage.ErrDamaged) {
				t.Errorf("identity: %v", err)
			}
		} else if again := storage.AppendIdentity(nil, []byte{0}, id); !bytes.Equal(again, value) {
			t.Errorf("identity %+v has two forms: %x and %x", id, value, again)
		}
	})
}
