package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

var node1 = storage.Identity{Cluster: "test", Node: 1}

const dir = "data"

func mustOpen(t testing.TB, fs vfs.FS) *storage.Store {
	t.Helper()
	s, err := storage.Open(dir, node1, storage.Options{FS: fs, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

func mustClose(t testing.TB, s *storage.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func mustCommit(t testing.TB, s *storage.Store, updates ...storage.GroupUpdate) {
	t.Helper()
	if err := s.Commit(updates); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func mustLoad(t testing.TB, s *storage.Store, group string) raft.State {
	t.Helper()
	state, err := s.Load(group)
	if err != nil {
		t.Fatalf("load %s: %v", group, err)
	}
	return state
}

func wantState(t testing.TB, s *storage.Store, group string, want raft.State) {
	t.Helper()
	if diff := cmp.Diff(want, mustLoad(t, s, group)); diff != "" {
		t.Errorf("group %s: -want +got\n%s", group, diff)
	}
}

// entries makes entries from one index to another, with data that tells them from those of other terms.
func entries(term raft.Term, from, to raft.Index) []raft.Entry {
	var list []raft.Entry
	for i := from; i <= to; i++ {
		list = append(list, raft.Entry{Index: i, Term: term, Data: fmt.Appendf(nil, "entry %d of term %d", i, term)})
	}
	return list
}

func TestWhatIsCommittedIsLoaded(t *testing.T) {
	hard := raft.HardState{Term: 7, Vote: 2, Commit: 3, Accepted: 6}
	special := []raft.Entry{
		{Index: 1, Term: 1, Kind: raft.Noop},
		{Index: 2, Term: 1, Kind: raft.Membership, Data: []byte{0}},
		{Index: 3, Term: 1 << 61, Data: make([]byte, 100_000)},
	}
	cases := []struct {
		name    string
		updates []storage.GroupUpdate
		want    raft.State
	}{
		{"a group that was never written is the zero state", nil, raft.State{}},
		{"hard state alone", []storage.GroupUpdate{{HardState: &raft.HardState{Term: 2, Vote: 3}}}, raft.State{HardState: raft.HardState{Term: 2, Vote: 3}}},
		{"entries of every kind, size and term", []storage.GroupUpdate{{HardState: &hard, Entries: special}}, raft.State{HardState: hard, Entries: special}},
		{"hard state stays when an update has none",
			[]storage.GroupUpdate{{HardState: &hard, Entries: entries(6, 1, 3)}, {Entries: entries(6, 4, 5)}},
			raft.State{HardState: hard, Entries: entries(6, 1, 5)}},
		{"new entries replace the old tail, also when they are fewer",
			[]storage.GroupUpdate{{Entries: entries(1, 1, 9)}, {Entries: entries(2, 4, 5)}},
			raft.State{Entries: slices.Concat(entries(1, 1, 3), entries(2, 4, 5))}},
		{"a truncated tail doesn't come back behind later entries",
			[]storage.GroupUpdate{{Entries: entries(1, 1, 9)}, {Entries: entries(2, 4, 4)}, {Entries: entries(3, 5, 6)}},
			raft.State{Entries: slices.Concat(entries(1, 1, 3), entries(2, 4, 4), entries(3, 5, 6))}},
		{"the whole log may be replaced",
			[]storage.GroupUpdate{{Entries: entries(1, 1, 3)}, {Entries: entries(2, 1, 2)}},
			raft.State{Entries: entries(2, 1, 2)}},
		{"a checkpoint brings its applied index and membership",
			[]storage.GroupUpdate{{Entries: entries(1, 1, 5)}, {Applied: 4, Membership: []byte("abc")}, {Applied: 5}},
			raft.State{Entries: entries(1, 1, 5), Applied: 5, Membership: []byte("abc")}},
		{"compaction drops entries and remembers the last of them",
			[]storage.GroupUpdate{{Entries: entries(1, 1, 9), Applied: 6}, {Compact: raft.EntryID{Index: 4, Term: 1}}},
			raft.State{Entries: entries(1, 5, 9), Applied: 6, Compacted: raft.EntryID{Index: 4, Term: 1}}},
		{"compaction in steps, with an old one that says nothing new",
			[]storage.GroupUpdate{{Entries: entries(1, 1, 9), Applied: 6}, {Compact: raft.EntryID{Index: 2, Term: 1}}, {Compact: raft.EntryID{Index: 6, Term: 1}}, {Compact: raft.EntryID{Index: 2, Term: 1}}},
			raft.State{Entries: entries(1, 7, 9), Applied: 6, Compacted: raft.EntryID{Index: 6, Term: 1}}},
		{"entries, checkpoint and compaction of one update",
			[]storage.GroupUpdate{{Entries: entries(1, 1, 3), Applied: 3, Compact: raft.EntryID{Index: 2, Term: 1}}},
			raft.State{Entries: entries(1, 3, 3), Applied: 3, Compacted: raft.EntryID{Index: 2, Term: 1}}},
		{"a log that is compacted to its end goes on after it",
			[]storage.GroupUpdate{{Entries: entries(1, 1, 3), Applied: 3, Compact: raft.EntryID{Index: 3, Term: 1}}, {Entries: entries(2, 4, 4)}},
			raft.State{Entries: entries(2, 4, 4), Applied: 3, Compacted: raft.EntryID{Index: 3, Term: 1}}},
		{"a snapshot replaces a shorter log",
			[]storage.GroupUpdate{{Entries: entries(1, 1, 3)}, {Install: true, Applied: 50, Compact: raft.EntryID{Index: 50, Term: 4}}, {Entries: entries(4, 51, 52)}},
			raft.State{Entries: entries(4, 51, 52), Applied: 50, Compacted: raft.EntryID{Index: 50, Term: 4}}},
		{"a snapshot drops a longer log too, and entries of the same update follow it",
			[]storage.GroupUpdate{{Entries: entries(1, 1, 9)}, {Install: true, Applied: 5, Compact: raft.EntryID{Index: 5, Term: 2}, Entries: entries(2, 6, 7)}},
			raft.State{Entries: entries(2, 6, 7), Applied: 5, Compacted: raft.EntryID{Index: 5, Term: 2}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fs := vfs.NewMem()
			s := mustOpen(t, fs)
			for _, u := range c.updates {
				u.Group = "bank/HOME"
				mustCommit(t, s, u)
			}
			wantState(t, s, "bank/HOME", c.want)
			mustClose(t, s)
			s = mustOpen(t, fs)
			defer mustClose(t, s)
			wantState(t, s, "bank/HOME", c.want)
			wantState(t, s, "bank/HOM", raft.State{})
		})
	}
}

func TestUpdatesThatContradictTheLogBreakAnInvariant(t *testing.T) {
	cases := map[string]storage.GroupUpdate{
		"a gap after the last entry":            {Entries: entries(2, 7, 8)},
		"entries that aren't consecutive":       {Entries: append(entries(2, 6, 6), entries(2, 8, 8)...)},
		"an entry that was compacted":           {Entries: entries(2, 2, 3)},
		"a term that falls":                     {HardState: &raft.HardState{Term: 1}},
		"another vote in the same term":         {HardState: &raft.HardState{Term: 2, Vote: 3}},
		"a commit past the last entry":          {HardState: &raft.HardState{Term: 2, Vote: 1, Commit: 6}},
		"an applied index that falls":           {Applied: 3},
		"an applied index past the last entry":  {Applied: 6},
		"a compaction past the checkpoint":      {Compact: raft.EntryID{Index: 5, Term: 1}},
		"a truncation below what is committed":  {Entries: entries(2, 4, 4)},
		"a truncation below what is applied":    {HardState: &raft.HardState{Term: 2, Vote: 1}, Entries: entries(2, 3, 3)},
		"a snapshot without its applied index":  {Install: true, Compact: raft.EntryID{Index: 9, Term: 2}},
		"state without the index it belongs to": {State: []storage.KV{{Key: []byte("a"), Value: []byte("1")}}},
	}
	for name, u := range cases {
		t.Run(name, func(t *testing.T) {
			s := mustOpen(t, vfs.NewMem())
			mustCommit(t, s, storage.GroupUpdate{Group: "g", HardState: &raft.HardState{Term: 2, Vote: 1, Commit: 5}, Entries: entries(1, 1, 5), Applied: 4, Compact: raft.EntryID{Index: 2, Term: 1}})
			u.Group = "g"
			mustBreak(t, func() error { return s.Commit([]storage.GroupUpdate{u}) })
			wantBroken(t, s)
		})
	}
}

func TestGroupsAreSeparateAndListed(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	defer mustClose(t, s)
	if !s.Created() {
		t.Error("a new store doesn't say that it is new")
	}
	names := []string{"coordinator/0", "a", "aa", "a\x05", "bank/HOME", "b"}
	for i, name := range names {
		mustCommit(t, s, storage.GroupUpdate{Group: name, Entries: entries(raft.Term(i+1), 1, 2), Applied: 1, State: []storage.KV{{Key: []byte("k"), Value: []byte(name)}}})
	}
	mustCommit(t, s, storage.GroupUpdate{Group: "a", Install: true, Applied: 9, Compact: raft.EntryID{Index: 9, Term: 9}})
	got, err := s.Groups()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	if !slices.Equal(got, names) {
		t.Errorf("groups: got %q, want %q", got, names)
	}
	if _, ok, _ := s.Reader("a").Get([]byte("k")); ok {
		t.Error("an installed snapshot left the old state of a")
	}
	for _, name := range names {
		if name == "a" {
			continue
		}
		if v, ok, err := s.Reader(name).Get([]byte("k")); err != nil || !ok || string(v) != name {
			t.Errorf("group %q: got %q %v %v", name, v, ok, err)
		}
	}
}

func TestNamesThatDontFitAreRefusedByLoad(t *testing.T) {
	s := mustOpen(t, vfs.NewMem())
	defer mustClose(t, s)
	for _, name := range []string{"", string(make([]byte, 256))} {
		if _, err := s.Load(name); err == nil {
			t.Errorf("a name of %d bytes was accepted", len(name))
		}
	}
	if _, err := s.Load(string(make([]byte, 255))); err != nil {
		t.Errorf("a name of 255 bytes: %v", err)
	}
}

func TestAClosedStoreAnswersSo(t *testing.T) {
	s := mustOpen(t, vfs.NewMem())
	mustCommit(t, s, storage.GroupUpdate{Group: "g", Entries: entries(1, 1, 1)})
	r := s.Reader("g")
	mustClose(t, s)
	_, loadErr := s.Load("g")
	_, _, getErr := r.Get([]byte("k"))
	_, groupsErr := s.Groups()
	_, metricsErr := s.Metrics()
	calls := map[string]error{
		"Commit": s.Commit([]storage.GroupUpdate{{Group: "g"}}), "Load": loadErr, "Get": getErr, "Groups": groupsErr, "Metrics": metricsErr, "Close": s.Close(),
		"Scan": r.Scan(nil, nil, func(_, _ []byte) bool { return true }),
	}
	for name, err := range calls {
		if !errors.Is(err, storage.ErrClosed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
