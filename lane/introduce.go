package lane

import (
	"slices"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/raft"
)

// A node that was away while others joined knows nothing of them: who is in the cluster stands in the log that it has missed. If a newcomer leads the
// cluster's group by then, the two don't speak to each other, and nobody else would send what is missing. So a node that hears no leader of the
// cluster's group asks those whom it does know, and they introduce those whom they know. It hears and answers those from then on, until its own directory
// says more of them.

// WhoIsThere asks whom the receiver knows.
type WhoIsThere struct{}

// Introduction answers: the nodes that the sender's directory has, and those that were introduced to it.
type Introduction struct {
	Nodes []directory.Node
}

func (WhoIsThere) isMessage()   {}
func (Introduction) isMessage() {}

// askWhoIsThere is for a node that has heard no leader of the cluster's group for longer than an election takes.
func (l *Lane) askWhoIsThere() {
	if l.cluster.group.leading {
		l.heardCluster = l.ticks
	}
	if l.ticks-l.heardCluster < 4*l.limits.ElectionTicks || l.now.Sub(l.askedWho) < l.limits.ReportEvery {
		return
	}
	l.askedWho = l.now
	for _, n := range l.acquaintances() {
		if n.ID != l.node && n.Role != directory.Removed {
			l.send(n.ID, WhoIsThere{})
		}
	}
}

// acquaintances are the nodes of the directory, and those that aren't in it yet but were introduced.
func (l *Lane) acquaintances() []directory.Node {
	return slices.Concat(l.cluster.machine.Nodes(), l.introduced)
}

// forgetIntroductions of those of whom the directory says more now.
func (l *Lane) forgetIntroductions() {
	l.introduced = slices.DeleteFunc(l.introduced, func(n directory.Node) bool { return l.cluster.machine.Node(n.ID) != nil })
}

// receiveIntroduction takes those of whom the directory here says nothing: of the others it knows as much, or will.
func (l *Lane) receiveIntroduction(m Introduction) {
	met := false
	for _, n := range m.Nodes {
		known := func(other directory.Node) bool { return other.ID == n.ID }
		if n.ID == 0 || l.cluster.machine.Node(n.ID) != nil || slices.ContainsFunc(l.introduced, known) || len(l.introduced) >= l.limits.IntroducedMax {
			continue
		}
		l.introduced, met = append(l.introduced, n), true
		l.report(NodeIntroduced{Node: n.ID})
	}
	if met {
		l.effects.Nodes = l.acquaintances()
	}
}

// NodeIntroduced says that another node has told of one that the directory here doesn't name: it is old, and about to be brought up to date.
type NodeIntroduced struct{ Node raft.NodeID }

func (NodeIntroduced) isReport() {}
