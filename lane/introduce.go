package lane

import (
	"slices"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/raft"
)

// A node that was away while others joined or moved doesn't know where they are: that stands in the log that it has missed. If one of those leads the
// cluster's group by then, the two can't speak to each other, and nobody else would send what is missing. So every node now and then asks those whom it does
// know, and whose directory is newer introduces the nodes that it has. The newest word about a node counts until the directory here is as new.

// WhoIsThere asks for an introduction.
type WhoIsThere struct {
	Applied raft.Index // of the cluster's group, by the sender
}

// Introduction answers, if the directory of who was asked is newer.
type Introduction struct {
	Applied raft.Index       // of the cluster's group, by the sender
	Nodes   []directory.Node // those that its directory has, without those that were removed
}

func (WhoIsThere) isMessage()   {}
func (Introduction) isMessage() {}

// introduced is what a newer directory says of a node.
type introduced struct {
	directory.Node
	applied raft.Index // by that directory
}

func (l *Lane) askWhoIsThere() {
	if l.now.Sub(l.askedWho) < l.limits.AskWhoEvery {
		return
	}
	l.askedWho = l.now
	l.sendOthers(l.acquaintances(), WhoIsThere{Applied: l.cluster.group.replica.Applied()})
}

// receiveWhoIsThere asks back if the other's directory is newer: it may be one that only the configuration of this node names.
func (l *Lane) receiveWhoIsThere(from raft.NodeID, m WhoIsThere) {
	applied := l.cluster.group.replica.Applied()
	if applied < m.Applied {
		l.send(from, WhoIsThere{Applied: applied})
	}
	if applied <= m.Applied {
		return
	}
	living := slices.Clone(l.cluster.machine.Nodes())
	living = slices.DeleteFunc(living, func(n directory.Node) bool { return n.Role == directory.Removed })
	l.send(from, Introduction{Applied: applied, Nodes: living})
}

// receiveIntroduction takes what is newer than the directory here and what others have said.
func (l *Lane) receiveIntroduction(m Introduction) {
	if m.Applied <= l.cluster.group.replica.Applied() {
		return
	}
	met := false
	for _, n := range m.Nodes {
		word := introduced{n, m.Applied}
		here := l.cluster.machine.Node(n.ID)
		at := slices.IndexFunc(l.introduced, func(other introduced) bool { return other.ID == n.ID })
		switch {
		case n.ID == 0 || n.ID == l.node:
		case here != nil && at < 0 && here.Addresses == n.Addresses:
		case at >= 0:
			if old := l.introduced[at]; old.applied < word.applied {
				l.introduced[at] = word
				met = met || old.Node != n
			}
		case len(l.introduced) < l.limits.IntroducedMax:
			l.introduced, met = append(l.introduced, word), true
			l.report(NodeIntroduced{Node: n.ID})
		}
	}
	if met {
		l.tellNodes()
	}
}

// acquaintances are the nodes of the directory, where the newest word says they are, and those that aren't in it yet but were introduced.
func (l *Lane) acquaintances() []directory.Node {
	nodes := l.cluster.machine.Nodes()
	if len(l.introduced) == 0 {
		return nodes
	}
	nodes = slices.Clone(nodes)
	for _, word := range l.introduced {
		if at := slices.IndexFunc(nodes, func(n directory.Node) bool { return n.ID == word.ID }); at >= 0 {
			nodes[at].Addresses = word.Addresses
			continue
		}
		nodes = append(nodes, word.Node)
	}
	return nodes
}

// forgetIntroductions that are no newer than the directory here.
func (l *Lane) forgetIntroductions() {
	applied := l.cluster.group.replica.Applied()
	l.introduced = slices.DeleteFunc(l.introduced, func(word introduced) bool { return word.applied <= applied })
}

// tellNodes hands out who is there, and the tokens that go with it.
func (l *Lane) tellNodes() {
	l.effects.Nodes, l.effects.Tokens = l.acquaintances(), l.cluster.machine.Tokens()
}

// NodeIntroduced says that another node has told of one that the directory here doesn't name, or not where it is: the directory here is old, and about to be
// brought up to date.
type NodeIntroduced struct{ Node raft.NodeID }

func (NodeIntroduced) isReport() {}
