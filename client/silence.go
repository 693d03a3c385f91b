package client

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// A node that hangs, as one does whose machine is frozen, keeps its connections and answers nothing. gRPC finds that out after 10 s and 2 s, and by then
// most callers' time is up. Transfers may take that long at a node that is well: while a bank is silent, for example. So it isn't they that are waited
// for: who owes something and says nothing is asked for its health, which it knows without anybody else.

const (
	glance      = 500 * time.Millisecond
	quietMax    = 2               // glances, one after another, at which nothing was heard
	healthyWait = 2 * time.Second // for any answer
)

// errSilent is why a stream is left for another node.
var errSilent = errors.New("says nothing")

// attend ends a stream whose node is silent while something is open.
func (s *stream) attend(ctx context.Context, end context.CancelCauseFunc) {
	again := time.NewTicker(glance)
	defer again.Stop()
	quiet, heardAt := 0, int64(0)
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
		if at := s.node.heardAt.Load(); at != heardAt || !s.owes() {
			quiet, heardAt = 0, at
			continue
		}
		if quiet++; quiet < quietMax {
			continue
		}
		if quiet = 0; !s.node.answers(ctx) {
			end(errSilent)
		}
	}
}

// owes says that the node has something that it hasn't answered.
func (s *stream) owes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open) > 0
}

// answers says that the node isn't silent; what it says doesn't matter.
func (n *node) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, healthyWait)
	defer cancel()
	_, err := n.health.Check(ctx, &healthv1.HealthCheckRequest{})
	return status.Code(err) != codes.DeadlineExceeded
}
