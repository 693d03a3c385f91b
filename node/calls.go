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

// call is one or more requests asked together.
type call struct {
	first     uint64 // request number of answers[0]
	answers   []lane.Answer
	remaining int
	finished  chan struct{} // closed when nothing remains
}

// callsMax bounds the requests that are open at once; more are turned away before they reach the inbox.
const callsMax = 1 << 16

// waitMax bounds how long a request may wait whose context has no deadline.
const waitMax = 30 * time.Second

// Do asks the lane and waits for all answers; answers[i] belongs to asks[i]. When ctx ends first, what is still open is
// answered with ErrOutcomeUnknown: it may have happened. Do may be called from any goroutine.
func (n *Node) Do(ctx context.Context, asks ...lane.Ask) []lane.Answer {
	until, ok := ctx.Deadline()
	if !ok {
		until = time.Now().Add(waitMax)
	}
	c, err := n.calls.begin(len(asks))
	if err != nil {
		return failAll(len(asks), err)
	}
	events := make([]lane.Event, len(asks))
	for i, ask := range asks {
		events[i] = lane.Asked{Request: c.first + uint64(i), Until: until, Ask: ask}
	}
	if !n.inbox.add(events...) {
		n.calls.giveUp(c)
		return failAll(len(asks), fmt.Errorf("%w: node %d", transfer.ErrStopping, n.config.Node))
	}
	select {
	case <-c.finished:
		return c.answers
	case <-ctx.Done():
	case <-n.failed:
	}
	answers, open := n.calls.giveUp(c)
	for _, request := range open {
		n.inbox.add(lane.Forgotten{Request: request})
	}
	return answers
}

func failAll(count int, err error) []lane.Answer {
	answers := make([]lane.Answer, count)
	for i := range answers {
		answers[i].Err = err
	}
	return answers
}

// begin numbers a call's requests. Numbers are never used twice.
func (c *calls) begin(count int) (*call, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return nil, transfer.ErrStopping
	}
	if len(c.open)+count > callsMax {
		return nil, fmt.Errorf("%w: %d requests are open at this node", transfer.ErrBusy, len(c.open))
	}
	new := &call{first: c.next + 1, answers: make([]lane.Answer, count), remaining: count, finished: make(chan struct{})}
	for i := range count {
		c.open[new.first+uint64(i)] = new
	}
	c.next += uint64(count)
	if count == 0 {
		close(new.finished)
	}
	return new, nil
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
		waiting.answers[a.Request-waiting.first] = a.Answer
		if waiting.remaining--; waiting.remaining == 0 {
			close(waiting.finished)
		}
	}
}

// giveUp ends the waiting and lists the requests that are still open: they may take effect yet.
func (c *calls) giveUp(waiting *call) (answers []lane.Answer, open []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range waiting.answers {
		request := waiting.first + uint64(i)
		if c.open[request] == waiting {
			delete(c.open, request)
			waiting.answers[i] = lane.Answer{Err: transfer.ErrOutcomeUnknown}
			open = append(open, request)
		}
	}
	return waiting.answers, open
}

// abandon answers everybody who still waits: the node is gone.
func (c *calls) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
	for request, waiting := range c.open {
		delete(c.open, request)
		waiting.answers[request-waiting.first] = lane.Answer{Err: transfer.ErrOutcomeUnknown}
		if waiting.remaining--; waiting.remaining == 0 {
			close(waiting.finished)
		}
	}
}
