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
	healthEvery   = 250 * time.Millisecond // between two looks at the node: who asks about its health costs it nothing
	healthTimeout = 2 * time.Second        // a node that needs longer to say how it is, isn't well
)

// doctor tells whether this node should get requests.
type doctor struct {
	backend  Backend
	draining atomic.Bool
	grpc     *health.Server
	last     atomic.Pointer[look]
}

// look is what a look at the node has found. alive isn't nil if its loop doesn't turn, ready if no requests should come here.
type look struct{ alive, ready error }

func newDoctor(backend Backend) *doctor {
	d := &doctor{backend: backend, grpc: health.NewServer()}
	d.tell(false)
	starting := errors.New("the node is starting")
	d.last.Store(&look{starting, starting})
	return d
}

// refresh looks at the node once, and tells what it has found unless ctx has ended meanwhile.
func (d *doctor) refresh(ctx context.Context) {
	if now := d.look(ctx); ctx.Err() == nil {
		d.last.Store(&now)
		d.tell(now.ready == nil)
	}
}

// run keeps the health up to date until ctx ends.
func (d *doctor) run(ctx context.Context) {
	ticks := time.NewTicker(healthEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			d.refresh(ctx)
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

// healthService refuses to watch what the doctor doesn't tell of: gRPC's own would keep whatever name somebody made up for as long as the stream lives.
type healthService struct{ *health.Server }

func (h healthService) Watch(r *healthv1.HealthCheckRequest, stream healthv1.Health_WatchServer) error {
	if _, err := h.Check(stream.Context(), r); err != nil {
		return err
	}
	return h.Server.Watch(r, stream)
}

// drain says from now on that no more requests should come here.
func (d *doctor) drain() {
	d.draining.Store(true)
	d.grpc.Shutdown() // and ignores what run tells it afterwards
}

// look asks the node how it is. A coordinator group without a leader can't decide anything. A bank without one is no reason to keep requests
// away: the other banks' transfers go on.
func (d *doctor) look(ctx context.Context) look {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	s, err := d.backend.Status(ctx)
	if err != nil {
		return look{err, err}
	}
	return look{ready: leaders(s.Groups)}
}

// alive says that the node's loop turns. It doesn't ask for a quorum: else a partition would restart every node.
func (d *doctor) alive() error { return d.last.Load().alive }

// ready says why no requests should come here; nil if they should.
func (d *doctor) ready() error {
	if d.draining.Load() {
		return errors.New("the node is stopping")
	}
	return d.last.Load().ready
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
