package lane_test

import (
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// TestAHoldWhoseStageWasLostGoes: the leader asks the banks to prepare, its Stage reaches nobody, and it never comes back. Nobody but
// the banks knows of the transfer then: they inquire, and the next leader closes the id before they let go. They don't wait for the time of a client's hold.
func TestAHoldWhoseStageWasLostGoes(t *testing.T) {
	for name, lasts := range map[string]time.Duration{"a transfer": 0, "a client's hold": 30 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) { theHoldWhoseStageWasLostGoes(t, lasts) })
	}
}

func theHoldWhoseStageWasLostGoes(t *testing.T, lasts time.Duration) {
	onBothEngines(t, func(t *testing.T, engine string) {
		d := lane.Directory{
			Coordinators: [][]raft.NodeID{three},
			Banks:        []lane.BankPlace{{Bank: "A", Members: []raft.NodeID{2}}, {Bank: "B", Members: []raft.NodeID{3}}},
		}
		w := newWorld(t, engine, d, lane.DefaultLimits())
		w.openAccounts("A", "B")
		w.run(20 * time.Second)
		if is := w.reigns()["coordinator/0"]; is.leader != 1 {
			t.Fatalf("node %d leads, want node 1", is.leader)
		}
		lost := w.payment(1)
		if lasts != 0 {
			lost.HoldUntil = w.now.Add(lasts)
		}
		w.drop = func(_ raft.NodeID, m lane.Message) bool {
			r, ok := m.(lane.RaftMessage)
			return ok && r.Group == "coordinator/0"
		}
		w.ask(1, lane.Submit{Transfer: lost})
		w.frozen[1] = true
		w.drop = nil
		if holds := w.openHolds(); holds != 2 {
			t.Fatalf("%d holds, want one at each bank", holds)
		}
		for range 1000 {
			if w.openHolds() == 0 {
				break
			}
			w.run(50 * time.Millisecond)
		}
		if holds := w.openHolds(); holds != 0 {
			t.Fatalf("%d holds stay", holds)
		}
		again := w.mustAnswer(w.ask(2, lane.Submit{Transfer: lost})).Transfer
		if again.State != transfer.Aborted || again.Reason.Code != transfer.ErrOrphaned.Code {
			t.Errorf("the client asks again and hears %v %v, want aborted as an orphan", again.State, again.Reason)
		}
	})
}

// openHolds counts the holds of banks A and B.
func (w *world) openHolds() (count uint64) {
	w.t.Helper()
	for _, b := range []transfer.BankID{"A", "B"} {
		count += w.mustAnswer(w.ask(2, lane.AuditBank{Bank: b})).Audit.OpenHolds
	}
	return count
}
