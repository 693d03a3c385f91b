package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transfer"
)

// mustKnowDisks waits until the directory names the data directory of every node, at all of them.
func (c *cluster) mustKnowDisks() {
	c.t.Helper()
	eventually(c.t, 30*time.Second, "the nodes aren't registered", func() bool {
		members := c.ask(0, lane.ListMembers{}).Members
		for _, m := range members {
			if m.Node.Disk == (directory.Disk{}) {
				return false
			}
		}
		return len(members) == len(c.nodes) && c.follows()
	})
}

// follows says whether every node has applied as much of the cluster's group as the one that has most.
func (c *cluster) follows() bool {
	var least, most uint64
	for i, n := range c.nodes {
		if n == nil {
			continue
		}
		for _, g := range c.ask(i, lane.GetStatus{}).Status.Groups {
			if g.Group != lane.ClusterGroup {
				continue
			}
			if applied := uint64(g.Raft.Applied); least == 0 || applied < least {
				least = applied
			}
			most = max(most, uint64(g.Raft.Commit))
		}
	}
	return least > 0 && least == most
}

// mustBeExpelled waits until a node has ended because the others don't take it.
func (c *cluster) mustBeExpelled(n *node.Node, saying ...string) {
	c.t.Helper()
	eventually(c.t, 30*time.Second, "it runs on", func() bool { return n.Err() != nil })
	err := n.Err()
	if !errors.Is(err, node.ErrExpelled) {
		c.t.Fatalf("got %v", err)
	}
	for _, part := range append(saying, "why:", "try:") {
		if !strings.Contains(err.Error(), part) {
			c.t.Errorf("%q doesn't say %q", err, part)
		}
	}
}

// TestAWipedDiskIsRefused, also when all nodes were down meanwhile: what the node had promised is gone, and nobody hears its new promises.
func TestAWipedDiskIsRefused(t *testing.T) {
	for name, all := range map[string]bool{"the others run": false, "all were down": true} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t, 3, "mixed")
			c.openWorkload()
			c.mustKnowDisks()
			c.stop(1)
			if all {
				c.stop(0)
				c.stop(2)
			}
			if err := os.RemoveAll(c.configs[1].DataDir); err != nil {
				t.Fatal(err)
			}
			if all {
				c.start(0)
				c.start(2)
			}
			c.start(1)
			c.mustBeExpelled(c.nodes[1], "node 2 has another data directory than before", "a new id")
			if err := c.nodes[1].Stop(); err != nil {
				t.Fatal(err)
			}
			c.nodes[1] = nil
			if a := c.ask(0, lane.AuditBank{Bank: "A"}); a.Err != nil {
				t.Errorf("another bank: %v", a.Err)
			}
		})
	}
}

// TestAReusedIDIsRefused: another machine is given the id of a node that is well. The node isn't harmed.
func TestAReusedIDIsRefused(t *testing.T) {
	c := startCluster(t, 3, "quorate")
	c.mustKnowDisks()
	n, err := node.Start(c.elsewhere(1, t.TempDir()), node.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.mustBeExpelled(n, "node 2 has another data directory than before")
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	c.openWorkload()
}

// elsewhere is a node's configuration on another machine.
func (c *cluster) elsewhere(i int, dir string) node.Config {
	config := c.configs[i]
	config.DataDir = dir
	config.Nodes = append([]node.NodeConfig{}, config.Nodes...)
	free := freeAddresses(c.t, 3)
	config.Nodes[i].Peer, config.Nodes[i].GRPC, config.Nodes[i].HTTP = free[0], free[1], free[2]
	return config
}

// TestACopiedDiskIsRefused: under another id at once, and under the same id as long as the original runs.
func TestACopiedDiskIsRefused(t *testing.T) {
	c := startCluster(t, 3, "quorate")
	c.openWorkload()
	c.mustKnowDisks()
	c.stop(1)
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(c.configs[1].DataDir)); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Start(c.elsewhere(2, dir), node.Options{}); !errors.Is(err, storage.ErrWrongNode) || !strings.Contains(err.Error(), "node 2") {
		t.Errorf("under another id: %v", err)
	}
	c.start(1)
	eventually(t, 30*time.Second, "bank B isn't back", func() bool { return c.ask(0, lane.AuditBank{Bank: "B"}).Err == nil })
	log := &logged{}
	n, err := node.Start(c.elsewhere(1, dir), node.Options{Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "nobody refuses the copy", func() bool { return log.says("another process speaks as node 2 already") })
	if a := c.mustAsk(0, lane.AuditBank{Bank: "B"}); len(a.Audit.Totals) == 0 {
		t.Error("the original is gone")
	}
	if up := c.peersUp(0); len(up) != 2 || up["2"] != 1 || up["3"] != 1 {
		t.Errorf("the copy shows where the original's stream is: up are %v", up)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
}

// peersUp is quorate_peer_up of a node, by peer.
func (c *cluster) peersUp(i int) map[string]float64 {
	c.t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c.nodes[i].Collector())
	families, err := registry.Gather()
	if err != nil {
		c.t.Fatal(err)
	}
	up := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "quorate_peer_up" {
				up[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	return up
}

// TestAnotherClusterIsRefused: by the data directory, and by the nodes of the cluster that the address leads to.
func TestAnotherClusterIsRefused(t *testing.T) {
	c := startCluster(t, 3, "quorate")
	c.mustKnowDisks()
	c.stop(1)
	config := c.configs[1]
	config.Cluster = "prod"
	if _, err := node.Start(config, node.Options{}); !errors.Is(err, storage.ErrWrongCluster) {
		t.Errorf("its data directory: %v", err)
	}
	config.DataDir = t.TempDir()
	log := &logged{}
	n, err := node.Start(config, node.Options{Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "nobody refuses it", func() bool { return log.says(`this is cluster \"test\", not \"prod\"`) })
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	config = c.configs[1]
	config.Banks = append([]node.BankConfig{{ID: "NEW", Nodes: []uint64{1}}}, config.Banks...)
	if _, err := node.Start(config, node.Options{}); !errors.Is(err, storage.ErrWrongFounding) {
		t.Errorf("with another beginning: %v", err)
	}
}

// TestADiskThatIsWipedInTheFirstMomentIsRefused: all nodes end before there was an election, so no directory is registered, and one of them loses its
// disk. The others have met it, and remember. In the first moment nodes may come in any order.
func TestADiskThatIsWipedInTheFirstMomentIsRefused(t *testing.T) {
	c := newCluster(t, 3, "mixed")
	c.limits = lane.DefaultLimits()
	c.limits.TickInterval = time.Hour // no election
	log := &logged{}
	c.logger = log.logger()
	for _, i := range []int{2, 0, 1} {
		c.start(i)
	}
	for from := 1; from <= len(c.nodes); from++ {
		for to := 1; to <= len(c.nodes); to++ {
			met := fmt.Sprintf(`"peer connected" node_id=%d peer=%d`, from, to)
			eventually(t, 30*time.Second, "not all have met", func() bool { return from == to || log.says(met) })
		}
	}
	for i := range c.nodes {
		c.stop(i)
	}
	if err := os.RemoveAll(c.configs[1].DataDir); err != nil {
		t.Fatal(err)
	}
	c.limits = lane.Limits{}
	for _, i := range []int{1, 2, 0} {
		c.start(i)
	}
	c.mustBeExpelled(c.nodes[1], "node 2 has another data directory than before", "a new id", "empty all their data directories")
	if err := c.nodes[1].Stop(); err != nil {
		t.Fatal(err)
	}
	c.nodes[1] = nil
	eventually(t, 30*time.Second, "the others don't go on", func() bool { return c.ask(0, lane.AuditBank{Bank: "A"}).Err == nil })
	members := c.mustAsk(0, lane.ListMembers{}).Members
	for _, m := range members {
		if m.Node.ID == 2 && m.Node.Disk != (directory.Disk{}) {
			t.Errorf("the empty directory is registered: %x", m.Node.Disk)
		}
	}
}

// TestANodeWithAnotherBeginningDecidesNothing: by its file a transfer's group is another one, so it could give an id a second outcome. The others go on.
func TestANodeWithAnotherBeginningDecidesNothing(t *testing.T) {
	c := newCluster(t, 3, "quorate")
	c.configs[2].Coordinators = 2
	log := &logged{}
	c.logger = log.logger()
	for i := range c.nodes {
		c.start(i)
	}
	for id := 1; id <= 3; id++ {
		text := fmt.Sprintf("by node %d's configuration the cluster began otherwise", id)
		eventually(t, 30*time.Second, "nobody hears: "+text, func() bool { return id == 2 || log.says(text) })
	}
	for _, id := range []transfer.BankID{"A", "B"} {
		for _, account := range []transfer.AccountID{"alice", "bob"} {
			c.mustAsk(0, lane.OpenAccount{Bank: id, Terms: bank.Terms{ID: account, Currency: "EUR", Unlimited: true}})
		}
	}
	p := payment(newID(t), "A", "B", 1)
	if r := c.mustAsk(1, lane.Submit{Transfer: p}).Transfer; r.State != transfer.Committed {
		t.Errorf("the others: %v %v", r.State, r.Reason)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if a := c.nodes[2].Do(ctx, lane.CancelTransfer{ID: newID(t)})[0]; a.Err == nil {
		t.Errorf("node 3 says %v of what it can't decide", a.Transfer.State)
	}
	if up := c.peersUp(0); up["2"] != 1 || up["3"] != 0 {
		t.Errorf("node 1 has streams to %v", up)
	}
}
