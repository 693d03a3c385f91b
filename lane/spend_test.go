package lane_test

import (
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// TestWhoSpendsWhatIsCommittedComesAfterIt has a client told "committed" while the leader's disk still writes, and spend what it got in the very step
// in which that write is done: the bank must hear of the credit before it is asked for the debit, for its no would be final.
func TestWhoSpendsWhatIsCommittedComesAfterIt(t *testing.T) {
	w := elsewhere(t)
	w.mustAnswer(w.ask(1, lane.OpenAccount{Bank: "B", Terms: bank.Terms{ID: "poor", Currency: "EUR"}}))
	credit, spend, other := w.payment(10), w.payment(11), w.payment(12)
	credit.Legs[1].Account = "poor"
	spend.Legs[0].Direction, spend.Legs[1].Direction = credit.Legs[1].Direction, credit.Legs[0].Direction
	spend.Legs[1].Account = "poor"
	names := map[transfer.ID]string{credit.ID: "credit", spend.ID: "spend", other.ID: "other"}
	var heard []string // by bank B
	var late *lane.BankAnswers
	w.drop = func(_ raft.NodeID, m lane.Message) bool {
		if a, ok := m.(lane.BankAnswers); ok && a.Bank == "B" && late == nil {
			late = &a
			return true
		}
		if r, ok := m.(lane.BankRequests); ok && r.Bank == "B" {
			for i := range r.Requests {
				heard = append(heard, r.Requests[i].Op.String()+" "+names[r.Requests[i].ID])
			}
		}
		return false
	}
	waiting := w.ask(1, lane.Submit{Transfer: credit})
	w.stalled = 1
	w.ask(1, lane.Submit{Transfer: other})
	w.step(1, lane.Received{From: 3, Message: *late})
	if a := w.answer(waiting); a.Err != nil || a.Transfer.State != transfer.Committed {
		t.Fatalf("with the last vote: %v, %v", a.Transfer.State, a.Err)
	}
	w.stalled = 0
	events := []lane.Event{lane.Asked{Request: 1 << 20, Until: w.now.Add(10 * time.Second), Ask: lane.Submit{Transfer: spend}}}
	for _, write := range w.writing[1] {
		w.disks[1][write.Group].write(&write.Write)
		events = append(events, lane.Persisted{Group: write.Group, Seq: write.Write.Seq})
	}
	if len(events) == 1 {
		t.Fatal("nothing is being written")
	}
	w.writing[1] = nil
	w.step(1, events...)
	if a := w.mustAnswer(1 << 20); a.Transfer.State != transfer.Committed {
		t.Errorf("what was received can't be spent: %v %v", a.Transfer.State, a.Transfer.Reason)
	}
	if want := []string{"prepare credit", "prepare other", "commit credit", "prepare spend"}; len(heard) < 4 || !slices.Equal(heard[:4], want) {
		t.Errorf("bank B hears %q, want first %q", heard, want)
	}
}
