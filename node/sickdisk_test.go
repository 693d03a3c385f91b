package node_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transfer"
)

// sickDisk is a disk in memory that may stand still, or be full.
type sickDisk struct {
	still sync.RWMutex // held for reading by every change, for writing while the disk stands still
	full  atomic.Bool
}

func (d *sickDisk) change(what, _ string, do func() error) error {
	d.still.RLock()
	defer d.still.RUnlock()
	if d.full.Load() && what != "remove" && what != "sync" {
		return syscall.ENOSPC
	}
	return do()
}

// startOnSickDisks starts three nodes that hold every bank together, each on a disk of its own.
func startOnSickDisks(t *testing.T, engine string) (*cluster, []*sickDisk) {
	t.Helper()
	c := newCluster(t, 3, engine)
	disks := make([]*sickDisk, len(c.nodes))
	for i := range c.nodes {
		all := []uint64{1, 2, 3}
		c.configs[i].Banks = []node.BankConfig{{ID: "A", Nodes: all}, {ID: "B", Nodes: all}, {ID: "C", Nodes: all}}
		c.configs[i].DataDir = "data"
		disks[i] = &sickDisk{}
		n, err := node.Start(c.configs[i], node.Options{Storage: storage.Options{FS: changeFS{FS: vfs.NewMem(), disk: disks[i]}}})
		if err != nil {
			t.Fatal(err)
		}
		c.nodes[i] = n
	}
	c.openWorkload()
	return c, disks
}

// leaderOf is the index of the node that leads a group and is ready to.
func (c *cluster) leaderOf(id lane.GroupID) int {
	c.t.Helper()
	leader := -1
	eventually(c.t, time.Minute, "nobody leads "+string(id), func() bool {
		for i := range c.nodes {
			if c.leads(i, func(g lane.GroupID) bool { return g == id }) {
				leader = i
			}
		}
		return leader >= 0
	})
	return leader
}

// leads says whether a node leads one of the groups.
func (c *cluster) leads(i int, which func(lane.GroupID) bool) bool {
	c.t.Helper()
	for _, g := range c.mustAsk(i, lane.GetStatus{}).Status.Groups {
		if g.Leading && which(g.Group) {
			return true
		}
	}
	return false
}

// A leader whose disk stands still hands over and transfers go on elsewhere, also those that were asked for at its node. When the disk moves again, so does
// the node, and nothing is lost or done twice. A group that has nothing to write, such as the directory's here, can't notice and stays where it is.
func TestALeaderWhoseDiskStandsStillHandsOver(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine string) {
		c, disks := startOnSickDisks(t, engine)
		sick := c.leaderOf("coordinator/0")
		tr := c.startTraffic(11, 0, 1, 2)
		eventually(t, time.Minute, "no traffic", func() bool { return tr.count() > 300 })
		disks[sick].still.Lock()
		moveAgain := sync.OnceFunc(disks[sick].still.Unlock)
		defer moveAgain() // or a node that failed the test could never be stopped
		busy := func(id lane.GroupID) bool { return id != lane.ClusterGroup }
		eventually(t, time.Minute, "it still leads", func() bool { return !c.leads(sick, busy) })
		before := tr.count()
		eventually(t, time.Minute, "the others don't go on", func() bool { return tr.count() > before+300 })
		if c.leads(sick, busy) {
			t.Error("it leads again, with a disk that stands still")
		}
		moveAgain()
		c.mustBeWell(sick)
		tr.stop()
		tr.wait.Wait()
		c.mustSettle(tr, sick)
	})
}

// A node whose disk is full says so, hands over what it leads, and comes back without a restart when there is space.
func TestAFullDiskIsToldAndGotOver(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine string) {
		c, disks := startOnSickDisks(t, engine)
		sick := c.leaderOf("coordinator/0")
		tr := c.startTraffic(12, 0, 1, 2)
		eventually(t, time.Minute, "no traffic", func() bool { return tr.count() > 300 })
		disks[sick].full.Store(true)
		eventually(t, time.Minute, "it doesn't say so", func() bool { return c.mustAsk(sick, lane.GetStatus{}).Status.LowSpace })
		any := func(lane.GroupID) bool { return true }
		eventually(t, time.Minute, "it still leads", func() bool { return !c.leads(sick, any) })
		before := tr.count()
		eventually(t, time.Minute, "the others don't go on", func() bool { return tr.count() > before+300 })
		disks[sick].full.Store(false)
		eventually(t, time.Minute, "it doesn't see the space", func() bool { return !c.mustAsk(sick, lane.GetStatus{}).Status.LowSpace })
		c.mustBeWell(sick)
		tr.stop()
		tr.wait.Wait()
		c.mustSettle(tr, sick)
	})
}

// mustBeWell waits until a node has all that the others have, while traffic goes on.
func (c *cluster) mustBeWell(i int) {
	c.t.Helper()
	goal := map[lane.GroupID]uint64{}
	for at := range c.nodes {
		for _, g := range c.mustAsk(at, lane.GetStatus{}).Status.Groups {
			goal[g.Group] = max(goal[g.Group], uint64(g.Raft.Commit))
		}
	}
	eventually(c.t, time.Minute, "the node doesn't catch up", func() bool {
		if err := c.nodes[i].Err(); err != nil {
			c.t.Fatalf("node %d failed: %v", i+1, err)
		}
		for _, g := range c.mustAsk(i, lane.GetStatus{}).Status.Groups {
			if uint64(g.Raft.Applied) < goal[g.Group] {
				return false
			}
		}
		return true
	})
}

// Where nobody could take over, a client hears that the disk is full, and the node still stops when it is told to.
func TestAFullDiskAnswersAndStops(t *testing.T) {
	c := newCluster(t, 1, "quorate")
	c.configs[0].DataDir = "data"
	disk := &sickDisk{}
	n, err := node.Start(c.configs[0], node.Options{Storage: storage.Options{FS: changeFS{FS: vfs.NewMem(), disk: disk}}})
	if err != nil {
		t.Fatal(err)
	}
	c.nodes[0] = n
	c.openAccounts(0)
	disk.full.Store(true)
	var stuck sync.WaitGroup // the write that finds no space; who asked for it hears of it at the end
	stuck.Go(func() { c.ask(0, lane.Submit{Transfer: payment(newID(t), "A", "A", 1)}) })
	eventually(t, time.Minute, "the status doesn't say so", func() bool { return c.mustAsk(0, lane.GetStatus{}).Status.LowSpace })
	for _, ask := range []lane.Ask{
		lane.Submit{Transfer: payment(newID(t), "A", "A", 1)}, lane.OpenAccount{Bank: "A", Terms: bank.Terms{ID: "late", Currency: "EUR"}},
	} {
		if err := c.ask(0, ask).Err; !errors.Is(err, transfer.ErrDiskFull) {
			t.Errorf("%T: got %v", ask, err)
		}
	}
	if a := c.mustAsk(0, lane.GetAccount{Bank: "A", ID: "alice"}).Accounts[0]; a.ID != "alice" {
		t.Errorf("reading: %+v", a)
	}
	if err := n.Stop(); err == nil {
		t.Error("it stopped as if all were written")
	}
	stuck.Wait()
	c.nodes[0] = nil
}
