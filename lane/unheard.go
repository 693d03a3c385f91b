package lane

import (
	"slices"

	"github.com/quorate/quorate/raft"
)

// A node that was away while another one joined knows nothing of it: who is in the cluster stands in the log that it has missed. If the newcomer leads
// the cluster's group by then, the two can't speak to each other, and nobody else would send what is missing. But the node asks for votes, of members that
// it does know. They tell the leader, and a leader that has heard nothing of such a node hands over to whoever has.

// tellUnheard is for a member that asks for votes in the cluster's group although there is a leader.
func (l *Lane) tellUnheard(from raft.NodeID) {
	leader := l.leaderOf(ClusterGroup)
	if leader == 0 || leader == l.node || leader == from || l.now.Sub(l.toldUnheard) < l.limits.ReportEvery {
		return
	}
	l.toldUnheard = l.now
	l.send(leader, GroupReport{Group: ClusterGroup, Unheard: []raft.NodeID{from}})
}

// handOverFor hands the cluster's group to a node which has heard members that this one hasn't, within an election timeout. A member that says something and
// hears nobody must not send leadership in circles: a leader leads for HandOverAfter before it does so, and between two attempts.
func (c *clusterHost) handOverFor(unheard []raft.NodeID, to raft.NodeID) {
	l, g := c.lane, c.group
	if len(unheard) == 0 || l.now.Sub(c.handedFor) < l.limits.HandOverAfter {
		return
	}
	status := g.replica.Engine().Status()
	if status.TransferTo != 0 || !slices.ContainsFunc(unheard, func(id raft.NodeID) bool { return !l.heardIn(&status, id) }) {
		return
	}
	c.handedFor = l.now
	if err := g.replica.Engine().TransferLeadership(to); err != nil {
		return // it has no vote now
	}
	l.touch(g)
	l.report(LeadershipOffered{Group: g.id, Term: g.term, To: to})
}
