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
	since time.Time // periods are counted from here

	mu     sync.Mutex // guards all below
	next   uint64
	open   map[uint64]*call
	recent recent // of those, the transfers that were handed in lately
	done   bool
}

// recent counts what is open by the period in which it came. What came before the last period isn't counted any more.
type recent struct {
	period int64
	counts [2]int // of this period, and of the one before
}

// goOn to a period, unless it has come already: who asked for the time first may come second.
func (r *recent) goOn(period int64) {
	switch {
	case period == r.period+1:
		r.period, r.counts = period, [2]int{0, r.counts[0]}
	case period > r.period:
		r.period, r.counts = period, [2]int{}
	}
}

func (r *recent) add(period int64, n int) {
	if age := r.period - period; age >= 0 && age < int64(len(r.counts)) {
		r.counts[age] += n
	}
}

func (r *recent) open() int { return r.counts[0] + r.counts[1] }

// call is one or more requests asked together. Its answers are gathered, or each is told as it comes.
type call struct {
	first     uint64 // request number of the first
	count     int
	submits   bool  // transfers …
	period    int64 // … in this period
	remaining int
	answers   []lane.Answer
	finished  chan struct{}                   // closed when nothing remains
	tell      func(i int, answer lane.Answer) // instead of answers and finished
}

// recentMax bounds the transfers that were handed in within the last period or two and are open: whoever finds so many before him is turned away, and that costs
// next to nothing here. It is less than what the lane would refuse one by one. A batch that finds fewer is let in whole, however long it is. Older ones aren't
// counted: what takes that long waits for a bank, and a bank that is silent must not take the room of transfers that don't touch it; how many wait for it
// is bounded where they wait. Who wants something else than a transfer finds the inbox full, or the lane, or is let in.
const (
	recentMax    = 4 << 10
	recentPeriod = 500 * time.Millisecond
)

// waitMax bounds how long a request may wait whose context has no deadline.
const waitMax = 30 * time.Second

// Do asks the lane and waits for all answers; answers[i] belongs to asks[i]. When ctx ends first, what is still open is
// answered with ErrOutcomeUnknown: it may have happened. Do may be called from any goroutine.
func (n *Node) Do(ctx context.Context, asks ...lane.Ask) []lane.Answer {
	until, ok := ctx.Deadline()
	if !ok {
		until = time.Now().Add(waitMax)
	}
	c := &call{count: len(asks), submits: len(asks) > 0 && isSubmit(asks[0]), answers: make([]lane.Answer, len(asks)), finished: make(chan struct{})}
	if err := n.calls.begin(c, time.Now()); err != nil {
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

// isSubmit says that transfers are handed in: nobody asks for those and other things together.
func isSubmit(first lane.Ask) bool {
	_, is := first.(lane.Submit)
	return is
}

// Timed is a request that is answered by a time, if only with ErrOutcomeUnknown.
type Timed struct {
	Ask   lane.Ask
	Until time.Time
}

// DoEach asks the lane and has each answer told as soon as there is one: tell gets the place of its request, is called once for each, by any
// goroutine, possibly before DoEach returns, and must neither block nor call the node. After forget it isn't called any more.
func (n *Node) DoEach(asks []Timed, tell func(i int, answer lane.Answer)) (forget func()) {
	c := &call{count: len(asks), submits: len(asks) > 0 && isSubmit(asks[0].Ask), tell: tell}
	if err := n.calls.begin(c, time.Now()); err != nil {
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

// Full says why this node would turn transfers away at the door; nil: there is room. It may be called from any goroutine.
func (n *Node) Full() error {
	n.calls.mu.Lock()
	defer n.calls.mu.Unlock()
	return n.calls.full(time.Now())
}

// full is called with mu.
func (c *calls) full(now time.Time) error {
	if c.done {
		return transfer.ErrStopping
	}
	c.recent.goOn(int64(now.Sub(c.since) / recentPeriod))
	if open := c.recent.open(); open >= recentMax {
		return fmt.Errorf("%w: %d transfers that came lately are open at this node", transfer.ErrBusy, open)
	}
	return nil
}

// begin numbers a call's requests, if they may be made. Numbers are never used twice.
func (c *calls) begin(new *call, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if full := c.full(now); full != nil && (new.submits || c.done) {
		return full
	}
	if new.submits {
		new.period = c.recent.period
		c.recent.add(new.period, new.count)
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
		c.close(a.Request, waiting)
		waiting.take(a.Request, a.Answer)
	}
}

// close is called with mu.
func (c *calls) close(request uint64, of *call) {
	delete(c.open, request)
	if of.submits {
		c.recent.add(of.period, -1)
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
			c.close(request, waiting)
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
			c.close(request, waiting)
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
		c.close(request, waiting)
		waiting.take(request, lane.Answer{Err: transfer.ErrOutcomeUnknown})
	}
}
