package client

import (
	"context"

	"github.com/quorate/quorate/transfer"
)

// Observer hears of every call of Transfer: to trace and to count. Package client/clientotel is one for OpenTelemetry.
type Observer interface {
	// Begin is called before the first attempt, by the goroutine of the caller. The call goes on with the context that it returns; end is
	// called once, when the call is over.
	Begin(ctx context.Context, id transfer.ID) (_ context.Context, end func(Observation))
}

// Observation is how a call went.
type Observation struct {
	Attempts int
	State    transfer.State // zero: no outcome, and Err says why
	Err      error
}

// WithObserver has an observer hear of every Transfer.
func WithObserver(o Observer) Option {
	return func(s *settings) { s.observer = o }
}

func (c *Client) observe(ctx context.Context, id transfer.ID) (context.Context, func(Observation)) {
	if c.observer == nil {
		return ctx, func(Observation) {}
	}
	return c.observer.Begin(ctx, id)
}
