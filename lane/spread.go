package lane

import (
	"slices"

	"github.com/quorate/quorate/raft"
)

// Each group has one member that should lead it, so that the work of leaders is spread over the nodes: the groups take turns with their members' places. It
// follows from the directory, so all nodes agree on it without a word. Where the preferred member is down, whoever was elected leads.
//
// Leadership can't go round in circles: nobody but the preferred member is ever handed a group here, and whoever was handed one keeps it, be it by an
// operator, or by a leader whose disk hung.

// preferredLeader is the voter that should lead a group.
func (l *Lane) preferredLeader(id GroupID) raft.NodeID {
	voters, _ := l.cluster.machine.Place(l.cluster.machine.Group(string(id)))
	turn := slices.Index(l.shards, id)
	if id == ClusterGroup {
		turn = 0
	} else if turn < 0 {
		bank := BankOf(id)
		turn = len(l.shards) + slices.IndexFunc(l.cfg.Directory.Banks, func(b BankPlace) bool { return b.Bank == bank })
	}
	return voters[turn%len(voters)]
}

// spread hands a group that this node leads to its preferred member, calmly: only after that one has been well and has kept up with the log for the
// whole of HandOverAfter, which is also the shortest time between two attempts. A member that has just come back has to prove itself as long.
func (l *Lane) spread(g *group) {
	if !g.leading || !l.shouldPass(g) {
		g.spreadFrom = l.now
		return
	}
	if l.now.Sub(g.spreadFrom) < l.limits.HandOverAfter {
		return
	}
	g.spreadFrom = l.now
	preferred := l.preferredLeader(g.id)
	if err := g.replica.Engine().TransferLeadership(preferred); err != nil {
		return // it has no vote now
	}
	l.report(LeadershipOffered{Group: g.id, Term: g.term, To: preferred})
}

// shouldPass says whether another should lead, was heard lately, and has all but the latest entries.
func (l *Lane) shouldPass(g *group) bool {
	preferred := l.preferredLeader(g.id)
	if preferred == l.node {
		return false
	}
	s := g.replica.Engine().Status()
	return !s.Handed && s.TransferTo == 0 && l.heardLately(&s, preferred) && uint64(s.Match[preferred])+l.limits.CaughtUpEntries >= uint64(s.Last)
}

// heardLately says whether a leader has heard a member within two of its heartbeats.
func (l *Lane) heardLately(s *raft.Status, member raft.NodeID) bool {
	return heardWithin(s, member, 2*l.limits.HeartbeatTicks)
}

func heardWithin(s *raft.Status, member raft.NodeID, ticks int) bool {
	silent, heard := s.SilentTicks[member]
	return heard && silent <= uint64(ticks)
}
