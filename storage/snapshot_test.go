package storage_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

func wantKeys(t *testing.T, s *storage.Store, group string, want ...string) {
	t.Helper()
	if got := scan(t, s.Reader(group), nil, nil); !slices.Equal(got, want) {
		t.Errorf("group %s shows %q, want %q", group, got, want)
	}
}

func TestASnapshotIsKeptAsideUntilItIsInstalled(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	reader := s.Reader("a")
	old := storage.GroupUpdate{Group: "a", Entries: entries(1, 1, 4), State: []storage.KV{kv("k", "old"), kv("x", "gone")}, Applied: 3}
	mustCommit(t, s, old)
	mustCommit(t, s, storage.GroupUpdate{Group: "a", StageAnew: true, Stage: []storage.KV{kv("k", "given up"), kv("never", "seen")}})
	mustCommit(t, s, storage.GroupUpdate{Group: "a", StageAnew: true, Stage: []storage.KV{kv("k", "new")}})
	mustCommit(t, s, storage.GroupUpdate{Group: "a", Stage: []storage.KV{kv("l", "more")}})
	wantKeys(t, s, "a", "k=old", "x=gone")

	mustCommit(t, s, storage.GroupUpdate{Group: "a", Install: true, Applied: 9, Compact: raft.EntryID{Index: 9, Term: 2}, Membership: []byte{7}})
	if got := scan(t, reader, nil, nil); !slices.Equal(got, []string{"k=new", "l=more"}) {
		t.Errorf("a reader from before shows %q", got)
	}
	mustCommit(t, s, storage.GroupUpdate{Group: "a", Entries: entries(3, 10, 10), State: []storage.KV{kv("k", "later")}, Applied: 10})
	mustClose(t, s)

	s = mustOpen(t, fs)
	defer mustClose(t, s)
	wantKeys(t, s, "a", "k=later", "l=more") // before anybody has loaded the group
	wantState(t, s, "a", raft.State{Compacted: raft.EntryID{Index: 9, Term: 2}, Entries: entries(3, 10, 10), Applied: 10, Membership: []byte{7}})
	mustCommit(t, s, storage.GroupUpdate{Group: "a", StageAnew: true, Stage: []storage.KV{kv("third", "one")}})
	mustCommit(t, s, storage.GroupUpdate{Group: "a", Install: true, Applied: 20, Compact: raft.EntryID{Index: 20, Term: 4}})
	wantKeys(t, s, "a", "third=one")
	mustCommit(t, s, storage.GroupUpdate{Group: "a", StageAnew: true, Stage: []storage.KV{kv("fourth", "one")}})
	mustCommit(t, s, storage.GroupUpdate{Group: "a", Install: true, Applied: 30, Compact: raft.EntryID{Index: 30, Term: 4}})
	wantKeys(t, s, "a", "fourth=one")
}

// halfGathered is a store that was closed while it gathered a snapshot of group a.
func halfGathered(t *testing.T) *storage.Store {
	t.Helper()
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	mustCommit(t, s, storage.GroupUpdate{Group: "a", StageAnew: true, Stage: []storage.KV{kv("half", "gathered")}})
	mustClose(t, s)
	return mustOpen(t, fs)
}

// A snapshot that was half gathered before a restart must not shine through the next one.
func TestWhatWasGatheredBeforeARestartIsDropped(t *testing.T) {
	s := halfGathered(t)
	defer mustClose(t, s)
	mustCommit(t, s, storage.GroupUpdate{Group: "a", StageAnew: true, Stage: []storage.KV{kv("whole", "one")}})
	mustCommit(t, s, storage.GroupUpdate{Group: "a", Install: true, Applied: 9, Compact: raft.EntryID{Index: 9, Term: 2}})
	wantKeys(t, s, "a", "whole=one")
}

// TestASnapshotReplacesWhatWasThere without a restart in between, after which the other slot is looked at.
func TestASnapshotReplacesWhatWasThere(t *testing.T) {
	for _, bytes := range []int{10, 300 << 10} { // by a commit, and by files
		s := mustOpen(t, vfs.NewMem())
		mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 9)})
		mustKeep(t, s, storage.Checkpoint{Group: "g", Applied: 1, State: [][]storage.KV{{kv("k", large[:bytes]), kv("old", "money")}}})
		wantTwoSnapshots(t, s, "g")
		mustClose(t, s)
	}
}

// TestALoadBesideACheckpointForgetsNothing: it is the store that knows what is being taken in.
func TestALoadBesideACheckpointForgetsNothing(t *testing.T) {
	var s *storage.Store
	var loaded atomic.Bool
	s = mustOpen(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpLink && loaded.CompareAndSwap(false, true) {
			if _, err := s.Load("g"); err != nil {
				t.Error(err)
			}
		}
		return nil
	})))
	defer mustClose(t, s)
	mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 9)})
	mustKeep(t, s, storage.Checkpoint{Group: "g", Applied: 5, State: [][]storage.KV{{kv("k", large), kv("old", "money")}}})
	if !loaded.Load() {
		t.Fatal("the checkpoint linked no file")
	}
	wantTwoSnapshots(t, s, "g")
}

// wantTwoSnapshots installs two, one in each slot, and wants to see nothing else.
func wantTwoSnapshots(t *testing.T, s *storage.Store, group string) {
	t.Helper()
	for i := raft.Index(20); i <= 30; i += 10 {
		mustCommit(t, s, storage.GroupUpdate{Group: group, StageAnew: true, Stage: []storage.KV{kv("k", fmt.Sprint(i))}})
		mustCommit(t, s, storage.GroupUpdate{Group: group, Install: true, Applied: i, Compact: raft.EntryID{Index: i, Term: 3}})
		wantKeys(t, s, group, fmt.Sprint("k=", i))
	}
}

func TestNoSnapshotIsBuiltOnOneThatWasGivenUp(t *testing.T) {
	for name, u := range map[string]storage.GroupUpdate{
		"another piece": {Group: "a", Stage: []storage.KV{kv("more", "of it")}},
		"installed":     {Group: "a", Install: true, Applied: 9, Compact: raft.EntryID{Index: 9, Term: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			s := halfGathered(t)
			mustBreak(t, func() error { return s.Commit([]storage.GroupUpdate{u}) })
			wantBroken(t, s)
		})
	}
}

func TestAViewStaysAsItWasOpened(t *testing.T) {
	s := mustOpen(t, vfs.NewMem())
	defer mustClose(t, s)
	mustCommit(t, s, storage.GroupUpdate{Group: "a", Entries: entries(5, 1, 4), State: []storage.KV{kv("k", "v3"), kv("l", "v3")}, Applied: 3, Membership: []byte{1}})
	v, err := s.View("a")
	if err != nil {
		t.Fatal(err)
	}
	mustCommit(t, s, storage.GroupUpdate{Group: "a", State: []storage.KV{kv("k", "v4")}, Applied: 4, Membership: []byte{2}, Compact: raft.EntryID{Index: 4, Term: 5}})
	if v.Last() != (raft.EntryID{Index: 3, Term: 5}) || !slices.Equal(v.Membership(), []byte{1}) {
		t.Errorf("the view ends with %+v, membership %v", v.Last(), v.Membership())
	}
	var got []string
	for _, from := range []string{"", "k\x00"} {
		err := v.Scan([]byte(from), func(key, value []byte) bool {
			got = append(got, string(key)+"="+string(value))
			return len(got) != 1
		})
		if err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(got, []string{"k=v3", "l=v3"}) {
		t.Errorf("the view shows %q", got)
	}
	err = v.Scan(nil, func(key, value []byte) bool {
		if looked, ok, err := v.Get(key); !ok || err != nil || !slices.Equal(looked, value) {
			t.Errorf("%s is %q when looked up, %t, %v", key, looked, ok, err)
		}
		return true
	})
	if err != nil {
		t.Error(err)
	}
	for _, absent := range []string{"", "j", "k\x00", "m"} {
		if value, ok, err := v.Get([]byte(absent)); ok || err != nil || value != nil {
			t.Errorf("%q is %q when looked up, %t, %v", absent, value, ok, err)
		}
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if v, err = s.View("a"); err != nil || v.Last() != (raft.EntryID{Index: 4, Term: 5}) {
		t.Fatalf("a later view: %+v, %v", v, err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}

// Every write, sync and creation of a file while a snapshot is gathered and installed is a place to crash, with the unsynced part lost, half
// lost or not. What is found after it is the old state with the old log or the new one with the new log, never a mixture, and it can be installed over.
func TestACrashAtAnyPointOfAnInstallationLeavesTheOldStateOrTheNew(t *testing.T) {
	large := strings.Repeat("x", 40_000) // more than a block of the write-ahead log
	install := []storage.GroupUpdate{
		{Group: "a", StageAnew: true, Stage: []storage.KV{kv("k", "new"), kv("l", large)}},
		{Group: "a", Stage: []storage.KV{kv("m", large)}},
		{Group: "a", Install: true, Applied: 9, Compact: raft.EntryID{Index: 9, Term: 2}, Membership: []byte{7}, Entries: entries(2, 10, 11), HardState: &raft.HardState{Term: 2, Commit: 9, Accepted: 2}},
	}
	oldState := raft.State{HardState: raft.HardState{Term: 1, Commit: 3}, Entries: entries(1, 1, 4), Applied: 3}
	newState := raft.State{HardState: *install[2].HardState, Compacted: install[2].Compact, Entries: install[2].Entries, Applied: 9, Membership: []byte{7}}

	disk := vfs.NewCrashableMem()
	rng := rand.New(rand.NewPCG(1, 2))
	var crashes []*vfs.MemFS
	var done []int // commits that had returned
	armed, returned := false, 0
	var mu sync.Mutex // guards the four above: Pebble removes old files beside everything else
	fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if armed && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			for _, percent := range []int{0, 50, 100} {
				crashes = append(crashes, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
				done = append(done, returned)
			}
		}
		return nil
	}))
	s := mustOpen(t, fs)
	mustCommit(t, s, storage.GroupUpdate{Group: "a", HardState: &oldState.HardState, Entries: oldState.Entries, State: []storage.KV{kv("k", "old"), kv("x", "gone")}, Applied: 3})
	note := func(is bool, commits int) {
		mu.Lock()
		defer mu.Unlock()
		armed, returned = is, commits
	}
	note(true, 0)
	for i := range install {
		mustCommit(t, s, install[i])
		note(true, i+1)
	}
	note(false, len(install))
	crashes, done = append(crashes, disk.CrashClone(vfs.CrashCloneCfg{})), append(done, returned)
	mustClose(t, s)

	if len(crashes) < 20 {
		t.Fatalf("only %d places to crash: the hook sees nothing", len(crashes))
	}
	for i, crashed := range crashes {
		s := mustOpen(t, crashed)
		state, err := s.Load("a")
		if err != nil {
			t.Fatalf("crash %d: %v", i, err)
		}
		keys := scan(t, s.Reader("a"), nil, nil)
		isOld := cmp.Equal(state, oldState) && slices.Equal(keys, []string{"k=old", "x=gone"})
		isNew := cmp.Equal(state, newState) && slices.Equal(keys, []string{"k=new", "l=" + large, "m=" + large})
		if isOld == isNew || isOld && done[i] == len(install) {
			t.Errorf("crash %d, after %d of %d commits: %+v with %d keys", i, done[i], len(install), state, len(keys))
		}
		mustCommit(t, s, storage.GroupUpdate{Group: "a", StageAnew: true, Stage: []storage.KV{kv("z", "last")}})
		mustCommit(t, s, storage.GroupUpdate{Group: "a", Install: true, Applied: 20, Compact: raft.EntryID{Index: 20, Term: 3}, HardState: &raft.HardState{Term: 3, Commit: 20}})
		wantKeys(t, s, "a", "z=last")
		mustClose(t, s)
		s = mustOpen(t, crashed)
		wantKeys(t, s, "a", "z=last")
		mustClose(t, s)
	}
}
