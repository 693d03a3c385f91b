package lane_test

import (
	"testing"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// watchCommits counts the messages to banks by what they carry.
func (w *world) watchCommits() (alone, together *int) {
	alone, together = new(int), new(int)
	w.drop = func(_ raft.NodeID, m lane.Message) bool {
		r, ok := m.(lane.BankRequests)
		if !ok {
			return false
		}
		commits := 0
		for i := range r.Requests {
			if r.Requests[i].Op == bank.Commit {
				commits++
			}
		}
		switch {
		case commits == len(r.Requests):
			*alone++
		case commits > 0:
			*together++
		}
		return false
	}
	return alone, together
}

// elsewhere is a world in which no bank lives with the coordinator's leader: every request to one is a message.
func elsewhere(t *testing.T) *world {
	w := newWorld(t, "quorate", lane.Directory{
		Coordinators: [][]raft.NodeID{{1, 2, 3}},
		Banks:        []lane.BankPlace{{Bank: "A", Members: []raft.NodeID{2}}, {Bank: "B", Members: []raft.NodeID{3}}},
	}, lane.DefaultLimits())
	w.run(20 * time.Second)
	w.openAccounts("A", "B")
	if leader := w.reigns()[lane.CoordinatorGroup(0)].leader; leader != 1 {
		t.Fatalf("node %d leads the coordinator", leader)
	}
	return w
}

func TestACommitRidesWithTheNextPrepare(t *testing.T) {
	w := elsewhere(t)
	alone, together := w.watchCommits()
	for i := range byte(5) {
		w.pay(1, 10+i)
	}
	if *alone != 0 || *together != 8 {
		t.Errorf("%d messages with commits alone and %d with others, want 0 and those of the first four to two banks", *alone, *together)
	}
}

func TestACommitThatNothingFollowsGoesByItself(t *testing.T) {
	w := elsewhere(t)
	alone, together := w.watchCommits()
	w.pay(1, 10)
	if *alone+*together != 0 {
		t.Fatalf("%d commits went at once", *alone+*together)
	}
	w.now = w.now.Add(lane.DefaultLimits().RideMax)
	w.step(1)
	if *alone != 2 || *together != 0 {
		t.Errorf("%d messages with commits alone and %d with others, want 2 and 0", *alone, *together)
	}
	w.now = w.now.Add(time.Second)
	w.step(1)
	if holds := w.mustAnswer(w.ask(1, lane.AuditBank{Bank: "A"})).Audit.OpenHolds; holds != 0 {
		t.Errorf("%d holds are left", holds)
	}
}

// With much to do, a commit that waited would keep a place from the next prepare.
func TestManyCommitsDoNotWait(t *testing.T) {
	w := elsewhere(t)
	alone, _ := w.watchCommits()
	const many = 100
	var events []lane.Event
	for i := range byte(many) {
		w.request++
		events = append(events, lane.Asked{Request: w.request, Until: w.now.Add(10 * time.Second), Ask: lane.Submit{Transfer: w.payment(50 + i)}})
	}
	w.step(1, events...)
	if *alone != 2 {
		t.Errorf("%d messages with commits, want one to each bank at once", *alone)
	}
}

// Whoever holds and captures waits for entries of the coordinator's log: these don't ride.
func TestTheFactsOfAHoldDoNotWait(t *testing.T) {
	w := elsewhere(t)
	p := w.hold(1, time.Hour)
	for _, step := range []struct {
		ask  lane.Ask
		want transfer.State
	}{{lane.Submit{Transfer: p}, transfer.Held}, {lane.CaptureTransfer{ID: p.ID}, transfer.Committed}} {
		a, answered := w.answers[w.ask(1, step.ask)]
		if !answered || a.Err != nil || a.Transfer.State != step.want {
			t.Fatalf("%T, without any time passing: answered %t, %v, %v", step.ask, answered, a.Transfer.State, a.Err)
		}
	}
}
