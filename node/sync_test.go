package node_test

import (
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transfer"
)

// startAlone starts one node that holds a coordinator and the banks A and B on a disk that a test can hold still.
func startAlone(t *testing.T) (*cluster, *sickDisk) {
	t.Helper()
	c, disk := newCluster(t, 1, "quorate"), &sickDisk{}
	c.configs[0].DataDir = "data"
	c.configs[0].Banks = []node.BankConfig{{ID: "A", Nodes: []uint64{1}}, {ID: "B", Nodes: []uint64{1}}}
	n, err := node.Start(c.configs[0], node.Options{Storage: storage.Options{FS: changeFS{FS: vfs.NewMem(), disk: disk}}})
	if err != nil {
		t.Fatal(err)
	}
	c.nodes[0] = n
	c.openAccounts(0)
	return c, disk
}

// writes is how many synced commits there were, and how many log entries in them.
func (c *cluster) writes() (commits, entries uint64) {
	c.t.Helper()
	m, err := c.nodes[0].StorageMetrics()
	if err != nil {
		c.t.Fatal(err)
	}
	return m.Commits, m.Entries
}

// submitMany begins transfers, each in a call of its own, while the disk stands still, and lets it go when all have reached the lane. It returns when all are
// committed.
func (c *cluster) submitMany(count int, disk *sickDisk) {
	c.t.Helper()
	disk.still.Lock()
	var asking sync.WaitGroup
	for range count {
		asking.Go(func() {
			if a := c.ask(0, lane.Submit{Transfer: payment(newID(c.t), "A", "B", 1)}); a.Err != nil || a.Transfer.State != transfer.Committed {
				c.t.Errorf("%v %+v", a.Err, a.Transfer)
			}
		})
	}
	eventually(c.t, time.Minute, "not all have come in", func() bool { return c.mustAsk(0, lane.GetStatus{}).Status.Asks >= count })
	disk.still.Unlock()
	asking.Wait()
	eventually(c.t, time.Minute, "not all are settled", func() bool { return c.inFlight() == 0 })
}

// Stage and both prepares of a transfer are entries of three groups, and so are what ends it; each step's entries share a sync.
func TestOneSyncCoversAllGroups(t *testing.T) {
	c, disk := startAlone(t)
	commits, entries := c.writes()
	c.submitMany(1, disk)
	commitsAfter, entriesAfter := c.writes()
	t.Logf("%d entries in %d syncs", entriesAfter-entries, commitsAfter-commits)
	if entriesAfter-entries < 3 || entriesAfter-entries <= commitsAfter-commits {
		t.Errorf("%d entries of three groups took %d syncs", entriesAfter-entries, commitsAfter-commits)
	}
}

// What comes in while the disk works makes the next entry of each group: 200 transfers that were asked for one by one need a few syncs, not the thousand that
// they would alone.
func TestTheNextBatchFormsWhileTheDiskWorks(t *testing.T) {
	const count = 200
	c, disk := startAlone(t)
	commits, entries := c.writes()
	c.submitMany(count, disk)
	commitsAfter, entriesAfter := c.writes()
	t.Logf("%d transfers: %d entries in %d syncs", count, entriesAfter-entries, commitsAfter-commits)
	if n := commitsAfter - commits; n > count/2 {
		t.Errorf("%d transfers took %d syncs", count, n)
	}
}
