package lane_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// refusal is what a request is refused with; "" if it isn't.
func (w *world) refusal(node raft.NodeID, ask lane.Ask) string {
	w.t.Helper()
	request := w.ask(node, ask)
	for range 400 {
		if a, ok := w.answers[request]; ok {
			if a.Err == nil {
				return ""
			}
			return a.Err.Error()
		}
		w.run(50 * time.Millisecond)
	}
	w.t.Fatalf("%+v is never answered", ask)
	return ""
}

// accepted repeats a request until it isn't refused.
func (w *world) accepted(node raft.NodeID, ask lane.Ask) {
	w.t.Helper()
	refusal := ""
	for range 100 {
		if refusal = w.refusal(node, ask); refusal == "" {
			return
		}
		w.run(time.Second)
	}
	w.t.Fatalf("%+v: %s", ask, refusal)
}

func addFourth() lane.AddMember {
	return lane.AddMember{Node: 4, Addresses: directory.Addresses{Peer: "10.0.0.4:1", GRPC: "10.0.0.4:2", HTTP: "10.0.0.4:3"}}
}

// newWorldOfFour is a world with accounts at three banks, of which a fourth node has become a full member.
func newWorldOfFour(t *testing.T, engine string) *world {
	t.Helper()
	w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
	w.openAccounts("A", "B", "C")
	w.accepted(1, addFourth())
	w.start(4)
	w.accepted(1, lane.PromoteMember{Node: 4})
	return w
}

// mustLiveOn waits until the voters of a group are these and nobody else has anything of it.
func (w *world) mustLiveOn(group lane.GroupID, want ...raft.NodeID) {
	w.t.Helper()
	var voters, holders []raft.NodeID
	for range 60 {
		voters, holders = nil, nil
		for _, id := range w.nodes() {
			for _, r := range w.lanes[id].Inspect(nil) {
				if r.Group != group {
					continue
				}
				holders = append(holders, id)
				if is := r.Engine.Members(); r.Leading && !is.Joint() {
					voters = is.Voters
				}
			}
		}
		if slices.Equal(voters, want) && slices.Equal(holders, want) {
			return
		}
		w.run(time.Second)
	}
	w.t.Fatalf("%s has voters %v, and replicas on %v, want %v", group, voters, holders, want)
}

// payManyTimes makes about a hundred entries in each of four shards: a transfer's decision doesn't find another one to ride with.
func (w *world) payManyTimes() {
	w.t.Helper()
	for i := range byte(200) {
		w.mustAnswer(w.ask(1, lane.Submit{Transfer: w.payment(i)}))
		w.run(100 * time.Millisecond)
	}
}

// TestWhatWouldNotEndWellIsRefusedWithItsReason has a case for everything that only a leader can know; what the directory alone says is tested there.
func TestWhatWouldNotEndWellIsRefusedWithItsReason(t *testing.T) {
	entriesTo := func(node raft.NodeID) func(raft.NodeID, lane.Message) bool {
		return func(to raft.NodeID, m lane.Message) bool {
			r, ok := m.(lane.RaftMessage)
			return ok && to == node && r.Message.Kind == raft.Append && len(r.Message.Entries) > 0
		}
	}
	toGroup := func(group lane.GroupID, node raft.NodeID) func(raft.NodeID, lane.Message) bool {
		return func(to raft.NodeID, m lane.Message) bool {
			r, ok := m.(lane.RaftMessage)
			return ok && to == node && r.Group == group
		}
	}
	for _, test := range []struct {
		name    string
		prepare func(w *world)
		ask     lane.Ask
		want    string
	}{
		{"a learner that was never there", func(w *world) { w.accepted(1, addFourth()) },
			lane.PromoteMember{Node: 4}, "node 4 has never been heard: start it first"},
		{"a learner that misses a group", func(w *world) {
			w.drop = toGroup("coordinator/2", 4)
			w.accepted(1, addFourth())
			w.start(4)
			w.run(10 * time.Second)
		}, lane.PromoteMember{Node: 4}, "node 4 has not begun to follow coordinator/2 yet: start it, or give it a moment"},
		{"a learner that has fallen silent", func(w *world) {
			w.accepted(1, addFourth())
			w.start(4)
			w.run(10 * time.Second)
			w.frozen[4] = true
			w.run(10 * time.Second)
		}, lane.PromoteMember{Node: 4}, "node 4 has not begun to follow"},
		{"a learner that lags", func(w *world) {
			w.accepted(1, addFourth())
			w.start(4)
			w.run(10 * time.Second)
			w.drop = entriesTo(4)
			w.payManyTimes()
			w.run(5 * time.Second)
		}, lane.PromoteMember{Node: 4}, "entries behind in coordinator/"},
		{"a majority that would be gone", func(w *world) {
			w.accepted(1, lane.PlaceGroup{Group: "bank/A", Members: []raft.NodeID{1}})
			w.mustLiveOn("bank/A", 1)
			w.frozen[3] = true
			w.run(10 * time.Second)
		},
			lane.RemoveMember{Node: 2}, "bank/C would live on nodes [1 3], of which [3] don't answer: it would have no majority"},
		{"a vote for no node at all", nil, lane.PromoteMember{}, "the cluster has no such node: node 0"},
		{"no node at all, for ever", nil, lane.RemoveMember{}, "the cluster has no such node: node 0"},
		{"a bank that only it holds", nil, lane.RemoveMember{Node: 2}, "bank/A lives on node 2 alone, and would be gone with it: move it first"},
		{"a place with a dead node", func(w *world) { w.frozen[3] = true; w.run(10 * time.Second) },
			lane.PlaceGroup{Group: "bank/A", Members: []raft.NodeID{2, 3}}, "node 3 doesn't answer"},
		{"a bank whose holder is dead", func(w *world) { w.frozen[3] = true; w.run(10 * time.Second) },
			lane.PlaceGroup{Group: "bank/B", Members: []raft.NodeID{2}}, "bank/B lives on nodes [3], of which [3] don't answer: it has no majority to agree on a change"},
		{"a place on a dead member alone", func(w *world) { w.frozen[3] = true; w.run(10 * time.Second) },
			lane.PlaceGroup{Group: "bank/C", Members: []raft.NodeID{3}}, "bank/C would live on nodes [3], of which [3] don't answer: it would have no majority"},
		{"a bank without a majority that the dead one leaves", func(w *world) {
			w.accepted(1, lane.PlaceGroup{Group: "bank/B", Members: []raft.NodeID{1}})
			w.mustLiveOn("bank/B", 1)
			w.accepted(1, lane.PlaceGroup{Group: "bank/C", Members: []raft.NodeID{2, 3}})
			w.mustLiveOn("bank/C", 2, 3)
			w.frozen[3] = true
			w.run(10 * time.Second)
		}, lane.RemoveMember{Node: 3}, "bank/C lives on nodes [2 3], of which [3] don't answer: it has no majority to agree on a change"},
		{"an heir that is dead", func(w *world) {
			w.accepted(1, addFourth())
			w.start(4)
			w.accepted(1, lane.PromoteMember{Node: 4})
			w.accepted(1, lane.PlaceGroup{Group: "bank/A", Members: []raft.NodeID{1, 3}})
			w.mustLiveOn("bank/A", 1, 3)
			w.accepted(1, lane.PlaceGroup{Group: "bank/B", Members: []raft.NodeID{1}})
			w.mustLiveOn("bank/B", 1)
			w.frozen[4] = true
			w.run(10 * time.Second)
		}, lane.RemoveMember{Node: 3}, "node 4 doesn't answer, and bank/A would go there: place that first, or remove node 4"},
		{"a place of a group that isn't there", nil, lane.PlaceGroup{Group: "bank/Z", Members: []raft.NodeID{2}}, "no such group: bank/Z"},
		{"a leader that is no node", nil, lane.TransferLeader{Group: "coordinator/0", To: 9}, "the cluster has no such node: node 9"},
		{"a leader without a vote", nil, lane.TransferLeader{Group: "bank/A", To: 3}, "node 3 doesn't vote in bank/A: its voters are [2]"},
		{"a leader that is dead", func(w *world) { w.frozen[2] = true; w.run(time.Minute) },
			lane.TransferLeader{Group: "coordinator/0", To: 2}, "node 2 doesn't answer"},
		{"a leader that lags", func(w *world) {
			w.run(20 * time.Second)
			w.drop = entriesTo(2)
			w.payManyTimes()
			w.run(time.Second)
		}, lane.TransferLeader{Group: "coordinator/0", To: 2}, "entries behind in coordinator/0"},
		{"a leader that doesn't take over", func(w *world) {
			w.run(20 * time.Second)
			w.drop = func(to raft.NodeID, m lane.Message) bool {
				r, ok := m.(lane.RaftMessage)
				return ok && to == 2 && r.Message.Kind == raft.TimeoutNow
			}
		}, lane.TransferLeader{Group: "coordinator/0", To: 2}, "node 2 didn't take over coordinator/0 in time"},
		{"a leader of a group that isn't there", nil, lane.TransferLeader{Group: "coordinator/9", To: 2}, "no such group: coordinator/9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
			w.openAccounts("A", "B", "C")
			w.run(5 * time.Second) // then all are registered
			if test.prepare != nil {
				test.prepare(w)
			}
			directories := w.directories()
			got := w.refusal(1, test.ask)
			if !strings.Contains(got, test.want) {
				t.Errorf("got %q, want it to say %q", got, test.want)
			}
			if after := w.directories(); after != directories {
				t.Errorf("the directory was %s and is %s", directories, after)
			}
		})
	}
}

// directories is what node 1 knows of the cluster.
func (w *world) directories() string {
	for _, r := range w.lanes[1].Inspect(nil) {
		if r.Directory != nil {
			return fmt.Sprintf("%+v %+v", r.Directory.Nodes(), r.Directory.Groups())
		}
	}
	return ""
}

// TestABankMovesToOtherNodes, also when it rests: all of it, at once, and who held it keeps nothing.
func TestABankMovesToOtherNodes(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
		w.openAccounts("A", "B", "C")
		w.accepted(1, addFourth())
		w.start(4)
		w.accepted(2, lane.PromoteMember{Node: 4})
		w.mustLiveOn("coordinator/3", 1, 2, 3, 4)
		w.mustRest()
		w.accepted(3, lane.PlaceGroup{Group: "bank/A", Members: []raft.NodeID{1, 3, 4}})
		w.accepted(3, lane.PlaceGroup{Group: "bank/C", Members: []raft.NodeID{4}})
		for i := range byte(20) { // it goes on meanwhile
			if r := w.mustAnswer(w.ask(2, lane.Submit{Transfer: w.payment(i)})).Transfer; r.State != transfer.Committed {
				t.Errorf("transfer %d: %v %v", i, r.State, r.Reason)
			}
		}
		w.mustLiveOn("bank/A", 1, 3, 4)
		w.mustLiveOn("bank/C", 4)
		for i := range byte(20) {
			if r := w.mustAnswer(w.ask(2, lane.Submit{Transfer: w.payment(100 + i)})).Transfer; r.State != transfer.Committed {
				t.Errorf("transfer %d: %v %v", i, r.State, r.Reason)
			}
		}
		if got := w.refusal(1, lane.PlaceGroup{Group: "bank/A", Members: []raft.NodeID{1, 2, 3}}); !strings.Contains(got, "node 2 has left bank/A before") {
			t.Errorf("back to where it was: %q", got)
		}
		w.mustRest()
	})
}

// TestAMoveToANodeThatDiesCanBeTurned: the bank still lives where it was, and whoever was to have it may be gone for ever.
func TestAMoveToANodeThatDiesCanBeTurned(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorldOfFour(t, engine)
		w.drop = func(to raft.NodeID, m lane.Message) bool {
			r, ok := m.(lane.RaftMessage)
			return ok && r.Group == "bank/A" && to == 4
		}
		w.accepted(1, lane.PlaceGroup{Group: "bank/A", Members: []raft.NodeID{4}})
		w.run(5 * time.Second)
		w.frozen[4] = true
		w.run(10 * time.Second)
		w.accepted(1, lane.PlaceGroup{Group: "bank/A", Members: []raft.NodeID{3}})
		w.run(time.Minute)
		if is := w.engineOf(3, "bank/A").Members(); !slices.Equal(is.Voters, []raft.NodeID{3}) {
			t.Errorf("the bank is at %v", is.Voters)
		}
		w.accepted(1, lane.RemoveMember{Node: 4})
		w.drop = nil
		w.frozen[4] = false
		w.mustLiveOn("bank/A", 3) // node 4 comes back and hears that it is out
	})
}

// TestNobodyLeavesBeforeEverybodyHasCome: until then the move would cost a vote.
func TestNobodyLeavesBeforeEverybodyHasCome(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorldOfFour(t, engine)
		w.drop = func(to raft.NodeID, m lane.Message) bool {
			r, ok := m.(lane.RaftMessage)
			return ok && r.Group == "bank/C" && to == 4
		}
		w.accepted(1, lane.PlaceGroup{Group: "bank/C", Members: []raft.NodeID{1, 2, 4}})
		w.run(30 * time.Second)
		for _, id := range w.nodes()[:3] {
			if is := w.engineOf(id, "bank/C").Members(); !slices.Equal(is.Voters, []raft.NodeID{1, 2, 3}) {
				t.Errorf("node %d counts the votes of %v while node 4 hears nothing", id, is.Voters)
			}
		}
		w.drop = nil
		w.mustLiveOn("bank/C", 1, 2, 4)
	})
}

// TestChangesThatComeWhileAnotherIsUnderWayAreAllDone: none has to wait for the end of the one before.
func TestChangesThatComeWhileAnotherIsUnderWayAreAllDone(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorldOfFour(t, engine)
		for _, ask := range []lane.Ask{
			lane.PlaceGroup{Group: "bank/C", Members: []raft.NodeID{2, 3}},
			lane.PlaceGroup{Group: "bank/C", Members: []raft.NodeID{3, 4}},
			lane.PlaceGroup{Group: "bank/A", Members: []raft.NodeID{2, 3, 4}},
			lane.RemoveMember{Node: 1},
		} {
			w.accepted(1, ask)
		}
		if got := w.refusal(2, lane.RemoveMember{Node: 1}); !strings.Contains(got, "node 1 is leaving already") && !strings.Contains(got, "node 1 was removed") {
			t.Errorf("a second time: %q", got)
		}
		w.mustLiveOn("bank/C", 3, 4)
		w.mustLiveOn("bank/A", 2, 3, 4)
		w.mustLiveOn("coordinator/0", 2, 3, 4)
		removed := func() bool {
			return slices.ContainsFunc(w.mustAnswer(w.ask(2, lane.ListMembers{})).Members, func(m lane.MemberStatus) bool {
				return m.Node.ID == 1 && m.Node.Role == directory.Removed
			})
		}
		for range 60 {
			if removed() {
				break
			}
			w.run(time.Second)
		}
		if !removed() {
			t.Error("node 1 isn't removed")
		}
		delete(w.lanes, 1)
		if r := w.mustAnswer(w.ask(2, lane.Submit{Transfer: w.payment(1)})).Transfer; r.State != transfer.Committed {
			t.Errorf("without node 1: %v %v", r.State, r.Reason)
		}
	})
}

// TestWhoLeavesBeforeItHasComeIsKeptOut: the cluster hears that it is out only when no leader can let it in any more, not even one whose directory is older. Such a
// member would end its replica as soon as it hears the news, and its vote might be needed by then.
func TestWhoLeavesBeforeItHasComeIsKeptOut(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorldOfFour(t, engine)
		w.ask(1, lane.PlaceGroup{Group: "bank/C", Members: []raft.NodeID{1, 2, 3, 4}})
		w.accepted(1, lane.PlaceGroup{Group: "bank/C", Members: []raft.NodeID{1, 2, 3}})
		w.mustLiveOn("bank/C", 1, 2, 3)
		left := func() bool {
			return slices.ContainsFunc(w.lanes[1].Inspect(nil), func(r lane.Replica) bool {
				return r.Directory != nil && slices.Contains(r.Directory.Group("bank/C").Left, 4)
			})
		}
		for i := 0; !left(); i++ {
			if i == 60 {
				t.Fatal("node 4 hasn't left")
			}
			w.run(time.Second)
		}
		if is := w.engineOf(1, "bank/C").Members(); !slices.Contains(is.Removed, 4) {
			t.Errorf("node 4 has left, and could still be let in: %+v", is)
		}
	})
}

// TestALearnerIsNeverToLead: the groups' turns go round the voters.
func TestALearnerIsNeverToLead(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.openAccounts("A", "B", "C")
	w.run(20 * time.Second)
	w.mustBeHome()
	w.accepted(1, addFourth())
	w.start(4)
	w.run(time.Minute)
	w.mustBeHome()
	w.accepted(1, lane.PromoteMember{Node: 4})
	w.run(time.Minute)
	if is := w.reigns(); is["coordinator/3"].leader != 4 {
		t.Errorf("a member that has come leads nothing: %v", is)
	}
}

// TestWhoAsksAReplicaThatIsEndedIsAnswered: the question was for this node's replica, and that is no more.
func TestWhoAsksAReplicaThatIsEndedIsAnswered(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.openAccounts("A", "B", "C")
	w.request++
	w.step(1, lane.Asked{Request: w.request, Until: w.now.Add(time.Hour), Ask: lane.HashReplica{Group: "bank/C", Index: 1 << 40}})
	waits := w.request
	w.accepted(1, lane.PlaceGroup{Group: "bank/C", Members: []raft.NodeID{2, 3}})
	w.mustLiveOn("bank/C", 2, 3)
	if a, answered := w.answers[waits]; !answered || !errors.Is(a.Err, transfer.ErrNotFound) {
		t.Errorf("answered: %v, with %v", answered, a.Err)
	}
}
