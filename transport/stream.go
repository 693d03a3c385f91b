package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/raft"
)

// A restarted peer should be reachable again within half a second: the longest pause between two attempts is half of that.
// (ClientConn.ResetConnectBackoff could end a pause early; as of grpc-go 1.85 it reads a map that another goroutine may write.)
const (
	pauseMin         = 10 * time.Millisecond
	pauseMax         = 250 * time.Millisecond
	handshakeTimeout = 2 * time.Second
)

// peer is this node's side of the way to one other node.
type peer struct {
	cfg     *Config
	alone   *atomic.Bool // Isolate
	id      raft.NodeID
	address string
	conn    *grpc.ClientConn // closed when run has ended
	stop    context.CancelFunc
	queue   *queue

	// told is the last of Connected, Lost, Refused and Expelled that was reported, so that a peer
	// that is away for an hour is one event. Only run touches it.
	told EventKind
}

func newPeer(cfg *Config, alone *atomic.Bool, id raft.NodeID, address string) (*peer, error) {
	conn, err := dial(cfg, id, address)
	if err != nil {
		return nil, fmt.Errorf("transport: node %d at %s: %w", id, address, err)
	}
	return &peer{cfg: cfg, alone: alone, id: id, address: address, conn: conn, queue: newQueue(cfg.QueueBytesMax)}, nil
}

// run keeps one stream to the peer open until ctx ends.
func (p *peer) run(ctx context.Context) {
	pause := pauseMin
	for {
		connected, err := p.exchange(ctx)
		if ctx.Err() != nil {
			return
		}
		p.tellEnd(err)
		if connected {
			pause = pauseMin
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, pauseMax)
	}
}

// exchange opens one stream and sends until it breaks; err says why it did. connected
// says that the peer had accepted it.
func (p *peer) exchange(ctx context.Context) (connected bool, err error) {
	ctx, cancel := context.WithCancel(introduce(ctx, p.cfg, p.id))
	defer cancel()
	slow := time.AfterFunc(handshakeTimeout, cancel)
	defer slow.Stop()

	stream, err := peerv1.NewPeerServiceClient(p.conn).Exchange(ctx, grpc.WaitForReady(true))
	if err != nil {
		return false, err
	}
	header, err := stream.Header()
	if err == nil && len(header.Get(headerNode)) == 0 {
		err = stream.RecvMsg(&peerv1.ExchangeResponse{}) // closed without a header: this is the refusal
	}
	if err != nil {
		return false, err
	}
	if !slow.Stop() {
		return false, fmt.Errorf("no answer within %v", handshakeTimeout)
	}
	p.queue.setOpen(true)
	defer p.queue.setOpen(false)
	p.tell(Event{Kind: Connected, Envelopes: p.queue.takeDropped()})
	return true, p.pump(stream, cancel)
}

// pump sends what waits until the stream breaks. All that came while a request was being sent travels in the next ones.
func (p *peer) pump(stream grpc.ClientStreamingClient[peerv1.ExchangeRequest, peerv1.ExchangeResponse], cancel func()) error {
	ended := make(chan error, 1)
	go func() { ended <- stream.RecvMsg(&peerv1.ExchangeResponse{}) }() // the peer never answers: this returns when the stream breaks
	finish := func() error { cancel(); return <-ended }

	request := &peerv1.ExchangeRequest{}
	for {
		select {
		case <-p.queue.ready:
		case err := <-ended:
			return err
		}
		request.Envelopes = p.queue.take(request.Envelopes, exchangeBytes)
		if len(request.Envelopes) == 0 || p.alone.Load() {
			continue
		}
		switch err := stream.Send(request); {
		case errors.Is(err, io.EOF):
			return <-ended // the stream is broken already, and this is why
		case err != nil:
			return errors.Join(err, finish())
		}
		if n := p.queue.takeDropped(); n > 0 {
			err := fmt.Errorf("more than %d bytes waited", p.queue.bytesMax)
			p.cfg.Report(Event{Kind: Dropped, Peer: p.id, Address: p.address, Envelopes: n, Err: err})
		}
	}
}

func (p *peer) tellEnd(err error) {
	kind := Lost
	switch status.Code(err) {
	case codes.FailedPrecondition:
		kind = Refused
	case codes.DataLoss:
		kind = Expelled
	}
	if p.told != kind {
		p.tell(Event{Kind: kind, Err: err})
	}
}

func (p *peer) tell(e Event) {
	p.told = e.Kind
	e.Peer, e.Address = p.id, p.address
	p.cfg.Report(e)
}
