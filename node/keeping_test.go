package node_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transfer"
)

// keeper has a store with the groups a, b and c, each with nine entries of log.
type keeper struct {
	node.Keeping
	store   *storage.Store
	written []lane.Event
	failed  []error
}

func newKeeper(t *testing.T, fs vfs.FS) *keeper {
	t.Helper()
	store, err := storage.Open("data", storage.Identity{Cluster: "test", Node: 1}, storage.Options{FS: fs, FileBytesMin: 100})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	for _, g := range []string{"a", "b", "c"} {
		var log []raft.Entry
		for i := raft.Index(1); i <= 9; i++ {
			log = append(log, raft.Entry{Index: i, Term: 1})
		}
		if err := store.Commit([]storage.GroupUpdate{{Group: g, Entries: log}}); err != nil {
			t.Fatal(err)
		}
	}
	k := &keeper{store: store}
	k.Keeping = node.NewKeeping(store, 1000, 3, func(e []lane.Event) { k.written = append(k.written, e...) }, func(err error) { k.failed = append(k.failed, err) })
	return k
}

func checkpoint(group lane.GroupID, applied raft.Index, records int) lane.GroupCheckpoint {
	c := lane.GroupCheckpoint{Group: group, Checkpoint: replica.Checkpoint{Applied: applied}}
	state := make([]replica.KV, records)
	for i := range state {
		state[i] = replica.KV{Key: fmt.Append(nil, i), Value: make([]byte, 50)}
	}
	c.Checkpoint.State = [][]replica.KV{state[:records/2], state[records/2:]}
	return c
}

// wrote compares what the loop has heard, and what a restart finds, with the checkpoints that must be durable, in their order.
func (k *keeper) wrote(t *testing.T, want ...lane.CheckpointWritten) {
	t.Helper()
	applied := map[lane.GroupID]raft.Index{}
	for i := range want {
		applied[want[i].Group] = want[i].Applied
	}
	if !slices.EqualFunc(k.written, want, func(e lane.Event, w lane.CheckpointWritten) bool { return e == lane.Event(w) }) {
		t.Errorf("got %v, want %v", k.written, want)
	}
	for _, g := range []lane.GroupID{"a", "b", "c"} {
		state, err := k.store.Load(string(g))
		if err != nil {
			t.Fatal(err)
		}
		if state.Applied != applied[g] {
			t.Errorf("group %s is stored as of %d, want %d", g, state.Applied, applied[g])
		}
	}
}

// TestCheckpointsAreKeptByAgeButSmallOnesFirstAndAllAtTheEnd: a node that is stopped loses none, and the cluster's own doesn't wait for those of banks.
func TestCheckpointsAreKeptByAgeButSmallOnesFirstAndAllAtTheEnd(t *testing.T) {
	k := newKeeper(t, vfs.NewMem())
	k.Add(checkpoint("a", 5, 600), checkpoint("b", 6, 500))
	k.Add(checkpoint("c", 7, 256))
	k.Close()
	k.Run()
	k.wrote(t, lane.CheckpointWritten{Group: "c", Applied: 7}, lane.CheckpointWritten{Group: "a", Applied: 5}, lane.CheckpointWritten{Group: "b", Applied: 6})
}

// TestCommitsWaitForCheckpointsThatFallBehind: else memory and log would grow for as long as a checkpoint takes.
func TestCommitsWaitForCheckpointsThatFallBehind(t *testing.T) {
	k := newKeeper(t, vfs.NewMem())
	for range 10 { // nothing waits
		if !k.Admit(1000) {
			t.Fatal("log is refused without a checkpoint")
		}
	}
	k.Add(checkpoint("a", 5, 3))
	k.Admit(900)
	k.Add(checkpoint("b", 5, 3))
	k.Admit(900) // 1,800 since the first, and only what comes now waits
	admitted := make(chan bool)
	go func() { admitted <- k.Admit(1) }()
	select {
	case <-admitted:
		t.Fatal("more log is written than a checkpoint may lag behind")
	case <-time.After(20 * time.Millisecond): // can only make the test pass where it should fail
	}
	k.Close()
	k.Run()
	if !<-admitted {
		t.Error("the node isn't killed")
	}
	k.wrote(t, lane.CheckpointWritten{Group: "a", Applied: 5}, lane.CheckpointWritten{Group: "b", Applied: 5})
}

func TestKillingANodeEndsTheWaitForCheckpoints(t *testing.T) {
	k := newKeeper(t, vfs.NewMem())
	k.Add(checkpoint("a", 5, 3))
	k.Admit(1001)
	admitted := make(chan bool)
	go func() { admitted <- k.Admit(1) }()
	k.Kill()
	if <-admitted {
		t.Error("a killed node goes on writing")
	}
}

func TestKilledNodesKeepNoCheckpoint(t *testing.T) {
	k := newKeeper(t, vfs.NewMem())
	k.Add(checkpoint("a", 5, 3), checkpoint("c", 7, 1))
	k.Kill()
	k.Run()
	k.wrote(t)
}

// TestOvertakenCheckpointsAreNotConfirmed: the replica has begun again at the snapshot, and knows of no such checkpoint.
func TestOvertakenCheckpointsAreNotConfirmed(t *testing.T) {
	k := newKeeper(t, vfs.NewMem())
	if err := k.store.Commit([]storage.GroupUpdate{{Group: "a", Install: true, Applied: 20, Compact: raft.EntryID{Index: 20, Term: 2}}}); err != nil {
		t.Fatal(err)
	}
	k.Add(checkpoint("a", 5, 3), checkpoint("c", 7, 1))
	k.Close()
	k.Run()
	if want := (lane.CheckpointWritten{Group: "c", Applied: 7}); len(k.written) != 1 || k.written[0] != lane.Event(want) {
		t.Errorf("got %v", k.written)
	}
}

func TestACheckpointThatCannotBeWrittenEndsTheNode(t *testing.T) {
	errDisk := errors.New("this disk is broken")
	var broken errorfs.Toggle
	broken.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return errDisk
		}
		return nil
	})
	k := newKeeper(t, errorfs.Wrap(vfs.NewMem(), &broken))
	k.Add(checkpoint("a", 5, 3), checkpoint("c", 7, 1))
	k.Admit(1001)
	broken.On()
	k.Run()
	k.Admit(1) // nobody waits for what won't come
	if len(k.written) != 0 || len(k.failed) != 1 || !errors.Is(k.failed[0], errDisk) || !errors.Is(k.failed[0], storage.ErrFatal) {
		t.Errorf("written %v, failed %v", k.written, k.failed)
	}
}

// TestACheckpointRestsBetweenItsParts three times as long as each took, or transfers would wait while it is written; but not while it falls behind, nor when the node is to end.
func TestACheckpointRestsBetweenItsParts(t *testing.T) {
	const ms = time.Millisecond
	k := newKeeper(t, vfs.NewMem())
	want := func(when string, worked, rest time.Duration) {
		t.Helper()
		if got := k.RestAfter(worked); got != rest {
			t.Errorf("%s: a rest of %v after %v, want %v", when, got, worked, rest)
		}
	}
	want("with nothing behind", ms, 3*ms)
	want("after a part that took long", 100*ms, 20*ms)
	first, second := k.Hurry(), k.Hurry()
	want("with two who wait for it", ms, 0)
	first()
	want("with one who waits for it", ms, 0)
	second()
	want("with nobody any more", ms, 3*ms)
	k.Add(checkpoint("a", 5, 257))
	k.Admit(250)
	want("a quarter behind", ms, 3*ms)
	k.Add(checkpoint("b", 5, 256))
	want("with a small one that waits", ms, 0)
	k = newKeeper(t, vfs.NewMem())
	k.Add(checkpoint("a", 5, 257))
	k.Admit(251)
	want("further behind", ms, 0)
	k = newKeeper(t, vfs.NewMem())
	k.Close()
	want("at the end", ms, 0)
	k = newKeeper(t, vfs.NewMem())
	k.Kill()
	want("of a killed node", ms, 0)
}

// TestMembersMakeTheirCheckpointsAtDifferentTimes: else all processors of a cluster are busy with them at once.
func TestMembersMakeTheirCheckpointsAtDifferentTimes(t *testing.T) {
	for id, want := range map[raft.NodeID]int{1: 300, 2: 600, 3: 0, 4: 300} {
		if got := node.CheckpointAhead(id, 900); got != want {
			t.Errorf("node %d is %d bytes ahead, want %d", id, got, want)
		}
	}
}

// TestTheSecondNodeMakesItsCheckpointFirst: of one group's members, which apply the same entries, it is two thirds ahead of the third.
func TestTheSecondNodeMakesItsCheckpointFirst(t *testing.T) {
	c := newCluster(t, 3, node.ConsensusQuorate)
	c.limits = lane.DefaultLimits()
	c.limits.CheckpointBytes = 600_000
	for i := range c.configs {
		c.start(i)
	}
	cfg := workload.Config{Seed: 1, Banks: []transfer.BankID{"A", "B", "C"}, AccountsPerBank: 10, Currency: "EUR", AmountMaxMinor: 5}
	g := workload.New(cfg)
	c.openPlaces(g.Places(1 << 40))
	c.submitBatch(g, 2600) // some 118 bytes of log each: more than a third of a checkpoint's worth, and less than two thirds
	eventually(t, 20*time.Second, "node 2 has made no checkpoint", func() bool {
		c.submitBatch(g, 1) // what is written next drops the log behind it
		return c.groups(1)["coordinator/0"].First > 1
	})
	for i, want := range []bool{false, true, false} {
		c.stop(i)
		store, err := storage.Open(c.configs[i].DataDir, storage.Identity{Cluster: "test", Node: raft.NodeID(i + 1)}, storage.Options{})
		if err != nil {
			t.Fatal(err)
		}
		state, err := store.Load("coordinator/0")
		if err != nil {
			t.Fatal(err)
		}
		if got := state.Applied > 0; got != want {
			t.Errorf("node %d has made a checkpoint: %t, want %t", i+1, got, want)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestTheDiskLetsACheckpointRest: 2,000 records are eight parts, and none of the rests is shorter than asked for.
func TestTheDiskLetsACheckpointRest(t *testing.T) {
	k := newKeeper(t, vfs.NewMem())
	k.Keeping = node.NewKeeping(k.store, 1000, 1<<20, func([]lane.Event) { k.Close() }, func(err error) { t.Error(err) })
	k.Add(checkpoint("a", 5, 2000))
	began := time.Now()
	k.Run()
	if took := time.Since(began); took < 8*20*time.Millisecond {
		t.Errorf("it was written within %v", took)
	}
}
