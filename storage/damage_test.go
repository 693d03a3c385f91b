package storage_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

func groupKey(kind byte, rest ...byte) []byte { return append([]byte{1, 1, 'g', kind}, rest...) }

func entryKey(i byte) []byte { return groupKey(5, 0, 0, 0, 0, 0, 0, 0, i) }

func TestDamageIsFoundAndNamed(t *testing.T) {
	flip := func(key []byte) func(*pebble.DB) error {
		return func(db *pebble.DB) error {
			v, closer, err := db.Get(key)
			if err != nil {
				return err
			}
			spoilt := slices.Clone(v)
			spoilt[len(spoilt)/2] ^= 0x10
			return errors.Join(closer.Close(), db.Set(key, spoilt, pebble.Sync))
		}
	}
	remove := func(key []byte) func(*pebble.DB) error {
		return func(db *pebble.DB) error { return db.Delete(key, pebble.Sync) }
	}
	move := func(from, to []byte) func(*pebble.DB) error {
		return func(db *pebble.DB) error {
			v, closer, err := db.Get(from)
			if err != nil {
				return err
			}
			return errors.Join(db.Set(to, slices.Clone(v), pebble.Sync), closer.Close())
		}
	}
	cases := []struct {
		name  string
		spoil func(*pebble.DB) error
		says  string
	}{
		{"a changed entry", flip(entryKey(5)), "log entry 5: its checksum is wrong"},
		{"an entry in another's place", move(entryKey(5), entryKey(6)), "log entry 6: its checksum is wrong"},
		{"an entry that is missing in the middle", remove(entryKey(5)), "log entry 5 is missing, the next is 6"},
		{"the first entry after the compacted one is missing", remove(entryKey(4)), "log entry 4 is missing"},
		{"a committed entry that is missing at the end", remove(entryKey(8)), "up to 8 were committed and the log ends at 7"},
		{"a changed hard state", flip(groupKey(1)), "hard state"},
		{"a changed as-of record", flip(groupKey(6)), "as-of record"},
		{"a changed compacted record", flip(groupKey(3)), "compacted entry"},
		{"a compacted record that is missing", remove(groupKey(3)), "log entry 1 is missing, the next is 4"},
		{"an as-of record that is missing", remove(groupKey(6)), "begins after 3 and the state is of 0"},
		{"a key that is too short", func(db *pebble.DB) error { return db.Set(groupKey(5, 0, 0), nil, pebble.Sync) }, "not of the expected form"},
		{"an entry shorter than a checksum", func(db *pebble.DB) error { return db.Set(entryKey(5), []byte{1}, pebble.Sync) }, "log entry 5"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fs := vfs.NewMem()
			s := mustOpen(t, fs)
			mustCommit(t, s, storage.GroupUpdate{Group: "g", HardState: &raft.HardState{Term: 3, Vote: 1, Commit: 8, Accepted: 3},
				Entries: entries(3, 1, 8), Applied: 7, Membership: []byte("members"), Compact: raft.EntryID{Index: 3, Term: 3}})
			mustCommit(t, s, storage.GroupUpdate{Group: "other", Entries: entries(1, 1, 1)})
			mustClose(t, s)
			withPebble(t, fs, dir, c.spoil)

			s = mustOpen(t, fs)
			_, err := s.Load("g")
			if !errors.Is(err, storage.ErrDamaged) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "group g") || !strings.Contains(err.Error(), "rebuild the node") {
				t.Errorf("got %v, want damage that says %q", err, c.says)
			}
			wantState(t, s, "other", raft.State{Entries: entries(1, 1, 1)})
			mustClose(t, s)

			d, err := storage.Inspect(dir, storage.Options{FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			if got := d.Groups[0].Damage; !errors.Is(got, storage.ErrDamaged) || !strings.Contains(got.Error(), c.says) {
				t.Errorf("inspect: got %v", got)
			}
			if d.Groups[1].Damage != nil {
				t.Errorf("inspect: the other group: %v", d.Groups[1].Damage)
			}

			s = mustOpen(t, fs)
			if err := s.Commit([]storage.GroupUpdate{{Group: "g", Entries: entries(3, 9, 9)}}); !errors.Is(err, storage.ErrDamaged) || !errors.Is(err, storage.ErrFatal) {
				t.Errorf("a damaged log was added to: %v", err)
			}
		})
	}
}

// A damaged byte in the write-ahead log with sound records behind it isn't a torn tail.
func TestDamageInsideTheWriteAheadLogIsNotATornTail(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	for i := 1; i <= 50; i++ {
		mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: []raft.Entry{{Index: index(i), Term: 1, Data: make([]byte, 10_000)}}})
	}
	mustClose(t, s)
	list, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	spoilt := 0
	for _, name := range list {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		b, err := fs.UnsafeGetFileDataBuffer(fs.PathJoin(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 100_000 {
			b[len(b)/2] ^= 0x40
			spoilt++
		}
	}
	if spoilt == 0 {
		t.Fatal("no write-ahead log was found")
	}
	if _, err := storage.Open(dir, node1, storage.Options{FS: fs}); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("open: got %v", err)
	}
}

// The same in the last block of the log, where Pebble doesn't look: whichever byte has changed, what was acknowledged is there or the damage is
// named. Only the last commit of all can't be told from a torn one.
func TestDamageInTheLastBlockOfTheWriteAheadLogIsNotATornTail(t *testing.T) {
	const commits = 20
	fs := vfs.NewCrashableMem()
	s := mustOpen(t, fs)
	for i := 1; i <= commits; i++ {
		mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, index(i), index(i))})
	}
	crashed := fs.CrashClone(vfs.CrashCloneCfg{})
	mustClose(t, s)
	written := len(bytes.TrimRight(logOf(t, crashed), "\x00"))
	named := 0
	for at := 0; at < written; at += 11 {
		clone := crashed.CrashClone(vfs.CrashCloneCfg{})
		b := logOf(t, clone)
		b[at] ^= 0x10
		s, err := storage.Open(dir, node1, storage.Options{FS: clone})
		if errors.Is(err, storage.ErrDamaged) {
			named++
			continue
		}
		if err != nil {
			t.Fatalf("byte %d of %d: %v", at, written, err)
		}
		state, err := s.Load("g")
		if err == nil && len(state.Entries) < commits-1 {
			t.Errorf("byte %d of %d has changed, and %d of %d entries are left without a word", at, written, len(state.Entries), commits)
		}
		mustClose(t, s)
	}
	if named == 0 {
		t.Error("no damage was named")
	}
}

// logOf is the only log with anything in it.
func logOf(t *testing.T, fs *vfs.MemFS) (log []byte) {
	t.Helper()
	list, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range list {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		b, err := fs.UnsafeGetFileDataBuffer(fs.PathJoin(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if len(bytes.TrimRight(b, "\x00")) > len(bytes.TrimRight(log, "\x00")) { // one that was closed at once may be there, too
			log = b
		}
	}
	return log
}
