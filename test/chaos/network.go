package main

import (
	"fmt"
	"time"
)

// way is one direction between two nodes: who speaks, and to whom.
type way struct{ from, to uint64 }

// network is every way by which bytes reach a node: one link for each direction between two nodes, one for the clients of each.
// A node sends to another over the connection that it dials itself, so the link of a way carries exactly its messages.
type network struct {
	nodes   []uint64
	ways    map[way]*link
	clients map[uint64]*link
}

func openNetwork(places []place) (*network, error) {
	n := &network{ways: map[way]*link{}, clients: map[uint64]*link{}}
	for _, to := range places {
		n.nodes = append(n.nodes, to.id)
		l, err := openLink(fmt.Sprintf("clients → %d", to.id), to.grpc)
		if err != nil {
			n.close()
			return nil, err
		}
		n.clients[to.id] = l
		for _, from := range places {
			if from.id == to.id {
				continue
			}
			l, err := openLink(fmt.Sprintf("%d → %d", from.id, to.id), to.peer)
			if err != nil {
				n.close()
				return nil, err
			}
			n.ways[way{from.id, to.id}] = l
		}
	}
	return n, nil
}

func (n *network) close() {
	for _, l := range n.ways {
		l.close()
	}
	for _, l := range n.clients {
		l.close()
	}
}

// cutAll breaks every connection between nodes.
func (n *network) cutAll() {
	for _, l := range n.ways {
		l.cut()
	}
}

// heal lets everything pass again.
func (n *network) heal() {
	for _, l := range n.ways {
		l.set(weather{})
	}
	for _, l := range n.clients {
		l.set(weather{})
	}
}

// set changes the weather on some ways.
func (n *network) set(ways []way, w weather) {
	for _, each := range ways {
		n.ways[each].set(w)
	}
}

// around are the ways to and from one node.
func (n *network) around(id uint64) (ways []way) {
	for _, other := range n.nodes {
		if other != id {
			ways = append(ways, way{id, other}, way{other, id})
		}
	}
	return ways
}

// out are the ways from one node.
func (n *network) out(id uint64) (ways []way) {
	for _, other := range n.nodes {
		if other != id {
			ways = append(ways, way{id, other})
		}
	}
	return ways
}

// opposite are the ways between all nodes but one: with three, those two hear each other only through it.
func (n *network) opposite(bridge uint64) (ways []way) {
	for _, a := range n.nodes {
		for _, b := range n.nodes {
			if a != b && a != bridge && b != bridge {
				ways = append(ways, way{a, b})
			}
		}
	}
	return ways
}

// all are all ways between nodes.
func (n *network) all() (ways []way) {
	for _, id := range n.nodes {
		ways = append(ways, n.out(id)...)
	}
	return ways
}

// A slow network: what may come on top of loopback.
const (
	delayMin = 5 * time.Millisecond
	delayMax = 400 * time.Millisecond
)
