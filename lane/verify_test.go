package lane_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/transfer"
)

// TestReplicasAreComparedAtOneEntry asks all replicas of a bank for their hash at an entry that none of them has yet.
func TestReplicasAreComparedAtOneEntry(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine string) {
		w := newWorld(t, engine, fourShards(), lane.DefaultLimits())
		w.openAccounts("C")
		now := w.mustAnswer(w.ask(1, lane.HashReplica{Group: "bank/C"})).Hash
		if now.Index == 0 || now.Hash == 0 {
			t.Fatalf("the newest is %+v", now)
		}
		later := now.Index + 2
		var requests []uint64
		for _, node := range three {
			requests = append(requests, w.ask(node, lane.HashReplica{Group: "bank/C", Index: later}))
		}
		w.run(time.Second)
		if a, early := w.answers[requests[0]]; early {
			t.Fatalf("entry %d isn't there yet: %+v", later, a)
		}
		for _, account := range []transfer.AccountID{"c1", "c2", "c3"} {
			w.mustAnswer(w.ask(1, lane.OpenAccount{Bank: "C", Terms: bank.Terms{ID: account, Currency: "EUR"}}))
		}
		first := w.mustAnswer(requests[0]).Hash
		for i, request := range requests {
			if got := w.mustAnswer(request).Hash; got != first || got.Index != later {
				t.Errorf("node %d has %+v, node 1 %+v", i+1, got, first)
			}
		}
		if first.Hash == now.Hash {
			t.Error("two entries later the hash is the same")
		}
		if again := w.mustAnswer(w.ask(2, lane.HashReplica{Group: "bank/C", Index: now.Index})).Hash; again != now {
			t.Errorf("an earlier entry is now %+v, and was %+v", again, now)
		}
	})
}

func TestAReplicaThatIsBehindSaysHowFarItIs(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.openAccounts("C")
	w.run(time.Second)
	w.cutOff = 3
	before := w.mustAnswer(w.ask(3, lane.HashReplica{Group: "bank/C"})).Hash
	w.mustAnswer(w.ask(1, lane.OpenAccount{Bank: "C", Terms: bank.Terms{ID: "z", Currency: "EUR"}}))
	newest := w.mustAnswer(w.ask(1, lane.HashReplica{Group: "bank/C"})).Hash
	if newest.Index <= before.Index {
		t.Fatalf("nothing has happened: %+v, %+v", before, newest)
	}
	behind := w.ask(3, lane.HashReplica{Group: "bank/C", Index: newest.Index})
	w.run(9 * time.Second)
	if a, early := w.answers[behind]; early {
		t.Fatalf("it doesn't wait for the entry: %+v", a)
	}
	if got := w.mustAnswer(behind).Hash; got != before {
		t.Errorf("when time is up it says %+v, and it has %+v", got, before)
	}
	w.cutOff = 0
	if got := w.mustAnswer(w.ask(3, lane.HashReplica{Group: "bank/C", Index: newest.Index})).Hash; got != newest {
		t.Errorf("once it has caught up: %+v, the others have %+v", got, newest)
	}
	if a := w.answers[w.ask(1, lane.HashReplica{Group: "bank/A"})]; !errors.Is(a.Err, transfer.ErrNotFound) {
		t.Errorf("of a group that lives elsewhere: %v", a.Err)
	}
}

// TestAVoterThatIsBehindIsListedSo: who upgrades one node after another must see when to go on.
func TestAVoterThatIsBehindIsListedSo(t *testing.T) {
	limits := lane.DefaultLimits()
	w := newWorld(t, "quorate", fourShards(), limits)
	w.openAccounts("C")
	listed := func() (behind uint64, alive bool) {
		for _, m := range w.mustAnswer(w.ask(1, lane.ListMembers{})).Members {
			if m.Node.ID == 3 {
				return m.Behind, m.Alive
			}
		}
		t.Fatal("node 3 isn't listed")
		return 0, false
	}
	w.run(3 * time.Second)
	if behind, alive := listed(); behind > 0 || !alive {
		t.Fatalf("with nothing to catch up with it is %d entries behind, alive %t", behind, alive)
	}
	w.stalled = 3
	const missed = 300
	for i := range missed {
		w.mustAnswer(w.ask(1, lane.OpenAccount{Bank: "C", Terms: bank.Terms{ID: transfer.AccountID(fmt.Sprintf("z%d", i)), Currency: "EUR"}}))
	}
	w.run(2 * limits.ReportEvery)
	if behind, alive := listed(); behind < missed || behind > 2*missed || !alive {
		t.Errorf("of %d entries and some more it lacks %d, alive %t", missed, behind, alive)
	}
	w.stalled = 0
	w.run(10 * time.Second)
	if behind, alive := listed(); behind > 0 || !alive {
		t.Errorf("once it has caught up it is %d entries behind, alive %t", behind, alive)
	}
}

func TestAGroupAtRestIsComparedAndGoesOnResting(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.openAccounts("C")
	w.mustRest()
	first := w.mustAnswer(w.ask(1, lane.HashReplica{Group: "bank/C"})).Hash
	for _, node := range three {
		if got := w.mustAnswer(w.ask(node, lane.HashReplica{Group: "bank/C", Index: first.Index})).Hash; got != first {
			t.Errorf("node %d has %+v, node 1 %+v", node, got, first)
		}
	}
	if awake := w.awake(); len(awake) > 0 {
		t.Errorf("being asked wakes %v", awake)
	}
}

// TestWhatIsOpenIsExaminedWhileTheBanksHoldTheirCommits looks at a transfer that is committed and not yet executed.
func TestWhatIsOpenIsExaminedWhileTheBanksHoldTheirCommits(t *testing.T) {
	w := newWorld(t, "quorate", fourShards(), lane.DefaultLimits())
	w.openAccounts("A", "B")
	tr := transferOf(1)
	tr.Deadline = w.now.Add(10 * time.Second)
	places := w.reigns()
	for _, l := range tr.Legs {
		w.mustAnswer(w.ask(places[lane.BankGroup(l.Bank)].leader, lane.HoldCommits{Bank: l.Bank, Hold: 7, For: 20 * time.Second}))
	}
	w.mustAnswer(w.ask(1, lane.Submit{Transfer: tr}))
	w.run(100 * time.Millisecond) // the decision goes by itself after a moment
	places = w.reigns()
	decides := w.lanes[1].CoordinatorOf(tr.ID)
	x := w.mustAnswer(w.ask(places[decides].leader, lane.Examine{Group: decides})).Examined
	if len(x.Unsettled) != 1 || x.Unsettled[0].Record.Transfer.ID != tr.ID || x.Unsettled[0].Record.State != transfer.Committed || x.Unsettled[0].Fingerprint != tr.Fingerprint() {
		t.Errorf("the coordinator has open %+v", x.Unsettled)
	}
	content := lane.Content{ID: tr.ID, Fingerprint: tr.Fingerprint()}
	other := lane.Content{ID: transfer.ID{9}}
	for _, l := range tr.Legs {
		leader := places[lane.BankGroup(l.Bank)].leader
		x := w.mustAnswer(w.ask(leader, lane.Examine{Group: lane.BankGroup(l.Bank), Hold: 7})).Examined
		if len(x.Holds) != 1 || x.Holds[0].ID != tr.ID || x.Holds[0].Fingerprint != content.Fingerprint || x.Audit.OpenHolds != 1 || len(x.Audit.Totals) != 1 {
			t.Errorf("bank %s has open %+v", l.Bank, x)
		}
		found := w.mustAnswer(w.ask(leader, lane.FindTransfers{Bank: l.Bank, Hold: 7, Contents: []lane.Content{content, other}})).Found
		if len(found) != 2 || found[0] != bank.Prepared || found[1] != 0 {
			t.Errorf("bank %s knows %v", l.Bank, found)
		}
		for name, ask := range map[string]lane.Ask{
			"examined for another hold":  lane.Examine{Group: lane.BankGroup(l.Bank), Hold: 8},
			"examined without a hold":    lane.Examine{Group: lane.BankGroup(l.Bank)},
			"asked for another hold":     lane.FindTransfers{Bank: l.Bank, Hold: 8, Contents: []lane.Content{content}},
			"asked for too many at once": lane.FindTransfers{Bank: l.Bank, Hold: 7, Contents: make([]lane.Content, 1001)},
		} {
			request := w.ask(leader, ask)
			w.run(100 * time.Millisecond)
			if a := w.answers[request]; !errors.Is(a.Err, transfer.ErrBusy) && !errors.Is(a.Err, transfer.ErrInvalidRequest) {
				t.Errorf("bank %s, %s: %+v", l.Bank, name, a)
			}
		}
		if a := w.answers[w.ask(leader%3+1, lane.Examine{Group: lane.BankGroup(l.Bank), Hold: 7})]; !errors.Is(a.Err, transfer.ErrNoLeader) {
			t.Errorf("bank %s is examined by a node that doesn't lead it: %v", l.Bank, a.Err)
		}
	}
}
