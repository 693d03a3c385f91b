package storage_test

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/quorate/quorate/storage"
)

func TestNoChangePassesABlownFuse(t *testing.T) {
	var reached atomic.Int64
	mem := vfs.NewMem()
	guarded, blow := storage.Guarded(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			reached.Add(1)
		}
		return nil
	})))
	file, err := guarded.Create("a", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte("before")); err != nil {
		t.Fatal(err)
	}
	changes := map[string]func(){
		"Create":        func() { _, _ = guarded.Create("b", vfs.WriteCategoryUnspecified) },
		"ReuseForWrite": func() { _, _ = guarded.ReuseForWrite("a", "c", vfs.WriteCategoryUnspecified) },
		"OpenReadWrite": func() { _, _ = guarded.OpenReadWrite("a", vfs.WriteCategoryUnspecified) },
		"Rename":        func() { _ = guarded.Rename("a", "d") },
		"Link":          func() { _ = guarded.Link("a", "e") },
		"Write":         func() { _, _ = file.Write([]byte("after")) },
		"WriteAt":       func() { _, _ = file.WriteAt([]byte("after"), 0) },
		"Sync":          func() { _ = file.Sync() },
		"SyncData":      func() { _ = file.SyncData() },
		"SyncTo":        func() { _, _ = file.SyncTo(1) },
		"Preallocate":   func() { _ = file.Preallocate(0, 1) },
	}
	blow(errDisk)
	before := reached.Load()
	returned := make(chan string, len(changes))
	for name, change := range changes {
		go func() {
			change()
			returned <- name
		}()
	}
	for standing := 0; standing+len(returned) < len(changes); standing = standingStill("TestNoChangePassesABlownFuse") {
		runtime.Gosched()
	}
	for range len(returned) {
		t.Errorf("%s returned after the failure", <-returned)
	}
	if n := reached.Load() - before; n != 0 {
		t.Errorf("%d changes reached the disk", n)
	}
	if _, err := guarded.List(""); err != nil {
		t.Errorf("reading: %v", err)
	}
}

// standingStill counts the goroutines of a test that the fuse holds.
func standingStill(test string) int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	n := 0
	for one := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(one, "storage.(*fuse).") && strings.Contains(one, test) {
			n++
		}
	}
	return n
}
