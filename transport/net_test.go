package transport_test

import (
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come. It never passes when all is well.
const patience = time.Minute

type delivery struct {
	from      raft.NodeID
	envelopes []*peerv1.Envelope
}

// member is one node of a test's network.
type member struct {
	t       *testing.T
	id      raft.NodeID
	address string
	*transport.Transport
	delivered chan delivery
	events    chan transport.Event
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	return l
}

// start runs a node of cluster "test" on a listener; change may alter its configuration.
func start(t *testing.T, id raft.NodeID, l net.Listener, peers map[raft.NodeID]string, change func(*transport.Config)) *member {
	t.Helper()
	m := &member{t: t, id: id, address: l.Addr().String(), delivered: make(chan delivery, 4096), events: make(chan transport.Event, 4096)}
	cfg := transport.Config{
		Cluster: "test", Node: id, Peers: peers, Listener: l,
		Deliver: func(from raft.NodeID, e []*peerv1.Envelope) { m.delivered <- delivery{from, e} },
		Report:  func(e transport.Event) { m.events <- e },
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if m.Transport, err = transport.Start(cfg); err != nil {
		t.Fatalf("start node %d: %v", id, err)
	}
	return m
}

// pair starts nodes 1 and 2 and waits until both are connected.
func pair(t *testing.T, change func(*transport.Config)) (a, b *member) {
	t.Helper()
	la, lb := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	peers := map[raft.NodeID]string{1: la.Addr().String(), 2: lb.Addr().String()}
	a, b = start(t, 1, la, peers, change), start(t, 2, lb, peers, change)
	a.awaits(transport.Connected)
	b.awaits(transport.Connected)
	return a, b
}

// awaits reads events until one of the kind comes.
func (m *member) awaits(kind transport.EventKind) transport.Event {
	m.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e := <-m.events:
			if e.Kind == kind {
				return e
			}
		case <-timeout:
			m.t.Fatalf("node %d: no event %q within %v", m.id, kind, patience)
		}
	}
}

func (m *member) receives() delivery {
	m.t.Helper()
	select {
	case d := <-m.delivered:
		return d
	case <-time.After(patience):
		m.t.Fatalf("node %d: nothing arrived within %v", m.id, patience)
		return delivery{}
	}
}

// beat is a heartbeat with a number to know it by.
func beat(from, to raft.NodeID, round uint64) []*peerv1.Envelope {
	return []*peerv1.Envelope{transport.RaftEnvelope("bank/A", &raft.Message{Kind: raft.Heartbeat, From: from, To: to, Term: 1, Round: round})}
}

func entry(from, to raft.NodeID, bytes int) []*peerv1.Envelope {
	m := raft.Message{Kind: raft.Append, From: from, To: to, Term: 1, Entries: []raft.Entry{{Index: 1, Term: 1, Data: make([]byte, bytes)}}}
	return []*peerv1.Envelope{transport.RaftEnvelope("bank/A", &m)}
}
