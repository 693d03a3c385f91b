package lane_test

import (
	"testing"
	"time"

	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// startAsAnOlderRelease gives every node the checkpoint of a release that didn't number transfers: two of them, of one moment.
func startAsAnOlderRelease(w *world) {
	m, err := coordinator.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	two, one := transferOf(2), transferOf(1)
	facts := []coordinator.Fact{{Stage: two}, {Stage: one}}
	for _, p := range []*transfer.Transfer{one, two} {
		facts = append(facts, coordinator.Fact{Decide: &coordinator.Decision{ID: p.ID, State: transfer.Committed, At: start}}, coordinator.Fact{Settle: []transfer.ID{p.ID}})
	}
	if _, err := m.Apply(4, coordinator.Encode(start, facts)); err != nil {
		w.t.Fatal(err)
	}
	w.older = append(m.Checkpoint(), m.Sealed(1<<10)...)
}

func (w *world) coordinatorOf(node raft.NodeID) *coordinator.Machine {
	for _, r := range w.lanes[node].Inspect(nil) {
		if r.Coordinator != nil {
			return r.Coordinator
		}
	}
	w.t.Fatalf("node %d has no coordinator", node)
	return nil
}

// The transfers of an older release get their numbers when somebody asks for them, not before: its replicas would stop at the entry. All replicas have the same.
func TestTransfersOfAnOlderReleaseAreNumberedWhenTheyAreListed(t *testing.T) {
	for name, ask := range map[string]lane.Ask{
		"by a list":  lane.ListTransfers{Group: lane.CoordinatorGroup(0), Limit: 10},
		"by a watch": lane.ReadDecisions{Group: lane.CoordinatorGroup(0), Limit: 10},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "quorate", onThree(), lane.DefaultLimits(), startAsAnOlderRelease)
			w.run(5 * time.Second)
			w.openAccounts("A", "B")
			w.pay(1, 3)
			for _, node := range three {
				if w.coordinatorOf(node).Numbered() {
					t.Fatalf("node %d numbers transfers, and nobody has asked", node)
				}
			}
			for _, node := range three { // whoever is asked, the leader hears of it
				request := w.ask(node, ask)
				for i := 0; w.answers[request].Err == nil && w.answers[request].Listing == nil && i < 100; i++ {
					w.run(50 * time.Millisecond)
				}
				if a := w.answers[request]; a.Err != nil || a.Listing == nil || len(a.Listing.Page.Listed)+len(a.Listing.Decisions.Decided) != 3 {
					t.Errorf("the first answer of node %d: %+v, %v", node, a.Listing, a.Err)
				}
				w.run(100 * time.Millisecond)
			}
			page := w.mustAnswer(w.ask(2, lane.ListTransfers{Group: lane.CoordinatorGroup(0), Limit: 10})).Listing.Page
			if len(page.Listed) != 3 || page.Listed[0].Record.Transfer.ID[0] != 3 || page.Listed[1].Record.Transfer.ID[0] != 2 || page.Listed[2].Record.Transfer.ID[0] != 1 {
				t.Errorf("the list has %+v", page.Listed)
			}
			for _, node := range three {
				d := w.answer(w.ask(node, lane.ReadDecisions{Group: lane.CoordinatorGroup(0), Limit: 10})).Listing.Decisions
				if len(d.Decided) != 3 || d.Decided[2].Record.Transfer.ID[0] != 3 || d.Last != 3 {
					t.Errorf("node %d has %+v", node, d)
				}
				if got, want := w.coordinatorOf(node).Hash(), w.coordinatorOf(1).Hash(); got != want {
					t.Errorf("node %d has state %x, node 1 %x", node, got, want)
				}
			}
		})
	}
}

// A group that begins numbers from its first entry on, which costs no entry of its own.
func TestAGroupThatBeginsNumbersAtOnce(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, onThree(), lane.DefaultLimits())
		w.run(5 * time.Second)
		if l := w.mustAnswer(w.ask(2, lane.ListTransfers{Group: lane.CoordinatorGroup(0), Limit: 10})).Listing.Page; len(l.Listed) != 0 || l.More {
			t.Errorf("before the first transfer: %+v", l)
		}
		w.openAccounts("A", "B")
		w.pay(1, 1)
		w.run(time.Second)
		for _, node := range three {
			if m := w.coordinatorOf(node); !m.Numbered() || m.LastDecision() != 1 {
				t.Errorf("node %d: numbered %t, last decision %d", node, m.Numbered(), m.LastDecision())
			}
		}
	})
}

// A group that begins while a node may still run an older release has no numbers until the level is reached. Then it gets them with its next entry, and who lists meanwhile waits.
func TestAGroupThatBeganBeforeTheLevelIsNumberedWithIt(t *testing.T) {
	for name, next := range map[string]func(w *world){
		"with its next entry": func(w *world) { w.pay(3, 3) },
		"by a list":           func(*world) {},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "quorate", onThree(), lane.DefaultLimits())
			w.frozen[3] = true
			w.run(5 * time.Second)
			w.openAccounts("A", "B")
			w.pay(1, 1)
			w.pay(1, 2)
			for _, node := range three[:2] {
				if w.coordinatorOf(node).Numbered() {
					t.Fatalf("node %d numbers transfers while nobody knows what node 3 can read", node)
				}
			}
			w.frozen[3] = false
			w.run(5 * time.Second)
			next(w)
			if name != "by a list" && !w.coordinatorOf(1).Numbered() {
				t.Error("its next entry has no numbers")
			}
			page := w.mustAnswer(w.ask(2, lane.ListTransfers{Group: lane.CoordinatorGroup(0), Limit: 10})).Listing.Page
			if len(page.Listed) < 2 || page.Listed[len(page.Listed)-1].Record.Transfer.ID[0] != 1 {
				t.Errorf("the list has %+v", page.Listed)
			}
		})
	}
}
