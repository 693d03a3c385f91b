package lane_test

import (
	"testing"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// TestALatePrepareIsANoFromEndToEnd holds a prepare up until its transfer is aborted at the deadline and its bank has been told: a real ledger refuses it then,
// holds nothing, and neither the bank's answer nor asking again makes it look like success (the case of dtm-labs/dtm, issue 453).
func TestALatePrepareIsANoFromEndToEnd(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
		w.run(5 * time.Second)
		w.openAccounts("A", "B")
		p := transferOf(1)
		p.Deadline = w.now.Add(3 * time.Second)
		leader := w.reigns()[w.lanes[1].CoordinatorOf(p.ID)].leader
		var late []lane.Message // to bank B, on node 3
		var votes []bank.Answer // of bank B, about a prepare
		w.drop = func(to raft.NodeID, m lane.Message) bool {
			switch m := m.(type) {
			case lane.BankRequests:
				if m.Bank == "B" && m.Requests[0].Op == bank.Prepare {
					late = append(late, m)
					return true
				}
			case lane.BankAnswers:
				for _, a := range m.Answers {
					if m.Bank == "B" && a.Op == bank.Prepare {
						votes = append(votes, a)
					}
				}
			}
			return false
		}
		first := w.mustAnswer(w.ask(1, lane.Submit{Transfer: p})).Transfer
		w.run(5 * time.Second)
		if first.State != transfer.Aborted || first.Reason.Code != transfer.ErrDeadlineExceeded.Code || len(late) == 0 {
			t.Fatalf("the transfer is %v %v, and %d prepares were held up", first.State, first.Reason, len(late))
		}
		for range 2 {
			for _, m := range late {
				w.step(3, lane.Received{From: leader, Message: m})
			}
			w.run(time.Second)
		}
		if len(votes) == 0 {
			t.Error("bank B answers nothing")
		}
		for _, v := range votes {
			if v.ID == p.ID && (v.Result != bank.No || v.Reason.Code != transfer.ErrRolledBack.Code) {
				t.Errorf("bank B answers the late prepare with %v %v", v.Result, v.Reason)
			}
		}
		again := *p
		again.Deadline = w.now.Add(time.Minute)
		for _, r := range []transfer.Record{
			w.mustAnswer(w.ask(2, lane.GetTransfer{ID: p.ID})).Transfer, w.mustAnswer(w.ask(3, lane.Submit{Transfer: &again})).Transfer,
		} {
			if r.State != transfer.Aborted || r.Reason.Code != first.Reason.Code {
				t.Errorf("asked again, it is %v %v", r.State, r.Reason)
			}
		}
		for at, id := range map[transfer.BankID]transfer.AccountID{"A": "x", "B": "y"} {
			if a := w.mustAnswer(w.ask(1, lane.GetAccount{Bank: at, ID: id})).Accounts[0]; a.PostedMinor != 0 || a.HeldMinor != 0 || a.IncomingMinor != 0 {
				t.Errorf("bank %s: %+v", at, a)
			}
		}
	})
}
