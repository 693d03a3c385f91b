package backup_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/backup"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/storage"
)

// state is a group as of one checkpoint.
type state struct {
	last raft.EntryID
	kvs  []replica.KV
}

func (s *state) Last() raft.EntryID { return s.last }
func (s *state) Membership() []byte { return nil }

func (s *state) Scan(from []byte, fn func(key, value []byte) bool) error {
	for _, kv := range s.kvs {
		if bytes.Compare(kv.Key, from) >= 0 && !fn(kv.Key, kv.Value) {
			break
		}
	}
	return nil
}

func someState(index raft.Index, keys int) *state {
	s := &state{last: raft.EntryID{Index: index, Term: 3}}
	for i := range keys {
		s.kvs = append(s.kvs, replica.KV{Key: fmt.Appendf(nil, "k%03d", i), Value: bytes.Repeat([]byte{byte(i)}, i%7+1)})
	}
	return s
}

// someGroups are a coordinator group and two banks.
func someGroups() map[string]*state {
	return map[string]*state{"coordinator/0": someState(9, 20), "bank/north": someState(7, 50), "bank/south": someState(1, 0)}
}

const chunkBytes = 64

// steps writes a backup and calls before each thing that could be the last one that happens.
func steps(dir string, before func() bool) (*backup.Writer, error) {
	w, err := backup.Create(dir)
	if err != nil {
		return nil, err
	}
	m := backup.Manifest{Cluster: "old", Version: "v1", CreatedAt: "2026-11-26T02:00:00Z", Coordinators: 1}
	groups := someGroups()
	for i, name := range []string{"coordinator/0", "bank/north", "bank/south"} {
		if !before() {
			return w, nil
		}
		g, err := w.Group(i+1, name, groups[name].last)
		if err != nil {
			return w, err
		}
		out := replica.NewOutgoing(groups[name])
		for offset, done := uint64(0), false; !done; {
			if !before() {
				return w, nil
			}
			c, err := out.Chunk(offset, chunkBytes)
			if err != nil {
				return w, err
			}
			if err := g.Chunk(c.Data, c.Done); err != nil {
				return w, err
			}
			offset, done = offset+uint64(len(c.Data)), c.Done
		}
		if !before() {
			return w, nil
		}
		written, err := g.Close()
		if err != nil {
			return w, err
		}
		m.Groups = append(m.Groups, written)
	}
	if !before() {
		return w, nil
	}
	return w, w.Finish(m)
}

func save(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "saved")
	if _, err := steps(dir, func() bool { return true }); err != nil {
		t.Fatal(err)
	}
	return dir
}

// target is node 1 of a cluster that fits.
func target(t *testing.T) backup.Target {
	t.Helper()
	members := map[string][]byte{}
	for name := range someGroups() {
		c := membership.Of(1, 2, 3)
		members[name] = c.Encode()
	}
	return backup.Target{
		Dir: filepath.Join(t.TempDir(), "data"), Identity: storage.Identity{Cluster: "new", Node: 1}, Coordinators: 1, Members: members,
		Here: func(group string) bool { return group != "bank/south" },
	}
}

func TestWhatIsRestoredIsWhatWasSaved(t *testing.T) {
	dir, to := save(t), target(t)
	if _, err := backup.Restore(dir, to); err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(to.Dir, to.Identity, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if names, err := store.Groups(); err != nil || !slices.Equal(names, []string{"bank/north", "coordinator/0"}) {
		t.Errorf("groups %v, %v: a group is only where it belongs", names, err)
	}
	for name, want := range someGroups() {
		if !to.Here(name) {
			continue
		}
		s, err := store.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		wantHard := raft.HardState{Term: want.last.Term, Commit: want.last.Index, Accepted: want.last.Term}
		if s.HardState != wantHard || s.Compacted != want.last || s.Applied != want.last.Index || len(s.Entries) != 0 || !bytes.Equal(s.Membership, to.Members[name]) {
			t.Errorf("%s begins with %+v", name, s)
		}
		var got []replica.KV
		err = store.Reader(name).Scan(nil, nil, func(key, value []byte) bool {
			got = append(got, replica.KV{Key: bytes.Clone(key), Value: bytes.Clone(value)})
			return true
		})
		same := func(a, b replica.KV) bool { return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) }
		if err != nil || !slices.EqualFunc(got, want.kvs, same) {
			t.Errorf("%s: %d records of %d, %v", name, len(got), len(want.kvs), err)
		}
	}
}

// TestAnInterruptedBackupIsNone stops before each step in turn, as a crash would.
func TestAnInterruptedBackupIsNone(t *testing.T) {
	for stopAt := 0; ; stopAt++ {
		dir := filepath.Join(t.TempDir(), "saved")
		n := 0
		w, err := steps(dir, func() bool { n++; return n <= stopAt })
		if err != nil {
			t.Fatal(err)
		}
		if n <= stopAt {
			if stopAt < 10 {
				t.Fatalf("only %d steps", stopAt)
			}
			if _, err := backup.Verify(dir); err != nil {
				t.Fatal(err)
			}
			return
		}
		for _, d := range []string{dir, dir + ".partial"} {
			if _, err := backup.Verify(d); !errors.Is(err, backup.ErrNone) {
				t.Fatalf("stopped before step %d: %s is taken for a backup: %v", stopAt, d, err)
			}
		}
		if _, err := backup.Create(dir); !errors.Is(err, backup.ErrExists) {
			t.Fatalf("the remains of another backup: %v", err)
		}
		if err := w.Abandon(); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 0 {
			t.Fatalf("abandoned, it leaves %v, %v", left, err)
		}
	}
}

// TestDamageIsRefused changes every byte of every file in turn, cuts each file short and takes each away.
func TestDamageIsRefused(t *testing.T) {
	dir := save(t)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		path := filepath.Join(dir, file.Name())
		sound, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range sound {
			damaged := bytes.Clone(sound)
			damaged[i] ^= 0x10
			mustRefuse(t, dir, path, damaged)
			if i%17 == 0 {
				mustRefuse(t, dir, path, sound[:i])
			}
		}
		mustRefuse(t, dir, path, append(bytes.Clone(sound), 0))
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := backup.Verify(dir); !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, backup.ErrNone) {
			t.Errorf("without %s: %v", path, err)
		}
		if err := os.WriteFile(path, sound, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := backup.Verify(dir); err != nil {
		t.Error(err)
	}
}

func mustRefuse(t *testing.T, dir, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := backup.Verify(dir)
	if !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, backup.ErrNewer) {
		t.Fatalf("%s changed to %d bytes: %v", filepath.Base(path), len(content), err)
	}
}

// TestADamagedBackupLeavesNoDataDirectory finds the damage halfway, when other groups are written already.
func TestADamagedBackupLeavesNoDataDirectory(t *testing.T) {
	dir, to := save(t), target(t)
	path := filepath.Join(dir, "group-0001")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-1] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(dir, to); !errors.Is(err, backup.ErrDamaged) || !strings.Contains(err.Error(), "coordinator/0") {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(to.Dir)); err != nil || len(left) != 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}

func TestARestoreIsRefused(t *testing.T) {
	dir := save(t)
	for name, c := range map[string]struct {
		change func(*backup.Target)
		want   error
	}{
		"into the cluster that was saved":       {func(to *backup.Target) { to.Identity.Cluster = "old" }, backup.ErrMismatch},
		"into other coordinators":               {func(to *backup.Target) { to.Coordinators = 2 }, backup.ErrMismatch},
		"without one of the banks":              {func(to *backup.Target) { delete(to.Members, "bank/north") }, backup.ErrMismatch},
		"into a directory that exists":          {func(to *backup.Target) { to.Dir = filepath.Dir(to.Dir) }, backup.ErrExists},
		"beside a restore that was interrupted": {func(to *backup.Target) { _ = os.Mkdir(to.Dir+".restoring", 0o700) }, backup.ErrExists},
	} {
		t.Run(name, func(t *testing.T) {
			to := target(t)
			c.change(&to)
			if _, err := backup.Restore(dir, to); !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestNoServerStartsOnARestoreThatWasInterrupted: beside what is there of it a new directory would be an empty cluster's.
func TestNoServerStartsOnARestoreThatWasInterrupted(t *testing.T) {
	to := target(t)
	if err := os.Mkdir(to.Dir+".restoring", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Open(to.Dir, to.Identity, storage.Options{}); !errors.Is(err, storage.ErrRestoring) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(to.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a directory now, which the next restore would refuse: %v", err)
	}
	if err := os.Remove(to.Dir + ".restoring"); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(save(t), to); err != nil {
		t.Error(err)
	}
}

func TestChunksOfAnotherPlaceAreNotSaved(t *testing.T) {
	w, err := backup.Create(filepath.Join(t.TempDir(), "saved"))
	if err != nil {
		t.Fatal(err)
	}
	s := someState(9, 50)
	g, err := w.Group(1, "bank/north", s.last)
	if err != nil {
		t.Fatal(err)
	}
	out := replica.NewOutgoing(s)
	first, err := out.Chunk(0, chunkBytes)
	if err != nil {
		t.Fatal(err)
	}
	second, err := out.Chunk(uint64(len(first.Data)), chunkBytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Chunk(second.Data, second.Done); !errors.Is(err, replica.ErrDamagedChunk) {
		t.Errorf("the second chunk as the first: %v", err)
	}
	if err := g.Chunk(first.Data, true); !errors.Is(err, replica.ErrDamagedChunk) {
		t.Errorf("the first chunk as the last: %v", err)
	}
	if err := g.Chunk(first.Data, first.Done); err != nil {
		t.Error(err)
	}
	if _, err := g.Close(); err == nil || !strings.Contains(err.Error(), "last chunk") {
		t.Errorf("closed too early: %v", err)
	}
}

var goldenFiles = []string{"MANIFEST", "group-0001", "group-0002", "group-0003"}

// TestTheFormatIsTheOneThatIsWritten holds version 1 against its golden bytes, and reads those.
func TestTheFormatIsTheOneThatIsWritten(t *testing.T) {
	dir, golden := save(t), filepath.Join("testdata", "format1")
	for _, file := range goldenFiles {
		got, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(golden, file))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is no longer written as version 1 is: %v; a new version needs a new number and golden files of its own", file, err)
		}
	}
	if m, err := backup.Verify(golden); err != nil || m.Format != 1 || m.Cluster != "old" || len(m.Groups) != 3 {
		t.Errorf("version 1 is read as %+v, %v", m, err)
	}
}

func TestANewerFormatIsRefusedAsSuch(t *testing.T) {
	for _, file := range []string{"format2", "group2"} {
		dir := filepath.Join("testdata", file)
		if _, err := backup.Verify(dir); !errors.Is(err, backup.ErrNewer) || !strings.Contains(err.Error(), "format 2") {
			t.Errorf("%s: got %v", file, err)
		}
		if _, err := backup.Restore(dir, target(t)); !errors.Is(err, backup.ErrNewer) {
			t.Errorf("%s is restored: %v", file, err)
		}
	}
}
