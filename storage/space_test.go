package storage_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

// tightFS is a file system with little space: a write that doesn't fit takes what does and fails, like a real one.
type tightFS struct {
	vfs.FS
	free *atomic.Int64
	only string // the suffix of the files that need space; "": all
	says error  // to what doesn't fit; nil: ENOSPC
}

const tightTotal = 100 << 20

func newTight(fs vfs.FS, free int64) tightFS {
	t := tightFS{FS: fs, free: new(atomic.Int64)}
	t.free.Store(free)
	return t
}

func (fs tightFS) take(name string, want int) (int, error) {
	if !strings.HasSuffix(name, fs.only) {
		return want, nil
	}
	for {
		free := fs.free.Load()
		got := min(int64(want), free)
		if fs.free.CompareAndSwap(free, free-got) {
			if int(got) < want && fs.says != nil {
				return int(got), fs.says
			}
			if int(got) < want {
				return int(got), syscall.ENOSPC
			}
			return want, nil
		}
	}
}

func (fs tightFS) Unwrap() vfs.FS { return fs.FS }

func (fs tightFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: uint64(fs.free.Load()), TotalBytes: tightTotal}, nil
}

func (fs tightFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if _, err := fs.take(name, 1); err != nil { // the directory grows
		return nil, err
	}
	file, err := fs.FS.Create(name, c)
	return tightFile{file, fs, name}, err
}

func (fs tightFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := fs.FS.ReuseForWrite(from, to, c)
	return tightFile{file, fs, to}, err
}

type tightFile struct {
	vfs.File
	fs   tightFS
	name string
}

func (f tightFile) Write(p []byte) (int, error) {
	fits, full := f.fs.take(f.name, len(p))
	n, err := f.File.Write(p[:fits])
	return n, errors.Join(err, full)
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick, late := time.NewTicker(time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// A full disk is no broken one: the commit stands still, confirms nothing, and goes on where it was when there is space.
func TestACommitWaitsForSpaceAndLosesNothing(t *testing.T) {
	for _, fits := range []int64{0, 1, 700, 40_000} { // bytes of the commit that are still taken
		disk := vfs.NewCrashableMem()
		fs := newTight(disk, tightTotal)
		var log lines
		s, err := storage.Open(dir, node1, storage.Options{FS: fs, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 3)})
		if space := s.Space(); space.Low || space.Waiting || space.ReserveBytes != tightTotal/20 {
			t.Errorf("with space: %+v", space)
		}
		fs.free.Store(fits)
		big := raft.Entry{Index: 4, Term: 1, Data: bytes.Repeat([]byte("payments "), 10_000)}
		committed := make(chan error, 1)
		go func() { committed <- s.Commit([]storage.GroupUpdate{{Group: "g", Entries: []raft.Entry{big}}}) }()
		eventually(t, "the store says that it waits", func() bool { return s.Space().Waiting && s.Space().Low })
		again := mustOpen(t, disk.CrashClone(vfs.CrashCloneCfg{}))
		wantState(t, again, "g", raft.State{Entries: entries(1, 1, 3)})
		mustClose(t, again)
		select {
		case err := <-committed:
			t.Fatalf("confirmed without space: %v", err)
		default:
		}
		fs.free.Store(tightTotal)
		if err := <-committed; err != nil {
			t.Fatal(err)
		}
		if space := s.Space(); space.Low || space.Waiting {
			t.Errorf("with space again: %+v", space)
		}
		mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 5, 6)})
		again = mustOpen(t, disk.CrashClone(vfs.CrashCloneCfg{}))
		wantState(t, again, "g", raft.State{Entries: append(append(entries(1, 1, 3), big), entries(1, 5, 6)...)})
		mustClose(t, again)
		mustClose(t, s)
		if full, better := log.count("disk full"), log.count("disk has space again"); full == 0 || full != better {
			t.Errorf("logged %d times that it is full and %d times that it isn't", full, better)
		}
	}
}

// A quota that is used up, and a limit on what the process may write, are a full disk by another name.
func TestAQuotaIsWaitedForLikeSpace(t *testing.T) {
	for _, says := range []error{syscall.EDQUOT, syscall.EFBIG} {
		fs := newTight(vfs.NewMem(), tightTotal)
		fs.says = says
		s := mustOpen(t, fs)
		fs.free.Store(10)
		committed := make(chan error, 1)
		go func() { committed <- s.Commit([]storage.GroupUpdate{{Group: "g", Entries: entries(1, 1, 3)}}) }()
		eventually(t, "the store says that it waits, or fails", func() bool { return s.Space().Waiting || len(committed) > 0 })
		fs.free.Store(tightTotal)
		if err := <-committed; err != nil {
			t.Errorf("%v: got %v", says, err)
		}
		mustClose(t, s)
	}
}

// What the background finds no space for waits in the same way, and commits go on as long as there is memory.
func TestTheBackgroundWaitsForSpace(t *testing.T) {
	for _, only := range []string{".sst", "MANIFEST-000001", ".log"} {
		t.Run(only, func(t *testing.T) {
			disk := vfs.NewCrashableMem()
			fs := newTight(disk, tightTotal)
			fs.only = only
			s, err := storage.Open(dir, node1, storage.Options{FS: fs, MemTableBytes: 256 << 10})
			if err != nil {
				t.Fatal(err)
			}
			fs.free.Store(100_000)
			const commits = 60
			done := make(chan error, 1)
			go func() {
				for i := 1; i <= commits; i++ {
					if err := s.Commit([]storage.GroupUpdate{{Group: "g", Entries: []raft.Entry{{Index: index(i), Term: 1, Data: make([]byte, 50_000)}}}}); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
			eventually(t, "something waits", func() bool { return s.Space().Waiting || len(done) > 0 })
			fs.free.Store(1 << 40)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			eventually(t, "nothing waits any more", func() bool { return !s.Space().Waiting })
			mustClose(t, s)
			again := mustOpen(t, disk.CrashClone(vfs.CrashCloneCfg{}))
			defer mustClose(t, again)
			if state, err := again.Load("g"); err != nil || len(state.Entries) != commits {
				t.Errorf("%d entries are there, %v", len(state.Entries), err)
			}
		})
	}
}

// Whoever stops a node whose disk is full doesn't wait for space: that end is a failed one.
func TestAFullDiskHoldsNobodyWhoEnds(t *testing.T) {
	fs := newTight(vfs.NewMem(), tightTotal)
	s := mustOpen(t, fs)
	fs.free.Store(10)
	committed := make(chan error, 1)
	go func() { committed <- s.Commit([]storage.GroupUpdate{{Group: "g", Entries: entries(1, 1, 3)}}) }()
	eventually(t, "the commit waits", func() bool { return s.Space().Waiting })
	s.DontWait()
	if err := <-committed; !errors.Is(err, storage.ErrFatal) || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("got %v", err)
	}
	wantPoisoned(t, s)
}

func TestSpaceIsLowBeforeTheDiskIsFull(t *testing.T) {
	fs := newTight(vfs.NewMem(), tightTotal)
	s, err := storage.Open(dir, node1, storage.Options{FS: fs, ReserveBytes: 10 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	for free, low := range map[int64]bool{10 << 20: false, 10<<20 - 1: true} {
		fs.free.Store(free)
		if space := s.Space(); space.Low != low || space.FreeBytes != uint64(free) || space.ReserveBytes != 10<<20 || space.Waiting {
			t.Errorf("%d free: %+v", free, space)
		}
	}
}
