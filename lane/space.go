package lane

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/quorum"
	"github.com/quorate/quorate/transfer"
)

// offerAgain is after how many HandOverAfter the members are offered a group again for want of space.
const offerAgain = 6

// spaceChanged takes note of how much room the disk has. While it is low this node takes no new work and finishes what has
// begun: decisions, commits and rollbacks must find room. What it leads it offers to the other members, once each, and again after a while: theirs
// may be full, too.
func (l *Lane) spaceChanged(low bool) {
	if l.lowSpace == low {
		return
	}
	l.lowSpace = low
	l.sayOfItself()
	for _, g := range l.order {
		g.successors = nil
		if low {
			l.offerAnew(g)
		}
		l.touch(g)
	}
}

func (l *Lane) offerAnew(g *group) {
	g.offered = l.now
	members := g.replica.Engine().Members()
	g.successors = slices.DeleteFunc(members.Members(), func(m raft.NodeID) bool { return m == l.node })
}

// crowded says whether what begins now would take the last room of somebody, which is for what has begun: a voter of the group has said that its disk is nearly
// full, and those that are there and have room are no majority. Or this node has no room itself.
func (l *Lane) crowded(g *group) bool {
	if l.lowSpace || !l.lowElsewhere.After(l.now) {
		return l.lowSpace
	}
	members := g.replica.Engine().Members()
	isFull := func(voter raft.NodeID) bool { return voter != l.node && l.saidLately(voter).lowSpace }
	if !slices.ContainsFunc(members.Voters, isFull) && !slices.ContainsFunc(members.Outgoing, isFull) {
		return false
	}
	return members.Quorum().Vote(func(voter raft.NodeID) (room, said bool) { return l.alive(voter) && !isFull(voter), true }) != quorum.Won
}

// handOver offers a group to the next member that might have room.
func (l *Lane) handOver(g *group) {
	if !l.lowSpace || !g.leading || g.replica.Engine().Status().TransferTo != 0 {
		return
	}
	if len(g.successors) == 0 {
		if l.now.Sub(g.offered) >= offerAgain*l.limits.HandOverAfter {
			l.offerAnew(g)
		}
		return
	}
	to := g.successors[0]
	g.successors = g.successors[1:]
	if l.saidLately(to).lowSpace {
		return // the next one at the next tick
	}
	_ = g.replica.Engine().TransferLeadership(to) // a learner, or leadership is going anyway: the next one is asked at the next tick
}

// refuses says whether a request must not begin here for want of room.
func (l *Lane) refuses(g *group, ask Ask) bool {
	switch ask.(type) {
	case Submit, OpenAccount:
		return l.crowded(g)
	}
	return false
}

// refuse turns a request away, or lets it wait for the next leader if there may be one.
func (l *Lane) refuse(w waiter, g *group) {
	if len(g.successors) > 0 || g.replica.Engine().Status().TransferTo != 0 {
		l.lost(w, g.id)
		return
	}
	whose := "its own is nearly full"
	if !l.lowSpace {
		whose = "too few of its other voters have room"
	}
	l.answer(w, Answer{Err: fmt.Errorf("%w: node %d leads %s, and %s", transfer.ErrDiskFull, l.node, g.id, whose)})
}

// dropsForSpace says whether a bank's request is left unanswered: a new prepare, whose yes would need room until its outcome. Its
// coordinator aborts it in time, and gives this bank no new ones after a while.
func (l *Lane) dropsForSpace(g *group, r *bank.Request) bool {
	return r.Op == bank.Prepare && l.crowded(g)
}
