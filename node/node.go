package node

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/pki"
	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/etcdraft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transport"
)

// Options are what a node needs besides its configuration. The zero value is a good start.
type Options struct {
	Limits   lane.Limits     // zero: lane.DefaultLimits
	Logger   *slog.Logger    // nil: silent
	Listener net.Listener    // for the peers, already bound; nil: the node listens itself. The node closes it
	Storage  storage.Options // the disk
	Keys     *pki.Keys       // secure the connections between nodes; nil: plain TCP
	Seed     uint64          // of election timeouts and retry jitter; zero: from the clock
}

// Node is one running node.
type Node struct {
	config    Config
	log       *slog.Logger
	started   time.Time
	store     *storage.Store
	transport *transport.Transport
	lane      *lane.Lane // owned by the loop
	inbox     *inbox
	disk      *disk
	snapshots *snapshots
	calls     calls
	tokens    atomic.Pointer[tokensByHash] // replaced as a whole
	counters  *counters
	leaders   leaders

	leaving  atomic.Bool // by the directory here this node is to go, or is gone
	stopping atomic.Bool
	loopDone chan struct{}
	diskDone chan struct{}

	keepingDone chan struct{}
	stopOnce    sync.Once

	failOnce sync.Once
	failed   chan struct{}
	failure  error // set before failed is closed
}

// FilesMax is how many files and connections a node has open at most, those of its clients not counted.
const FilesMax = storage.FilesMax + transport.ConnectionsMax + 64 // and the connections to its peers, listeners and the like

// inboxMax bounds the events that wait for the next step.
const inboxMax = 1 << 14

// Start opens the data directory, restores the groups and begins to serve. Errors say what to do; nothing
// is left running or changed then.
func Start(cfg Config, opts Options) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if opts.Limits == (lane.Limits{}) {
		opts.Limits = lane.DefaultLimits()
	}
	if cfg.LogBytesMax != 0 {
		opts.Limits.LogBytesMax = int(cfg.LogBytesMax)
		opts.Limits.CatchupBytesMax = max(opts.Limits.CatchupBytesMax, opts.Limits.LogBytesMax)
	}
	opts.Limits.CheckpointAhead = checkpointAhead(raft.NodeID(cfg.Node), opts.Limits.CheckpointBytes)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Seed == 0 {
		opts.Seed = uint64(time.Now().UnixNano())
	}
	listener, err := listen(cfg, opts)
	if err != nil {
		return nil, err
	}
	n := &Node{
		config:   cfg,
		log:      opts.Logger.With("node_id", cfg.Node),
		started:  time.Now(),
		inbox:    newInbox(inboxMax),
		counters: newCounters(&cfg),
		loopDone: make(chan struct{}),
		diskDone: make(chan struct{}),

		keepingDone: make(chan struct{}),
		failed:      make(chan struct{}),
	}
	if err := n.open(opts, listener); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	go n.loop(opts.Limits.TickInterval) // stopped by inbox.close in Stop, which waits for loopDone
	go n.runDisk()                      // stopped by disk.close in Stop, which waits for diskDone
	go n.runCheckpoints()               // stopped when runDisk ends; Stop waits for keepingDone
	go n.runSnapshots()                 // stopped by snapshots.close in Stop, which waits for it
	go n.watchStore()                   // stopped with the loop
	go n.watchSpace()                   // stopped with the loop
	return n, nil
}

// watchStore hears of a failed disk that no commit of ours has met, such as in the store's background work.
func (n *Node) watchStore() {
	select {
	case <-n.store.Failed():
		n.fail(n.store.Err())
	case <-n.loopDone:
	}
}

// spaceEvery is how often the disk is asked what it has left.
const spaceEvery = 250 * time.Millisecond

// watchSpace tells the lane when the disk is nearly full, and when it isn't any more.
func (n *Node) watchSpace() {
	tick := time.NewTicker(spaceEvery)
	defer tick.Stop()
	low := false
	for {
		if s := n.store.Space(); s.Low != low {
			low = s.Low
			if low {
				n.log.Error("disk nearly full: nothing new is begun here", "data_dir", n.config.DataDir, "free_bytes", s.FreeBytes, "reserve_bytes", s.ReserveBytes)
			} else {
				n.log.Info("disk has space again", "data_dir", n.config.DataDir, "free_bytes", s.FreeBytes)
			}
			n.inbox.add(lane.SpaceChanged{Low: low})
		}
		select {
		case <-tick.C:
		case <-n.loopDone:
			return
		}
	}
}

// Space is what the disk has left.
func (n *Node) Space() storage.Space { return n.store.Space() }

func listen(cfg Config, opts Options) (net.Listener, error) {
	if opts.Listener != nil {
		return opts.Listener, nil
	}
	self, err := cfg.Self()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", self.Peer)
	if err != nil {
		return nil, fmt.Errorf("can't listen on %s for peers. why: %w. try: another port under nodes, or stop what uses this one", self.Peer, err)
	}
	return listener, nil
}

// open restores everything that Start needs; on error nothing stays open.
func (n *Node) open(opts Options, listener net.Listener) error {
	id := raft.NodeID(n.config.Node)
	storageOptions := opts.Storage
	if storageOptions.Logger == nil {
		storageOptions.Logger = n.log
	}
	var err error
	if n.store, n.lane, err = n.restore(opts, storageOptions); err != nil {
		return err
	}
	store := n.store
	n.disk = newDisk(store, &opts.Limits)
	n.disk.send = n.send
	n.disk.persisted = func(events []lane.Event) { n.inbox.add(events...) }
	n.disk.failed = n.fail
	n.snapshots = newSnapshots(store, opts.Limits.SnapshotPause, func(e lane.Event) { n.inbox.add(e) }, n.fail)
	n.calls.open, n.calls.since = map[uint64]*call{}, time.Now()
	n.calls.next = rand.Uint64() >> 1 // far from the numbers of any earlier life
	n.transport, err = transport.Start(transport.Config{
		Cluster:  n.config.Cluster,
		Node:     id,
		Peers:    n.config.peers(),
		Disk:     store.Disk(),
		Met:      metBy(store),
		Meet:     func(id raft.NodeID, disk [16]byte) error { return store.Meet(id, disk) },
		Origin:   n.config.origin(store.Origin()),
		Restored: store.Origin() != "",
		Founding: n.config.founding(),
		Listener: listener,
		Keys:     opts.Keys,
		Deliver:  n.deliver,
		Report:   n.observePeer,
	})
	if err != nil {
		return errors.Join(err, store.Close())
	}
	return nil
}

// restore opens the store and the lane on it. If that shows damage, and the other members have all that is here, the store is set aside:
// they give it back, and until then this node votes in none of its groups.
func (n *Node) restore(opts Options, disk storage.Options) (*storage.Store, *lane.Lane, error) {
	store, l, err := n.openStore(opts, disk)
	if !errors.Is(err, storage.ErrDamaged) || errors.Is(err, storage.ErrFatal) { // found in use: it is in the note of terms, if there is one, and the lock goes with this process
		return store, l, err
	}
	retired, noteErr := storage.RetiredIn(n.config.DataDir, disk.FS)
	if noteErr != nil {
		return nil, nil, errors.Join(err, noteErr)
	}
	if alone := n.config.aloneHere(retired); alone != "" {
		return nil, nil, fmt.Errorf("%w; %s is on fewer than three nodes, so the others can't give everything back", err, alone)
	}
	aside, asideErr := storage.SetAside(n.config.DataDir, n.config.Identity(), disk.FS)
	if asideErr != nil {
		return nil, nil, errors.Join(err, asideErr)
	}
	n.log.Error("stored data damaged: set aside, and this node's replicas are repaired by the other members", "aside", aside, "err", err)
	return n.openStore(opts, disk)
}

// openStore leaves nothing open on error, unless the store has failed (storage.ErrFatal).
func (n *Node) openStore(opts Options, disk storage.Options) (*storage.Store, *lane.Lane, error) {
	store, err := storage.Open(n.config.DataDir, n.config.Identity(), disk)
	if err != nil {
		return nil, nil, err
	}
	if store.Created() {
		n.log.Warn("new data directory: right for a node that was never a member before; a member that lost its disk must come back under a new id", "data_dir", n.config.DataDir)
	}
	l, err := newLane(lane.Config{
		Node:      raft.NodeID(n.config.Node),
		Seed:      opts.Seed,
		Directory: n.config.Directory(),
		Disk:      directory.Disk(store.Disk()),
		Addresses: n.config.addresses(),
		Limits:    opts.Limits,
		NewEngine: n.config.newEngine,
		Restore:   func(g lane.GroupID) (raft.State, lane.Reader, error) { return restore(store, g) },
	})
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return store, l, nil
}

// newLane is lane.New with a broken invariant as an error: what is durable is replayed there, and what it contradicts stops the start with the numbers.
func newLane(cfg lane.Config) (l *lane.Lane, err error) {
	defer func() {
		if broken := brokenBy(recover()); broken != nil {
			l, err = nil, broken
		}
	}()
	return lane.New(cfg)
}

// newEngine makes the engine of one group's replica.
func (c *Config) newEngine(cfg raft.Config) (replica.Engine, error) {
	if c.Consensus == ConsensusEtcd {
		return etcdraft.New(cfg)
	}
	return raft.New(cfg)
}

// deliver takes what a peer sent into the inbox. It blocks while the inbox is full, and that slows the peer down.
func (n *Node) deliver(from raft.NodeID, envelopes []*peerv1.Envelope) {
	events := make([]lane.Event, 0, len(envelopes))
	for _, e := range envelopes {
		m, err := messageFromProto(e)
		if err != nil {
			n.log.Warn("peer message refused", "peer", from, "err", err)
			continue
		}
		events = append(events, lane.Received{From: from, Message: m})
	}
	if dropped := n.inbox.addWaiting(events); dropped > 0 {
		n.counters.dropped.WithLabelValues(nodeLabel(from)).Add(float64(dropped))
	}
}

// Config is what the node was started with.
func (n *Node) Config() Config { return n.config }

// Started is when the node was started.
func (n *Node) Started() time.Time { return n.started }

// Isolate cuts the node off from its peers, or lets it back: for demonstrations and tests of partitions.
func (n *Node) Isolate(on bool) { n.transport.Isolate(on) }

// Failed is closed when the node can't go on: a failed disk, damaged state, a broken invariant. Err says
// why. Nothing is answered any more; the process should end.
func (n *Node) Failed() <-chan struct{} { return n.failed }

// Err is why the node failed; nil while Failed is open.
func (n *Node) Err() error {
	select {
	case <-n.failed:
		return n.failure
	default:
		return nil
	}
}

func (n *Node) fail(err error) {
	n.failOnce.Do(func() {
		n.failure = err
		if errors.Is(err, ErrRemoved) {
			n.log.Info("removed from the cluster, as ordered: this node ends", "detail", err.Error())
		} else {
			n.log.Error("node failed", "err", err)
		}
		close(n.failed)
		n.inbox.close()
		n.calls.abandon()
	})
}

// Kill ends the node as a crash would: nothing more leaves it, and what waits for the disk is lost. It is for
// demonstrations and tests within one process; what it can't show is the loss of the process itself.
func (n *Node) Kill() error {
	n.transport.Isolate(true)
	n.disk.kill()
	return n.Stop()
}

// Stop ends the node and waits until it has ended. What was not answered stays unknown to whoever asked; what was answered
// is durable. Stop may be called more than once.
func (n *Node) Stop() error {
	var err error
	n.stopOnce.Do(func() {
		n.stopping.Store(true)
		n.inbox.close()
		<-n.loopDone
		n.store.DontWait() // for space: what wasn't answered by now won't be
		n.disk.close()
		<-n.diskDone
		<-n.keepingDone
		n.snapshots.close()
		n.transport.Stop()
		n.calls.abandon()
		err = n.store.Close()
	})
	return err
}
