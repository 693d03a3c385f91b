package node

import (
	"fmt"
	"strings"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transport"
)

// addresses are where this node listens.
func (c *Config) addresses() directory.Addresses {
	self, err := c.Self()
	if err != nil {
		return directory.Addresses{} // Validate has said so
	}
	return directory.Addresses{Peer: self.Peer, GRPC: self.GRPC, HTTP: self.HTTP}
}

// peers are those that the file names: the nodes that the cluster began with, and later ones that this node needs to find it.
func (c *Config) peers() map[raft.NodeID]string {
	peers := c.founders()
	if c.Join != nil {
		for _, p := range c.Join.Peers {
			peers[raft.NodeID(p.ID)] = p.Peer
		}
	}
	return peers
}

// founders are the other nodes that the cluster began with, as the file has them.
func (c *Config) founders() map[raft.NodeID]string {
	peers := map[raft.NodeID]string{}
	for _, p := range c.Nodes {
		if p.ID != c.Node {
			peers[raft.NodeID(p.ID)] = p.Peer
		}
	}
	return peers
}

// followNodes tells the transport what the directory knows. Where the file has an address, that one counts: it is how a cluster that was moved as a
// whole finds itself.
func (n *Node) followNodes(nodes []directory.Node) {
	n.leaders.moved(n, nodes)
	file := n.config.founders()
	peers := make(map[raft.NodeID]transport.Peer, len(nodes))
	for i := range nodes {
		d := &nodes[i]
		if d.ID == raft.NodeID(n.config.Node) {
			n.leaving.Store(d.Role == directory.Leaving || d.Role == directory.Removed)
		}
		p := transport.Peer{Address: d.Addresses.Peer, Disk: d.Disk, Gone: d.Role == directory.Removed}
		if address, listed := file[d.ID]; listed {
			p.Address = address
		}
		peers[d.ID] = p
	}
	for id, address := range n.config.peers() {
		if _, known := peers[id]; !known {
			peers[id] = transport.Peer{Address: address} // this node doesn't have the directory yet
		}
	}
	if err := n.transport.SetPeers(peers); err != nil {
		n.log.Error("a peer has no usable address", "err", err)
	}
}

// metBy is which data directories the other nodes have had, as far as this node has met them.
func metBy(store *storage.Store) map[raft.NodeID][16]byte {
	met := map[raft.NodeID][16]byte{}
	for id, disk := range store.Met() {
		met[id] = disk
	}
	return met
}

// Identity says whose data directory this node's is.
func (c *Config) Identity() storage.Identity {
	return storage.Identity{Cluster: c.Cluster, Node: raft.NodeID(c.Node), Founding: c.founding()}
}

// founding says in one line how the cluster began, addresses left out: machines may move.
func (c *Config) founding() string {
	d := c.Directory()
	var b strings.Builder
	fmt.Fprintf(&b, "nodes %v, coordinators", d.Nodes)
	for _, members := range d.Coordinators {
		fmt.Fprintf(&b, " %v", members)
	}
	for _, at := range d.Banks {
		fmt.Fprintf(&b, ", bank %s %v", at.Bank, at.Members)
	}
	return b.String()
}

// origin says what a data directory began with. It is nothing that a node that joined later could be held to, or one whose store was damaged.
func (c *Config) origin(stored string) string {
	switch {
	case c.Join != nil || stored == storage.OriginUnknown:
		return ""
	case stored == "":
		return "an empty data directory"
	}
	return stored
}
