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
func TestWhoFindsTooManyIsTurnedAway(t *testing.T) {
	c := calls{open: map[uint64]*call{}}
	first := &call{count: callsMax - 1, answers: make([]lane.Answer, callsMax)}
	for _, batch := range []*call{first, {count: 2 * callsMax}} {
		if err := c.begin(batch, false); err != nil {
			t.Fatalf("a batch of %d: %v", batch.count, err)
		}
	}
	if err := c.begin(&call{count: 1}, false); !errors.Is(err, transfer.ErrBusy) || !errors.Is(c.full(), transfer.ErrBusy) {
		t.Errorf("told %v, want busy", err)
	}
	if !isStatus([]lane.Ask{lane.GetStatus{}}) || isStatus([]lane.Ask{lane.GetStatus{}, lane.ListMembers{}}) || isStatus([]lane.Ask{lane.ListMembers{}}) {
		t.Error("who asks how the node is isn't told from others")
	}
	if err := c.begin(&call{count: 1}, true); err != nil {
		t.Errorf("who asks how the node is hears %v", err)
	}
	for first := range c.open {
		if delete(c.open, first); len(c.open) < callsMax {
			break
		}
	}
	if err := c.begin(&call{count: 1}, false); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
	clear(c.open)
	c.abandon()
	if err := c.begin(&call{count: 1}, true); !errors.Is(err, transfer.ErrStopping) {
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
