package storage_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
	spoilt := 0
	for _, name := range filesIn(t, fs) {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		b := content(t, fs, fs.PathJoin(dir, name))
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
	for _, name := range filesIn(t, fs) {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		b := content(t, fs, fs.PathJoin(dir, name))
		if len(bytes.TrimRight(b, "\x00")) > len(bytes.TrimRight(log, "\x00")) { // one that was closed at once may be there, too
			log = b
		}
	}
	return log
}

// Whichever file is damaged, the store says so when it is opened or when the groups are loaded, in the words that have a node repaired, or nothing is missing.
// Only at the end of the newest log can't it be told from what a crash has torn; and what isn't a bit but all of a log, that is gone or ends early, may be without
// a trace (docs/storage.md).
func TestWhicheverFileIsDamagedNothingIsMissingWithoutAWord(t *testing.T) {
	crashed, manifest, _ := flushedStore(t)
	list := filesIn(t, crashed)
	newest := ""
	for _, name := range list {
		if strings.HasSuffix(name, ".log") {
			newest = max(newest, name)
		}
	}
	damages := map[string]func(fs *vfs.MemFS, path string, b []byte){
		"gone":  func(fs *vfs.MemFS, path string, _ []byte) { _ = fs.Remove(path) },
		"empty": func(fs *vfs.MemFS, path string, _ []byte) { write(t, fs, path, nil) },
		"half":  func(fs *vfs.MemFS, path string, b []byte) { write(t, fs, path, b[:len(b)/2]) },
	}
	for eighth := range 8 {
		damages[fmt.Sprintf("a bit after %d eighths", eighth)] = func(fs *vfs.MemFS, path string, b []byte) {
			if len(b) > 0 {
				content(t, fs, path)[len(b)*eighth/8] ^= 4
			}
		}
	}
	for _, option := range []string{"comparer=", "merger=", "wal_dir="} {
		damages["another "+option] = func(fs *vfs.MemFS, path string, b []byte) {
			if at := bytes.Index(b, []byte(option)); at >= 0 && strings.HasPrefix(fs.PathBase(path), "OPTIONS-") {
				content(t, fs, path)[at+len(option)] ^= 64
			}
		}
	}
	named, tables := map[string]bool{}, 0
	for _, name := range list {
		if strings.HasSuffix(name, ".sst") {
			if tables++; tables%8 != 1 { // what a store that has fallen over damage still runs stays until the process ends
				continue
			}
		}
		path := crashed.PathJoin(dir, name)
		for damage, spoil := range damages {
			if filepath.Ext(name) == ".log" && !strings.HasPrefix(damage, "a bit") {
				continue
			}
			clone := crashed.CrashClone(vfs.CrashCloneCfg{})
			spoil(clone, path, content(t, crashed, path))
			s, err := storage.Open(dir, node1, smallTables(clone))
			if err != nil {
				named[name] = true
				if !errors.Is(err, storage.ErrDamaged) {
					t.Errorf("%s, %s: not said to be damaged: %v", name, damage, err)
				}
				continue
			}
			for g := range flushedGroups {
				state, err := s.Load(fmt.Sprint(g))
				if err != nil && !errors.Is(err, storage.ErrDamaged) {
					t.Errorf("%s, %s: group %d: not said to be damaged: %v", name, damage, g, err)
				}
				if err == nil && len(state.Entries) != flushedEntries && name != newest {
					t.Errorf("%s, %s: %d of %d entries of group %d are left, without a word", name, damage, len(state.Entries), flushedEntries, g)
				}
			}
			_ = s.Close() // it may have fallen over the damage
		}
	}
	if len(named) < 5 || !named[crashed.PathBase(manifest)] {
		t.Errorf("damage was found in %v only", named)
	}
}

// Pebble reads a table's statistics in the background, and again at once if it can't: a damaged table mustn't take a processor until the process ends.
func TestADamagedTableIsNotReadOverAndOver(t *testing.T) {
	crashed, _, _ := flushedStore(t)
	var fs *openCounter
	for _, clone := range eachTableDamaged(t, crashed) {
		counter := &openCounter{FS: clone}
		s, err := storage.Open(dir, node1, smallTables(counter))
		if err == nil { // nothing was needed of it yet
			fs = counter
			defer s.Close() // it may have fallen over the damage
			break
		}
	}
	if fs == nil {
		t.Fatal("damage in any table is found when the store is opened: this proves nothing")
	}
	for range 100 {
		before := fs.opened.Load()
		time.Sleep(20 * time.Millisecond)
		if fs.opened.Load() == before {
			return
		}
	}
	t.Errorf("after two seconds it is still being tried again: %d times", fs.opened.Load())
}

// eachTableDamaged gives the disk with one table that can't be read, each in its turn.
func eachTableDamaged(t *testing.T, fs *vfs.MemFS) iter.Seq2[string, *vfs.MemFS] {
	return func(yield func(string, *vfs.MemFS) bool) {
		for _, name := range filesIn(t, fs) {
			if filepath.Ext(name) != ".sst" {
				continue
			}
			clone := fs.CrashClone(vfs.CrashCloneCfg{})
			b := content(t, clone, clone.PathJoin(dir, name))
			if len(b) == 0 { // it was just begun
				continue
			}
			b[max(0, len(b)-100)] ^= 4 // in what says where everything is
			if !yield(name, clone) {
				return
			}
		}
	}
}

// openCounter counts how often files are opened for reading.
type openCounter struct {
	vfs.FS
	opened atomic.Int64
}

func (fs *openCounter) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	fs.opened.Add(1)
	return fs.FS.Open(name, opts...)
}

// Damage may be found while a store is still being opened, when it is in use already. It is noted then too, or each start would fall over it anew.
func TestDamageFoundWhileOpeningIsNoted(t *testing.T) {
	crashed, _, _ := flushedStore(t)
	late := 0
	for name, clone := range eachTableDamaged(t, crashed) {
		s, err := storage.Open(dir, node1, smallTables(clone))
		if err == nil {
			_ = s.Close() // it may have fallen over the damage
			continue
		}
		if !errors.Is(err, storage.ErrDamaged) {
			t.Fatal(err)
		}
		if !errors.Is(err, storage.ErrFatal) {
			continue // found by the look before anything was opened for writing
		}
		late++
		_, err = storage.Open(dir, node1, smallTables(clone.CrashClone(vfs.CrashCloneCfg{})))
		if !errors.Is(err, storage.ErrDamaged) || errors.Is(err, storage.ErrFatal) {
			t.Fatalf("%s: the next start got %v", name, err)
		}
	}
	if late == 0 {
		t.Error("no damage was found late: this proves nothing")
	}
}
