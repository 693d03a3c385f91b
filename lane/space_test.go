package lane_test

import (
	"errors"
	"testing"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// TestANodeWithAFullDiskHandsOverWhatItLeads, and what it leads alone begins nothing new, says so, and finishes what has begun.
func TestANodeWithAFullDiskHandsOverWhatItLeads(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
		w.openAccounts("A", "B", "C")
		w.run(20 * time.Second)
		w.mustBeHome()

		w.step(1, lane.SpaceChanged{Low: true})
		var waiting []uint64
		for i := range byte(20) {
			waiting = append(waiting, w.ask(1, lane.Submit{Transfer: w.payment(i)}))
		}
		waiting = append(waiting, w.ask(1, lane.OpenAccount{Bank: "C", Terms: bank.Terms{ID: "z", Currency: "EUR"}}))
		for _, request := range waiting {
			w.mustAnswer(request)
		}
		w.run(time.Minute)
		for group, r := range w.reigns() {
			if r.leader == 1 {
				t.Errorf("node 1 still leads %s", group)
			}
		}
		if s := w.mustAnswer(w.ask(1, lane.GetStatus{})).Status; !s.LowSpace {
			t.Error("its status doesn't say that the disk is full")
		}
	})
}

func TestABankOnAFullDiskFinishesAndBeginsNothing(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.openAccounts("A", "B")
	w.run(20 * time.Second)

	withheld := false
	w.drop = func(_ raft.NodeID, m lane.Message) bool { // bank A, on node 2, hears of no outcome
		if r, ok := m.(lane.BankRequests); ok && r.Bank == "A" && r.Requests[0].Op == bank.Commit {
			withheld = true
			return true
		}
		return false
	}
	if r := w.mustAnswer(w.ask(1, lane.Submit{Transfer: w.payment(leadBy(w, 1))})).Transfer; r.State != transfer.Committed {
		t.Fatalf("got %v", r.State)
	}
	if w.run(100 * time.Millisecond); !withheld { // it waits a moment for company
		t.Fatal("no commit was sent that could be withheld")
	}
	holds := func() uint64 { return w.mustAnswer(w.ask(1, lane.AuditBank{Bank: "A"})).Audit.OpenHolds }
	if n := holds(); n != 1 {
		t.Fatalf("%d holds, want the one whose commit is withheld", n)
	}
	w.step(2, lane.SpaceChanged{Low: true})
	w.drop = nil
	w.run(10 * time.Second)
	if n := holds(); n != 0 {
		t.Errorf("%d holds are left: a full disk must not keep what has begun from its end", n)
	}

	open := lane.OpenAccount{Bank: "A", Terms: bank.Terms{ID: "z", Currency: "EUR"}}
	refused := w.ask(1, open)
	w.run(time.Second)
	if err := w.answers[refused].Err; !errors.Is(err, transfer.ErrDiskFull) {
		t.Errorf("got %v", err)
	}
	late := w.payment(leadBy(w, 1) + 1)
	late.Deadline = w.now.Add(2 * time.Second)
	request := w.ask(1, lane.Submit{Transfer: late})
	w.run(15 * time.Second)
	if a := w.answers[request]; a.Err == nil && a.Transfer.State == transfer.Committed {
		t.Error("a bank prepared on a full disk")
	}
	w.step(2, lane.SpaceChanged{Low: false})
	w.run(15 * time.Second)
	w.mustAnswer(w.ask(1, open))
	if r := w.mustAnswer(w.ask(3, lane.Submit{Transfer: w.payment(leadBy(w, 1) + 2)})).Transfer; r.State != transfer.Committed {
		t.Errorf("with space again: %v %v", r.State, r.Reason)
	}
}

// leadBy is the first payment of which a node's shard decides: 0 to 255.
func leadBy(w *world, node raft.NodeID) byte {
	for i := range byte(250) {
		if home[w.lanes[node].CoordinatorOf(transferOf(i+1).ID)] == node {
			return i
		}
	}
	w.t.Fatal("no id belongs to a shard of that node")
	return 0
}

// TestFullDisksEverywhereMoveNothingAround: a group is offered to each member once in a while, and whoever has it then refuses.
func TestFullDisksEverywhereMoveNothingAround(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		limits := lane.DefaultLimits()
		w := newWorld(t, engine, fourShards(), limits)
		w.openAccounts("A", "B", "C")
		w.run(20 * time.Second)
		before := w.reigns()
		for _, id := range w.nodes() {
			w.step(id, lane.SpaceChanged{Low: true})
		}
		w.run(25 * time.Second)
		refused := w.ask(2, lane.OpenAccount{Bank: "C", Terms: bank.Terms{ID: "z", Currency: "EUR"}})
		w.run(time.Second)
		if err := w.answers[refused].Err; !errors.Is(err, transfer.ErrDiskFull) {
			t.Errorf("got %v", err)
		}
		w.run(5 * time.Minute)
		for group, r := range w.reigns() {
			if moved := r.term - before[group].term; moved > 80 {
				t.Errorf("%s has changed its leader %d times", group, moved)
			}
		}
		w.step(3, lane.SpaceChanged{Low: false})
		w.run(time.Minute)
		if is := w.reigns()["bank/C"]; is.leader != 3 {
			t.Errorf("node %d leads bank C, want the one with space", is.leader)
		}
		open := lane.OpenAccount{Bank: "C", Terms: bank.Terms{ID: "z", Currency: "EUR"}}
		refused = w.ask(1, open)
		w.run(time.Second)
		if err := w.answers[refused].Err; !errors.Is(err, transfer.ErrDiskFull) {
			t.Errorf("with space on one disk of three: %v", err)
		}
		w.step(2, lane.SpaceChanged{Low: false})
		w.run(time.Second)
		w.mustAnswer(w.ask(1, open))
	})
}

// TestALeaderWithSpaceSparesTheLastRoomOfItsFollowers: it is for what has begun.
func TestALeaderWithSpaceSparesTheLastRoomOfItsFollowers(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
		w.openAccounts("A", "B", "C")
		w.run(20 * time.Second)
		w.mustBeHome()
		i := leadBy(w, 1)
		submit := func() lane.Answer {
			w.run(time.Second) // the news is on its way
			request := w.ask(1, lane.Submit{Transfer: w.payment(i)})
			w.run(5 * time.Second)
			return w.answers[request]
		}
		w.step(2, lane.SpaceChanged{Low: true})
		if a := submit(); a.Err != nil {
			t.Errorf("with one full disk of three: %v", a.Err)
		}
		w.step(3, lane.SpaceChanged{Low: true})
		i = leadBy(w, 1) + 1
		for home[w.lanes[1].CoordinatorOf(transferOf(i+1).ID)] != 1 {
			i++
		}
		if a := submit(); !errors.Is(a.Err, transfer.ErrDiskFull) {
			t.Errorf("with two: %v", a.Err)
		}
		if r := w.reigns()["coordinator/0"]; r.leader != home["coordinator/0"] {
			t.Errorf("node %d leads coordinator/0, which is no reason to move it", r.leader)
		}
		w.frozen[3] = true
		w.run(20 * time.Second)
		if a := submit(); !errors.Is(a.Err, transfer.ErrDiskFull) {
			t.Errorf("when the second has gone, and the first would be needed: %v", a.Err)
		}
		w.step(2, lane.SpaceChanged{Low: false})
		if a := submit(); a.Err != nil {
			t.Errorf("with one that has space and one that has gone: %v", a.Err)
		}
	})
}
