package lane_test

import (
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/transfer"
)

// hold is a payment that its client has to capture.
func (w *world) hold(i byte, until time.Duration) *transfer.Transfer {
	t := transferOf(i)
	t.Legs[0].AmountMinor, t.Legs[1].AmountMinor = 10, 10
	t.Deadline, t.HoldUntil = w.now.Add(5*time.Second), w.now.Add(until)
	return t
}

// reserved is what the banks of a transfer have reserved, and what they have posted.
func (w *world) reserved(t *transfer.Transfer) (holds, entries uint64) {
	w.t.Helper()
	for _, l := range t.Legs {
		a := w.audit(l.Bank).Audit
		holds += a.OpenHolds
		entries += a.LastEntry
	}
	return holds, entries
}

// counted is what the coordinators have in flight, and held.
func (w *world) counted() (inFlight, held int) {
	w.t.Helper()
	for _, id := range w.nodes() {
		c := w.mustAnswer(w.ask(id, lane.GetStatus{})).Status.Counts
		inFlight, held = inFlight+c.InFlight, held+c.Held
	}
	return inFlight, held
}

// TestAHoldEndsThoughAllIsAtRest: a coordinator with nothing to do but to wait for a client rests, and wakes in time.
func TestAHoldEndsThoughAllIsAtRest(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
		w.openAccounts("A", "B", "C")
		p := w.hold(1, 3*time.Minute)
		if r := w.mustAnswer(w.ask(1, lane.Submit{Transfer: p})).Transfer; r.State != transfer.Held {
			t.Fatalf("it is %v %v", r.State, r.Reason)
		}
		w.mustRest()
		w.run(time.Minute)
		if awake := w.awake(); len(awake) > 0 {
			t.Errorf("these are awake, and there is nothing to do: %v", awake)
		}
		if holds, entries := w.reserved(p); holds != 2 || entries != 0 {
			t.Errorf("%d holds and %d entries while it is held", holds, entries)
		}
		if inFlight, held := w.counted(); inFlight != 0 || held != 1 {
			t.Errorf("%d are in flight and %d held, while one is held", inFlight, held)
		}
		w.mustRest()
		w.run(2 * time.Minute)
		if holds, entries := w.reserved(p); holds != 0 || entries != 0 {
			t.Errorf("%d holds and %d entries after it has ended", holds, entries)
		}
		if inFlight, held := w.counted(); inFlight != 0 || held != 0 {
			t.Errorf("%d are in flight and %d held after all has ended", inFlight, held)
		}
		if r := w.mustAnswer(w.ask(2, lane.GetTransfer{ID: p.ID})).Transfer; r.State != transfer.Aborted || r.Reason.Code != transfer.ErrHoldExpired.Code {
			t.Errorf("it is %v %v", r.State, r.Reason)
		}
	})
}

// TestACutFindsWhatIsHeld: while a backup is made, a bank ends no hold of a client, for the coordinator's part may say that it is still held.
func TestACutFindsWhatIsHeld(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.openAccounts("A", "B", "C")
	places := w.reigns()
	p, plain := w.hold(1, time.Hour), w.payment(1)
	plain.Legs[0].AmountMinor, plain.Legs[1].AmountMinor = 1<<40, 1<<40 // nobody has so much: what was prepared is rolled back
	w.mustAnswer(w.ask(1, lane.Submit{Transfer: p}))
	freeze := func(d time.Duration) {
		for _, l := range p.Legs {
			w.mustAnswer(w.ask(places[lane.BankGroup(l.Bank)].leader, lane.HoldCommits{Bank: l.Bank, Hold: 7, For: d}))
		}
	}
	freeze(10 * time.Second)
	if r := w.mustAnswer(w.ask(1, lane.VoidTransfer{ID: p.ID})).Transfer; r.State != transfer.Aborted || r.Reason.Code != transfer.ErrVoided.Code {
		t.Fatalf("the client waits for the backup: %v %v", r.State, r.Reason)
	}
	w.mustAnswer(w.ask(1, lane.Submit{Transfer: plain}))
	w.run(2 * time.Second)
	if holds, _ := w.reserved(p); holds != 2 {
		t.Errorf("%d holds at the banks while they are cut, want those of the client's two legs and no other", holds)
	}
	freeze(0)
	w.run(2 * time.Second)
	if holds, entries := w.reserved(p); holds != 0 || entries != 0 {
		t.Errorf("%d holds and %d entries afterwards", holds, entries)
	}
}

// TestACaptureReachesTheLeader from any node, and once: as all requests it may be sent again.
func TestACaptureReachesTheLeader(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
		w.openAccounts("A", "B", "C")
		for i := range byte(8) { // spread over the shards
			p := w.hold(i+1, time.Hour)
			w.mustAnswer(w.ask(1, lane.Submit{Transfer: p}))
			capture := lane.CaptureTransfer{ID: p.ID, AmountsMinor: []int64{6}}
			for _, node := range three {
				if r := w.mustAnswer(w.ask(node, capture)).Transfer; r.State != transfer.Committed || !slices.Equal(r.CapturedMinor, []int64{6, 6}) {
					t.Errorf("through node %d: %v, captured %d", node, r.State, r.CapturedMinor)
				}
			}
			w.run(time.Second)
		}
		if holds, entries := w.reserved(transferOf(1)); holds != 0 || entries != 16 {
			t.Errorf("%d holds and %d entries, want 0 and 16", holds, entries)
		}
	})
}
