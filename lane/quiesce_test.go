package lane_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// awake lists the replicas that are ticked, on nodes that aren't frozen, but for those of the cluster's own group, which never rests.
func (w *world) awake() (awake []string) {
	w.t.Helper()
	for _, id := range w.nodes() {
		if w.frozen[id] {
			continue
		}
		for _, g := range w.mustAnswer(w.ask(id, lane.GetStatus{})).Status.Groups {
			if !g.Quiesced && g.Group != lane.ClusterGroup {
				awake = append(awake, string(g.Group))
			}
		}
	}
	return awake
}

// mustRest waits until nothing has anything to do.
func (w *world) mustRest() {
	w.t.Helper()
	for range 60 {
		if len(w.awake()) == 0 {
			return
		}
		w.run(time.Second)
	}
	w.t.Fatalf("a minute later these are still awake: %v", w.awake())
}

func TestAGroupWithNothingToDoRestsAndWakesForWork(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
		w.openAccounts("A", "B", "C")
		w.mustRest()
		before := w.reigns()
		kinds := map[bool]int{} // whether it is a pulse
		w.drop = func(_ raft.NodeID, m lane.Message) bool {
			if r, ok := m.(lane.RaftMessage); ok && r.Group == lane.ClusterGroup {
				return false // it never rests
			}
			if _, ofNodes := m.(lane.WhoIsThere); ofNodes {
				return false
			}
			_, pulse := m.(lane.Pulse)
			kinds[pulse]++
			return false
		}
		w.run(time.Minute)
		if kinds[false] != 0 || kinds[true] == 0 || kinds[true] > 6*10*60 {
			t.Errorf("in a quiet minute three nodes sent %d pulses and %d other messages", kinds[true], kinds[false])
		}
		w.drop = nil
		for i := range byte(40) {
			if r := w.mustAnswer(w.ask(raft.NodeID(1+i%3), lane.Submit{Transfer: w.payment(i)})).Transfer; r.State != transfer.Committed {
				t.Errorf("transfer %d: %v %v", i, r.State, r.Reason)
			}
		}
		w.mustRest()
		if after := w.reigns(); !maps.Equal(before, after) {
			t.Errorf("reigns were %v, now %v", before, after)
		}
	})
}

func TestTheDeathOfALeaderAtRestIsNoticed(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
		w.openAccounts("A", "B", "C")
		w.run(20 * time.Second)
		w.mustBeHome()
		w.mustRest()
		before := w.reigns()
		w.frozen[1] = true
		w.run(5 * time.Second) // nobody asks for anything
		after := w.reigns()
		for group, was := range before {
			if was.leader == 1 && after[group].leader == 0 {
				t.Errorf("nobody has taken over %s", group)
			}
			if was.leader != 1 && after[group] != was {
				t.Errorf("%s was led by %+v, which is well, and now by %+v", group, was, after[group])
			}
		}
		w.frozen[1] = false
		w.run(time.Minute)
		w.mustBeHome()
		w.mustRest()
	})
}

// Who doesn't hear that a group rests waits in vain for a beat and asks for votes. It gets none, and nobody's reign ends.
func TestAMemberThatMissesTheNewsOfRestDisturbsNobody(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
		w.openAccounts("A", "B", "C")
		w.run(10 * time.Second)
		w.mustBeHome()
		w.mustAnswer(w.ask(1, lane.Submit{Transfer: w.payment(1)}))
		before, missed := w.reigns(), 0
		w.drop = func(to raft.NodeID, m lane.Message) bool {
			p, ok := m.(lane.Pulse)
			if ok && to == 3 && len(p.Quiesced) > 0 && missed < 10 {
				missed++
				return true
			}
			return false
		}
		for range 60 {
			w.run(time.Second)
			w.mustAnswer(w.ask(1, lane.GetTransfer{ID: w.payment(1).ID}))
		}
		w.mustRest()
		if missed < 5 {
			t.Errorf("%d pulses were lost, this proves little", missed)
		}
		if after := w.reigns(); !maps.Equal(before, after) {
			t.Errorf("reigns were %v, now %v", before, after)
		}
	})
}

// A node that goes on to pulse, but has lost the leadership of a group at rest unnoticed by the others: a question finds out.
func TestAGroupAtRestIsLostToNobody(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
		w.openAccounts("A", "B", "C")
		w.run(20 * time.Second)
		w.mustBeHome()
		w.mustRest()
		// News of a later term, behind the lane's back: it leads no more, is at rest, and nobody is told.
		engineOf1 := w.engineOf(1, "bank/C")
		if err := engineOf1.Step(raft.Message{Kind: raft.AppendReply, From: 2, To: 1, Term: engineOf1.Term() + 1, Reject: true}); err != nil {
			t.Fatal(err)
		}
		if engineOf1.Role() == raft.Leader || len(w.awake()) > 0 {
			t.Fatal("it leads still, or is awake: this proves nothing")
		}
		w.drop = func(_ raft.NodeID, m lane.Message) bool { // nor can it ask for votes
			r, ok := m.(lane.RaftMessage)
			return ok && r.Group == "bank/C" && r.Message.From == 1
		}
		if a := w.mustAnswer(w.ask(3, lane.GetAccount{Bank: "C", ID: "x"})); a.Accounts[0].ID != "x" {
			t.Errorf("got %+v", a.Accounts)
		}
	})
}

// loseDisk has a node come back without what it had acknowledged.
func (w *world) loseDisk(id raft.NodeID) {
	w.t.Helper()
	w.lost = map[lane.GroupID]raft.Term{}
	for group, r := range w.reigns() {
		w.lost[group] = r.term
	}
	w.start(id)
}

// incomplete lists the groups in which a node lacks what it had acknowledged.
func (w *world) incomplete(id raft.NodeID) (groups []lane.GroupID) {
	for _, r := range w.lanes[id].Inspect(nil) {
		if r.Engine.Incomplete() {
			groups = append(groups, r.Group)
		}
	}
	return groups
}

// mustBeRepaired waits until a node has everything that it had acknowledged.
func (w *world) mustBeRepaired(id raft.NodeID) {
	w.t.Helper()
	for range 60 {
		if len(w.incomplete(id)) == 0 {
			return
		}
		w.run(time.Second)
	}
	w.t.Fatalf("a minute later node %d still lacks %v", id, w.incomplete(id))
}

// TestAGroupAtRestIsWokenForRepair: a node comes back without what it had acknowledged while all its groups rest. It gets everything back, votes again, and all is at rest again.
func TestAGroupAtRestIsWokenForRepair(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, onThree(), lane.DefaultLimits())
		w.openAccounts("A", "B")
		w.mustRest()
		had := w.mustAnswer(w.ask(3, lane.HashReplica{Group: "bank/B"})).Hash
		w.loseDisk(3)
		if lost := w.incomplete(3); len(lost) < 3 {
			t.Fatalf("it has lost %v", lost)
		}
		w.mustBeRepaired(3)
		if has := w.mustAnswer(w.ask(3, lane.HashReplica{Group: "bank/B", Index: had.Index})).Hash; has.Index < had.Index {
			t.Errorf("it had entry %d, and has %d", had.Index, has.Index)
		}
		w.mustRest()
		w.frozen[1] = true
		if r := w.mustAnswer(w.ask(2, lane.Submit{Transfer: w.payment(1)})).Transfer; r.State != transfer.Committed {
			t.Errorf("with its vote and node 2's: %v %v", r.State, r.Reason)
		}
	})
}

// TestAGroupAtRestThatHasMovedAwayIsWokenForRepair: the same for a bank that none of those holds any more with whom it began. The node that has lost its data
// knows no others until it has heard from the directory.
func TestAGroupAtRestThatHasMovedAwayIsWokenForRepair(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorldOfFour(t, engine)
		w.accepted(1, lane.PlaceGroup{Group: "bank/B", Members: []raft.NodeID{1, 2, 4}}) // it began on node 3
		w.mustLiveOn("bank/B", 1, 2, 4)
		w.mustRest()
		leader := w.reigns()["bank/B"].leader
		if leader == 4 {
			t.Fatal("node 4 leads: its loss would end the rest")
		}
		w.loseDisk(4)
		w.mustBeRepaired(4)
		if !slices.Contains(w.reports[4], lane.Report(lane.ReplicaRepaired{Group: "bank/B"})) {
			t.Error("it had lost nothing of the bank")
		}
		w.mustRest()
		w.frozen[leader] = true
		w.run(10 * time.Second)
		if r := w.reigns()["bank/B"]; r.leader == 0 {
			t.Errorf("without node %d, node 4's vote should be enough for the other one, and nobody leads", leader)
		}
	})
}
