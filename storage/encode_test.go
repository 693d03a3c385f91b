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

// goldenInstall writes what only an installed snapshot does, and leaves another one half gathered.
func goldenInstall() []storage.GroupUpdate {
	return []storage.GroupUpdate{
		{Group: "bank/AWAY", HardState: &raft.HardState{Term: 2}, StageAnew: true, Stage: []storage.KV{kv("account", "balance")}},
		{Group: "bank/AWAY", Install: true, Applied: 9, Compact: raft.EntryID{Index: 9, Term: 2}, Membership: []byte{4}},
		{Group: "bank/AWAY", StageAnew: true, Stage: []storage.KV{kv("newer", "balance")}},
	}
}

func goldenState() raft.State {
	u := goldenUpdates()[0]
	return raft.State{HardState: *u.HardState, Entries: u.Entries[2:], Applied: 3, Membership: u.Membership, Compacted: u.Compact}
}

func TestFormat3GoldenBytes(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	mustCommit(t, s, goldenUpdates()...)
	for _, u := range goldenInstall() {
		mustCommit(t, s, u)
	}
	mustClose(t, s)
	var got strings.Builder
	withPebble(t, fs, dir, func(db *pebble.DB) error {
		it, err := db.NewIter(nil)
		if err != nil {
			return err
		}
		for it.First(); it.Valid(); it.Next() {
			if it.Key()[0] == storage.DiskKey {
				continue // another one in every directory: diskid_test.go
			}
			fmt.Fprintf(&got, "%x %x\n", it.Key(), it.Value())
		}
		return it.Close()
	})
	file := filepath.Join("testdata", "format3.golden")
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
	s, _ := openGolden(t, "format1.golden")
	defer mustClose(t, s)
	wantGolden(t, s)
}

func TestFormats2And3CanBeRead(t *testing.T) {
	for _, golden := range []string{"format2.golden", "format3.golden"} {
		s, _ := openGolden(t, golden)
		wantGolden(t, s)
		wantState(t, s, "bank/AWAY", raft.State{HardState: raft.HardState{Term: 2}, Applied: 9, Compacted: raft.EntryID{Index: 9, Term: 2}, Membership: []byte{4}})
		if got := scan(t, s.Reader("bank/AWAY"), nil, nil); len(got) != 1 || got[0] != "account=balance" {
			t.Errorf("%s: state: %q", golden, got)
		}
		mustClose(t, s)
	}
}

// TestADirectoryOfFormat2IsBroughtUpToDate when it is opened: were the old records of the applied index and the membership still there, they would count again as soon
// as the newer one is lost.
func TestADirectoryOfFormat2IsBroughtUpToDate(t *testing.T) {
	s, fs := openGolden(t, "format2.golden")
	mustClose(t, s)
	withPebble(t, fs, dir, func(db *pebble.DB) error {
		for _, g := range []struct {
			name string
			slot byte
		}{{"bank/HOME", 6}, {"bank/AWAY", 7}} {
			prefix := storage.GroupPrefix(g.name)
			for _, kind := range []byte{2, 4} {
				if _, _, err := db.Get(append(bytes.Clone(prefix), kind)); !errors.Is(err, pebble.ErrNotFound) {
					t.Errorf("%s still has a record of kind %d: %v", g.name, kind, err)
				}
			}
			if err := db.Delete(append(bytes.Clone(prefix), g.slot), pebble.Sync); err != nil {
				return err
			}
		}
		return nil
	})
	s = mustOpen(t, fs)
	for _, g := range []string{"bank/HOME", "bank/AWAY"} {
		if _, err := s.Load(g); !errors.Is(err, storage.ErrDamaged) {
			t.Errorf("%s without its as-of record: %v", g, err)
		}
	}
	mustClose(t, s)
}

// TestDamageInADirectoryOfFormat2StaysDamage, however often it is opened.
func TestDamageInADirectoryOfFormat2StaysDamage(t *testing.T) {
	for _, kind := range []byte{2, 4} {
		s, fs := openGolden(t, "format1.golden")
		mustClose(t, s)
		key := append(storage.GroupPrefix("bank/HOME"), kind)
		withPebble(t, fs, dir, func(db *pebble.DB) error {
			older := storage.AppendIdentity(nil, []byte{0}, node1)
			older[len("quorate")] = 2
			older = storage.Seal([]byte{0}, older[:len(older)-4])
			b := db.NewBatch()
			_ = b.Set([]byte{0}, older, nil)
			_ = b.Delete(append(storage.GroupPrefix("bank/HOME"), 6), nil)
			_ = b.Set(append(storage.GroupPrefix("bank/HOME"), 2), storage.AppendApplied(nil, append(storage.GroupPrefix("bank/HOME"), 2), 3), nil)
			_ = b.Set(key, []byte("spoilt"), nil)
			return b.Commit(pebble.Sync)
		})
		for range 2 {
			s = mustOpen(t, fs)
			if _, err := s.Load("bank/HOME"); !errors.Is(err, storage.ErrDamaged) {
				t.Errorf("kind %d: %v", kind, err)
			}
			mustClose(t, s)
		}
	}
}

// A store of an older format is marked with ours when it is opened: the older version must not read what we write into it.
func TestOpeningMarksAnOlderFormat(t *testing.T) {
	s, fs := openGolden(t, "format1.golden")
	mustClose(t, s)
	withPebble(t, fs, dir, func(db *pebble.DB) error {
		value, closer, err := db.Get([]byte{0})
		if err != nil {
			return err
		}
		defer closer.Close()
		if want := storage.AppendIdentity(nil, []byte{0}, node1); !bytes.Equal(value, want) {
			t.Errorf("identity %x, want %x", value, want)
		}
		return nil
	})
}

func openGolden(t *testing.T, file string) (*storage.Store, vfs.FS) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
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
	return mustOpen(t, fs), fs
}

func wantGolden(t *testing.T, s *storage.Store) {
	t.Helper()
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
	f.Add([]byte("quorate\x03"))
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
		} else if again := storage.AppendIdentity(nil, []byte{0}, id); !bytes.Equal(again, value) && bytes.HasPrefix(value, []byte("quorate\x02")) {
			t.Errorf("identity %+v has two forms: %x and %x", id, value, again)
		}
	})
}
