package storage_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

// large makes a checkpoint a file of its own.
var large = strings.Repeat("x", 300<<10)

func mustKeep(t *testing.T, s *storage.Store, c storage.Checkpoint) {
	t.Helper()
	if done, err := s.Checkpoint(&c, nil); err != nil || !done {
		t.Fatalf("checkpoint of %d: done %v, %v", c.Applied, done, err)
	}
}

func noUnfinished(t *testing.T, fs vfs.FS) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "checkpoint-") {
			t.Errorf("%s is left", name)
		}
	}
}

// TestACheckpointIsAFileOfItsOwnOrInTheLog: by its size. Either way it shows at once, also after a restart, with the membership of the one before if it has none.
func TestACheckpointIsAFileOfItsOwnOrInTheLog(t *testing.T) {
	for _, size := range []int{10, 300 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			fs := vfs.NewMem()
			s := mustOpen(t, fs)
			mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 9), State: []storage.KV{kv("gone", "1"), kv("kept", "1")}, Applied: 1, Membership: []byte{7}})
			before := metrics(t, s)
			value := large[:size]
			mustKeep(t, s, storage.Checkpoint{Group: "g", Applied: 5, State: [][]storage.KV{{kv("z", "old"), kv("a", value), {Key: []byte("gone")}, kv("z", "new")}}})
			if logged := metrics(t, s).WALBytes - before.WALBytes; logged > 1000 || size == 10 && logged == 0 {
				t.Errorf("%d bytes went through the write-ahead log", logged)
			}
			for range 2 {
				wantKeys(t, s, "g", "a="+value, "kept=1", "z=new")
				wantState(t, s, "g", raft.State{Entries: entries(1, 1, 9), Applied: 5, Membership: []byte{7}})
				if v, ok, err := s.Reader("g").Get([]byte("gone")); ok || err != nil {
					t.Errorf("a deleted key: %q, %v", v, err)
				}
				mustClose(t, s)
				noUnfinished(t, fs)
				s = mustOpen(t, fs)
			}
			mustKeep(t, s, storage.Checkpoint{Group: "g", Applied: 6, State: [][]storage.KV{{kv("a", large), kv("kept", "2")}}, Membership: []byte{8}})
			mustCommit(t, s, storage.GroupUpdate{Group: "g", Compact: raft.EntryID{Index: 6, Term: 1}})
			wantState(t, s, "g", raft.State{Entries: entries(1, 7, 9), Applied: 6, Compacted: raft.EntryID{Index: 6, Term: 1}, Membership: []byte{8}})
			wantKeys(t, s, "g", "a="+large, "kept=2", "z=new")
			mustClose(t, s)
		})
	}
}

// TestALargeCheckpointIsWrittenWithRests: each part of some hundred records is followed by one. A small one is over before.
func TestALargeCheckpointIsWrittenWithRests(t *testing.T) {
	for records, want := range map[int]int{3: 0, 2000: 8} {
		s := mustOpen(t, vfs.NewMem())
		mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 9)})
		c := storage.Checkpoint{Group: "g", Applied: 5}
		for i := range records {
			c.State = append(c.State, []storage.KV{kv(fmt.Sprintf("%05d", i), large[:200])})
		}
		rests := 0
		done, err := s.Checkpoint(&c, func(worked time.Duration) {
			if rests++; worked < 0 {
				t.Errorf("a part of it took %v", worked)
			}
		})
		if err != nil || !done || rests != want {
			t.Errorf("%d records: done %v, %v; %d rests, want %d", records, done, err, rests, want)
		}
		mustClose(t, s)
	}
}

func metrics(t *testing.T, s *storage.Store) storage.Metrics {
	t.Helper()
	m, err := s.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestAnOvertakenCheckpointIsDropped: a snapshot that was installed since, or the end of the replica, has the last word.
func TestAnOvertakenCheckpointIsDropped(t *testing.T) {
	for _, size := range []int{10, 300 << 10} {
		fs := vfs.NewMem()
		s := mustOpen(t, fs)
		for _, g := range []string{"installed", "retired"} {
			mustCommit(t, s, storage.GroupUpdate{Group: g, Entries: entries(1, 1, 9), State: []storage.KV{kv("k", "old")}, Applied: 1})
		}
		mustCommit(t, s, storage.GroupUpdate{Group: "installed", StageAnew: true, Stage: []storage.KV{kv("k", "snapshot")}})
		mustCommit(t, s, storage.GroupUpdate{Group: "installed", Install: true, Applied: 20, Compact: raft.EntryID{Index: 20, Term: 2}})
		mustCommit(t, s, storage.GroupUpdate{Group: "retired", Retire: true})
		for _, g := range []string{"installed", "retired"} {
			done, err := s.Checkpoint(&storage.Checkpoint{Group: g, Applied: 5, State: [][]storage.KV{{kv("k", large[:size])}}}, nil)
			if done || err != nil {
				t.Errorf("%s, %d bytes: done %v, %v", g, size, done, err)
			}
		}
		wantKeys(t, s, "installed", "k=snapshot")
		if _, err := s.Load("retired"); !errors.Is(err, storage.ErrRetired) {
			t.Errorf("got %v", err)
		}
		mustClose(t, s)
		noUnfinished(t, fs)
	}
}

// TestTheStateIsReplacedOrEndedWhileACheckpointIsWritten: between its files and their part in the store.
func TestTheStateIsReplacedOrEndedWhileACheckpointIsWritten(t *testing.T) {
	for name, between := range map[string]struct {
		commits []storage.GroupUpdate
		check   func(*storage.Store)
	}{
		"a snapshot is installed": {
			[]storage.GroupUpdate{
				{Group: "g", StageAnew: true, Stage: []storage.KV{kv("k", "snapshot")}},
				{Group: "g", Install: true, Applied: 20, Compact: raft.EntryID{Index: 20, Term: 2}},
			},
			func(s *storage.Store) { wantKeys(t, s, "g", "k=snapshot") },
		},
		"the replica is retired": {
			[]storage.GroupUpdate{{Group: "g", Retire: true}},
			func(s *storage.Store) {
				if _, err := s.Load("g"); !errors.Is(err, storage.ErrRetired) {
					t.Errorf("got %v", err)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem()
			var s *storage.Store
			var once sync.Once
			var armed atomic.Bool
			s = mustOpen(t, errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if armed.Load() && strings.Contains(op.Path, "checkpoint-") && isSync(op) {
					once.Do(func() {
						for _, u := range between.commits {
							mustCommit(t, s, u)
						}
					})
				}
				return nil
			})))
			mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 9), State: []storage.KV{kv("k", "old")}, Applied: 1})
			armed.Store(true)
			done, err := s.Checkpoint(&storage.Checkpoint{Group: "g", Applied: 5, State: [][]storage.KV{{kv("k", large)}}}, nil)
			if done || err != nil {
				t.Errorf("done %v, %v", done, err)
			}
			for range 2 {
				between.check(s)
				mustClose(t, s)
				noUnfinished(t, disk)
				s = mustOpen(t, disk)
			}
			mustClose(t, s)
		})
	}
}

// TestRecordsThatOnlyGrowAreWrittenOnce: a bank's journal is the most of what it stores. What is changed again and again beside it is little, and alone is compacted.
func TestRecordsThatOnlyGrowAreWrittenOnce(t *testing.T) {
	s := mustOpen(t, vfs.NewMem())
	mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 100)})
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 100 {
		var state []storage.KV
		for j := range 1000 {
			value := make([]byte, 300)
			for k := range value {
				value[k] = byte(rng.Uint32()) // not to be compressed
			}
			state = append(state, storage.KV{Key: fmt.Appendf(nil, "journal%06d", 1000*i+j), Value: value}, kv(fmt.Sprintf("account%03d", j%100), fmt.Sprint(i)))
		}
		mustKeep(t, s, storage.Checkpoint{Group: "g", Applied: index(i + 1), State: [][]storage.KV{state}})
	}
	if got := len(scan(t, s.Reader("g"), []byte("journal"), nil)); got != 100_000 {
		t.Errorf("%d entries of the journal are there", got)
	}
	m := metrics(t, s)
	if m.IngestBytes < 30_000_000 || m.CompactBytes > m.IngestBytes/10 {
		t.Errorf("%d bytes in files, and %d compacted", m.IngestBytes, m.CompactBytes)
	}
	mustClose(t, s)
}

// TestAFileSystemWithoutHardLinks gets copies.
func TestAFileSystemWithoutHardLinks(t *testing.T) {
	for _, why := range []error{syscall.EPERM, syscall.ENOTSUP, syscall.ENOSYS} {
		disk := vfs.NewCrashableMem()
		copies := 0
		s := mustOpen(t, errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpLink {
				copies++
				return &os.LinkError{Op: "link", Err: why}
			}
			return nil
		})))
		mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 9)})
		mustKeep(t, s, storage.Checkpoint{Group: "g", Applied: 5, State: [][]storage.KV{{kv("k", large)}}})
		if copies == 0 {
			t.Errorf("%v: %d links were tried", why, copies)
		}
		crashed := disk.CrashClone(vfs.CrashCloneCfg{})
		mustClose(t, s)
		s = mustOpen(t, crashed)
		wantKeys(t, s, "g", "k="+large)
		mustClose(t, s)
		noUnfinished(t, crashed)
	}
}

// TestWhileACheckpointIsTakenIn commits go on, and only what would replace or end the state that it is a part of waits.
func TestWhileACheckpointIsTakenIn(t *testing.T) {
	linking, release := make(chan struct{}), make(chan struct{})
	var armed atomic.Bool
	var once sync.Once
	disk := vfs.NewMem()
	s := mustOpen(t, errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed.Load() && op.Kind == errorfs.OpLink {
			once.Do(func() { close(linking); <-release })
		}
		return nil
	})))
	mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 9)}, storage.GroupUpdate{Group: "h", Entries: entries(1, 1, 9)})
	armed.Store(true)
	kept := make(chan struct{})
	go func() {
		mustKeep(t, s, storage.Checkpoint{Group: "g", Applied: 5, State: [][]storage.KV{{kv("k", large)}}})
		close(kept)
	}()
	<-linking
	for i := 10; i < 20; i++ {
		mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, index(i), index(i))}, storage.GroupUpdate{Group: "h", Entries: entries(1, index(i), index(i))})
	}
	mustCommit(t, s, storage.GroupUpdate{Group: "g", StageAnew: true, Stage: []storage.KV{kv("k", "snapshot")}})
	installed := make(chan struct{})
	go func() {
		mustCommit(t, s, storage.GroupUpdate{Group: "g", Install: true, Applied: 30, Compact: raft.EntryID{Index: 30, Term: 2}})
		close(installed)
	}()
	select {
	case <-installed:
		t.Error("a snapshot is installed under a checkpoint that is being taken in")
	case <-time.After(20 * time.Millisecond): // can only make the test pass where it should fail
	}
	close(release)
	<-kept
	<-installed
	for range 2 {
		wantKeys(t, s, "g", "k=snapshot")
		wantState(t, s, "g", raft.State{Applied: 30, Compacted: raft.EntryID{Index: 30, Term: 2}})
		mustClose(t, s)
		s = mustOpen(t, disk)
	}
	mustClose(t, s)
}

// TestASnapshotOfTheEntryOfTheCheckpoint brings its own record of which entry the state is.
func TestASnapshotOfTheEntryOfTheCheckpoint(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 9), State: []storage.KV{kv("k", "old")}, Applied: 5, Membership: []byte{7}})
	mustCommit(t, s, storage.GroupUpdate{Group: "g", StageAnew: true, Stage: []storage.KV{kv("k", "snapshot")}})
	mustCommit(t, s, storage.GroupUpdate{Group: "g", Install: true, Applied: 5, Compact: raft.EntryID{Index: 5, Term: 1}})
	mustClose(t, s)
	s = mustOpen(t, fs)
	wantKeys(t, s, "g", "k=snapshot")
	wantState(t, s, "g", raft.State{Applied: 5, Compacted: raft.EntryID{Index: 5, Term: 1}, Membership: []byte{7}})
	mustClose(t, s)
}

// Every write, sync, link and creation of a file while a checkpoint is written beside commits is a place to crash. What is found after it is the old state or the
// new one, and all of the log that was acknowledged.
func TestACrashAtAnyPointOfACheckpointLeavesTheOldStateOrTheNew(t *testing.T) {
	for _, reopened := range []bool{false, true} { // Pebble takes a file in on another way if a memtable has keys between its own
		t.Run(fmt.Sprintf("reopened=%v", reopened), func(t *testing.T) { crashCheckpoint(t, reopened) })
	}
}

func crashCheckpoint(t *testing.T, reopened bool) {
	disk := vfs.NewCrashableMem()
	rng := rand.New(rand.NewPCG(1, 2))
	var crashes []*vfs.MemFS
	var kept []bool
	var mu sync.Mutex // guards the two above
	var armed, done atomic.Bool
	fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			mu.Lock()
			defer mu.Unlock()
			for _, percent := range []int{0, 50, 100} {
				kept = append(kept, done.Load())
				crashes = append(crashes, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
			}
		}
		return nil
	}))
	s := mustOpen(t, fs)
	oldState := raft.State{HardState: raft.HardState{Term: 1, Commit: 9}, Entries: entries(1, 1, 9), Applied: 3, Membership: []byte{1}}
	newState := oldState
	newState.Applied, newState.Membership = 8, []byte{2}
	mustCommit(t, s, storage.GroupUpdate{Group: "g", HardState: &oldState.HardState, Entries: oldState.Entries, State: []storage.KV{kv("k", "old"), kv("x", "gone")}, Applied: 3, Membership: []byte{1}})
	if reopened {
		mustClose(t, s)
		s = mustOpen(t, fs)
	}
	armed.Store(true)
	mustKeep(t, s, storage.Checkpoint{Group: "g", Applied: 8, State: [][]storage.KV{{kv("k", large), {Key: []byte("x")}}}, Membership: []byte{2}})
	done.Store(true)
	mustCommit(t, s, storage.GroupUpdate{Group: "other", Entries: entries(1, 1, 1)})
	armed.Store(false)
	mustClose(t, s)
	if len(crashes) < 20 {
		t.Fatalf("only %d places to crash: the hook sees nothing", len(crashes))
	}
	news := 0
	for i, crashed := range crashes {
		s := mustOpen(t, crashed)
		noUnfinished(t, crashed)
		state, err := s.Load("g")
		if err != nil {
			t.Fatalf("crash %d: %v", i, err)
		}
		keys := scan(t, s.Reader("g"), nil, nil)
		isOld := cmp.Equal(state, oldState) && slices.Equal(keys, []string{"k=old", "x=gone"})
		isNew := cmp.Equal(state, newState) && slices.Equal(keys, []string{"k=" + large})
		if isOld == isNew || isOld && kept[i] {
			t.Errorf("crash %d, acknowledged %v: %+v with %d keys", i, kept[i], state, len(keys))
		}
		if isNew {
			news++
		}
		mustKeep(t, s, storage.Checkpoint{Group: "g", Applied: 9, State: [][]storage.KV{{kv("k", large+"!"), {Key: []byte("x")}}}})
		wantKeys(t, s, "g", "k="+large+"!")
		mustClose(t, s)
	}
	if news == 0 || news == len(crashes) {
		t.Errorf("%d of %d crashes left the new state", news, len(crashes))
	}
}

// TestAFailedCheckpointPoisonsTheStore: whatever it was that failed.
func TestAFailedCheckpointPoisonsTheStore(t *testing.T) {
	ofCheckpoint := func(op errorfs.Op) bool { return strings.Contains(op.Path, "checkpoint-") }
	for name, rule := range map[string]func(errorfs.Op) bool{
		"create": func(op errorfs.Op) bool { return ofCheckpoint(op) && op.Kind == errorfs.OpCreate },
		"write":  func(op errorfs.Op) bool { return ofCheckpoint(op) && isWrite(op) },
		"sync":   func(op errorfs.Op) bool { return ofCheckpoint(op) && isSync(op) },
		"link":   func(op errorfs.Op) bool { return op.Kind == errorfs.OpLink },
	} {
		t.Run(name, func(t *testing.T) {
			var faults faultyDisk
			disk := vfs.NewCrashableMem()
			s, err := storage.Open(dir, node1, storage.Options{FS: faults.wrap(disk, errDisk, rule)})
			if err != nil {
				t.Fatal(err)
			}
			mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 9), State: []storage.KV{kv("k", "old")}, Applied: 1})
			faults.on.Store(true)
			done, err := s.Checkpoint(&storage.Checkpoint{Group: "g", Applied: 5, State: [][]storage.KV{{kv("k", large)}}}, nil)
			if done || !errors.Is(err, storage.ErrFatal) || !errors.Is(err, errDisk) {
				t.Errorf("done %v, %v", done, err)
			}
			faults.on.Store(false)
			wantPoisoned(t, s)
		})
	}
}

func TestACheckpointPastTheLogIsABrokenInvariant(t *testing.T) {
	for _, size := range []int{10, 300 << 10} {
		s := mustOpen(t, vfs.NewMem())
		mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 9)})
		mustBreak(t, func() error {
			_, err := s.Checkpoint(&storage.Checkpoint{Group: "g", Applied: 10, State: [][]storage.KV{{kv("k", large[:size])}}}, nil)
			return err
		})
		wantBroken(t, s)
	}
}

// mustBreak wants an invariant to be broken, not an error.
func mustBreak(t *testing.T, do func() error) {
	t.Helper()
	defer func() {
		if _, broken := recover().(invariant.Broken); !broken {
			t.Error("no invariant was broken")
		}
	}()
	t.Errorf("it returned %v", do())
}

// wantBroken: whoever waits for a turn after that hears why, and nobody waits for ever.
func wantBroken(t *testing.T, s *storage.Store) {
	t.Helper()
	_, keepErr := s.Checkpoint(&storage.Checkpoint{Group: "g", Applied: 9, State: [][]storage.KV{{kv("k", "v")}}}, nil)
	commitErr := s.Commit([]storage.GroupUpdate{{Group: "g", Entries: entries(1, 10, 10)}})
	for _, err := range []error{keepErr, commitErr, s.Close()} {
		if _, broken := errors.AsType[invariant.Broken](err); !broken || !errors.Is(err, storage.ErrFatal) {
			t.Errorf("got %v", err)
		}
	}
}

// TestCheckpointsBesideCommits of the same group and of others, as a node does it.
func TestCheckpointsBesideCommits(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	mustCommit(t, s, storage.GroupUpdate{Group: "a", Entries: entries(1, 1, 100)}, storage.GroupUpdate{Group: "b", Entries: entries(1, 1, 100)})
	var both sync.WaitGroup
	for _, g := range []string{"a", "b"} {
		both.Go(func() {
			for i := 1; i <= 20; i++ {
				mustKeep(t, s, storage.Checkpoint{Group: g, Applied: index(i), State: [][]storage.KV{{kv("k", large[:i*15<<10]), kv("n", fmt.Sprint(i))}}})
			}
		})
		both.Go(func() {
			for i := 101; i <= 300; i++ {
				mustCommit(t, s, storage.GroupUpdate{Group: g, Entries: entries(1, index(i), index(i)), HardState: &raft.HardState{Term: 1, Commit: index(i)}})
			}
		})
	}
	both.Wait()
	mustClose(t, s)
	s = mustOpen(t, fs)
	for _, g := range []string{"a", "b"} {
		wantState(t, s, g, raft.State{HardState: raft.HardState{Term: 1, Commit: 300}, Entries: entries(1, 1, 300), Applied: 20})
		wantKeys(t, s, g, "k="+large, "n=20")
	}
	mustClose(t, s)
}

func TestTheEndOfAKind(t *testing.T) {
	g := string(storage.GroupPrefix("g"))
	for key, want := range map[string]string{
		"\x00":              "\x01",
		"\x02\x01g":         "",
		"\x03":              "",
		"\x01\x05g":         "", // no group's
		g + "\x01":          g + "\x02",
		g + "\x05\x00\x06":  g + "\x06",
		g + "\x06":          g + "\x06\x00", // the as-of record
		g + "\x06e\x00\x07": g + "\x06f",
		g + "\x07e":         g + "\x07f",
		g + "\x06\x00":      g + "\x06a",
		g + "\x06A\x01":     g + "\x06a",
		g + "\x07z":         g + "\x07{",
		g + "\x06{\x01":     g + "\x07",
		g + "\x06\xff\x01":  g + "\x07",
		g + "\x07\xff":      g + "\x08",
		g + "\x08":          g + "\x09",
	} {
		if got := string(storage.EndOfKind([]byte(key))); got != want {
			t.Errorf("the kind of %q ends at %q, want %q", key, got, want)
		}
	}
}

// TestATableHoldsOneKind, whatever was compacted together.
func TestATableHoldsOneKind(t *testing.T) {
	s := mustOpen(t, vfs.NewMem())
	defer mustClose(t, s)
	for i := raft.Index(1); i <= 20; i++ {
		for _, group := range []string{"a", "b"} {
			mustCommit(t, s, storage.GroupUpdate{
				Group: group, Entries: entries(1, i, i), HardState: &raft.HardState{Term: 1, Commit: i}, Applied: i,
				State: []storage.KV{kv(fmt.Sprint("e", i), "1"), kv("m", "1"), kv(fmt.Sprint("s", i), "1")},
			})
		}
	}
	tables, err := s.Tables()
	if err != nil || len(tables) < 2*6 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	wantOneKind(t, tables)

	// The end of a group's replica deletes all that it has.
	mustCommit(t, s, storage.GroupUpdate{Group: "a", StageAnew: true, Stage: []storage.KV{kv("m", "2")}})
	mustCommit(t, s, storage.GroupUpdate{Group: "a", Retire: true})
	if tables, err = s.FlushedTables(); err != nil {
		t.Fatal(err)
	}
	wantOneKind(t, tables)
	if tables, err = s.Tables(); err != nil || len(tables) < 6 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	for _, keys := range tables {
		if bytes.HasPrefix(keys[0], storage.GroupPrefix("a")) {
			t.Errorf("of a retired group a table is left, from %q to %q", keys[0], keys[1])
		}
	}
}

func wantOneKind(t *testing.T, tables [][2][]byte) {
	t.Helper()
	for _, keys := range tables {
		end := storage.EndOfKind(keys[0])
		if isGroups := keys[0][0] == 1; isGroups && end == nil || end != nil && bytes.Compare(keys[1], end) > 0 {
			t.Errorf("a table from %q to %q", keys[0], keys[1])
		}
	}
}

// TestASnapshotCostsFewTables: each kind of record that a range deletion lies over costs one, whether there is anything of it or not.
func TestASnapshotCostsFewTables(t *testing.T) {
	for name, before := range map[string][]storage.GroupUpdate{
		"for a new member": nil,
		"for an old one":   {{Group: "a", Entries: entries(1, 1, 4), State: []storage.KV{kv("m", "old")}, Applied: 3}, {Group: "a", Stage: []storage.KV{kv("m", "given up")}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := mustOpen(t, vfs.NewMem())
			defer mustClose(t, s)
			for _, u := range before {
				mustCommit(t, s, u)
			}
			mustCommit(t, s, storage.GroupUpdate{Group: "a", StageAnew: true, Stage: []storage.KV{kv("e1", "1"), kv("m", "new")}})
			mustCommit(t, s, storage.GroupUpdate{Group: "a", Install: true, Applied: 9, Compact: raft.EntryID{Index: 9, Term: 2}})
			tables, err := s.FlushedTables()
			if most := 10 + len(before)*30; err != nil || len(tables) > most {
				t.Errorf("%d tables, want %d at most; %v", len(tables), most, err)
			}
		})
	}
}
