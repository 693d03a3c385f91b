package client

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/quorate/quorate/transfer"
)

const (
	pauseMin = 10 * time.Millisecond
	pauseMax = time.Second
	sulk     = time.Second // how long a node that failed isn't followed to
)

// requestIDHeader is in the header of everything that a node lets in.
const requestIDHeader = "request-id"

// attempts counts the tries of one call and knows where and when the next one goes.
type attempts struct {
	client  *Client
	made    int           // attempts so far
	asked   int           // nodes that were asked since the last pause
	refused int           // see note
	pause   time.Duration // the longest that the next pause may be
}

func (c *Client) attempts() *attempts { return &attempts{client: c, pause: pauseMin} }

// call asks the current node once; f is nil if it answered.
func (a *attempts) call(ctx context.Context, do func(context.Context, *node, ...grpc.CallOption) error) (f *failure) {
	a.made++
	c := a.client
	at, began := c.current.Load(), time.Now()
	var reached peer.Peer // gRPC fills it when the request gets a connection to go out on
	err := do(ctx, c.nodes[at], grpc.Peer(&reached))
	if err == nil {
		c.nodes[at].heard()
		return nil
	}
	failed := failureOf(err, reached.Addr != nil)
	if failed.isOfCaller() && c.renewed(began) {
		failed.again = true
	}
	a.note(&failed)
	if failed.another {
		a.moveOn(ctx, at, began)
	}
	return &failed
}

// note counts the nodes, one after another, that nobody need ask again; f is nil if one has answered.
func (a *attempts) note(f *failure) {
	if a.refused++; f == nil || !f.refused {
		a.refused = 0
	}
}

func (n *node) heard() { n.heardAt.Store(time.Now().UnixNano()) }

// moveOn makes another node the current one, unless another call has done so meanwhile. That a caller's own time is up says nothing of a node that has answered
// others since the attempt began: all callers would leave the leader with it.
func (a *attempts) moveOn(ctx context.Context, from uint32, began time.Time) {
	if ctx.Err() != nil && a.client.nodes[from].heardAt.Load() > began.UnixNano() {
		return
	}
	next := (from + 1) % uint32(len(a.client.nodes))
	if a.client.current.CompareAndSwap(from, next) {
		a.client.nodes[from].failedAt.Store(time.Now().UnixNano())
	}
}

// follow makes the leader the current node, if it is one of those that the client was given and hasn't failed a moment ago.
func (c *Client) follow(leader string) {
	if leader == "" {
		return
	}
	for i, n := range c.nodes {
		if n.address == leader && time.Since(time.Unix(0, n.failedAt.Load())) > sulk {
			c.current.Store(uint32(i))
		}
	}
}

// next says whether there is time for another attempt. It lets every node be asked once at once, then pauses, longer every time, and
// not shorter than the node has asked for.
func (a *attempts) next(ctx context.Context, another bool, after time.Duration) bool {
	if a.refused >= len(a.client.nodes) {
		return false
	}
	a.asked++
	if another && a.asked < len(a.client.nodes) {
		return ctx.Err() == nil
	}
	a.asked = 0
	wait := time.NewTimer(min(after, pauseMax) + a.pause/2 + rand.N(a.pause/2+1))
	defer wait.Stop()
	a.pause = min(2*a.pause, pauseMax)
	select {
	case <-wait.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// ask repeats what only reads until it is answered, refused, or ctx ends.
func (c *Client) ask(ctx context.Context, do func(context.Context, *node, ...grpc.CallOption) error) error {
	_, err := c.repeat(ctx, do)
	return err
}

// change is ask for what changes something, where asking for what is so already is no error. It is transfer.ErrOutcomeUnknown if an attempt may have taken
// effect and the last error says nothing of it: "nothing was changed" is true of the last attempt only.
func (c *Client) change(ctx context.Context, do func(context.Context, *node, ...grpc.CallOption) error) error {
	return ofChange(c.repeat(ctx, do))
}

// ofChange is the error of a change, from what repeat says.
func ofChange(happen bool, err error) error {
	if err == nil || !happen || isTold(err) && speaksOfState(kindIn(err)) {
		return err
	}
	return &unknown{err}
}

// speaksOfState says of what a node tells that it is about what it asked for, or found a fault, and not about this attempt.
func speaksOfState(k transfer.Kind) bool {
	switch k {
	case transfer.KindUnavailable, transfer.KindExhausted, transfer.KindUnauthenticated, transfer.KindForbidden:
		return false
	}
	return true
}

// repeat is the loop of both: happen says of a failure whether an attempt may have taken effect.
func (c *Client) repeat(ctx context.Context, do func(context.Context, *node, ...grpc.CallOption) error) (happen bool, err error) {
	a := c.attempts()
	for {
		f := a.call(ctx, do)
		if f == nil {
			return true, nil
		}
		happen = happen || f.happen
		switch {
		case !f.again:
			return happen, f.err
		case !a.next(ctx, f.another, f.after):
			return happen, ended(ctx, f.err)
		}
	}
}
