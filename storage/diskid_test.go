package storage_test

import (
	"encoding/hex"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

func TestADirectoryKeepsItsNameAndAnotherHasAnother(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	name := s.Disk()
	mustClose(t, s)
	s = mustOpen(t, fs)
	defer mustClose(t, s)
	other := mustOpen(t, vfs.NewMem())
	defer mustClose(t, other)
	if name == (storage.Disk{}) || s.Disk() != name || other.Disk() == name {
		t.Errorf("a directory is %x and after a restart %x; another is %x", name, s.Disk(), other.Disk())
	}
}

// The record of format 2: sealed, 16 bytes of name and how the cluster began.
const diskRecord = "03 000102030405060708090a0b0c0d0e0f 6e6f646573205b315d"

func TestTheNameIsReadAsItWasWritten(t *testing.T) {
	part := strings.Fields(diskRecord)
	body, err := hex.DecodeString(part[1] + part[2])
	if err != nil {
		t.Fatal(err)
	}
	fs := vfs.NewMem()
	mustClose(t, mustOpen(t, fs))
	key := []byte{storage.DiskKey}
	rawSet(t, fs, dir, key, storage.Seal(key, body))
	s, err := storage.Open(dir, storage.Identity{Cluster: "test", Node: 1, Founding: "nodes [1]"}, storage.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	if got := s.Disk(); hex.EncodeToString(got[:]) != part[1] {
		t.Errorf("got %x, want %s", got, part[1])
	}
}

// A directory knows what it began with, whatever it is opened with later; once its store was set aside, it knows no more.
func TestADirectoryKnowsWhatItBeganWith(t *testing.T) {
	fs := vfs.NewMem()
	restored := storage.Identity{Cluster: "test", Node: 1, Founding: "nodes [1]", Origin: "backup 1a2b of old"}
	plain := restored
	plain.Origin = ""
	open := func(id storage.Identity, want string) {
		t.Helper()
		s, err := storage.Open(dir, id, storage.Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		if s.Origin() != want {
			t.Errorf("it began with %q, want %q", s.Origin(), want)
		}
		mustClose(t, s)
	}
	open(restored, restored.Origin)
	open(plain, restored.Origin)
	if got, want := hex.EncodeToString(rawGet(t, fs, []byte{storage.DiskKey})[16:]), "6e6f646573205b315d"+"00"+hex.EncodeToString([]byte(restored.Origin)); !strings.HasPrefix(got, want) {
		t.Errorf("the record ends with %s, want %s and a checksum", got, want)
	}
	if _, err := storage.SetAside(dir, plain, fs); err != nil {
		t.Fatal(err)
	}
	open(plain, storage.OriginUnknown)
	open(restored, storage.OriginUnknown)
	fs = vfs.NewMem()
	open(plain, "")
	open(restored, "")
}

func TestADamagedNameIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	mustClose(t, mustOpen(t, fs))
	key := []byte{storage.DiskKey}
	rawSet(t, fs, dir, key, storage.Seal(key, []byte("too short")))
	if _, err := storage.Open(dir, node1, storage.Options{FS: fs}); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

// TestAnotherBeginningIsRefused: two clusters of one name, or a file that was changed where it can't be.
func TestAnotherBeginningIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	began := func(how string) storage.Identity {
		return storage.Identity{Cluster: "test", Node: raft.NodeID(1), Founding: how}
	}
	s, err := storage.Open(dir, began("nodes [1 2 3]"), storage.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	_, err = storage.Open(dir, began("nodes [1 2 3 4]"), storage.Options{FS: fs})
	if !errors.Is(err, storage.ErrWrongFounding) || !strings.Contains(err.Error(), "nodes [1 2 3], and the configuration says nodes [1 2 3 4]") {
		t.Errorf("got %v", err)
	}
	if s, err = storage.Open(dir, began("nodes [1 2 3]"), storage.Options{FS: fs}); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
}

func mustMeet(t *testing.T, s *storage.Store, node raft.NodeID, disk storage.Disk) {
	t.Helper()
	if err := s.Meet(node, disk); err != nil {
		t.Fatal(err)
	}
}

func wantMet(t *testing.T, s *storage.Store, want map[raft.NodeID]storage.Disk) {
	t.Helper()
	if got := s.Met(); !maps.Equal(got, want) {
		t.Errorf("met %x, want %x", got, want)
	}
}

// Whom a node has met it knows for ever: after a crash right behind Meet, after a restart, and when its damaged store was set aside.
func TestWhoWasMetIsKnownForEver(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := mustOpen(t, fs)
	wantMet(t, s, map[raft.NodeID]storage.Disk{})
	mustMeet(t, s, 2, storage.Disk{2})
	mustMeet(t, s, 3, storage.Disk{3})
	mustMeet(t, s, 2, storage.Disk{2})
	mustMeet(t, s, 3, storage.Disk{4}) // the cluster knew better
	want := map[raft.NodeID]storage.Disk{2: {2}, 3: {4}}
	crashed := fs.CrashClone(vfs.CrashCloneCfg{}) // without anything that wasn't synced
	mustClose(t, s)
	for range 2 {
		s = mustOpen(t, crashed)
		wantMet(t, s, want)
		mustClose(t, s)
	}
	ruin(t, crashed, "MANIFEST")
	if _, err := storage.SetAside(dir, node1, crashed); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, crashed)
	wantMet(t, s, want)
	mustClose(t, s)
	if err := s.Meet(2, storage.Disk{2}); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// A node is met once: the second time nothing is written.
func TestMeetingAgainCostsNothing(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	defer mustClose(t, s)
	mustMeet(t, s, 2, storage.Disk{2})
	size := func() int64 {
		info, err := fs.Stat(fs.PathJoin(dir, "terms"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before := size()
	mustMeet(t, s, 2, storage.Disk{2})
	if after := size(); after != before {
		t.Errorf("the note grew from %d to %d bytes", before, after)
	}
}
