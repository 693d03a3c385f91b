package node_test

import (
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/storage"
)

// watchedDisk counts the syncs of the log that began after, and before, the message of their step had left.
type watchedDisk struct {
	left          atomic.Bool
	after, before atomic.Int64
}

func (d *watchedDisk) change(what, name string, do func() error) error {
	if what == "sync" && filepath.Ext(name) == ".log" {
		if d.left.Load() {
			d.after.Add(1)
		} else {
			d.before.Add(1)
		}
	}
	return do()
}

// TestMessagesLeaveBeforeTheDiskBegins has one thread for everything, as a step does it: wake who sends, hand the write over, and wait. It asks for most of
// the steps: the scheduler takes turns now and then.
func TestMessagesLeaveBeforeTheDiskBegins(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	disk := &watchedDisk{}
	store, err := storage.Open("data", storage.Identity{Cluster: "test", Node: 1}, storage.Options{FS: changeFS{FS: vfs.NewMem(), disk: disk}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	persisted := make(chan struct{}, 1)
	write, stop := node.NewDisk(store, func() { persisted <- struct{}{} })
	defer stop()
	message := make(chan struct{}, 1)
	defer close(message)
	go func() {
		for range message {
			disk.left.Store(true)
		}
	}()
	disk.before.Store(0)
	const steps = 50
	for i := range raft.Index(steps) {
		disk.left.Store(false)
		message <- struct{}{}
		write(lane.GroupWrite{Group: "a", Write: replica.Write{Seq: uint64(i + 1), Entries: []raft.Entry{{Index: i + 1, Term: 1}}}})
		<-persisted
	}
	if after, before := disk.after.Load(), disk.before.Load(); before > steps/5 || after < steps/2 {
		t.Errorf("of %d steps the message left before the sync in %d, and after it had begun in %d", steps, after, before)
	}
}
