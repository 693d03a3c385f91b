package lane_test

import (
	"errors"
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// onThree has one coordinator and two banks, each on all nodes: any two of the three are a whole cluster.
func onThree() lane.Directory {
	return lane.Directory{Coordinators: [][]raft.NodeID{three}, Banks: []lane.BankPlace{{Bank: "A", Members: three}, {Bank: "B", Members: three}}}
}

// pay submits a transfer to a node and wants it committed.
func (w *world) pay(at raft.NodeID, id byte) {
	w.t.Helper()
	p := transferOf(id)
	p.Deadline = w.now.Add(time.Minute)
	if r := w.mustAnswer(w.ask(at, lane.Submit{Transfer: p})).Transfer; r.State != transfer.Committed {
		w.t.Fatalf("transfer %s is %v %v", p.ID, r.State, r.Reason)
	}
}

// answer is what a request is answered at once.
func (w *world) answer(request uint64) lane.Answer {
	w.t.Helper()
	a, ok := w.answers[request]
	if !ok {
		w.t.Fatalf("request %d isn't answered at once", request)
	}
	return a
}

// A leader that is cut off doesn't know that others go on without it. Asked as usual, it never says what is old: it says nothing, then that there is no
// leader. Asked for what it knows, it says so at once, and for as long as it is alone.
func TestAReadIsLinearizableUnlessItIsToBeStale(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, onThree(), lane.DefaultLimits())
		w.run(5 * time.Second)
		w.openAccounts("A", "B")
		w.pay(1, 1)
		w.run(100 * time.Millisecond) // the decision rides with the next entry, or goes by itself after a moment
		old := w.reigns()[lane.CoordinatorGroup(0)].leader
		w.cutOff = old
		fresh := []uint64{w.ask(old, lane.GetTransfer{ID: transfer.ID{1}}), w.ask(old, lane.GetTransfer{ID: transfer.ID{2}})} // it still believes that it leads
		if a := w.answer(w.ask(old, lane.GetTransfer{ID: transfer.ID{1}, Stale: true})); a.Err != nil || a.Transfer.State != transfer.Committed {
			t.Errorf("what the old leader knows: %v, %v", a.Transfer.State, a.Err)
		}
		other := old%3 + 1
		w.pay(other, 2)
		fresh = append(fresh, w.ask(old, lane.GetTransfer{ID: transfer.ID{2}})) // it knows by now that it doesn't
		w.run(15 * time.Second)
		for _, request := range fresh {
			if a := w.answer(request); !errors.Is(a.Err, transfer.ErrNoLeader) {
				t.Errorf("a fresh read of a node that is alone: %v, %v; want that there is no leader", a.Transfer.State, a.Err)
			}
		}
		if a := w.answer(w.ask(old, lane.GetTransfer{ID: transfer.ID{1}, Stale: true})); a.Err != nil || a.Transfer.State != transfer.Committed {
			t.Errorf("what a node knows that has been alone for long: %v, %v", a.Transfer.State, a.Err)
		}
		if a := w.answer(w.ask(old, lane.GetTransfer{ID: transfer.ID{2}, Stale: true})); !errors.Is(a.Err, transfer.ErrTransferNotFound) {
			t.Errorf("what it can't know: %v, %v", a.Transfer.State, a.Err)
		}
		w.cutOff = 0
		if r := w.mustAnswer(w.ask(old, lane.GetTransfer{ID: transfer.ID{2}})).Transfer; r.State != transfer.Committed {
			t.Errorf("a fresh read when it is back: %v", r.State)
		}
		if a := w.answer(w.ask(old, lane.GetTransfer{ID: transfer.ID{2}, Stale: true})); a.Err != nil || a.Transfer.State != transfer.Committed {
			t.Errorf("a stale read after it: %v, %v", a.Transfer.State, a.Err)
		}
	})
}

// A node that holds no replica knows nothing by itself.
func TestAStaleReadWithoutAReplicaAsksTheLeader(t *testing.T) {
	l := newLane(t)
	effects := l.Step(start, []lane.Event{asked(5, lane.GetTransfer{ID: transfer.ID{1}, Stale: true})})
	if len(effects.Send) != 1 || effects.Send[0].To != 1 || len(effects.Answers) != 0 {
		t.Fatalf("got %+v, want one message to node 1", effects)
	}
}
