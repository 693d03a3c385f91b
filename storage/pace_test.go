package storage_test

import (
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

// withProcessors runs the rest of a test on so many processors.
func withProcessors(t *testing.T, n int) {
	before := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func TestATableRestsAfterEachMillisecond(t *testing.T) {
	for _, c := range []struct {
		processors int
		worked     time.Duration
		hurried    bool
		want       bool
	}{
		{1, 0, false, false},
		{1, time.Millisecond, false, true},
		{1, time.Second, true, false},
		{3, time.Second, false, true},
		{4, time.Second, false, false},
	} {
		withProcessors(t, c.processors)
		if got := storage.Rested(c.worked, c.hurried); got != c.want {
			t.Errorf("%+v: rested %v", c, got)
		}
	}
}

// paced is a store with small memtables, and how often its tables have rested.
func paced(t *testing.T, fs vfs.FS) (s *storage.Store, rests *atomic.Int32) {
	withProcessors(t, 1)
	rests = new(atomic.Int32)
	s, err := storage.Open(dir, node1, storage.Options{FS: fs, CacheBytes: 1 << 20, MemTableBytes: 1 << 20}.WithSleep(func(time.Duration) { rests.Add(1) }))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s, rests
}

// fillLog commits a megabyte of log.
func fillLog(t *testing.T, s *storage.Store, from raft.Index) {
	u := storage.GroupUpdate{Group: "g", Entries: entries(1, from, from+99)}
	for i := range u.Entries {
		u.Entries[i].Data = noise(10_000)
	}
	mustCommit(t, s, u)
}

// TestFlushesRest: what a memtable held is written with rests between its blocks, and the log without.
func TestFlushesRest(t *testing.T) {
	var tables, logs atomic.Int32
	s, rests := paced(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind != errorfs.OpFileWrite {
			return nil
		}
		writes := &logs
		if filepath.Ext(op.Path) == ".sst" {
			writes = &tables
		}
		if writes.Add(1) < 20 {
			time.Sleep(2 * time.Millisecond)
		}
		return nil
	})))
	for i := range 10 {
		mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, index(i+1), index(i+1))})
	}
	if logs.Load() < 10 || tables.Load() > 0 || rests.Load() > 0 {
		t.Errorf("%d writes to the log, %d to tables, %d rests", logs.Load(), tables.Load(), rests.Load())
	}
	fillLog(t, s, 11) // more than the first memtable holds, and too little for commits to wait
	for deadline := time.Now().Add(10 * time.Second); rests.Load() < 5 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	mustClose(t, s)
	if tables.Load() < 10 || rests.Load() < 5 {
		t.Errorf("%d writes to tables, %d rests", tables.Load(), rests.Load())
	}
}

// TestNothingRestsWhileCommitsWait for a flush.
func TestNothingRestsWhileCommitsWait(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s, _ := paced(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite && filepath.Ext(op.Path) == ".sst" {
			once.Do(func() { close(held) })
			<-release
		}
		return nil
	})))
	filled := make(chan struct{})
	go func() {
		defer close(filled)
		for i := range 20 {
			fillLog(t, s, index(100*i+1))
		}
	}()
	<-held
	for deadline := time.Now().Add(10 * time.Second); !s.Hurried(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("commits wait, and tables still rest")
		}
	}
	close(release)
	<-filled
	mustClose(t, s)
	if s.Hurried() {
		t.Error("commits go on, and tables never rest again")
	}
}
