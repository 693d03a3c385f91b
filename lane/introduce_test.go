package lane_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
)

// directoryNames says whether a node's own directory has another.
func (w *world) directoryNames(node, other raft.NodeID) bool {
	for _, r := range w.lanes[node].Inspect(nil) {
		if r.Directory != nil {
			return slices.ContainsFunc(r.Directory.Nodes(), func(n directory.Node) bool { return n.ID == other })
		}
	}
	return false
}

// hearOnlyAcquaintances has every node hear only those that it was told of, as a transport does.
func (w *world) hearOnlyAcquaintances() {
	w.drop = func(to raft.NodeID, m lane.Message) bool {
		r, is := m.(lane.RaftMessage)
		return is && (!w.acquainted(to, r.Message.From) || !w.acquainted(r.Message.From, to))
	}
}

func (w *world) acquainted(node, other raft.NodeID) bool {
	return node == other || slices.ContainsFunc(w.met[node], func(n directory.Node) bool { return n.ID == other })
}

// TestANodeThatDoesNotKnowTheLeaderComesBack: it was away while a machine joined, and that leads the cluster's group when it is back. They don't hear each
// other, for a node hears only whom its directory names, until somebody introduces them. A learner asks nobody for votes, and is heard of no other way.
func TestANodeThatDoesNotKnowTheLeaderComesBack(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		for _, away := range []raft.NodeID{3, 4} {
			t.Run(fmt.Sprintf("node %d", away), func(t *testing.T) {
				w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
				w.run(10 * time.Second)
				newcomer := away + 1
				if away == 4 {
					w.accepted(1, addFourth())
					w.start(4)
					w.run(5 * time.Second) // it learns of the cluster
				}
				w.frozen[away] = true
				w.accepted(1, lane.AddMember{Node: newcomer, Addresses: directory.Addresses{Peer: "n:1", GRPC: "n:2", HTTP: "n:3"}})
				w.start(newcomer)
				w.accepted(1, lane.PromoteMember{Node: newcomer})
				w.accepted(1, lane.TransferLeader{Group: lane.ClusterGroup, To: newcomer})
				w.hearOnlyAcquaintances()
				if away == 4 && w.directoryNames(away, newcomer) {
					t.Fatal("it knows the newcomer before it is back")
				}
				w.frozen[away] = false
				for i := 0; !w.directoryNames(away, newcomer); i++ {
					if i == 10 {
						t.Fatal("its directory hasn't heard of the newcomer in ten seconds")
					}
					w.run(time.Second)
				}
				if leader := w.reigns()[lane.ClusterGroup].leader; leader != newcomer {
					t.Errorf("node %d leads now: nobody had to hand over", leader)
				}
				if !slices.Contains(w.reports[away], lane.Report(lane.NodeIntroduced{Node: newcomer})) {
					t.Errorf("it doesn't say that the newcomer was introduced")
				}
			})
		}
	})
}

// TestIntroductionsAreBounded: who says something of nodes that the directory knows changes nothing, and nobody fills the memory.
func TestIntroductionsAreBounded(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.run(10 * time.Second)
	before := slices.Clone(w.met[1])
	moved := slices.Clone(before)
	for i := range moved {
		moved[i].Addresses.Peer, moved[i].Disk = "elsewhere:1", directory.Disk{66}
	}
	w.step(1, lane.Received{From: 2, Message: lane.Introduction{Nodes: append(moved, directory.Node{})}})
	if !slices.Equal(w.met[1], before) {
		t.Errorf("its nodes were %+v, and are %+v", before, w.met[1])
	}
	for id := raft.NodeID(10); id < 10_000; id++ {
		w.step(1, lane.Received{From: 2, Message: lane.Introduction{Nodes: []directory.Node{{ID: id, Role: directory.Member}}}})
	}
	if got := len(w.met[1]) - len(before); got != 64 {
		t.Errorf("it remembers %d that were introduced", got)
	}
}

// TestWhoHearsTheLeaderAsksNobody: introductions are for those who are lost.
func TestWhoHearsTheLeaderAsksNobody(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	asked := 0
	w.drop = func(_ raft.NodeID, m lane.Message) bool {
		if _, is := m.(lane.WhoIsThere); is {
			asked++
		}
		return false
	}
	w.run(30 * time.Second)
	if asked > 0 {
		t.Errorf("%d times somebody asked who is there", asked)
	}
}
