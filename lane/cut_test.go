package lane_test

import (
	"errors"
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// audit reads a bank's totals.
func (w *world) audit(at transfer.BankID) lane.Answer {
	w.t.Helper()
	return w.mustAnswer(w.ask(1, lane.AuditBank{Bank: at}))
}

// TestABankHoldsItsCommits follows a transfer through a hold: its client is answered, its holds stay, and they end when the hold does.
func TestABankHoldsItsCommits(t *testing.T) {
	for _, ends := range []string{"when it is told", "by itself"} {
		t.Run(ends, func(t *testing.T) {
			w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
			leg := transferOf(1).Legs
			w.openAccounts(leg[0].Bank, leg[1].Bank)
			places := w.reigns()
			for _, l := range leg {
				leader := places[lane.BankGroup(l.Bank)].leader
				w.mustAnswer(w.ask(leader, lane.HoldCommits{Bank: l.Bank, Hold: 7, For: 5 * time.Second}))
			}
			tr := transferOf(1)
			tr.Deadline = w.now.Add(10 * time.Second)
			if a := w.mustAnswer(w.ask(1, lane.Submit{Transfer: tr})); a.Transfer.State != transfer.Committed {
				t.Fatalf("the client waits for a hold: %+v", a.Transfer)
			}
			w.run(2 * time.Second)
			for _, l := range leg {
				if a := w.audit(l.Bank); a.Audit.OpenHolds != 1 || a.Audit.LastEntry != 0 {
					t.Errorf("bank %s commits while it holds: %+v", l.Bank, a.Audit)
				}
			}
			if ends == "by itself" {
				w.run(4 * time.Second)
			} else {
				for _, l := range leg {
					w.mustAnswer(w.ask(places[lane.BankGroup(l.Bank)].leader, lane.HoldCommits{Bank: l.Bank, Hold: 7}))
				}
				w.run(200 * time.Millisecond)
			}
			for _, l := range leg {
				if a := w.audit(l.Bank); a.Audit.OpenHolds != 0 || a.Audit.LastEntry != 1 {
					t.Errorf("bank %s doesn't go on: %+v", l.Bank, a.Audit)
				}
			}
		})
	}
}

func TestAHoldIsRefused(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	at := transferOf(1).Legs[0].Bank
	w.openAccounts(at)
	leader := w.reigns()[lane.BankGroup(at)].leader
	w.mustAnswer(w.ask(leader, lane.HoldCommits{Bank: at, Hold: 7, For: 5 * time.Second}))
	other := leader%3 + 1
	for name, c := range map[string]struct {
		ask  lane.HoldCommits
		at   int
		want error
	}{
		"while another backup's is in force": {lane.HoldCommits{Bank: at, Hold: 8, For: time.Second}, int(leader), transfer.ErrBusy},
		"by a node that doesn't lead":        {lane.HoldCommits{Bank: at, Hold: 7, For: time.Second}, int(other), transfer.ErrNoLeader},
		"without a name":                     {lane.HoldCommits{Bank: at, For: time.Second}, int(leader), transfer.ErrInvalidRequest},
		"for too long":                       {lane.HoldCommits{Bank: at, Hold: 7, For: time.Hour}, int(leader), transfer.ErrInvalidRequest},
		"of no bank":                         {lane.HoldCommits{Bank: "nobody", Hold: 7, For: time.Second}, int(leader), transfer.ErrUnknownBank},
	} {
		id := w.ask(raft.NodeID(c.at), c.ask)
		if a, ok := w.answers[id]; !ok || !errors.Is(a.Err, c.want) {
			t.Errorf("%s: %v, %v", name, ok, a.Err)
		}
	}
	w.run(6 * time.Second) // it has ended by itself, and can't be prolonged any more
	id := w.ask(leader, lane.HoldCommits{Bank: at, Hold: 7, For: time.Second, Keep: true})
	if a := w.answers[id]; !errors.Is(a.Err, transfer.ErrBusy) {
		t.Errorf("an ended hold is prolonged: %v", a.Err)
	}
}
