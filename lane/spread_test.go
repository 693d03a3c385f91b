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

var three = []raft.NodeID{1, 2, 3}

// fourShards has a coordinator more than nodes; bank A lives on node 2, bank B on node 3, and bank C, where no test pays, on all of them.
func fourShards() lane.Directory {
	return lane.Directory{
		Coordinators: [][]raft.NodeID{three, three, three, three},
		Banks: []lane.BankPlace{
			{Bank: "A", Members: []raft.NodeID{2}}, {Bank: "B", Members: []raft.NodeID{3}}, {Bank: "C", Members: three},
		},
	}
}

// home is who leads what when nobody is down.
var home = map[lane.GroupID]raft.NodeID{
	"cluster": 1, "coordinator/0": 1, "coordinator/1": 2, "coordinator/2": 3, "coordinator/3": 1, "bank/A": 2, "bank/B": 3, "bank/C": 1,
}

func onBothEngines(t *testing.T, test func(t *testing.T, engine string)) {
	t.Helper()
	for _, engine := range slices.Sorted(maps.Keys(engines)) {
		t.Run(engine, func(t *testing.T) { test(t, engine) })
	}
}

func (w *world) mustBeHome() {
	w.t.Helper()
	is := w.reigns()
	for group, leader := range home {
		if is[group].leader != leader {
			w.t.Errorf("node %d leads %s, want node %d", is[group].leader, group, leader)
		}
	}
}

func TestLeadersSpreadOverTheNodesAndStay(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
		w.run(20 * time.Second)
		w.mustBeHome()
		before, offers := w.reigns(), w.offers()
		w.run(time.Minute)
		if after := w.reigns(); !maps.Equal(before, after) || !maps.Equal(offers, w.offers()) {
			t.Errorf("reigns were %v, offers %v; a quiet minute later %v and %v", before, offers, after, w.offers())
		}
	})
}

// TestOneShardsFailoverTouchesNoOther: the node goes that leads shards 0 and 3, and comes back.
func TestOneShardsFailoverTouchesNoOther(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
		w.openAccounts("A", "B")
		w.run(20 * time.Second)
		w.mustBeHome()
		before := w.reigns()
		asleep := func(group lane.GroupID) bool { return home[group] == 1 }
		othersStand := func(when string) {
			t.Helper()
			after := w.reigns()
			for group, was := range before {
				if !asleep(group) && after[group] != was {
					t.Errorf("%s: %s was led by %+v, now by %+v", when, group, was, after[group])
				}
			}
		}

		w.frozen[1] = true
		served := 0
		for i := range byte(40) { // all within the tick in which the leader went: its shards wait for an election, the others don't
			request := w.ask(2, lane.Submit{Transfer: w.payment(i)})
			if a, ok := w.answers[request]; ok && a.Err == nil && a.Transfer.State == transfer.Committed {
				served++
			}
		}
		if served < 10 || served > 30 {
			t.Errorf("%d of 40 transfers were carried out without a wait, want about the half whose shards lost nobody", served)
		}
		w.run(time.Minute)
		othersStand("without node 1")
		if after := w.reigns(); after["coordinator/0"].leader == 0 || after["coordinator/3"].leader == 0 {
			t.Fatalf("a shard of node 1 has no leader: %v", after)
		}
		for i := range byte(40) { // the shards that had to wait too
			if r := w.mustAnswer(w.ask(3, lane.Submit{Transfer: w.payment(i)})).Transfer; r.State != transfer.Committed {
				t.Errorf("transfer %d: %v %v", i, r.State, r.Reason)
			}
		}

		w.frozen[1] = false
		w.run(time.Minute)
		othersStand("node 1 is back")
		w.mustBeHome()
	})
}

func (w *world) payment(i byte) *transfer.Transfer {
	t := transferOf(i + 1)
	t.Deadline = w.now.Add(time.Hour)
	return t
}

// TestWhoIsHandedAGroupKeepsIt, be it from an operator or from a leader whose disk hangs: the next election sends it home.
func TestWhoIsHandedAGroupKeepsIt(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
		w.run(20 * time.Second)
		if err := w.engineOf(1, "coordinator/0").TransferLeadership(3); err != nil {
			t.Fatal(err)
		}
		w.run(time.Minute)
		if is := w.reigns()["coordinator/0"]; is.leader != 3 {
			t.Fatalf("node %d leads what was handed to node 3", is.leader)
		}
		w.frozen[3] = true
		w.run(20 * time.Second)
		w.frozen[3] = false
		w.run(20 * time.Second)
		w.mustBeHome()
	})
}

// TestAGroupIsOfferedOnlyToAMemberThatCanLead: not to one that is away, nor to one whose log stays behind, nor at once to one that has just caught up.
func TestAGroupIsOfferedOnlyToAMemberThatCanLead(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		limits := lane.DefaultLimits()
		limits.CaughtUpEntries = 0
		w := newWorld(t, engine, lane.Directory{Coordinators: [][]raft.NodeID{three}}, limits)
		noOffer := func(when string) {
			t.Helper()
			if offers := w.offers(); len(offers) > 0 {
				t.Fatalf("%s: offered %v", when, offers)
			}
		}
		w.frozen[1] = true
		w.run(time.Minute)
		noOffer("node 1 is away")
		w.drop = func(to raft.NodeID, m lane.Message) bool {
			r, ok := m.(lane.RaftMessage)
			return ok && to == 1 && r.Message.Kind == raft.Append && len(r.Message.Entries) > 0
		}
		w.frozen[1] = false
		w.run(time.Minute)
		noOffer("node 1 answers, and gets no entries")
		w.drop = nil
		w.run(limits.HandOverAfter - time.Second)
		noOffer("node 1 has just caught up")
		w.frozen[1] = true
		w.run(time.Minute)
		noOffer("node 1 has all entries, and is away again")
		w.frozen[1] = false
		w.run(limits.HandOverAfter - time.Second)
		noOffer("node 1 has just come back")
		w.run(10 * time.Second)
		if is := w.reigns()["coordinator/0"]; is.leader != 1 || w.offers()[1] != 1 {
			t.Errorf("reign %+v after %v offers, want node 1 to lead after one", is, w.offers())
		}
	})
}
