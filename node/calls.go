package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/transfer"
)

// calls are the client requests that wait for the lane's answer.
type calls struct {
	mu   sync.Mutex // guards next, open and closed
	next uint64
	open map[uint64]*call
	done bool
}

// call is one or more requests asked together. Its answers are gathered, or each is told as it comes.
type call struct {
	first     uint64 // request number of the first
	count     int
	remaining int
	answers   []lane.Answer
	finished  chan struct{}                   // closed when nothing remains
	tell      func(i int, answer lane.Answer) // instead of answers and finished
}

// callsMax bounds the requests that are open at once: whoever finds so many before him is turned away, and that costs next to nothing here. It is less than what
// the lane would refuse one by one. A batch that finds fewer is let in whole, however long it is; so is who asks only how this node is, which he wants to know
// most of all when it has too much to do.
const callsMax = 4 << 10

// waitMax bounds how long a request may wait whose context has no deadline.
const waitMax = 30 * time.Second

// Do asks the lane and waits for all answers; answers[i] belongs to asks[i]. When ctx ends first, what is still open is
// answered with ErrOutcomeUnknown: it may have happened. Do may be called from any goroutine.
func (n *Node) Do(ctx context.Context, asks ...lane.Ask) []lane.Answer {
	until, ok := ctx.Deadline()
	if !ok {
		until = time.Now().Add(waitMax)
	}
	c := &call{count: len(asks), answers: make([]lane.Answer, len(asks)), finished: make(chan struct{})}
	if err := n.calls.begin(c, isStatus(asks)); err != nil {
		return failAll(len(asks), err)
	}
	events := make([]lane.Event, len(asks))
	for i, ask := range asks {
		events[i] = lane.Asked{Request: c.first + uint64(i), Until: until, Ask: ask}
	}
	if err := n.inbox.ask(events); err != nil {
		n.calls.giveUp(c)
		return failAll(len(asks), fmt.Errorf("%w: node %d", err, n.config.Node))
	}
	select {
	case <-c.finished:
		return c.answers
	case <-ctx.Done():
	case <-n.failed:
	}
	n.forget(c)
	return c.answers
}

// Timed is a request that is answered by a time, if only with ErrOutcomeUnknown.
type Timed struct {
	Ask   lane.Ask
	Until time.Time
}

// DoEach asks the lane and has each answer told as soon as there is one: tell gets the place of its request, is called once for each, by any
// goroutine, possibly before DoEach returns, and must neither block nor call the node. After forget it isn't called any more.
func (n *Node) DoEach(asks []Timed, tell func(i int, answer lane.Answer)) (forget func()) {
	c := &call{count: len(asks), tell: tell}
	if err := n.calls.begin(c, false); err != nil {
		for i := range asks {
			tell(i, lane.Answer{Err: err})
		}
		return func() {}
	}
	events := make([]lane.Event, len(asks))
	for i := range asks {
		events[i] = lane.Asked{Request: c.first + uint64(i), Until: asks[i].Until, Ask: asks[i].Ask}
	}
	if err := n.inbox.ask(events); err != nil {
		n.calls.refuse(c, fmt.Errorf("%w: node %d", err, n.config.Node))
	}
	return func() { n.forget(c) }
}

// forget ends the waiting for a call. What it has begun goes on.
func (n *Node) forget(c *call) {
	for _, request := range n.calls.giveUp(c) {
		n.inbox.takeBack(request)
	}
}

func failAll(count int, err error) []lane.Answer {
	answers := make([]lane.Answer, count)
	for i := range answers {
		answers[i].Err = err
	}
	return answers
}

// Full says why this node would turn a request away at the door; nil: there is room. It may be called from any goroutine.
func (n *Node) Full() error {
	n.calls.mu.Lock()
	defer n.calls.mu.Unlock()
	return n.calls.full()
}

// full is called with mu.
func (c *calls) full() error {
	if c.done {
		return transfer.ErrStopping
	}
	if open := len(c.open); open >= callsMax {
		return fmt.Errorf("%w: %d requests are open at this node", transfer.ErrBusy, open)
	}
	return nil
}

func isStatus(asks []lane.Ask) bool {
	if len(asks) != 1 {
		return false
	}
	_, is := asks[0].(lane.GetStatus)
	return is
}

// begin numbers a call's requests, always or if there is room. Numbers are never used twice.
func (c *calls) begin(new *call, always bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return transfer.ErrStopping
	}
	if full := c.full(); full != nil && !always {
		return full
	}
	new.first, new.remaining = c.next+1, new.count
	for i := range new.count {
		c.open[new.first+uint64(i)] = new
	}
	c.next += uint64(new.count)
	if new.count == 0 && new.finished != nil {
		close(new.finished)
	}
	return nil
}

// answer passes the lane's answers on; one that nobody waits for any more is dropped.
func (c *calls) answer(answered []lane.Answered) {
	if len(answered) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range answered {
		a := &answered[i]
		waiting := c.open[a.Request]
		if waiting == nil {
			continue
		}
		delete(c.open, a.Request)
		waiting.take(a.Request, a.Answer)
	}
}

// take gives one request its answer. calls.mu is held.
func (c *call) take(request uint64, answer lane.Answer) {
	i := int(request - c.first)
	c.remaining--
	if c.tell != nil {
		c.tell(i, answer)
		return
	}
	c.answers[i] = answer
	if c.remaining == 0 {
		close(c.finished)
	}
}

// giveUp ends the waiting and lists the requests that are still open: they may take effect yet.
func (c *calls) giveUp(waiting *call) (open []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range waiting.count {
		request := waiting.first + uint64(i)
		if c.open[request] == waiting {
			delete(c.open, request)
			if waiting.tell == nil {
				waiting.answers[i] = lane.Answer{Err: transfer.ErrOutcomeUnknown}
			}
			open = append(open, request)
		}
	}
	return open
}

// refuse answers what never reached the lane.
func (c *calls) refuse(waiting *call, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range waiting.count {
		request := waiting.first + uint64(i)
		if c.open[request] == waiting { // nobody has abandoned it meanwhile
			delete(c.open, request)
			waiting.take(request, lane.Answer{Err: err})
		}
	}
}

// abandon answers everybody who still waits: the node is gone.
func (c *calls) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
	for request, waiting := range c.open {
		delete(c.open, request)
		waiting.take(request, lane.Answer{Err: transfer.ErrOutcomeUnknown})
	}
}
