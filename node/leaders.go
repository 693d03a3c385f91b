package node

import (
	"sync/atomic"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
)

// leaders is who leads the coordinator groups, as far as this node has replicas of them, and where clients reach it. Only the loop's
// goroutine changes it.
type leaders struct {
	of      map[lane.GroupID]raft.NodeID
	doors   map[raft.NodeID]string // gRPC addresses
	address atomic.Pointer[string] // of who leads all of them; nil or empty: several do, or this node, or it isn't known
}

// changed notes who leads a group; zero: nobody, or there is no replica here any more.
func (l *leaders) changed(n *Node, group lane.GroupID, leader raft.NodeID) {
	if lane.BankOf(group) != "" || group == lane.ClusterGroup {
		return
	}
	if l.of == nil {
		l.of = map[lane.GroupID]raft.NodeID{}
	}
	l.of[group] = leader
	l.settle(n)
}

// moved notes where nodes listen.
func (l *leaders) moved(n *Node, nodes []directory.Node) {
	l.doors = make(map[raft.NodeID]string, len(nodes))
	for i := range nodes {
		l.doors[nodes[i].ID] = nodes[i].Addresses.GRPC
	}
	for _, p := range n.config.Nodes { // where the file has an address, that one counts
		if _, known := l.doors[raft.NodeID(p.ID)]; known && p.GRPC != "" {
			l.doors[raft.NodeID(p.ID)] = p.GRPC
		}
	}
	l.settle(n)
}

func (l *leaders) settle(n *Node) {
	var one raft.NodeID
	if len(l.of) == max(n.config.Coordinators, 1) {
		one = l.same()
	}
	address := ""
	if one != raft.NodeID(n.config.Node) {
		address = l.doors[one]
	}
	l.address.Store(&address)
}

// same is who leads all groups; zero if that isn't one node.
func (l *leaders) same() (one raft.NodeID) {
	for _, leader := range l.of {
		if one == 0 {
			one = leader
		}
		if leader == 0 || leader != one {
			return 0
		}
	}
	return one
}

// Leader is where the node listens for gRPC that leads every coordinator group: asked there, a transfer isn't forwarded. Empty: it
// is this one, or there is none, or this node doesn't know.
func (n *Node) Leader() string {
	if address := n.leaders.address.Load(); address != nil {
		return *address
	}
	return ""
}
