package storage_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

// The log's file is longer than what was written, and what was written is read back from it.
func TestWriteAheadLogHasItsLengthBeforehand(t *testing.T) {
	dir := t.TempDir()
	s, err := storage.Open(dir, node1, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	hard := raft.HardState{Term: 3, Vote: 1}
	if err := s.Commit([]storage.GroupUpdate{{Group: "bank/A", HardState: &hard}}); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("%d logs, %v", len(logs), err)
	}
	info, err := os.Stat(logs[0])
	if err != nil || info.Size() < 1<<20 {
		t.Fatalf("the log is %d bytes long, %v", info.Size(), err)
	}
	mustClose(t, s)
	if s, err = storage.Open(dir, node1, storage.Options{}); err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	if state, err := s.Load("bank/A"); err != nil || state.HardState != hard {
		t.Fatalf("got %+v, %v, want %+v", state.HardState, err, hard)
	}
}
