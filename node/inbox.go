package node

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/transfer"
)

// inbox gathers events between two steps. Everyone may add, the loop alone takes. Peers wait when it is full; clients are turned away.
type inbox struct {
	mu     sync.Mutex // guards events, asks, own and closed
	events []lane.Event
	asks   []lane.Event // what clients ask, here and at other nodes, and take back
	own    int          // of those, what clients ask here
	closed bool
	wake   chan struct{} // holds a token when there is something to take
	room   *sync.Cond    // signalled when the loop has taken the events
	max    int
}

// asksPerStep keeps a step short, and waitingAsksMax what waits for one: whoever finds so many before him is turned away. A batch that finds fewer is let in whole.
const (
	asksPerStep    = 1 << 10
	waitingAsksMax = 1 << 13
)

// forwardsMax bounds what waits for a step with what comes from other nodes' clients.
const forwardsMax = 1 << 16

func newInbox(max int) *inbox {
	b := &inbox{wake: make(chan struct{}, 1), max: max}
	b.room = sync.NewCond(&b.mu)
	return b
}

// add puts events in at once, whatever the bound: for what the node itself has caused and must hear.
func (b *inbox) add(events ...lane.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(&b.events, events)
}

// ask puts in what a client asks, if there is room. A step takes asksPerStep of it at most: what peers and the disk say is about work that was begun, and
// heartbeats must never wait for a crowd at the door.
func (b *inbox) ask(events []lane.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.own >= waitingAsksMax && !isStatus(events) {
		return fmt.Errorf("%w: %d requests wait to be looked at", transfer.ErrBusy, b.own)
	}
	if !b.put(&b.asks, events) {
		return transfer.ErrStopping
	}
	b.own += len(events)
	return nil
}

// isStatus says that somebody asks only how this node is, which he wants to know most of all when it has too much to do.
func isStatus(asks []lane.Event) bool {
	if len(asks) != 1 {
		return false
	}
	asked, _ := asks[0].(lane.Asked)
	_, is := asked.Ask.(lane.GetStatus)
	return is
}

// takeBack puts in that nobody waits for a request any more, behind the request itself.
func (b *inbox) takeBack(request uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(&b.asks, []lane.Event{lane.Forgotten{Request: request}})
}

// addWaiting waits for room first: for what comes from peers, which slow down with it. What their clients ask waits with what ours do, and is dropped when
// too much of it waits, as a network may drop it: whoever forwards asks again, and is answered in time.
func (b *inbox) addWaiting(events []lane.Event) (dropped int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.events) >= b.max && !b.closed {
		b.room.Wait()
	}
	if b.closed {
		return 0
	}
	for _, e := range events {
		r, received := e.(lane.Received)
		switch {
		case !received || !isForward(r.Message):
			b.events = append(b.events, e)
		case len(b.asks) < forwardsMax:
			b.asks = append(b.asks, e)
		default:
			dropped++
		}
	}
	b.rouse()
	return dropped
}

func isForward(m lane.Message) bool {
	_, is := m.(lane.Forward)
	return is
}

func (b *inbox) put(into *[]lane.Event, events []lane.Event) bool {
	if b.closed {
		return false
	}
	*into = append(*into, events...)
	b.rouse()
	return true
}

func (b *inbox) rouse() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take waits for events, or for the time to pass, and takes everything there is but for asks that are too many. reuse is the slice
// of the previous call, which the loop has finished with.
func (b *inbox) take(timer *time.Timer, reuse []lane.Event) []lane.Event {
	select {
	case <-b.wake:
		runtime.Gosched() // whoever is about to add something does so now: a step for each of a few clients would cost more than all they ask
	case <-timer.C:
	}
	clear(reuse)
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events = reuse[:0]
	b.room.Broadcast()
	n := min(len(b.asks), asksPerStep)
	for _, e := range b.asks[:n] {
		if _, own := e.(lane.Asked); own {
			b.own--
		}
		events = append(events, e)
	}
	b.asks = slices.Delete(b.asks, 0, n)
	if len(b.asks) > 0 {
		b.rouse()
		return events
	}
	select {
	case <-b.wake: // left by somebody whose events are among these: an empty step would follow
	default:
	}
	return events
}

// close turns everybody away from now on and lets those who wait go.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.room.Broadcast()
	b.rouse()
}
