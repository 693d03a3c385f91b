package lane

import (
	"github.com/quorate/quorate/coordinator/driver"
	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
	"github.com/quorate/quorate/transfer"
)

// Status is what this node knows: cheap, local, and as old as what its replicas have heard.
type Status struct {
	Groups []GroupStatus
	Banks  []BankStatus
	Counts driver.Counts // of the coordinator shards that this node leads
	Asks   int           // client requests open at this node

	LowSpace bool // the disk is nearly full: nothing new is begun
}

// GroupStatus is one replica on this node.
type GroupStatus struct {
	Group   GroupID
	Members membership.Config
	Raft    raft.Status
	Leading bool // leads, and is ready to answer

	Quiesced bool // at rest: it has had nothing to do for a while, as far as this replica knows
}

// MemberStatus is one node, as the leader of the cluster's group sees it.
type MemberStatus struct {
	Node   directory.Node
	Alive  bool      // was heard within an election timeout
	Groups []GroupID // it holds, or will or did until its last replica is gone
	Behind uint64    // entries, in the group where it is furthest behind; of a voter zero unless it lacks many
}

// BankStatus is one bank of the cluster.
type BankStatus struct {
	Bank    transfer.BankID
	Members []raft.NodeID
	Leader  raft.NodeID    // zero: unknown
	Up      bool           // answers, as far as the coordinators on this node have asked
	Breaker driver.Breaker // whether they give it new transfers
}

// silentMeansDown is how many requests in a row a bank may leave unanswered before it is called down.
const silentMeansDown = 2

func (l *Lane) status() Status {
	s := Status{Asks: len(l.gateway.open), LowSpace: l.lowSpace}
	for _, g := range l.order {
		s.Groups = append(s.Groups, GroupStatus{Group: g.id, Members: g.replica.Engine().Members(), Raft: g.replica.Engine().Status(), Leading: g.leading, Quiesced: g.quiesced})
	}
	for _, b := range l.cfg.Directory.Banks {
		leader := l.leaderOf(l.banks[b.Bank])
		s.Banks = append(s.Banks, BankStatus{Bank: b.Bank, Members: l.members(BankGroup(b.Bank)), Leader: leader, Up: leader != 0 && l.answers(b.Bank), Breaker: l.breaker(b.Bank)})
	}
	for _, shard := range l.shards {
		g := l.groups[shard]
		if g == nil {
			continue
		}
		c := g.host.(*coordinatorHost)
		counts := c.driver.Counts()
		s.Counts.Committed += counts.Committed
		s.Counts.Aborted += counts.Aborted
		if g.leading {
			s.Counts.InFlight += counts.InFlight
			s.Counts.Held += counts.Held
			s.Counts.InDoubt += counts.InDoubt
		}
	}
	return s
}

// answers says whether the bank has kept answering the coordinators that this node leads.
func (l *Lane) answers(id transfer.BankID) bool {
	for _, shard := range l.shards {
		if c := l.leadingCoordinator(shard); c != nil && c.driver.BankSilent(id) >= silentMeansDown {
			return false
		}
	}
	return true
}

// breaker is the widest open one that the coordinators led by this node have for a bank.
func (l *Lane) breaker(id transfer.BankID) driver.Breaker {
	breaker := driver.BreakerClosed
	for _, shard := range l.shards {
		if c := l.leadingCoordinator(shard); c != nil {
			breaker = max(breaker, c.driver.BankBreaker(id))
		}
	}
	return breaker
}

func (l *Lane) leadingCoordinator(shard GroupID) *coordinatorHost {
	g := l.groups[shard]
	if g == nil || !g.leading {
		return nil
	}
	return g.host.(*coordinatorHost)
}
