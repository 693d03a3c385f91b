package node_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/raft"
)

// join lays out one more node, which wasn't there when the cluster began, and asks for it to be let in.
func (c *cluster) join(at int) (i int) {
	c.t.Helper()
	i = len(c.nodes)
	config := c.configs[0]
	free := freeAddresses(c.t, 3)
	config.Node, config.DataDir = uint64(i+1), filepath.Join(filepath.Dir(config.DataDir), fmt.Sprint(i+1))
	config.Join = &node.JoinConfig{Peer: free[0], GRPC: free[1], HTTP: free[2]}
	c.configs, c.nodes = append(c.configs, config), append(c.nodes, nil)
	c.mustAsk(at, lane.AddMember{Node: raft.NodeID(i + 1), Addresses: directory.Addresses{Peer: free[0], GRPC: free[1], HTTP: free[2]}})
	return i
}

// accepted repeats an operator's request until it isn't refused any more.
func (c *cluster) accepted(at int, ask lane.Ask) {
	c.t.Helper()
	var last error
	eventually(c.t, 30*time.Second, fmt.Sprintf("%+v is refused", ask), func() bool {
		if err := c.ask(at, ask).Err; err != nil {
			if fmt.Sprint(last) != err.Error() {
				c.t.Logf("%+v: %v", ask, err)
			}
			last = err
			return false
		}
		return true
	})
}

// becomes waits until the directory says so of a node.
func (c *cluster) becomes(at int, id raft.NodeID, role directory.Role) {
	c.t.Helper()
	eventually(c.t, 30*time.Second, fmt.Sprintf("node %d isn't %s", id, role), func() bool {
		return slices.ContainsFunc(c.ask(at, lane.ListMembers{}).Members, func(m lane.MemberStatus) bool { return m.Node.ID == id && m.Node.Role == role })
	})
}

// livesOn waits until the Raft membership of a group is what it should be, as its leader among the nodes says.
func (c *cluster) livesOn(group lane.GroupID, want ...raft.NodeID) {
	c.t.Helper()
	got := ""
	eventually(c.t, 30*time.Second, fmt.Sprintf("%s isn't on %v", group, want), func() bool {
		for i, n := range c.nodes {
			if n == nil {
				continue
			}
			for _, g := range c.ask(i, lane.GetStatus{}).Status.Groups {
				if now := fmt.Sprintf("node %d: %+v", i+1, g.Members); g.Group == group && now != got {
					got = now
				}
				if g.Group == group && g.Leading && slices.Equal(g.Members.Voters, want) && !g.Members.Joint() {
					return true
				}
			}
		}
		return false
	})
}

func (c *cluster) goesOn(tr *traffic) {
	c.t.Helper()
	before := tr.count()
	eventually(c.t, 20*time.Second, "transfers don't go on", func() bool { return tr.count() > before+200 })
}

// TestANodeIsReplacedUnderLoad adds a fourth node to three, moves banks to it, has it vote, and takes the first one out, alive or dead. Nothing
// that was acknowledged is lost.
func TestANodeIsReplacedUnderLoad(t *testing.T) {
	for name, engine := range map[string]string{"alive": "quorate", "dead": "mixed", "dead, on etcd's engine": "etcd"} {
		t.Run(name, func(t *testing.T) { mustReplaceANode(t, engine, name != "alive") })
	}
}

func mustReplaceANode(t *testing.T, engine string, dead bool) {
	t.Helper()
	c := startCluster(t, 3, engine)
	c.openWorkload()
	tr := c.startTraffic(5, 1, 2)
	c.goesOn(tr)
	fourth := c.join(1)
	c.start(fourth)
	c.accepted(1, lane.PromoteMember{Node: 4})
	c.livesOn("coordinator/0", 1, 2, 3, 4)
	c.accepted(1, lane.PlaceGroup{Group: "bank/A", Members: []raft.NodeID{2, 3, 4}})
	c.accepted(2, lane.PlaceGroup{Group: "bank/B", Members: []raft.NodeID{4}})
	c.livesOn("bank/A", 2, 3, 4)
	c.livesOn("bank/B", 4)
	c.goesOn(tr)
	if dead {
		if err := c.nodes[0].Kill(); err != nil {
			t.Fatal(err)
		}
		c.nodes[0] = nil
	}
	c.accepted(2, lane.RemoveMember{Node: 1})
	c.becomes(1, 1, directory.Removed)
	if !dead {
		eventually(t, 20*time.Second, "node 1 doesn't notice that it was removed", func() bool { return c.nodes[0].Err() != nil })
		if err := c.nodes[0].Err(); !errors.Is(err, node.ErrRemoved) {
			t.Errorf("node 1, removed while it ran, ends with %v", err)
		}
		if err := c.nodes[0].Stop(); err != nil {
			t.Fatal(err)
		}
		c.nodes[0] = nil
	}
	c.livesOn("coordinator/0", 2, 3, 4)
	c.livesOn("cluster", 2, 3, 4)
	c.goesOn(tr)
	// With four members and one gone there are three again: one of them may be lost.
	if err := c.nodes[fourth].Kill(); err != nil {
		t.Fatal(err)
	}
	c.nodes[fourth] = nil
	c.start(fourth)
	c.goesOn(tr)
	tr.stop()
	tr.wait.Wait()
	c.mustSettle(tr, 1)
	c.mustAgree()
}

// TestANewcomerFindsALeaderThatItsFileDoesNotName: the leader of the directory came later than all that the newcomer's file names, and they introduce the two.
func TestANewcomerFindsALeaderThatItsFileDoesNotName(t *testing.T) {
	c := startCluster(t, 3, "quorate")
	fourth := c.join(1)
	c.start(fourth)
	c.accepted(1, lane.PromoteMember{Node: 4})
	c.livesOn(lane.ClusterGroup, 1, 2, 3, 4)
	c.accepted(1, lane.TransferLeader{Group: lane.ClusterGroup, To: 4})
	fifth := c.join(1)
	c.start(fifth)
	c.accepted(1, lane.PromoteMember{Node: 5})
	c.livesOn(lane.ClusterGroup, 1, 2, 3, 4, 5)
}
