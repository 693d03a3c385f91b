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

// newest is an index that no directory has come to.
const newest = raft.Index(1 << 40)

// TestTheNewestWordOfANodeCounts: what a newer directory says of where a node is counts, and of nodes that aren't known here; not what an older one says, nor
// what anybody says of who was removed, or of the node itself. The tokens stay as they are.
func TestTheNewestWordOfANodeCounts(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.run(10 * time.Second)
	w.accepted(1, lane.AddToken{Token: directory.Token{Name: "reader", Hash: [32]byte{1}, Roles: []string{"read"}}})
	w.run(5 * time.Second)
	at := func(id raft.NodeID, peer string) directory.Node {
		return directory.Node{ID: id, Role: directory.Member, Addresses: directory.Addresses{Peer: peer}}
	}
	hear := func(applied raft.Index, nodes ...directory.Node) {
		w.step(1, lane.Received{From: 2, Message: lane.Introduction{Applied: applied, Nodes: nodes}})
	}
	where := func(id raft.NodeID) string {
		for _, n := range w.met[1] {
			if n.ID == id {
				return n.Addresses.Peer
			}
		}
		return "unknown"
	}
	own, disk := where(1), w.met[1][1].Disk
	hear(newest, at(2, "new:2"), at(9, "new:9"), at(1, "self:1"), directory.Node{})
	hear(1, at(3, "old:3"), at(8, "old:8"))        // older than the directory here
	hear(newest-1, at(2, "old:2"), at(9, "old:9")) // older than what was heard
	if where(2) != "new:2" || where(9) != "new:9" || where(1) != own || where(8) != "unknown" || where(3) == "old:3" {
		t.Errorf("it knows %+v", w.met[1])
	}
	if w.met[1][1].Disk != disk {
		t.Error("an introduction has changed a node's disk")
	}
	hear(newest+1, at(9, "newer:9"))
	if where(9) != "newer:9" || where(2) != "new:2" {
		t.Errorf("it knows %+v", w.met[1])
	}
	if len(w.tokens[1]) != 1 {
		t.Errorf("with the nodes it tells %d tokens, want the one there is", len(w.tokens[1]))
	}
}

// TestOwnDirectoryCountsWhenItIsAsNew: it says the last word, also of who was removed.
func TestOwnDirectoryCountsWhenItIsAsNew(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.run(10 * time.Second)
	var applied raft.Index
	for _, r := range w.lanes[1].Inspect(nil) {
		if r.Directory != nil {
			applied = r.Applied
		}
	}
	w.step(1, lane.Received{From: 2, Message: lane.Introduction{Applied: applied + 1, Nodes: []directory.Node{{ID: 9, Role: directory.Member}}}})
	if !w.acquainted(1, 9) {
		t.Fatal("it doesn't know whom it was introduced to")
	}
	w.accepted(1, addFourth()) // the entry that it hadn't
	w.run(5 * time.Second)
	if w.acquainted(1, 9) || !w.acquainted(1, 4) {
		t.Errorf("it knows %+v", w.met[1])
	}
	w.accepted(1, lane.RemoveMember{Node: 4})
	w.run(5 * time.Second)
	w.step(1, lane.Received{From: 2, Message: lane.Introduction{Applied: newest, Nodes: []directory.Node{{ID: 4, Role: directory.Member}}}})
	for _, n := range w.met[1] {
		if n.ID == 4 && n.Role != directory.Removed {
			t.Errorf("who was removed is %+v", n)
		}
	}
}

// TestIntroductionsAreBounded: nobody fills the memory.
func TestIntroductionsAreBounded(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.run(10 * time.Second)
	before := len(w.met[1])
	for id := raft.NodeID(10); id < 10_000; id++ {
		w.step(1, lane.Received{From: 2, Message: lane.Introduction{Applied: newest, Nodes: []directory.Node{{ID: id, Role: directory.Member}}}})
	}
	if got := len(w.met[1]) - before; got != 64 {
		t.Errorf("it remembers %d that were introduced", got)
	}
}

// TestWhoIsUpToDateIsNotAnswered: they ask each other now and then, and have nothing to say. Who was removed isn't introduced to anybody.
func TestWhoIsUpToDateIsNotAnswered(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.run(10 * time.Second)
	w.accepted(1, addFourth())
	w.accepted(1, lane.RemoveMember{Node: 4})
	w.run(5 * time.Second)
	asked := 0
	var answered []lane.Introduction
	w.drop = func(_ raft.NodeID, m lane.Message) bool {
		switch m := m.(type) {
		case lane.WhoIsThere:
			asked++
		case lane.Introduction:
			answered = append(answered, m)
		}
		return false
	}
	w.run(30 * time.Second)
	if asked < 30 || asked > 100 || len(answered) > 0 {
		t.Errorf("three nodes asked %d times and were answered %d times in 30 s", asked, len(answered))
	}
	w.step(1, lane.Received{From: 2, Message: lane.WhoIsThere{}})
	w.run(time.Second)
	if len(answered) != 1 || len(answered[0].Nodes) != 3 {
		t.Errorf("who has no directory is answered %+v", answered)
	}
}

// TestWhoIsAskedByANewerOneAsksBack: a newcomer's lane doesn't know whom only its configuration names, and hears of him when he asks. It ends there.
func TestWhoIsAskedByANewerOneAsksBack(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.run(10 * time.Second)
	var back []lane.WhoIsThere
	w.drop = func(to raft.NodeID, m lane.Message) bool {
		if asked, is := m.(lane.WhoIsThere); is && to == 7 {
			back = append(back, asked)
		}
		return to == 7
	}
	for _, applied := range []raft.Index{newest, 0} {
		w.step(1, lane.Received{From: 7, Message: lane.WhoIsThere{Applied: applied}})
	}
	if len(back) != 1 || back[0].Applied == 0 || back[0].Applied >= newest {
		t.Errorf("a newer one and an older one were asked back %+v", back)
	}
}
