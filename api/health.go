package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
)

const (
	healthEvery   = 250 * time.Millisecond // how old the gRPC health may be
	healthTimeout = 2 * time.Second        // a node that needs longer to say how it is, isn't well
)

// doctor tells whether this node should get requests.
type doctor struct {
	backend  Backend
	draining atomic.Bool
	grpc     *health.Server
}

func newDoctor(backend Backend) *doctor {
	d := &doctor{backend: backend, grpc: health.NewServer()}
	d.tell(false)
	return d
}

// run keeps the gRPC health up to date until ctx ends.
func (d *doctor) run(ctx context.Context) {
	ticks := time.NewTicker(healthEvery)
	defer ticks.Stop()
	for {
		d.tell(d.ready(ctx) == nil)
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
	}
}

func (d *doctor) tell(ready bool) {
	state := healthv1.HealthCheckResponse_NOT_SERVING
	if ready {
		state = healthv1.HealthCheckResponse_SERVING
	}
	d.grpc.SetServingStatus("", state)
	d.grpc.SetServingStatus(quoratev1.TransferService_ServiceDesc.ServiceName, state)
}

// drain says from now on that no more requests should come here.
func (d *doctor) drain() {
	d.draining.Store(true)
	d.grpc.Shutdown() // and ignores what run tells it afterwards
}

// alive says that the node's loop turns. It doesn't ask for a quorum: else a partition would restart every node.
func (d *doctor) alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	_, err := d.backend.Status(ctx)
	return err
}

// ready says why no requests should come here; nil if they should. A coordinator group without
// a leader can't decide anything. A bank without one is no reason: the other banks' transfers go on.
func (d *doctor) ready(ctx context.Context) error {
	if d.draining.Load() {
		return errors.New("the node is stopping")
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	s, err := d.backend.Status(ctx)
	if err != nil {
		return err
	}
	return leaders(s.Groups)
}

func leaders(groups []GroupStatus) error {
	known := 0
	for _, g := range groups {
		switch {
		case g.Leader != 0:
			known++
		case strings.HasPrefix(g.Group, "coordinator/"):
			return fmt.Errorf("group %s knows no leader", g.Group)
		}
	}
	if known == 0 {
		return errors.New("no group knows a leader")
	}
	return nil
}
