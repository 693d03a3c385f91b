package client

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
)

const (
	pauseMin = 10 * time.Millisecond
	pauseMax = time.Second
)

// attempts counts the tries of one call and knows where and when the next one goes.
type attempts struct {
	client  *Client
	asked   int           // nodes that were asked since the last pause
	refused int           // nodes, one after another, with which no secure connection came about
	pause   time.Duration // the longest that the next pause may be
}

func (c *Client) attempts() *attempts { return &attempts{client: c, pause: pauseMin} }

// call asks the current node once; f is nil if it answered.
func (a *attempts) call(ctx context.Context, do func(context.Context, *node, ...grpc.CallOption) error) (f *failure) {
	c := a.client
	at := c.current.Load()
	var reached peer.Peer // gRPC fills it when the request gets a connection to go out on
	err := do(ctx, c.nodes[at], grpc.Peer(&reached))
	if err == nil {
		return nil
	}
	failed := failureOf(err, reached.Addr != nil)
	if a.refused++; !failed.refused {
		a.refused = 0
	}
	if failed.another {
		a.moveOn(at)
	}
	return &failed
}

// moveOn makes another node the current one, unless another call has done so meanwhile.
func (a *attempts) moveOn(from uint32) {
	next := (from + 1) % uint32(len(a.client.nodes))
	a.client.current.CompareAndSwap(from, next)
}

// next says whether there is time for another attempt. It lets every node be asked once at once, then pauses, longer every time.
func (a *attempts) next(ctx context.Context, another bool) bool {
	if a.refused >= len(a.client.nodes) {
		return false
	}
	a.asked++
	if another && a.asked < len(a.client.nodes) {
		return ctx.Err() == nil
	}
	a.asked = 0
	wait := time.NewTimer(a.pause/2 + rand.N(a.pause/2+1))
	defer wait.Stop()
	a.pause = min(2*a.pause, pauseMax)
	select {
	case <-wait.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// ask repeats what may be asked any number of times until it is answered, refused, or ctx ends.
func (c *Client) ask(ctx context.Context, do func(context.Context, *node, ...grpc.CallOption) error) error {
	_, err := c.change(ctx, do)
	return err
}

// change is ask for what changes something: happen says of a failure whether an attempt may have taken effect.
func (c *Client) change(ctx context.Context, do func(context.Context, *node, ...grpc.CallOption) error) (happen bool, err error) {
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
		case !a.next(ctx, f.another):
			return happen, ended(ctx, f.err)
		}
	}
}
