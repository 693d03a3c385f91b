package transport

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"

	"github.com/quorate/quorate/pki"
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

// deferMax is how long deferrable envelopes are held back: many syncs of a fast disk, whose entries the receiver writes at once, and little beside the
// stall of a disk after which they are needed after all.
const deferMax = 4 * time.Millisecond

// deferMost is how many envelopes are: on the fastest disks 4 ms are so many entries that their receiver would seem to lag (lane.Limits.CaughtUpEntries).
const deferMost = 32

// Config is what a Transport is built from.
type Config struct {
	Cluster  string                 // name of the cluster: nodes of another one are refused
	Node     raft.NodeID            // this node
	Peers    map[raft.NodeID]string // address (host:port) of each node; this node's own is ignored
	Disk     [16]byte               // names this node's data directory
	Origin   string                 // what the directory began with, in words; nodes with another one are refused. Empty: nothing is said or asked
	Restored bool                   // Origin is a backup: whoever began otherwise must not run
	Founding string                 // how the cluster began, in words; nodes with another one are refused. Empty: nothing is said or asked
	Listener net.Listener           // already bound; the Transport closes it

	// QueueBytesMax bounds what waits for one peer. Zero: 32 MiB.
	QueueBytesMax int

	// Keys secure the connections: each side's certificate must be that of the node it says it is. Nil: plain TCP.
	Keys *pki.Keys

	// Met is from which data directory each node has spoken to this one, as Meet was told in earlier lives. Until SetPeers says which one a node has, it is refused
	// with another one. It is copied.
	Met map[raft.NodeID][16]byte

	// Meet makes durable from which data directory a node speaks; nothing from that node is delivered before it has returned. It is called when that is new, from any
	// goroutine. If it fails, the node is refused for now. Nil: what Met says is kept in memory only.
	Meet func(node raft.NodeID, disk [16]byte) error

	// Deliver takes what came from a peer. It is called from one goroutine per incoming stream, and may
	// block: then the peer is slowed down. It owns the envelopes.
	Deliver func(from raft.NodeID, envelopes []*peerv1.Envelope)

	// Report hears of events, from any goroutine; it must not block. Nil: nobody listens.
	Report func(Event)

	process string        // names this process: drawn by Start
	idle    time.Duration // idleTimeout, if a test hasn't made it shorter
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
	server *grpc.Server
	life   context.Context // of the streams to peers
	cancel context.CancelFunc
	alone  atomic.Bool    // Isolate
	done   sync.WaitGroup // the accept loop and one goroutine per peer; Stop waits for it

	rejections rejections

	changing sync.Mutex // held by whoever changes what follows
	stopped  bool
	known    atomic.Pointer[acquainted]            // what SetPeers was told; never changed in place
	peers    atomic.Pointer[map[raft.NodeID]*peer] // those there is a way to; never changed in place
	speakers speakers
}

// Peer is what a Transport is told about another node.
type Peer struct {
	Address string   // host:port; empty: not known, the node may still come to us
	Disk    [16]byte // its data directory: with another one it is refused. Zero: not known
	Gone    bool     // it was removed from the cluster: it is refused, whatever it says
}

// acquainted is who the other nodes are, until SetPeers says otherwise.
type acquainted struct {
	peers map[raft.NodeID]Peer
	over  chan struct{} // closed then
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
	if cfg.Meet == nil {
		cfg.Meet = func(raft.NodeID, [16]byte) error { return nil }
	}
	cfg.process = rand.Text()
	if cfg.idle == 0 {
		cfg.idle = idleTimeout
	}
	t := &Transport{cfg: cfg, speakers: newSpeakers(&cfg)}
	t.life, t.cancel = context.WithCancel(context.Background())
	t.known.Store(&acquainted{over: make(chan struct{})})
	t.peers.Store(&map[raft.NodeID]*peer{})
	peers := map[raft.NodeID]Peer{}
	for id, address := range cfg.Peers {
		peers[id] = Peer{Address: address}
	}
	t.server = newServer(t)
	if err := t.SetPeers(peers); err != nil {
		t.cancel()
		t.done.Wait()
		return nil, err
	}
	t.done.Go(func() { _ = t.server.Serve(netutil.LimitListener(cfg.Listener, ConnectionsMax)) }) // ends by Stop
	return t, nil
}

// SetPeers says who the other nodes are from now on. Streams to those who stay where they are go on. This node's own entry only matters to
// nobody. On error nothing has changed but that some new peers may be known already. It may be called by any goroutine, also after Stop.
func (t *Transport) SetPeers(known map[raft.NodeID]Peer) error {
	t.changing.Lock()
	defer t.changing.Unlock()
	if t.stopped {
		return nil
	}
	before, after := *t.peers.Load(), map[raft.NodeID]*peer{}
	for id, p := range known {
		if id == t.cfg.Node || p.Gone || p.Address == "" {
			continue
		}
		if there := before[id]; there != nil && there.address == p.Address {
			after[id] = there
			continue
		}
		way, err := newPeer(&t.cfg, &t.alone, id, p.Address)
		if err != nil {
			return err
		}
		after[id] = way
	}
	close(t.known.Swap(&acquainted{known, make(chan struct{})}).over)
	t.peers.Store(&after)
	for id, p := range before {
		if after[id] != p {
			p.stop()
		}
	}
	for id, p := range after {
		if before[id] != p {
			ctx, stop := context.WithCancel(t.life)
			p.stop = stop
			t.done.Go(func() { p.run(ctx); _ = p.conn.Close() }) // ends by stop or cancel
		}
	}
	return nil
}

// Send hands envelopes to a peer and never blocks. They are dropped, all of them, when the peer isn't
// connected, when too much waits for it already, or when nobody knows it. Send may be called by any goroutine, also after Stop.
func (t *Transport) Send(to raft.NodeID, envelopes []*peerv1.Envelope) { t.put(to, envelopes, false) }

// SendDeferrable is Send for what nobody waits for: it leaves with whatever is sent to the peer next, in its order, or after 4 ms.
func (t *Transport) SendDeferrable(to raft.NodeID, envelopes []*peerv1.Envelope) {
	t.put(to, envelopes, true)
}

func (t *Transport) put(to raft.NodeID, envelopes []*peerv1.Envelope, deferrable bool) {
	p, known := (*t.peers.Load())[to]
	if !known || len(envelopes) == 0 || t.alone.Load() {
		return
	}
	if err := p.queue.put(envelopes, deferrable); err != nil {
		t.cfg.Report(Event{Kind: Dropped, Peer: to, Address: p.address, Envelopes: p.queue.takeDropped(), Err: err})
	}
}

// Up says of each other node that is known, and where it listens, whether this one has a stream to it. It may be called by any goroutine, also after Stop.
func (t *Transport) Up() map[raft.NodeID]bool {
	up := map[raft.NodeID]bool{}
	for id, p := range *t.peers.Load() {
		up[id] = p.queue.isOpen()
	}
	return up
}

// Isolate cuts this node off, or lets it back: while on, everything in and out is dropped. The connections stay.
func (t *Transport) Isolate(on bool) {
	t.alone.Store(on)
}

// Stop closes every connection and waits until the last Deliver has returned. It may be called once.
func (t *Transport) Stop() {
	t.changing.Lock()
	t.stopped = true
	t.changing.Unlock()
	t.cancel()
	t.server.Stop()
	t.done.Wait()
}
