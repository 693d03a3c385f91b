package storage_test

import (
	"math/rand/v2"
	"path"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

func index(i int) raft.Index { return raft.Index(i) }

// openRapid opens a store in which every checkpoint is files.
func openRapid(t *rapid.T, fs vfs.FS) *storage.Store {
	s, err := storage.Open(dir, node1, storage.Options{FS: fs, CacheBytes: 1 << 20, FileBytesMin: 1})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

// groupModel is the slower, obvious version of a group.
type groupModel struct {
	state raft.State
	value string // under the only key of its state
}

func (m *groupModel) last() raft.Index { return m.state.Compacted.Index + index(len(m.state.Entries)) }

// drawUpdate makes an update that fits the model, and what the model is after it.
func drawUpdate(t *rapid.T, name string, m groupModel) (storage.GroupUpdate, groupModel) {
	u := storage.GroupUpdate{Group: name}
	s := &m.state
	s.HardState.Term++
	floor := max(s.Applied, s.HardState.Commit)
	first := floor + 1 + index(rapid.IntRange(0, int(m.last()-floor)).Draw(t, "first"))
	count := rapid.IntRange(0, 4).Draw(t, "entries")
	if count > 0 {
		u.Entries = entries(s.HardState.Term, first, first+index(count)-1)
		for i := range u.Entries {
			u.Entries[i].Data = append(u.Entries[i].Data, make([]byte, rapid.SampledFrom([]int{0, 10, 40_000}).Draw(t, "bytes"))...)
		}
		keep := first - s.Compacted.Index - 1
		s.Entries = append(append([]raft.Entry(nil), s.Entries[:keep]...), u.Entries...)
	}
	s.HardState.Commit += index(rapid.IntRange(0, int(m.last()-s.HardState.Commit)).Draw(t, "commit"))
	hs := s.HardState
	u.HardState = &hs
	if rapid.Bool().Draw(t, "checkpoint") && s.HardState.Commit > s.Applied {
		s.Applied, u.Applied = hs.Commit, hs.Commit
		m.value = rapid.StringMatching(`[a-z]{1,9}`).Draw(t, "value")
		u.State = []storage.KV{kv("key", m.value)}
		if rapid.Bool().Draw(t, "compact") {
			n := rapid.IntRange(1, int(s.Applied-s.Compacted.Index)).Draw(t, "drop")
			u.Compact = raft.EntryID{Index: s.Entries[n-1].Index, Term: s.Entries[n-1].Term}
			s.Compacted, s.Entries = u.Compact, s.Entries[n:]
		}
	}
	if len(s.Entries) == 0 {
		s.Entries = nil
	}
	return u, m
}

func read(t *rapid.T, s *storage.Store, name string) groupModel {
	state, err := s.Load(name)
	if err != nil {
		t.Fatalf("load %s: %v", name, err)
	}
	v, _, err := s.Reader(name).Get([]byte("key"))
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	return groupModel{state: state, value: string(v)}
}

// same is what cmp.Equal says, in a thousandth of its time.
func same(a, b [2]groupModel) bool { return reflect.DeepEqual(a, b) }

// What Commit has acknowledged is there after any crash; what it had not is there in all groups or in none,
// whichever of the unsynced blocks the disk had already taken.
func TestACrashAtAnySyncLosesNothingAndTearsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		disk := vfs.NewCrashableMem()
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		unsynced := rapid.SampledFrom([]int{0, 30, 50, 90}).Draw(t, "unsynced percent")
		var crashed *vfs.MemFS
		var armed atomic.Bool // asked in the background, too
		fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			sync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
			if armed.Load() && sync && strings.HasSuffix(op.Path, ".log") {
				crashed = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rng})
			}
			return nil
		}))
		s := openRapid(t, fs)
		names := [2]string{"bank/HOME", "coordinator/0"}
		var now [2]groupModel
		for range rapid.IntRange(1, 6).Draw(t, "commits") {
			before, updates := now, []storage.GroupUpdate(nil)
			for i := range names {
				var u storage.GroupUpdate
				u, now[i] = drawUpdate(t, names[i], now[i])
				updates = append(updates, u)
			}
			crashed = nil
			armed.Store(true)
			if err := s.Commit(updates); err != nil {
				t.Fatalf("commit: %v", err)
			}
			armed.Store(false)
			if crashed == nil {
				t.Fatal("Commit returned without a sync")
			}
			during := readBoth(t, crashed, names)
			if !same(during, before) && !same(during, now) {
				t.Fatalf("a crash before the sync left neither the old state nor the new one:\nold %v\nnew %v\ngot %v", before, now, during)
			}
			after := readBoth(t, disk.CrashClone(vfs.CrashCloneCfg{}), names)
			if !same(after, now) {
				t.Fatalf("a crash after Commit lost something: %s", cmp.Diff(now, after, cmp.AllowUnexported(groupModel{})))
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got := readBoth(t, disk, names); !same(got, now) {
			t.Fatalf("reopened: %s", cmp.Diff(now, got, cmp.AllowUnexported(groupModel{})))
		}
	})
}

func readBoth(t *rapid.T, fs vfs.FS, names [2]string) (got [2]groupModel) {
	s := openRapid(t, fs)
	for i, name := range names {
		got[i] = read(t, s, name)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return got
}

// Every write, sync, rename and creation of a file while a store is made is a place to crash, with the unsynced part lost or not.
func TestACrashDuringCreationCanBeOpenedAgain(t *testing.T) {
	disk := vfs.NewCrashableMem()
	var crashes []*vfs.MemFS
	var at []string
	rng := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex // Pebble removes old files beside everything else
	fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			mu.Lock()
			defer mu.Unlock()
			for _, percent := range []int{0, 100} {
				crashes = append(crashes, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
				at = append(at, path.Base(op.Path))
			}
		}
		return nil
	}))
	mustClose(t, mustOpen(t, fs))
	if len(crashes) < 20 {
		t.Fatalf("only %d places to crash: the hook sees nothing", len(crashes))
	}
	for i, crashed := range crashes {
		s, err := storage.Open(dir, node1, storage.Options{FS: crashed})
		if err != nil {
			t.Errorf("crash %d, at %s: %v", i, at[i], err)
			continue
		}
		mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 1)})
		mustClose(t, s)
		mustClose(t, mustOpen(t, crashed))
	}
}

// markedFS looks at what would survive a crash right after a marker was made.
type markedFS struct {
	vfs.FS
	mem   *vfs.MemFS
	t     *testing.T
	marks *int
}

func (fs markedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := fs.FS.Create(name, c)
	if _, marked, ok := strings.Cut(name, ".MANIFEST-"); ok && err == nil {
		*fs.marks++
		if _, err := fs.mem.CrashClone(vfs.CrashCloneCfg{}).Stat(dir + "/MANIFEST-" + marked); err != nil {
			fs.t.Errorf("the marker says that MANIFEST-%s counts, and a crash could keep the marker alone: %v", marked, err)
		}
	}
	return file, err
}

func TestAMarkerOutlivesNothingThatItNames(t *testing.T) {
	mem, marks := vfs.NewCrashableMem(), 0
	for range 3 {
		mustClose(t, mustOpen(t, markedFS{mem, mem, t, &marks}))
	}
	if marks < 2 {
		t.Errorf("%d manifests were begun, this proves nothing", marks)
	}
}
