package lane

import (
	"errors"
	"fmt"
	"time"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/room"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transfer"
)

// Config is what a Lane is built from.
type Config struct {
	Node      raft.NodeID
	Seed      uint64
	Directory Directory           // what the cluster began with
	Disk      directory.Disk      // of this node; zero: it never registers
	Addresses directory.Addresses // of this node
	Limits    Limits
	Level     directory.Level // what this build can read; zero: LevelNewest. Another one makes it a build of before, for simulators and tests
	// NewEngine makes the consensus engine of a group.
	NewEngine func(raft.Config) (replica.Engine, error)
	// Restore says what the disk remembers of a group; a zero State for a new one, ErrRetired for one whose replica here was ended. It is called
	// by New, and by Step when this node gets a replica of another group.
	Restore func(GroupID) (raft.State, Reader, error)
}

// Reader shows a group's stored state as of its last durable checkpoint.
type Reader interface {
	Get(key []byte) (value []byte, ok bool, err error)
	Scan(from, to []byte, fn func(key, value []byte) bool) error
}

// Lane is a node's groups and the ways between them. It is owned by one caller.
type Lane struct {
	cfg    Config
	node   raft.NodeID
	limits Limits
	shards []GroupID
	banks  map[transfer.BankID]GroupID

	cluster  *clusterHost
	followed directoryVersion // the version of the directory that the replicas here are made by
	retired  map[GroupID]bool // replicas that were ended here
	heard    map[raft.NodeID]time.Time

	told         map[raft.NodeID]told // what other nodes have said of themselves (level.go)
	toldOfItself time.Time

	askedWho   time.Time    // who is there (introduce.go)
	introduced []introduced // by others whose directory is newer

	groups  map[GroupID]*group // the replicas on this node
	order   []*group           // the same, in the order of their coming
	touched []*group           // have something to do in this step
	delayed []*group           // have something to do when it is due
	due     time.Time          // the first of these; zero: none
	running []*group           // are being run; the room of the next touched
	hints   map[GroupID]raft.NodeID
	owing   map[GroupID]time.Time // groups without a replica here: since when the believed leader owes a word
	hops    map[GroupID]int       // hints followed since the last tick

	now          time.Time
	lastTick     time.Time
	lastInquiry  time.Time
	inquiries    int
	lowSpace     bool      // the disk is nearly full (space.go)
	lowElsewhere time.Time // until then what another node has said of its own counts

	ticks    int                 // counted since the start
	pulsed   map[raft.NodeID]int // when each node was last heard to vouch for what it quiesced
	local    []Message           // from this node to itself
	gateway  gateway
	effects  Effects
	answered []Answered   // in the last step: the room of the next
	sent     []Send       // the same
	written  []GroupWrite // the same
	entry    []byte       // encoded last: the room of the next. What is proposed is a copy without room to spare, for it stays in memory until it is compacted
}

// New builds the lane and restores its groups.
func New(cfg Config) (*Lane, error) {
	if err := cfg.Directory.Validate(); err != nil {
		return nil, err
	}
	if cfg.Level == 0 {
		cfg.Level = directory.LevelNewest
	}
	l := &Lane{
		cfg:     cfg,
		node:    cfg.Node,
		limits:  cfg.Limits,
		banks:   map[transfer.BankID]GroupID{},
		retired: map[GroupID]bool{},
		heard:   map[raft.NodeID]time.Time{},
		told:    map[raft.NodeID]told{},
		groups:  map[GroupID]*group{},
		hints:   map[GroupID]raft.NodeID{},
		owing:   map[GroupID]time.Time{},
		hops:    map[GroupID]int{},
		pulsed:  map[raft.NodeID]int{},
		gateway: newGateway(),
	}
	for shard := range cfg.Directory.Coordinators {
		l.shards = append(l.shards, CoordinatorGroup(shard))
	}
	for _, b := range cfg.Directory.Banks {
		l.banks[b.Bank] = BankGroup(b.Bank)
	}
	if err := l.addCluster(); err != nil {
		return nil, err
	}
	if l.follow(); l.effects.Fatal != nil {
		return nil, l.effects.Fatal
	}
	return l, nil
}

// answersKept, sendsKept and writesKept bound the room that is kept for the answers, messages and writes of the next steps.
const (
	answersKept = 1 << 13
	sendsKept   = 1 << 13
	writesKept  = 1 << 10
)

// Step takes the time and what has happened since the last Step, and returns what to do. What it is
// given belongs to the lane from then on, but for the slice of events; what it returns belongs to the caller, but for the slices of answers, of
// messages to send and of writes, which are there until the next Step.
func (l *Lane) Step(now time.Time, events []Event) (effects Effects) {
	l.now = now
	ticks := l.tick()
	l.touchDue()
	var last raft.NodeID // whose message came last: those of one node come in a row
	for _, event := range events {
		switch e := event.(type) {
		case Received:
			if e.From != last {
				last, l.heard[e.From] = e.From, now
			}
			l.receive(e.From, e.Message)
		case Persisted:
			l.persisted(e)
		case CheckpointWritten:
			l.checkpointWritten(e)
		case SpaceChanged:
			l.spaceChanged(e.Low)
		case SnapshotRead:
			l.snapshotRead(e)
		case Asked:
			l.gateway.add(l, e)
		case Forgotten:
			l.gateway.forget(e.Request)
		default:
			invariant.Fail("unknown event %T", event)
		}
	}
	l.settle()
	if ticks > 0 {
		l.quiesce(ticks)
	}
	effects = l.effects
	effects.Due = l.due
	l.effects = Effects{}
	l.effects.Answers, l.answered = room.Emptied(l.answered, answersKept), effects.Answers
	l.effects.Send, l.sent = room.Emptied(l.sent, sendsKept), effects.Send
	l.effects.Writes, l.written = room.Emptied(l.written, writesKept), effects.Writes
	return effects
}

// tick passes the time on. After a pause only two ticks are made up for: a node that was frozen should hear
// what came in meanwhile before it believes that its leader is gone.
func (l *Lane) tick() (counted int) {
	if l.lastTick.IsZero() {
		l.lastTick, l.lastInquiry = l.now, l.now
	}
	since := l.now.Sub(l.lastTick)
	if since < l.limits.TickInterval {
		return 0 // as in most steps
	}
	ticks := int(since / l.limits.TickInterval)
	clear(l.hops)
	l.lastTick = l.lastTick.Add(time.Duration(ticks) * l.limits.TickInterval)
	counted = min(ticks, 2)
	l.ticks += counted
	l.wakeOrphans()
	for _, g := range l.order {
		if g.quiesced && (g.replica.Engine().HasReady() || g.host.isDue()) {
			l.touch(g) // somebody has used its engine directly, or it has slept long enough
		}
		if g.quiesced {
			continue
		}
		for range counted {
			g.replica.Engine().Tick()
		}
		g.host.tick()
		if l.ticks%l.limits.ElectionTicks < counted {
			l.callLeader(g)
		}
		l.spread(g)
		l.handOver(g)
		l.tickHandovers(g)
		l.steer(g)
		l.enqueue(g)
	}
	l.register()
	l.tellOfItself()
	l.askWhoIsThere()
	l.giveUpSilent()
	l.gateway.tick(l)
	if l.now.Sub(l.lastInquiry) >= l.limits.InquireEvery {
		l.lastInquiry = l.now
		l.inquiries++
		l.inquire()
	}
	return counted
}

// receive takes a message from another node, or from this one.
func (l *Lane) receive(from raft.NodeID, message Message) {
	switch m := message.(type) {
	case RaftMessage:
		l.receiveRaft(from, m)
	case BankRequests:
		l.receiveBankRequests(from, m)
	case BankAnswers:
		l.receiveBankAnswers(from, m)
	case Inquiry:
		l.receiveInquiry(from, m)
	case Forward:
		l.serve(waiterAt(from, m.Request), m.Group, m.Ask)
	case ForwardReply:
		l.gateway.forwardReplied(l, from, m)
	case Pulse:
		l.receivePulse(from, m)
	case Register:
		l.receiveRegister(from, m)
	case GroupReport:
		l.receiveGroupReport(from, m)
	case WhoIsThere:
		l.receiveWhoIsThere(from, m)
	case Introduction:
		l.receiveIntroduction(m)
	default:
		invariant.Fail("unknown message %T", message)
	}
}

func (l *Lane) receiveRaft(from raft.NodeID, m RaftMessage) {
	g := l.groups[m.Group]
	if g == nil {
		return // it was ended, or the directory here is older than the sender's
	}
	if m.Message.From != from || m.Message.To != l.node {
		l.report(MessageRefused{From: from, Group: m.Group, Err: fmt.Errorf("it says %d → %d", m.Message.From, m.Message.To)})
		return
	}
	late := m.Message.Kind == raft.HeartbeatReply && m.Message.Term == g.replica.Engine().Term() // to a beat from before it was quiesced
	err := g.replica.Step(m.Message)
	switch {
	case errors.Is(err, raft.ErrUnsafe):
		l.fail(fmt.Errorf("group %s, message of node %d: %w", g.id, from, err))
	case err != nil:
		l.report(MessageRefused{From: from, Group: m.Group, Err: err})
	}
	if g.quiesced && late {
		l.enqueue(g)
		return
	}
	l.touch(g)
}

// checkpointWritten: of a replica that has been retired meanwhile nothing is left.
func (l *Lane) checkpointWritten(e CheckpointWritten) {
	if g := l.groups[e.Group]; g != nil {
		g.replica.CheckpointWritten(e.Applied)
		l.touch(g)
	}
}

func (l *Lane) persisted(e Persisted) {
	g := l.groups[e.Group]
	if l.retired[e.Group] {
		return
	}
	if g == nil { // not Holds: its arguments would cost an allocation each on the hot path
		invariant.Fail("a write of unknown group %s is reported durable", e.Group)
	}
	installing := g.replica.Installing()
	g.replica.Persisted(e.Seq)
	if installing && !g.replica.Installing() {
		l.report(SnapshotInstalled{Group: g.id, Applied: g.replica.Applied()})
	}
	l.touch(g)
}

// settle lets everything that this step has begun within the node run its course.
func (l *Lane) settle() {
	for len(l.touched) > 0 || len(l.local) > 0 {
		l.running, l.touched = l.touched, l.running[:0]
		for _, g := range l.running {
			g.touched = false
			if !g.retired {
				l.run(g)
			}
		}
		if l.cluster.version() != l.followed {
			l.follow()
		}
		messages := l.local
		l.local = nil
		for _, m := range messages {
			l.receive(l.node, m)
		}
	}
}

// touch has a group run before the step ends, and wakes it: something has happened to it.
func (l *Lane) touch(g *group) {
	if g.quiesced {
		g.quiesced, g.stillTicks = false, 0
	}
	l.enqueue(g)
}

func (l *Lane) enqueue(g *group) {
	if !g.touched {
		g.touched = true
		l.touched = append(l.touched, g)
	}
}

// send hands a message to a node, which may be this one.
func (l *Lane) send(to raft.NodeID, m Message) {
	if to == l.node {
		l.local = append(l.local, m)
		return
	}
	l.effects.Send = append(l.effects.Send, Send{To: to, Message: m})
}

// sendOthers sends to all of the nodes but this one, and those that were removed.
func (l *Lane) sendOthers(nodes []directory.Node, m Message) {
	for i := range nodes {
		if n := &nodes[i]; n.ID != l.node && n.Role != directory.Removed {
			l.send(n.ID, m)
		}
	}
}

func (l *Lane) report(r Report) { l.effects.Reports = append(l.effects.Reports, r) }

// fail asks the host to stop the process. The first reason stands.
func (l *Lane) fail(err error) {
	if l.effects.Fatal == nil {
		l.effects.Fatal = err
	}
}
