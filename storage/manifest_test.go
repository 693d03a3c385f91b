package storage_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

const (
	flushedGroups  = 12 // each has its time, and writes nothing after it …
	flushedEntries = 30 // … so that nothing of later shows what is missing
)

// flushedStore is the disk of a store that stood still at once, after several of its logs had been replaced by tables.
func flushedStore(t *testing.T) (fs *vfs.MemFS, manifest, notes string) {
	t.Helper()
	fs = vfs.NewCrashableMem()
	s, err := storage.Open(dir, node1, smallTables(fs))
	if err != nil {
		t.Fatal(err)
	}
	for g := range flushedGroups {
		mustCommit(t, s, storage.GroupUpdate{Group: fmt.Sprint(g), HardState: &raft.HardState{Term: 1}})
		for i := 1; i <= flushedEntries; i++ {
			mustCommit(t, s, storage.GroupUpdate{Group: fmt.Sprint(g), Entries: []raft.Entry{{Index: index(i), Term: 1, Data: make([]byte, 2000)}}})
		}
	}
	written := fs
	for { // until nothing in the background has written to the manifest and not noted it yet
		fs = written.CrashClone(vfs.CrashCloneCfg{})
		manifest, notes = manifestIn(t, fs)
		b := content(t, fs, notes)
		if last := len(b)&^15 - 16; last >= 0 && binary.LittleEndian.Uint64(b[last:]) == uint64(len(content(t, fs, manifest))) {
			break
		}
	}
	mustClose(t, s)
	return fs, manifest, notes
}

func manifestIn(t *testing.T, fs *vfs.MemFS) (manifest, notes string) {
	t.Helper()
	for _, name := range filesIn(t, fs) {
		switch {
		case strings.HasPrefix(name, "MANIFEST-"):
			manifest = fs.PathJoin(dir, name) // the last one counts
		case strings.HasPrefix(name, "synced-MANIFEST-"):
			notes = fs.PathJoin(dir, name)
		}
	}
	if !strings.HasSuffix(notes, fs.PathBase(manifest)) {
		t.Fatalf("%s is noted in %s", manifest, notes)
	}
	return manifest, notes
}

func smallTables(fs vfs.FS) storage.Options {
	return storage.Options{FS: fs, CacheBytes: 1 << 20, MemTableBytes: 64 << 10}
}

func wantAllFlushed(t *testing.T, fs vfs.FS) {
	t.Helper()
	s, err := storage.Open(dir, node1, smallTables(fs))
	if err != nil {
		t.Fatal(err)
	}
	for g := range flushedGroups {
		if state := mustLoad(t, s, fmt.Sprint(g)); len(state.Entries) != flushedEntries {
			t.Errorf("%d of %d entries of group %d are left", len(state.Entries), flushedEntries, g)
		}
	}
	mustClose(t, s)
}

// Pebble takes what can't be right in its manifest for the torn end of it. Whichever byte has changed, and wherever it was cut off, the damage is named.
func TestDamageInTheManifestIsNotATornTail(t *testing.T) {
	crashed, manifest, _ := flushedStore(t)
	wantAllFlushed(t, crashed.CrashClone(vfs.CrashCloneCfg{}))
	written := len(content(t, crashed, manifest))
	for at := 0; at < written; at += 3 {
		clone := crashed.CrashClone(vfs.CrashCloneCfg{})
		content(t, clone, manifest)[at] ^= 0x10
		wantDamage(t, clone, fmt.Sprintf("byte %d of %d has changed", at, written))
		clone = crashed.CrashClone(vfs.CrashCloneCfg{})
		write(t, clone, manifest, content(t, crashed, manifest)[:at])
		wantDamage(t, clone, fmt.Sprintf("%d bytes of %d are left", at, written))
	}
}

func wantDamage(t *testing.T, fs vfs.FS, after string) {
	t.Helper()
	if _, err := storage.Inspect(dir, storage.Options{FS: fs}); !errors.Is(err, storage.ErrDamaged) {
		t.Fatalf("%s, inspect: got %v", after, err)
	}
	if _, err := storage.Open(dir, node1, storage.Options{FS: fs}); !errors.Is(err, storage.ErrDamaged) {
		t.Fatalf("%s, open: got %v", after, err)
	}
}

// The notes only say what must be there: one that can't be read, one that a crash has cut off, and a store from before there were any, lose nothing.
func TestNotesOfTheManifestCanBeDamagedOrMissing(t *testing.T) {
	crashed, _, notes := flushedStore(t)
	written := content(t, crashed, notes)
	for at := 0; at < len(written); at += 3 {
		clone := crashed.CrashClone(vfs.CrashCloneCfg{})
		content(t, clone, notes)[at] ^= 0x10
		wantAllFlushed(t, clone)
		clone = crashed.CrashClone(vfs.CrashCloneCfg{})
		write(t, clone, notes, written[:at])
		wantAllFlushed(t, clone)
	}
	if err := crashed.Remove(notes); err != nil {
		t.Fatal(err)
	}
	wantAllFlushed(t, crashed)
}

// What is written to a manifest and not yet synced may be torn, and that is no damage.
func TestATornEndOfTheManifestIsNoDamage(t *testing.T) {
	crashed, manifest, _ := flushedStore(t)
	write(t, crashed, manifest, append(slices.Clone(content(t, crashed, manifest)), 1, 2, 3, 4, 5, 6, 7, 8, 9))
	wantAllFlushed(t, crashed)
}

func TestNotesGoWithTheirManifest(t *testing.T) {
	fs := vfs.NewMem()
	for range 5 {
		mustClose(t, mustOpen(t, fs))
	}
	write(t, fs, dir+"/synced-MANIFEST-000003", nil) // as a version leaves it that knows no notes
	mustClose(t, mustOpen(t, fs))
	notes := 0
	for _, name := range filesIn(t, fs) {
		manifest, is := strings.CutPrefix(name, "synced-")
		if !is {
			continue
		}
		notes++
		if _, err := fs.Stat(fs.PathJoin(dir, manifest)); errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left, and %s isn't", name, manifest)
		}
	}
	if notes == 0 {
		t.Error("nothing is noted")
	}
}

// filesIn are the names of what is in the store's directory, in order.
func filesIn(t *testing.T, fs vfs.FS) []string {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// content is a file's own bytes.
func content(t *testing.T, fs *vfs.MemFS, name string) []byte {
	t.Helper()
	b, err := fs.UnsafeGetFileDataBuffer(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
