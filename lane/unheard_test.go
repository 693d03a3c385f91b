package lane_test

import (
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
)

// knows says whether a node's directory names another.
func (w *world) knows(node, other raft.NodeID) bool {
	for _, r := range w.lanes[node].Inspect(nil) {
		if r.Directory != nil {
			return slices.ContainsFunc(r.Directory.Nodes(), func(n directory.Node) bool { return n.ID == other })
		}
	}
	return false
}

// TestANodeThatDoesNotKnowTheLeaderComesBack: it was away while a machine joined, and that leads the cluster's group when it is back. They don't hear each
// other, for a node hears only whom its directory names.
func TestANodeThatDoesNotKnowTheLeaderComesBack(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
		w.run(10 * time.Second)
		w.frozen[3] = true
		w.accepted(1, addFourth())
		w.start(4)
		w.accepted(1, lane.PromoteMember{Node: 4})
		w.accepted(1, lane.TransferLeader{Group: lane.ClusterGroup, To: 4})
		w.drop = func(to raft.NodeID, m lane.Message) bool {
			r, is := m.(lane.RaftMessage)
			return is && (to == 3 && r.Message.From == 4 || to == 4 && r.Message.From == 3) && !w.knows(3, 4)
		}
		w.frozen[3] = false
		for i := 0; !w.knows(3, 4); i++ {
			if i == 60 {
				t.Fatal("it has not heard of node 4 in a minute")
			}
			w.run(time.Second)
		}
		offers := 0
		for _, r := range w.reports[4] {
			if o, is := r.(lane.LeadershipOffered); is && o.Group == lane.ClusterGroup {
				offers++
			}
		}
		if offers != 1 {
			t.Errorf("node 4 has offered leadership %d times", offers)
		}
	})
}

// TestLeadershipDoesNotGoInCircles for a member that says something and hears nothing: once in HandOverAfter is enough.
func TestLeadershipDoesNotGoInCircles(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.run(10 * time.Second)
	w.drop = func(to raft.NodeID, m lane.Message) bool {
		r, is := m.(lane.RaftMessage)
		if !is || r.Group != lane.ClusterGroup {
			return false
		}
		return to == 3 || r.Message.From == 3 && r.Message.Kind != raft.PreVote
	}
	before := w.engineOf(1, lane.ClusterGroup).Term()
	w.run(60 * time.Second)
	if terms := w.engineOf(1, lane.ClusterGroup).Term() - before; terms > 60/5+1 {
		t.Errorf("%d terms in a minute", terms)
	}
}
