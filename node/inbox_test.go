package node

import (
	"errors"
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/transfer"
)

func asked(first, count int) []lane.Event {
	events := make([]lane.Event, count)
	for i := range events {
		events[i] = lane.Asked{Request: uint64(first + i)}
	}
	return events
}

// A crowd of clients waits in its order, and what peers and the disk say is taken before it.
func TestACrowdAtTheDoorDelaysNoPeer(t *testing.T) {
	b := newInbox(inboxMax)
	timer := time.NewTimer(10 * time.Second) // a step that finds nothing
	defer timer.Stop()
	if err := b.ask(asked(1, 3*asksPerStep)); err != nil {
		t.Fatal(err)
	}
	b.takeBack(1)
	b.add(lane.Persisted{})
	events := b.take(timer, nil)
	if _, first := events[0].(lane.Persisted); !first || len(events) != 1+asksPerStep {
		t.Errorf("the first step takes %d events, and before all others %T", len(events), events[0])
	}
	next := uint64(1 + asksPerStep)
	for range 2 { // nobody adds anything, and the loop goes on
		events := b.take(timer, nil)
		if len(events) != asksPerStep {
			t.Fatalf("a step takes %d requests, want %d", len(events), asksPerStep)
		}
		for _, e := range events {
			if got := e.(lane.Asked).Request; got != next {
				t.Fatalf("request %d comes before %d", got, next)
			}
			next++
		}
	}
	last := b.take(timer, nil)
	if want := (lane.Forgotten{Request: 1}); len(last) != 1 || last[0] != lane.Event(want) {
		t.Errorf("at last %+v, want %+v", last, want)
	}
}

func TestAClosedInboxTurnsClientsAway(t *testing.T) {
	b := newInbox(inboxMax)
	b.close()
	if err := b.ask(asked(1, 1)); !errors.Is(err, transfer.ErrStopping) {
		t.Errorf("told %v, want stopping", err)
	}
}

// A batch that finds room is let in whole. The next is turned away as busy, but for who asks only how the node is; and let in when there is room again.
func TestWhoFindsAFullInboxIsTurnedAway(t *testing.T) {
	b := newInbox(inboxMax)
	timer := time.NewTimer(10 * time.Second) // a step that finds nothing
	defer timer.Stop()
	for _, batch := range [][]lane.Event{asked(1, waitingAsksMax-1), asked(waitingAsksMax, 2*waitingAsksMax)} {
		if err := b.ask(batch); err != nil {
			t.Fatalf("a batch of %d: %v", len(batch), err)
		}
	}
	if err := b.ask(asked(1, 1)); !errors.Is(err, transfer.ErrBusy) {
		t.Errorf("told %v, want busy", err)
	}
	if err := b.ask([]lane.Event{lane.Asked{Ask: lane.GetStatus{}}}); err != nil {
		t.Errorf("who asks how the node is hears %v", err)
	}
	if err := b.ask([]lane.Event{lane.Asked{Ask: lane.GetStatus{}}, lane.Asked{Ask: lane.ListMembers{}}}); !errors.Is(err, transfer.ErrBusy) {
		t.Errorf("who asks more than how the node is hears %v", err)
	}
	for len(b.asks) >= waitingAsksMax {
		b.take(timer, nil)
	}
	if err := b.ask(asked(1, 1)); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
	for len(b.asks) > 0 {
		b.take(timer, nil)
	}
	if b.own != 0 {
		t.Errorf("%d are counted when none waits", b.own)
	}
}

// What other nodes forward, and what is taken back, waits in the same line and doesn't count.
func TestOthersDoNotFillTheInboxForClients(t *testing.T) {
	b := newInbox(inboxMax)
	var forwards []lane.Event
	for i := range waitingAsksMax {
		forwards = append(forwards, lane.Received{From: 2, Message: lane.Forward{Request: uint64(i)}})
		b.takeBack(uint64(i))
	}
	b.addWaiting(forwards)
	if err := b.ask(asked(1, 1)); err != nil {
		t.Error(err)
	}
}

// While many transfers that came lately are open, no more are let in; a batch that finds fewer is, whole. What has been open for longer waits for a bank and
// takes nobody's room, and who wants something else than a transfer is let in.
func TestTooManyRecentTransfersAreTurnedAway(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	c := calls{open: map[uint64]*call{}, since: now}
	submit := func(count int) *call { return &call{count: count, submits: true, tell: func(int, lane.Answer) {}} }
	begin := func(new *call) *call {
		t.Helper()
		if err := c.begin(new, now); err != nil {
			t.Fatalf("%d requests, while %d are counted: %v", new.count, c.recent.open(), err)
		}
		return new
	}
	refused := func() {
		t.Helper()
		if err := c.begin(submit(1), now); !errors.Is(err, transfer.ErrBusy) || !errors.Is(c.full(now), transfer.ErrBusy) {
			t.Errorf("told %v, want busy", err)
		}
	}
	few, many := begin(submit(recentMax-1)), begin(submit(2*recentMax))
	refused()
	now = now.Add(recentPeriod)
	refused()
	now = now.Add(-recentPeriod) // somebody looked at the clock before, and comes after
	refused()
	begin(&call{count: 1, answers: make([]lane.Answer, 1), finished: make(chan struct{})})
	now = now.Add(recentPeriod)
	refused()
	c.answer([]lane.Answered{{Request: few.first}, {Request: few.first}, {Request: 1 << 40}}) // one that is open, and two that aren't
	if got := c.recent.open(); got != 3*recentMax-2 {
		t.Errorf("%d are counted, want %d", got, 3*recentMax-2)
	}
	c.giveUp(many)
	if got := c.recent.open(); got != recentMax-2 {
		t.Errorf("%d are counted when a call was given up, want %d", got, recentMax-2)
	}
	begin(submit(2))
	refused()
	now = now.Add(recentPeriod)
	begin(submit(recentMax - 2)) // only the two that came before are counted
	refused()
	c.giveUp(few)
	refused()
	now = now.Add(time.Hour)
	last := begin(submit(recentMax))
	refused()
	c.refuse(last, transfer.ErrStopping)
	if got := c.recent.open(); got != 0 {
		t.Errorf("%d are counted when all were refused", got)
	}
	c.abandon()
	if err := c.begin(&call{count: 1, finished: make(chan struct{})}, now); !errors.Is(err, transfer.ErrStopping) {
		t.Errorf("told %v, want stopping", err)
	}
}

// What other nodes' clients ask waits with what ours ask, and what those nodes say themselves doesn't.
func TestForwardedAsksWaitWithTheOthers(t *testing.T) {
	b := newInbox(inboxMax)
	timer := time.NewTimer(10 * time.Second) // a step that finds nothing
	defer timer.Stop()
	var events []lane.Event
	for range 2 * asksPerStep {
		events = append(events, lane.Received{From: 2, Message: lane.Forward{Request: 1}})
	}
	if dropped := b.addWaiting(append(events, lane.Received{From: 2, Message: lane.RaftMessage{Group: "bank/A"}})); dropped != 0 {
		t.Fatalf("%d messages are dropped", dropped)
	}
	first := b.take(timer, nil)
	if r, is := first[0].(lane.Received); !is || len(first) != 1+asksPerStep {
		t.Errorf("the first step takes %d events", len(first))
	} else if _, is := r.Message.(lane.RaftMessage); !is {
		t.Errorf("before the message of Raft comes %T", r.Message)
	}
}

// More forwarded asks than can be looked at soon are dropped. What peers say themselves never is.
func TestTooManyForwardedAsksAreDropped(t *testing.T) {
	b := newInbox(inboxMax)
	events := make([]lane.Event, forwardsMax+3)
	for i := range events {
		events[i] = lane.Received{From: 2, Message: lane.Forward{Request: 1}}
	}
	if dropped := b.addWaiting(append(events, lane.Received{From: 2, Message: lane.RaftMessage{Group: "bank/A"}})); dropped != 3 || len(b.events) != 1 {
		t.Errorf("%d are dropped and %d events kept, want 3 and the message of Raft", dropped, len(b.events))
	}
}

// TestNothingLeftWakesNobody lets the time to pass, and not the events, end the wait, as often as it does: what is taken then leads to no empty step.
func TestNothingLeftWakesNobody(t *testing.T) {
	b := newInbox(inboxMax)
	due := time.NewTimer(0)
	defer due.Stop()
	for range 64 { // which of the two ends it is chance
		due.Reset(0)
		b.add(lane.Persisted{})
		if events := b.take(due, nil); len(events) != 1 {
			t.Fatalf("%d events are taken, want 1", len(events))
		}
		if len(b.wake) != 0 {
			t.Fatal("everything is taken, and the loop is woken again")
		}
	}
}
