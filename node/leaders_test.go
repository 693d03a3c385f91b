package node_test

import (
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
)

// TestEveryNodeSaysWhereTheLeaderListens kills the leader: the others must then send clients to its successor.
func TestEveryNodeSaysWhereTheLeaderListens(t *testing.T) {
	c := startCluster(t, 3, "quorate")
	agreed := func(without int) (leader int) {
		t.Helper()
		eventually(t, 30*time.Second, "the nodes don't say where their leader listens", func() bool {
			leader = -1
			for i := range c.nodes {
				if i == without {
					continue
				}
				for _, g := range c.ask(i, lane.GetStatus{}).Status.Groups {
					if g.Group == lane.CoordinatorGroup(0) && g.Leading {
						leader = i
					}
				}
			}
			if leader < 0 {
				return false
			}
			for i, n := range c.nodes {
				want := c.configs[leader].Nodes[leader].GRPC
				if i == leader {
					want = ""
				}
				if i != without && n.Leader() != want {
					return false
				}
			}
			return true
		})
		return leader
	}
	first := agreed(-1)
	if err := c.nodes[first].Kill(); err != nil {
		t.Fatal(err)
	}
	c.nodes[first] = nil
	if second := agreed(first); second == first {
		t.Errorf("node %d is dead", first+1)
	}
}
