package storage_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

// damagedStore has promised something in term 7 of group a, and its files are ruined.
func damagedStore(t *testing.T) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	mustCommit(t, s, storage.GroupUpdate{Group: "a", HardState: &raft.HardState{Term: 3, Vote: 2}, Entries: entries(3, 1, 4)})
	mustCommit(t, s, storage.GroupUpdate{Group: "a", HardState: &raft.HardState{Term: 7, Vote: 1}})
	mustClose(t, s)
	ruin(t, fs, "MANIFEST")
	return fs
}

func ruin(t *testing.T, fs *vfs.MemFS, prefix string) {
	t.Helper()
	for _, name := range filesIn(t, fs) {
		if strings.HasPrefix(name, prefix) {
			b := content(t, fs, fs.PathJoin(dir, name))
			for i := range b {
				b[i] ^= 0x55
			}
		}
	}
}

func TestAStoreThatIsSetAsideIsFollowedByOneThatKnowsWhatWasLost(t *testing.T) {
	fs := damagedStore(t)
	if _, err := storage.Open(dir, node1, storage.Options{FS: fs}); !errors.Is(err, storage.ErrDamaged) {
		t.Fatalf("open: %v", err)
	}
	if _, err := storage.SetAside(dir, storage.Identity{Cluster: "test", Node: 9}, fs); !errors.Is(err, storage.ErrWrongNode) {
		t.Errorf("another node's: %v", err)
	}
	for _, want := range []string{"damaged-1", "damaged-2"} { // a crash may have it done twice
		aside, err := storage.SetAside(dir, node1, fs)
		if err != nil || !strings.HasSuffix(aside, want) {
			t.Fatalf("got %q, %v", aside, err)
		}
	}
	if list, err := fs.List(fs.PathJoin(dir, "damaged-1")); err != nil || len(list) == 0 {
		t.Errorf("the damaged files are gone: %v", err)
	}
	for range 2 { // also after another start
		s := mustOpen(t, fs)
		wantState(t, s, "a", raft.State{HardState: raft.HardState{Term: 8}, Lost: 7})
		wantState(t, s, "b", raft.State{})
		mustClose(t, s)
	}
	s := mustOpen(t, fs)
	mustCommit(t, s, storage.GroupUpdate{Group: "a", HardState: &raft.HardState{Term: 12, Vote: 2}})
	mustClose(t, s)
	s = mustOpen(t, fs)
	wantState(t, s, "a", raft.State{HardState: raft.HardState{Term: 12, Vote: 2}, Lost: 7})
	mustClose(t, s)
}

func TestWithoutTheNoteOfTermsNothingIsSetAside(t *testing.T) {
	fs := damagedStore(t)
	if err := fs.Remove(fs.PathJoin(dir, "terms")); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.SetAside(dir, node1, fs); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

// Any bit of the note may turn: what it says stays, or it is refused.
func TestTheNoteOfTermsSurvivesAChangedBit(t *testing.T) {
	for at := 0; ; at++ {
		fs := damagedStore(t)
		b := content(t, fs, fs.PathJoin(dir, "terms"))
		if at >= len(b) {
			return
		}
		b[at] ^= 0x04
		_, err := storage.SetAside(dir, node1, fs)
		if errors.Is(err, storage.ErrDamaged) {
			continue
		}
		if err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
		s := mustOpen(t, fs)
		wantState(t, s, "a", raft.State{HardState: raft.HardState{Term: 8}, Lost: 7})
		mustClose(t, s)
	}
}

// A replica that was ended for ever isn't lost with the store, and isn't there after it: its node may be out of the group.
func TestWhatWasRetiredStaysSoWhenTheStoreIsSetAside(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	disk := s.Disk()
	mustCommit(t, s, storage.GroupUpdate{Group: "a", HardState: &raft.HardState{Term: 3, Vote: 2}})
	mustCommit(t, s, storage.GroupUpdate{Group: "b", HardState: &raft.HardState{Term: 5, Vote: 1}})
	mustCommit(t, s, storage.GroupUpdate{Group: "a", Retire: true})
	mustClose(t, s)
	ruin(t, fs, "MANIFEST")
	if _, err := storage.SetAside(dir, node1, fs); err != nil {
		t.Fatal(err)
	}
	for range 2 { // also after another start
		s = mustOpen(t, fs)
		if _, err := s.Load("a"); !errors.Is(err, storage.ErrRetired) {
			t.Errorf("the retired group: %v", err)
		}
		wantState(t, s, "b", raft.State{HardState: raft.HardState{Term: 6}, Lost: 5})
		if s.Disk() != disk {
			t.Errorf("the directory was %x and is %x: its note of terms has survived", disk, s.Disk())
		}
		mustClose(t, s)
	}
}

// A crash between the note and the commit that drops the data leaves the replica as it was: it is retired again.
func TestARetirementThatWasOnlyNotedHasNotHappened(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	mustCommit(t, s, storage.GroupUpdate{Group: "a", HardState: &raft.HardState{Term: 3, Vote: 2}})
	mustClose(t, s)
	before := vfs.NewMem()
	if _, err := vfs.Clone(fs, before, dir, dir); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, fs)
	mustCommit(t, s, storage.GroupUpdate{Group: "a", Retire: true})
	mustClose(t, s)
	noted := content(t, fs, fs.PathJoin(dir, "terms"))
	write(t, before, before.PathJoin(dir, "terms"), noted)
	s = mustOpen(t, before)
	wantState(t, s, "a", raft.State{HardState: raft.HardState{Term: 3, Vote: 2}})
	mustCommit(t, s, storage.GroupUpdate{Group: "a", Retire: true})
	mustClose(t, s)
	s = mustOpen(t, before)
	if _, err := s.Load("a"); !errors.Is(err, storage.ErrRetired) {
		t.Errorf("retired again: %v", err)
	}
	mustClose(t, s)
}

func write(t *testing.T, fs vfs.FS, name string, bytes []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFormat1OfTheNoteOfTermsGoldenBytes(t *testing.T) {
	fs := vfs.NewMem()
	mustClose(t, mustOpen(t, fs))
	key := []byte{storage.DiskKey}
	rawSet(t, fs, dir, key, storage.Seal(key, []byte("0123456789abcdef")))
	s := mustOpen(t, fs)
	mustCommit(t, s, storage.GroupUpdate{Group: "a", HardState: &raft.HardState{Term: 3, Vote: 2}, Entries: entries(3, 1, 4)})
	mustCommit(t, s, storage.GroupUpdate{Group: "a", HardState: &raft.HardState{Term: 7, Vote: 1}})
	mustCommit(t, s, storage.GroupUpdate{Group: "a", Retire: true})
	mustMeet(t, s, 2, storage.Disk([]byte("fedcba9876543210")))
	mustClose(t, s)
	b := content(t, fs, fs.PathJoin(dir, "terms"))
	const want = `quorate-terms 1 "test" 1 e6eb25d4
quorate-terms 1 "test" 1 bdb533e6
disk "30313233343536373839616263646566" 0 86db1679
disk "30313233343536373839616263646566" 0 32bac8c1
term "a" 3 5883d983
term "a" 3 2c4f9de9
term "a" 7 21ba94f7
term "a" 7 5a2da37d
retired "a" 7 3dd306e5
retired "a" 7 5135dcf6
met "66656463626139383736353433323130" 2 1b23bd3b
met "66656463626139383736353433323130" 2 59994753
`
	if string(b) != want {
		t.Errorf("got\n%swant\n%s", b, want)
	}
}

// What an earlier version has noted: neither the name of the directory nor a retirement.
func TestAnEarlierNoteOfTermsIsRead(t *testing.T) {
	fs := damagedStore(t)
	write(t, fs, fs.PathJoin(dir, "terms"), []byte(`quorate-terms 1 "test" 1 e6eb25d4
quorate-terms 1 "test" 1 bdb533e6
term "a" 3 6ad1b89a
term "a" 3 9e950b66
term "a" 7 7865912b
term "a" 7 0d19585e
`))
	if _, err := storage.SetAside(dir, node1, fs); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, fs)
	defer mustClose(t, s)
	wantState(t, s, "a", raft.State{HardState: raft.HardState{Term: 8}, Lost: 7})
	if s.Disk() == (storage.Disk{}) {
		t.Error("the directory has no name")
	}
}

// A note that is behind its store, as when an older copy of it was put back, catches up when the store is opened.
func TestANoteOfTermsThatIsBehindCatchesUp(t *testing.T) {
	fs := vfs.NewMem()
	at := func(term raft.Term) {
		s := mustOpen(t, fs)
		mustCommit(t, s, storage.GroupUpdate{Group: "a", HardState: &raft.HardState{Term: term}})
		mustClose(t, s)
	}
	at(3)
	path := fs.PathJoin(dir, "terms")
	older := slices.Clone(content(t, fs, path))
	at(7)
	write(t, fs, path, older)
	mustClose(t, mustOpen(t, fs))
	ruin(t, fs, "MANIFEST")
	if _, err := storage.SetAside(dir, node1, fs); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, fs)
	defer mustClose(t, s)
	wantState(t, s, "a", raft.State{HardState: raft.HardState{Term: 8}, Lost: 7})
}
