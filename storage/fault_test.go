package storage_test

import (
	"bytes"
	"errors"
	"log/slog"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

var errDisk = errors.New("input/output error of the test")

// faultyDisk fails the operations that its rule names, while it is on.
type faultyDisk struct {
	on   atomic.Bool
	hits atomic.Int64
}

func (d *faultyDisk) wrap(fs vfs.FS, failure error, rule func(errorfs.Op) bool) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if d.on.Load() && rule(op) {
			d.hits.Add(1)
			return failure
		}
		return nil
	}))
}

func isLog(op errorfs.Op) bool { return strings.HasSuffix(op.Path, ".log") }

func isSync(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
}

func isWrite(op errorfs.Op) bool { return op.Kind == errorfs.OpFileWrite }

func TestAFailedCommitPoisonsTheStore(t *testing.T) {
	cases := []struct {
		name    string
		failure error
		rule    func(errorfs.Op) bool
		bytes   int
		says    string
	}{
		{"a failed write", errDisk, func(op errorfs.Op) bool { return isLog(op) && isWrite(op) }, 10, "write "},
		{"a failed write of a large batch", errDisk, func(op errorfs.Op) bool { return isLog(op) && isWrite(op) }, 1 << 20, "write "},
		{"a failed sync", errDisk, func(op errorfs.Op) bool { return isLog(op) && isSync(op) }, 10, "sync "},
		{"a sync that finds the disk full", syscall.ENOSPC, func(op errorfs.Op) bool { return isLog(op) && isSync(op) }, 10, "free some space"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var logged bytes.Buffer
			var faults faultyDisk
			disk := vfs.NewCrashableMem()
			s, err := storage.Open(dir, node1, storage.Options{
				FS: faults.wrap(disk, c.failure, c.rule), Logger: slog.New(slog.NewTextHandler(&logged, nil))})
			if err != nil {
				t.Fatal(err)
			}
			mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 3)})
			faults.on.Store(true)
			lost := entries(1, 4, 4)
			lost[0].Data = make([]byte, c.bytes)
			err = s.Commit([]storage.GroupUpdate{{Group: "g", Entries: lost}})
			if !errors.Is(err, storage.ErrFatal) || !errors.Is(err, c.failure) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want one that is fatal and says %q", err, c.says)
			}
			faults.on.Store(false) // the disk seems healthy again: it must not be believed
			wantPoisoned(t, s)
			if n := strings.Count(logged.String(), "storage failed"); n != 1 {
				t.Errorf("the failure was logged %d times:\n%s", n, &logged)
			}
			again := mustOpen(t, disk.CrashClone(vfs.CrashCloneCfg{}))
			defer mustClose(t, again)
			wantState(t, again, "g", raft.State{Entries: entries(1, 1, 3)})
		})
	}
}

func wantPoisoned(t *testing.T, s *storage.Store) {
	t.Helper()
	select {
	case <-s.Failed():
	default:
		t.Error("Failed is not closed")
	}
	_, loadErr := s.Load("g")
	_, _, getErr := s.Reader("g").Get([]byte("k"))
	_, groupsErr := s.Groups()
	_, metricsErr := s.Metrics()
	for name, err := range map[string]error{
		"Commit": s.Commit([]storage.GroupUpdate{{Group: "g", Entries: entries(1, 4, 4)}}), "empty Commit": s.Commit(nil),
		"Load": loadErr, "Get": getErr, "Groups": groupsErr, "Metrics": metricsErr, "Close": s.Close(), "Err": s.Err(),
	} {
		if !errors.Is(err, storage.ErrFatal) {
			t.Errorf("%s after the failure: got %v", name, err)
		}
	}
}

// After a failed sync the kernel may have dropped the pages and call the next sync a success: nothing may be written any more.
func TestNothingReachesTheDiskAfterAFailedSync(t *testing.T) {
	var faults faultyDisk
	var after atomic.Int64
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if faults.hits.Load() > 0 && (isSync(op) || isWrite(op) || op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpRename) {
			after.Add(1)
		}
		return nil
	}))
	s := mustOpen(t, faults.wrap(fs, errDisk, func(op errorfs.Op) bool { return isLog(op) && isSync(op) }))
	faults.on.Store(true)
	_ = s.Commit([]storage.GroupUpdate{{Group: "g", Entries: entries(1, 1, 1)}})
	faults.on.Store(false)
	_ = s.Commit([]storage.GroupUpdate{{Group: "g", Entries: entries(1, 1, 1)}})
	_ = s.Close()
	if n := after.Load(); n != 0 {
		t.Errorf("%d operations reached the disk after the failure", n)
	}
}

// The write-ahead log is fine, the flush of a memtable is not: commits would pile up behind it.
func TestAFailureInTheBackgroundIsTold(t *testing.T) {
	var faults faultyDisk
	s := mustOpen(t, faults.wrap(vfs.NewMem(), errDisk, func(op errorfs.Op) bool { return strings.HasSuffix(op.Path, ".sst") && isWrite(op) }))
	faults.on.Store(true)
	if err := commitUntilItFails(s); !errors.Is(err, storage.ErrFatal) {
		t.Errorf("got %v", err)
	}
	<-s.Failed()
	if err := s.Err(); !errors.Is(err, errDisk) || !strings.Contains(err.Error(), ".sst") {
		t.Errorf("got %v, want the file and the reason", err)
	}
}

func TestADiskThatFailsDuringOpenIsAnError(t *testing.T) {
	for _, suffix := range []string{".log", "MANIFEST", ".dbtmp", "marker"} {
		t.Run(suffix, func(t *testing.T) {
			var faults faultyDisk
			disk := vfs.NewCrashableMem()
			mustClose(t, mustOpen(t, disk))
			faults.on.Store(true)
			s, err := storage.Open(dir, node1, storage.Options{FS: faults.wrap(disk, syscall.ENOSPC, func(op errorfs.Op) bool {
				return op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpRemove && strings.Contains(path.Base(op.Path), suffix)
			})})
			if faults.hits.Load() == 0 {
				t.Fatal("a reopening writes no such file")
			}
			if s != nil || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some space") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Two failures that Pebble doesn't return but answers by ending the process: a new write-ahead log that can't be made, and a manifest
// that can't be synced. The host must get the chance to end it in its own way.
func TestFailuresThatPebbleWouldCrashOnAreReturned(t *testing.T) {
	cases := []struct {
		name string
		rule func(errorfs.Op) bool
		says string
	}{
		{"a new write-ahead log", func(op errorfs.Op) bool {
			return isLog(op) && (op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpReuseForWrite)
		}, ".log"},
		{"the manifest", func(op errorfs.Op) bool { return strings.Contains(op.Path, "MANIFEST") && isSync(op) }, "MANIFEST"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var faults faultyDisk
			s := mustOpen(t, faults.wrap(vfs.NewMem(), errDisk, c.rule))
			faults.on.Store(true)
			err := commitUntilItFails(s)
			if !errors.Is(err, storage.ErrFatal) || !errors.Is(err, errDisk) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			wantPoisoned(t, s)
		})
	}
}

func commitUntilItFails(s *storage.Store) error {
	for i := 1; i <= 1000; i++ {
		if err := s.Commit([]storage.GroupUpdate{{Group: "g", Entries: []raft.Entry{{Index: index(i), Term: 1, Data: make([]byte, 1<<20)}}}}); err != nil {
			return err
		}
	}
	return errors.New("a gigabyte was committed and nothing failed")
}
