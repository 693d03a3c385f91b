package storage_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

func TestInspectDescribesADirectory(t *testing.T) {
	dir := t.TempDir()
	s, err := storage.Open(dir, node1, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mustCommit(t, s, goldenUpdates()...)
	mustClose(t, s)
	before := tree(t, dir)
	d, err := storage.Inspect(dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Identity != node1 || d.DiskBytes == 0 {
		t.Errorf("got %+v", d)
	}
	want := []storage.GroupDescription{{
		Name: "bank/HOME", HardState: raft.HardState{Term: 300, Vote: 2, Commit: 4, Accepted: 299},
		Compacted: raft.EntryID{Index: 2, Term: 1}, First: 3, Last: raft.EntryID{Index: 5, Term: 300}, LogBytes: 7,
		Applied: 3, StateKeys: 2, StateBytes: uint64(len("accountbalanceempty")),
	}, {
		Name: "coordinator/0", HardState: raft.HardState{Term: 1}, First: 1,
	}}
	if diff := cmp.Diff(want, d.Groups); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
		t.Errorf("inspecting changed the directory: %s", diff)
	}
}

func TestInspectOfNothing(t *testing.T) {
	if _, err := storage.Inspect(t.TempDir(), storage.Options{}); !errors.Is(err, storage.ErrForeign) {
		t.Errorf("an empty directory: %v", err)
	}
	if _, err := storage.Inspect("nowhere", storage.Options{FS: vfs.NewMem()}); err == nil {
		t.Error("a directory that doesn't exist was described")
	}
}

func TestMetricsCount(t *testing.T) {
	dir := t.TempDir()
	s, err := storage.Open(dir, node1, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	mustCommit(t, s)
	mustCommit(t, s, storage.GroupUpdate{Group: "g"})
	mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 3)}, storage.GroupUpdate{Group: "h", Entries: entries(1, 1, 2)})
	mustCommit(t, s, storage.GroupUpdate{Group: "g", HardState: &raft.HardState{Term: 1}})
	mustCommit(t, s, storage.GroupUpdate{Group: "g", HardState: &raft.HardState{Term: 1}})
	m, err := s.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	if m.Commits != 2 || m.Entries != 5 || m.CommitTime.Count != 2 {
		t.Errorf("got %d commits, %d entries, %d times; want 2, 5, 2", m.Commits, m.Entries, m.CommitTime.Count)
	}
	if m.FlushBytes != 0 || m.CompactBytes != 0 {
		t.Errorf("%d bytes flushed and %d compacted of a store that did neither", m.FlushBytes, m.CompactBytes)
	}
	if m.CommitBytes < 100 || m.WALBytes < m.CommitBytes || m.DiskFreeBytes == 0 || m.DiskBytes == 0 {
		t.Errorf("got %+v", m)
	}
	if p := m.CommitTime.Quantile(0.5); p <= 0 || p > m.CommitTime.Max || m.CommitTime.Max > time.Minute || m.CommitTime.Sum < m.CommitTime.Max {
		t.Errorf("median %v of %+v", p, m.CommitTime)
	}
}

func TestQuantiles(t *testing.T) {
	l := storage.Latency{Count: 100, Max: 9 * time.Millisecond}
	l.Buckets[2], l.Buckets[10] = 90, 10 // below 64 µs, below 16.4 ms
	for q, want := range map[float64]time.Duration{0.5: 64 * time.Microsecond, 0.89: 64 * time.Microsecond, 0.99: 9 * time.Millisecond, 1: 9 * time.Millisecond} {
		if got := l.Quantile(q); got != want {
			t.Errorf("quantile %v: got %v, want %v", q, got, want)
		}
	}
	if got := (&storage.Latency{}).Quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}
