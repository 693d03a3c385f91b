package client_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/quorate/quorate/client"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

func (n *fakeNode) Check(ctx context.Context, _ *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	n.mu.Lock()
	look := n.health
	n.mu.Unlock()
	if look != nil {
		return nil, look(ctx)
	}
	return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVING}, nil
}

// A node whose connections stand and that answers nothing, as one does whose process is stopped, is left within the time that callers have.
func TestASilentNodeIsLeft(t *testing.T) {
	a, b := startNode(t), startNode(t)
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	a.set(func(n *fakeNode) { n.health = hang })
	a.does(func(_ int, ctx context.Context, _ []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		return nil, hang(ctx)
	})
	ctx, c := dial(t, a.address, b.address)
	everybodyPays(t, ctx, c, 20)
}

// A node that lets transfers wait, for a bank say, and answers that it isn't well at all, isn't silent.
func TestANodeThatLetsTransfersWaitIsNotLeft(t *testing.T) {
	a, b := startNode(t), startNode(t)
	looks, enough := 0, make(chan struct{})
	a.set(func(n *fakeNode) {
		n.health = func(context.Context) error {
			a.mu.Lock()
			defer a.mu.Unlock()
			if looks++; looks == 2 {
				close(enough)
			}
			return statusOf(codes.Unavailable, transfer.ErrStopping)
		}
	})
	a.does(func(_ int, ctx context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		select {
		case <-enough:
			return all(specs, commit), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	ctx, c := dial(t, a.address, b.address)
	if _, err := c.Transfer(ctx, rent(client.NewID())); err != nil {
		t.Fatal(err)
	}
	if len(a.calls()) != 1 || len(b.calls()) != 0 {
		t.Errorf("%d calls at the node, %d at the other", len(a.calls()), len(b.calls()))
	}
}
