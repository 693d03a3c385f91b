package node

import (
	"sync"
	"time"

	"github.com/quorate/quorate/lane"
)

// inbox gathers events between two steps. Everyone may add, the loop alone takes. Peers wait when it is full;
// clients are turned away by a bound of their own (callsMax).
type inbox struct {
	mu     sync.Mutex // guards events and closed
	events []lane.Event
	closed bool
	wake   chan struct{} // holds a token when there is something to take
	room   *sync.Cond    // signalled when the loop has taken the events
	max    int
}

func newInbox(max int) *inbox {
	b := &inbox{wake: make(chan struct{}, 1), max: max}
	b.room = sync.NewCond(&b.mu)
	return b
}

// add puts events in at once, whatever the bound: for what the node itself has caused and must hear.
func (b *inbox) add(events ...lane.Event) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.put(events)
}

// addWaiting waits for room first: for what comes from peers, which slow down with it.
func (b *inbox) addWaiting(events []lane.Event) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.events) >= b.max && !b.closed {
		b.room.Wait()
	}
	return b.put(events)
}

func (b *inbox) put(events []lane.Event) bool {
	if b.closed {
		return false
	}
	b.events = append(b.events, events...)
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return true
}

// take waits for events, or for the time to pass, and takes everything there is. reuse is the slice
// of the previous call, which the loop has finished with.
func (b *inbox) take(timer *time.Timer, reuse []lane.Event) []lane.Event {
	select {
	case <-b.wake:
	case <-timer.C:
	}
	clear(reuse)
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events = reuse[:0]
	b.room.Broadcast()
	return events
}

// close turns everybody away from now on and lets those who wait go.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.room.Broadcast()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}
