package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/raft"
)

// Bounds of what travels.
const (
	// EnvelopeBytesMax is the largest envelope: one Raft entry of 16 MiB, with room around it.
	EnvelopeBytesMax = 20 << 20

	exchangeBytes        = 1 << 20 // a request is closed when it would grow past this
	messageBytesMax      = EnvelopeBytesMax + exchangeBytes
	queueBytesMaxDefault = 32 << 20
)

// Config is what a Transport is built from.
type Config struct {
	Cluster  string                 // name of the cluster: nodes of another one are refused
	Node     raft.NodeID            // this node
	Peers    map[raft.NodeID]string // address (host:port) of each node; this node's own is ignored
	Listener net.Listener           // already bound; the Transport closes it

	// QueueBytesMax bounds what waits for one peer. Zero: 32 MiB.
	QueueBytesMax int

	// ServerCredentials and ClientCredentials secure the connections. Both nil: plain TCP.
	ServerCredentials credentials.TransportCredentials
	ClientCredentials credentials.TransportCredentials

	// Deliver takes what came from a peer. It is called from one goroutine per incoming stream, and may
	// block: then the peer is slowed down. It owns the envelopes.
	Deliver func(from raft.NodeID, envelopes []*peerv1.Envelope)

	// Report hears of events, from any goroutine; it must not block. Nil: nobody listens.
	Report func(Event)
}

func (c *Config) validate() error {
	switch {
	case c.Cluster == "":
		return errors.New("transport: the cluster has no name")
	case c.Node == 0:
		return errors.New("transport: the node has no id")
	case c.Listener == nil:
		return errors.New("transport: no listener")
	case c.Deliver == nil:
		return errors.New("transport: nobody to deliver to")
	}
	for id, address := range c.Peers {
		if id == 0 {
			return errors.New("transport: a peer has id 0")
		}
		if _, _, err := net.SplitHostPort(address); err != nil && id != c.Node {
			return fmt.Errorf("transport: address of node %d: %w", id, err)
		}
	}
	return nil
}

// Transport connects this node to its peers: one outgoing stream to each and one incoming from each.
type Transport struct {
	cfg    Config
	peers  map[raft.NodeID]*peer // fixed at Start
	server *grpc.Server
	cancel context.CancelFunc
	alone  atomic.Bool    // Isolate
	done   sync.WaitGroup // the accept loop and one goroutine per peer; Stop waits for it
}

// Start listens and begins to connect to every peer. It doesn't wait for any of them. On error the listener stays open.
func Start(cfg Config) (*Transport, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.QueueBytesMax <= 0 {
		cfg.QueueBytesMax = queueBytesMaxDefault
	}
	if cfg.Report == nil {
		cfg.Report = func(Event) {}
	}
	t := &Transport{cfg: cfg, peers: map[raft.NodeID]*peer{}}
	for id, address := range cfg.Peers {
		if id == cfg.Node {
			continue
		}
		p, err := newPeer(&t.cfg, &t.alone, id, address)
		if err != nil {
			t.closeConnections()
			return nil, err
		}
		t.peers[id] = p
	}
	t.server = newServer(t)

	ctx, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	t.done.Go(func() { _ = t.server.Serve(cfg.Listener) }) // ends by Stop
	for _, p := range t.peers {
		t.done.Go(func() { p.run(ctx) }) // ends by cancel
	}
	return t, nil
}

// Send hands envelopes to a peer and never blocks. They are dropped, all of them, when the peer isn't
// connected, when too much waits for it already, or when nobody knows it. Send may be called by any goroutine, also after Stop.
func (t *Transport) Send(to raft.NodeID, envelopes []*peerv1.Envelope) {
	p, known := t.peers[to]
	if !known || len(envelopes) == 0 || t.alone.Load() {
		return
	}
	if err := p.queue.put(envelopes); err != nil {
		t.cfg.Report(Event{Kind: Dropped, Peer: to, Address: p.address, Envelopes: p.queue.takeDropped(), Err: err})
	}
}

// Isolate cuts this node off, or lets it back: while on, everything in and out is dropped. The connections stay.
func (t *Transport) Isolate(on bool) {
	t.alone.Store(on)
}

// Stop closes every connection and waits until the last Deliver has returned. It may be called once.
func (t *Transport) Stop() {
	t.cancel()
	t.server.Stop()
	t.done.Wait()
	t.closeConnections()
}

func (t *Transport) closeConnections() {
	for _, p := range t.peers {
		_ = p.conn.Close() // fails only if it is closed already
	}
}
