package storage_test

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

// TestTheStateIsWhatWasCheckpointedAndInstalled: a group's state against a plain map, whatever checkpoints, snapshots (given up ones, too), restarts, crashes and
// loads come between, beside another group that goes its own way. What is seen is never of a snapshot that isn't installed, nor of before the last one that is.
func TestTheStateIsWhatWasCheckpointedAndInstalled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &law{disk: vfs.NewCrashableMem(), groups: []*lawGroup{newLawGroup("bank/a"), newLawGroup("bank/b")}}
		l.open(t)
		t.Repeat(map[string]func(*rapid.T){
			"":           l.check,
			"checkpoint": l.checkpoint,
			"files":      l.checkpointByFiles,
			"stage":      l.stage,
			"install":    l.install,
			"load":       l.load,
			"restart":    l.restart,
			"retire":     l.retire,
		})
		if err := l.store.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

type law struct {
	disk   *vfs.MemFS
	store  *storage.Store
	groups []*lawGroup
}

// lawGroup is the obvious version of a group.
type lawGroup struct {
	name          string
	last, applied raft.Index
	state, staged map[string]string
	gathering     bool // since the group was loaded
	retired       bool
}

func newLawGroup(name string) *lawGroup {
	return &lawGroup{name: name, state: map[string]string{}, staged: map[string]string{}}
}

func (l *law) open(t *rapid.T) {
	l.store = openRapid(t, l.disk)
	for _, g := range l.groups {
		g.gathering = false
	}
}

func (l *law) draw(t *rapid.T) *lawGroup {
	g := rapid.SampledFrom(l.groups).Draw(t, "group")
	if g.retired {
		t.Skip("its replica has ended")
	}
	return g
}

func (l *law) commit(t *rapid.T, u storage.GroupUpdate) {
	if err := l.store.Commit([]storage.GroupUpdate{u}); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

// drawState are records of several kinds, and of none that a machine has.
func drawState(t *rapid.T, to map[string]string, deletions bool) (state []storage.KV) {
	for range rapid.IntRange(0, 6).Draw(t, "records") {
		key := rapid.SampledFrom([]string{"e", "h", "m", "\x01", "{", "\xff"}).Draw(t, "kind") + rapid.SampledFrom([]string{"", "0", "1"}).Draw(t, "key")
		if deletions && rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
			state = append(state, storage.KV{Key: []byte(key)})
			delete(to, key)
			continue
		}
		value := rapid.StringMatching("[0-9]{1,3}").Draw(t, "value")
		state = append(state, kv(key, value))
		to[key] = value
	}
	return state
}

// toCheckpoint makes the log longer, and draws how far a checkpoint of it goes.
func (l *law) toCheckpoint(t *rapid.T) (g *lawGroup, applied raft.Index) {
	g = l.draw(t)
	l.commit(t, storage.GroupUpdate{Group: g.name, Entries: entries(1, g.last+1, g.last+2)})
	g.last += 2
	return g, g.last - index(rapid.IntRange(0, 1).Draw(t, "behind"))
}

func (l *law) checkpoint(t *rapid.T) {
	g, applied := l.toCheckpoint(t)
	l.commit(t, storage.GroupUpdate{Group: g.name, Applied: applied, State: drawState(t, g.state, true)})
	g.applied = applied
}

func (l *law) checkpointByFiles(t *rapid.T) {
	g, applied := l.toCheckpoint(t)
	state := lastOfEach(drawState(t, g.state, true))
	if done, err := l.store.Checkpoint(&storage.Checkpoint{Group: g.name, Applied: applied, State: [][]storage.KV{state}}, nil); !done || err != nil {
		t.Fatalf("checkpoint: %t, %v", done, err)
	}
	g.applied = applied
}

// lastOfEach keeps the last record of each key, as a machine does.
func lastOfEach(state []storage.KV) (kept []storage.KV) {
	slices.Reverse(state)
	for _, r := range state {
		if !slices.ContainsFunc(kept, func(k storage.KV) bool { return string(k.Key) == string(r.Key) }) {
			kept = append(kept, r)
		}
	}
	return kept
}

// stage begins a snapshot, whatever became of the one before, or goes on with it.
func (l *law) stage(t *rapid.T) { l.stageOf(t, l.draw(t)) }

func (l *law) stageOf(t *rapid.T, g *lawGroup) {
	anew := !g.gathering || rapid.IntRange(0, 2).Draw(t, "anew") == 0
	if anew {
		clear(g.staged)
	}
	l.commit(t, storage.GroupUpdate{Group: g.name, StageAnew: anew, Stage: drawState(t, g.staged, false)})
	g.gathering = true
}

func (l *law) install(t *rapid.T) {
	g := l.draw(t)
	l.stageOf(t, g)
	at := g.applied + index(rapid.IntRange(1, 9).Draw(t, "ahead"))
	l.commit(t, storage.GroupUpdate{Group: g.name, Install: true, Applied: at, Compact: raft.EntryID{Index: at, Term: 1}})
	g.last, g.applied, g.gathering = at, at, false
	g.state, g.staged = maps.Clone(g.staged), map[string]string{}
}

// load is what nobody needs to do, and what must change nothing.
func (l *law) load(t *rapid.T) {
	g := rapid.SampledFrom(l.groups).Draw(t, "group")
	got, err := l.store.Load(g.name)
	if g.retired != errors.Is(err, storage.ErrRetired) || !g.retired && (err != nil || got.Applied != g.applied || got.Compacted.Index+index(len(got.Entries)) != g.last) {
		t.Fatalf("load %s: %+v, %v; want applied %d, last %d", g.name, got, err, g.applied, g.last)
	}
}

// restart closes the store, or crashes it and loses what wasn't synced, or a part of that.
func (l *law) restart(t *rapid.T) {
	after := l.disk
	if rapid.Bool().Draw(t, "crash") {
		after = l.disk.CrashClone(vfs.CrashCloneCfg{
			UnsyncedDataPercent: rapid.SampledFrom([]int{0, 50, 100}).Draw(t, "unsynced percent"),
			RNG:                 rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)),
		})
	}
	if err := l.store.Close(); err != nil {
		t.Fatal(err)
	}
	l.disk = after
	l.open(t)
}

func (l *law) retire(t *rapid.T) {
	g := l.draw(t)
	if rapid.IntRange(0, 9).Draw(t, "seldom") > 0 {
		t.Skip("later")
	}
	l.commit(t, storage.GroupUpdate{Group: g.name, Retire: true})
	g.retired = true
}

func (l *law) check(t *rapid.T) {
	for _, g := range l.groups {
		if g.retired {
			continue
		}
		got := map[string]string{}
		err := l.store.Reader(g.name).Scan(nil, nil, func(k, v []byte) bool { got[string(k)] = string(v); return true })
		if err != nil || !maps.Equal(got, g.state) {
			t.Fatalf("%s has %q, want %q; %v", g.name, got, g.state, err)
		}
	}
}
