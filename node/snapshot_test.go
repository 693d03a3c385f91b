package node_test

import (
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/raft"
)

// shortLogs makes members fall behind the log within moments, and snapshots travel in many pieces.
func shortLogs() lane.Limits {
	l := lane.DefaultLimits()
	l.CheckpointBytes, l.LogBytesMax, l.CatchupBytesMax, l.SnapshotChunk = 16<<10, 32<<10, 16<<20, 2<<10
	l.SnapshotPause = 0 // there are many chunks
	return l
}

// groups is what a node knows of its replicas, without the cluster's own group, which has no traffic.
func (c *cluster) groups(at int) map[lane.GroupID]raft.Status {
	c.t.Helper()
	groups := map[lane.GroupID]raft.Status{}
	for _, g := range c.mustAsk(at, lane.GetStatus{}).Status.Groups {
		groups[g.Group] = g.Raft
	}
	delete(groups, lane.ClusterGroup)
	return groups
}

// dropped says whether some nodes no longer have, in any group, the entries right after last: what a member that has only those would need.
func (c *cluster) dropped(last map[lane.GroupID]raft.Index, nodes ...int) bool {
	for _, at := range nodes {
		for id, s := range c.groups(at) {
			if s.First <= last[id]+1 {
				return false
			}
		}
	}
	return true
}

// TestAMemberBehindTheLogGetsASnapshot has a node miss more than the others keep for it, and die again and again while it is being
// brought up to date under load. It must come back with the state that all have.
func TestAMemberBehindTheLogGetsASnapshot(t *testing.T) { onEachEngine(t, mustBringUpToDate) }

func mustBringUpToDate(t *testing.T, engine string) {
	t.Helper()
	c := newCluster(t, 3, engine)
	c.limits = shortLogs()
	for i := range c.configs {
		c.configs[i].Banks = []node.BankConfig{{ID: "A", Nodes: []uint64{1, 2, 3}}, {ID: "B", Nodes: []uint64{1, 2, 3}}, {ID: "C", Nodes: []uint64{1, 2, 3}}}
		c.start(i)
	}
	c.openWorkload()
	tr := c.startTraffic(5, 0, 1)
	eventually(t, time.Minute, "no traffic", func() bool { return tr.count() > 200 })
	last := map[lane.GroupID]raft.Index{}
	for id, s := range c.groups(2) {
		last[id] = s.Last
	}
	c.kill(2)
	eventually(t, time.Minute, "the others keep the log for a member that is gone", func() bool { return c.dropped(last, 0, 1) })

	for range 3 {
		c.start(2)
		eventually(t, time.Minute, "nobody sends a snapshot", func() bool { return c.sendsTo(3, 0, 1) || c.dropped(last, 2) })
		c.kill(2)
	}
	c.start(2)
	eventually(t, time.Minute, "the member has still not all groups from a snapshot", func() bool { return c.dropped(last, 2) })
	before := tr.count()
	eventually(t, time.Minute, "no traffic after it", func() bool { return tr.count() > before+200 })
	tr.stop()
	tr.wait.Wait()
	c.mustSettle(tr, 2)
	// With another node gone, everything that is decided or read needs the member that was away.
	c.kill(0)
	c.mustSettle(tr, 2)
}

func (c *cluster) kill(i int) {
	c.t.Helper()
	if err := c.nodes[i].Kill(); err != nil {
		c.t.Fatal(err)
	}
	c.nodes[i] = nil
}

// sendsTo says whether one of the nodes is sending a snapshot to the member.
func (c *cluster) sendsTo(member raft.NodeID, from ...int) bool {
	for _, at := range from {
		for _, s := range c.groups(at) {
			if s.Peers[member] == "snapshot" {
				return true
			}
		}
	}
	return false
}

func TestANodePausesBetweenChunksAsItsLimitsSay(t *testing.T) {
	c := newCluster(t, 1, "quorate")
	c.limits = lane.DefaultLimits()
	c.limits.SnapshotPause = 7
	c.start(0)
	if got := c.nodes[0].SnapshotPause(); got != 7 {
		t.Errorf("got %d times, want 7", got)
	}
}
