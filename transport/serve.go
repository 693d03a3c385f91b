package transport

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	grpcpeer "google.golang.org/grpc/peer"

	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/raft"
)

// service is the listening side: one call of Exchange per peer that speaks to this node.
type service struct {
	peerv1.UnimplementedPeerServiceServer
	transport *Transport
}

func newServer(t *Transport) *grpc.Server {
	s := grpc.NewServer(serverOptions(&t.cfg)...)
	peerv1.RegisterPeerServiceServer(s, &service{transport: t})
	return s
}

// Exchange delivers what one peer sends until its stream ends, or until the peer isn't let in any more: it hears so also if it has nothing to say.
func (s *service) Exchange(stream grpc.ClientStreamingServer[peerv1.ExchangeRequest, peerv1.ExchangeResponse]) error {
	t := s.transport
	known := t.known.Load()
	from, err := recognize(stream.Context(), &t.cfg, known.peers)
	if err == nil {
		told, _ := metadata.FromIncomingContext(stream.Context())
		err = t.speakers.enter(from, first(told, headerProcess), diskIn(told), known.peers[from].Disk != [16]byte{})
	}
	if err != nil {
		t.tellRejected(from, stream, err)
		return err
	}
	defer t.speakers.leave(from)
	if err := stream.SendHeader(metadata.Pairs(headerNode, formatNode(t.cfg.Node))); err != nil {
		return err
	}
	ended, recognized := make(chan struct{}), known
	t.done.Go(func() { defer close(ended); t.receive(stream, from, recognized) }) // ends with the stream, which ends when this function returns
	for {
		select {
		case <-ended:
			return nil // the peer is gone; its own side knows why
		case <-known.over:
		}
		known = t.known.Load()
		if _, err := recognize(stream.Context(), &t.cfg, known.peers); err != nil {
			t.tellRejected(from, stream, err)
			return err
		}
	}
}

func (t *Transport) tellRejected(from raft.NodeID, stream grpc.ServerStream, err error) {
	if t.rejections.anew(err.Error(), time.Now()) {
		t.cfg.Report(Event{Kind: Rejected, Peer: from, Address: addressOf(stream), Err: err})
	}
}

// receive delivers what one peer sends as long as it is let in.
func (t *Transport) receive(stream grpc.ClientStreamingServer[peerv1.ExchangeRequest, peerv1.ExchangeResponse], from raft.NodeID, known *acquainted) {
	for {
		request, err := stream.Recv()
		if err != nil {
			return
		}
		if now := t.known.Load(); now != known {
			if _, err := recognize(stream.Context(), &t.cfg, now.peers); err != nil {
				continue // Exchange is telling it so
			}
			known = now
		}
		t.deliver(from, request.GetEnvelopes())
	}
}

// deliver hands envelopes to the host, without those that can't be from this peer or for this node.
func (t *Transport) deliver(from raft.NodeID, envelopes []*peerv1.Envelope) {
	if t.alone.Load() {
		return
	}
	kept := envelopes[:0]
	dropped := Event{Kind: Dropped, Peer: from}
	for _, e := range envelopes {
		if err := t.inPlace(from, e); err != nil {
			dropped.Envelopes, dropped.Err = dropped.Envelopes+1, err
			continue
		}
		kept = append(kept, e)
	}
	if dropped.Envelopes > 0 {
		t.cfg.Report(dropped)
	}
	if len(kept) > 0 {
		t.cfg.Deliver(from, kept)
	}
}

func (t *Transport) inPlace(from raft.NodeID, e *peerv1.Envelope) error {
	if e.GetMessage() == nil {
		return errors.New("an envelope is empty, or of a newer version")
	}
	m := e.GetRaft()
	if m != nil && (raft.NodeID(m.GetFrom()) != from || raft.NodeID(m.GetTo()) != t.cfg.Node) {
		return fmt.Errorf("node %d sent a raft message from %d to %d", from, m.GetFrom(), m.GetTo())
	}
	return nil
}

func addressOf(stream grpc.ServerStream) string {
	if p, ok := grpcpeer.FromContext(stream.Context()); ok {
		return p.Addr.String()
	}
	return ""
}
