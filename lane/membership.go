package lane

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
	"github.com/quorate/quorate/transfer"
)

// The directory says where the replicas of a group should be. Each node makes and ends its own replicas by it, and the leader of each
// group moves the group's Raft membership there. That membership alone decides who counts: the directory may be old here.

// ErrRetired is what Config.Restore returns for a group whose replica here was ended for ever.
var ErrRetired = errors.New("lane: the replica was retired")

// follow makes and ends replicas as the directory says.
func (l *Lane) follow() {
	c := l.cluster
	l.followed = c.version()
	l.forgetIntroductions()
	l.tellNodes()
	for _, g := range l.order {
		l.touch(g) // it may have to move, and rests perhaps
	}
	for i := range c.machine.Groups() {
		g := &c.machine.Groups()[i]
		id := GroupID(g.ID)
		here := slices.Contains(g.Members, l.node) || slices.Contains(g.Leaving, l.node)
		switch {
		case here && l.groups[id] == nil && !l.retired[id]:
			if err := l.addGroup(g); err != nil {
				l.fail(err)
				return
			}
		case slices.Contains(g.Left, l.node) && l.groups[id] != nil && id != ClusterGroup:
			l.retire(l.groups[id])
			l.onLeaderMoved(id)
		}
		l.forgetLeft(id)
	}
	self := c.machine.Node(l.node)
	if self == nil {
		return
	}
	if self.Disk != (directory.Disk{}) && l.cfg.Disk != (directory.Disk{}) && self.Disk != l.cfg.Disk {
		l.fail(fmt.Errorf("this is not the disk that node %d has had: what the node promised is gone with that; remove the node, and add the machine under a new id", l.node))
	}
}

// retire ends a replica: its group has agreed to go on without it.
func (l *Lane) retire(g *group) {
	if g.leading {
		l.endReign(g)
	}
	l.loseHashes(g)
	g.retired = true
	delete(l.groups, g.id)
	l.order = slices.DeleteFunc(l.order, func(other *group) bool { return other == g })
	l.retired[g.id] = true
	l.effects.Writes = append(l.effects.Writes, GroupWrite{Group: g.id, Write: g.replica.Retire()})
	l.report(ReplicaRetired{Group: g.id})
}

// steered says in which reign, and by which directory, a group's membership was found to be as it should.
type steered struct {
	term    raft.Term
	version directoryVersion
}

func (l *Lane) isSteered(g *group) bool {
	return g.steered == steered{term: g.term, version: l.followed}
}

// steer moves the membership of a group that this node leads one step, if it isn't where it should be. A step is safe whatever
// becomes of the next: first newcomers learn, then those who have caught up vote in place of those who leave, all at once, and the leader itself
// leaves by handing over.
func (l *Lane) steer(g *group) {
	if !g.leading {
		return
	}
	l.tellBehind(g)
	if l.isSteered(g) {
		return // all is where it should be, and only this leader could have changed that
	}
	place := l.cluster.machine.Group(string(g.id))
	engine := g.replica.Engine()
	is := engine.Members()
	voters, learners := l.cluster.machine.Place(place)
	if is.Joint() {
		return // the leader of the group ends that by itself
	}
	l.tellAbsent(g, place, &is)
	if slices.Equal(is.Voters, voters) && slices.Equal(is.Learners, learners) && len(unbarred(place, &is)) == 0 {
		if len(learners) == 0 && len(place.Leaving) == 0 {
			g.steered = steered{term: g.term, version: l.followed}
		}
		return
	}
	status := engine.Status()
	changes := l.nextChanges(&status, &is, place, voters, learners)
	switch {
	case len(changes) > 0:
		_, err := engine.ProposeMembership(changes...)
		if err == nil {
			l.report(MembershipProposed{Group: g.id, Changes: changes})
			l.touch(g)
		} // else it is refused as things are: the next tick tries again
	case !slices.Contains(voters, l.node):
		for _, id := range voters {
			if is.IsVoter(id) && l.fit(&status, id) {
				_ = engine.TransferLeadership(id) // refused if it is under way already
				l.touch(g)
				break
			}
		}
	}
}

// nextChanges is the next step from the membership as it is to the one that should be. Only those are taken out who are asked to leave: a member that
// the directory here doesn't know may have come by a newer one, and would be out for ever.
func (l *Lane) nextChanges(status *raft.Status, is *membership.Config, place *directory.Group, voters, learners []raft.NodeID) (changes []membership.Change) {
	for _, id := range slices.Concat(voters, learners) {
		if !is.IsVoter(id) && !is.IsLearner(id) {
			return []membership.Change{{Kind: membership.AddLearner, Node: id}}
		}
	}
	for _, id := range voters {
		if is.IsVoter(id) {
			continue
		}
		if !l.fit(status, id) {
			return nil // nobody leaves before everybody has come
		}
		changes = append(changes, membership.Change{Kind: membership.AddVoter, Node: id})
	}
	for _, id := range is.Members() {
		stranger := mutant.On(mutant.TakeOutStrangers) && !slices.Contains(voters, id) && !slices.Contains(learners, id)
		if id != l.node && (slices.Contains(place.Leaving, id) || stranger) {
			changes = append(changes, membership.Change{Kind: membership.Remove, Node: id})
		}
	}
	if strangers := unbarred(place, is); len(changes) == 0 && len(strangers) > 0 {
		return []membership.Change{{Kind: membership.AddLearner, Node: strangers[0]}} // the next step takes it out
	}
	return changes
}

// unbarred are those who should leave and have never come. A later leader with an older directory would let them in, after the cluster has heard
// that they are out. The membership refuses only whom it has had: so they come, as learners, and leave.
func unbarred(place *directory.Group, is *membership.Config) []raft.NodeID {
	return slices.DeleteFunc(slices.Clone(place.Leaving), func(id raft.NodeID) bool {
		return slices.Contains(is.Members(), id) || slices.Contains(is.Removed, id)
	})
}

// fit says whether a member answers and has caught up, as its leader knows.
func (l *Lane) fit(status *raft.Status, id raft.NodeID) bool {
	return id == l.node || l.heardIn(status, id) && behind(status, id) <= l.limits.CaughtUpEntries
}

// heardIn says whether a member of a group was heard within an election timeout.
func (l *Lane) heardIn(status *raft.Status, id raft.NodeID) bool {
	return heardWithin(status, id, l.limits.ElectionTicks)
}

func behind(status *raft.Status, id raft.NodeID) uint64 {
	if match := status.Match[id]; match < status.Commit {
		return uint64(status.Commit - match)
	}
	return 0
}

// tellBehind tells the cluster's leader how far those are who don't vote yet, and which voters lack more than a learner may that is to vote: whoever stops one node
// after another wants to know. Under load every voter lacks some entries at any moment.
func (l *Lane) tellBehind(g *group) {
	if l.now.Sub(g.toldBehind) < l.limits.ReportEvery {
		return
	}
	g.toldBehind = l.now
	engine := g.replica.Engine()
	report, status, is := GroupReport{Group: g.id}, engine.Status(), engine.Members()
	for _, id := range is.Members() {
		lacks := behind(&status, id)
		if is.IsVoter(id) && l.heardIn(&status, id) && lacks > l.limits.CaughtUpEntries || !is.IsVoter(id) && status.Match[id] > 0 {
			report.Behind = append(report.Behind, Behind{Node: id, Entries: lacks})
		}
	}
	if len(report.Behind) > 0 {
		l.tellCluster(report)
	}
}

// tellAbsent has the cluster's leader told who is out of the group: what they have promised there will be gone then. It asks first whether
// this node still leads, for another leader may have let somebody in.
func (l *Lane) tellAbsent(g *group, place *directory.Group, is *membership.Config) {
	if l.now.Sub(g.toldAbsent) < l.limits.ReportEvery || len(absent(place, is)) == 0 {
		return
	}
	g.toldAbsent = l.now
	l.read(g, waiter{}, confirmAbsent{})
}

// absent are those who should leave and are out for ever: no leader can let them in again, however old its directory.
func absent(place *directory.Group, is *membership.Config) (nodes []raft.NodeID) {
	members := is.Members()
	for _, id := range place.Leaving {
		if !slices.Contains(members, id) && slices.Contains(is.Removed, id) {
			nodes = append(nodes, id)
		}
	}
	return nodes
}

// confirmAbsent is a question of the lane to itself.
type confirmAbsent struct{}

func (confirmAbsent) isAsk() {}

// outlived says since when a leader knows of its membership. A member counts by a membership once it is applied, and after a restart by the one that
// it knows to be committed: if those who stay forget that, they need the votes of those who leave. So these are let go when an entry is
// committed that was proposed later: whoever has acknowledged it has written down, with it or before, that the membership is committed.
type outlived struct {
	term    raft.Term
	members string     // as the engine encodes them
	last    raft.Index // of the log then
}

// absenceConfirmed: this node leads, and its membership is as new as any.
func (l *Lane) absenceConfirmed(g *group) {
	engine := g.replica.Engine()
	place, is := l.cluster.machine.Group(string(g.id)), engine.Members()
	nodes := absent(place, &is)
	if len(nodes) == 0 || is.Joint() {
		return
	}
	if members := string(engine.Membership()); g.outlived.term != g.term || g.outlived.members != members {
		g.outlived = outlived{term: g.term, members: members, last: engine.Status().Last}
	}
	switch {
	case g.replica.Applied() > g.outlived.last || mutant.On(mutant.LetGoAtOnce):
		l.tellCluster(GroupReport{Group: g.id, Absent: nodes})
	case g.replica.CanPropose() && engine.Status().Last == g.outlived.last:
		_, _ = g.replica.Propose(g.host.nothing()) // refused if leadership is going
		l.touch(g)
	}
}

func (l *Lane) tellCluster(m GroupReport) {
	if leader := l.leaderOf(ClusterGroup); leader != 0 {
		l.send(leader, m)
	}
}

// handover is a wish that another node should lead, on its way.
type handover struct {
	waiter waiter
	to     raft.NodeID
}

// transferLeader asks another voter to lead.
func (l *Lane) transferLeader(g *group, w waiter, to raft.NodeID) {
	if to == l.node {
		l.answer(w, Answer{}) // also after it has taken over: the question follows the leader
		return
	}
	engine := g.replica.Engine()
	is, status := engine.Members(), engine.Status()
	var err error
	switch n := l.cluster.machine.Node(to); {
	case n == nil:
		err = fmt.Errorf("%w: node %d", transfer.ErrUnknownNode, to)
	case !slices.Contains(is.Voters, to):
		err = refuse("node %d doesn't vote in %s: its voters are %v", to, g.id, is.Voters)
	case !l.heardIn(&status, to):
		err = refuse("node %d doesn't answer", to)
	case !l.fit(&status, to):
		err = refuse("node %d is %d entries behind in %s", to, behind(&status, to), g.id)
	default:
		if err = engine.TransferLeadership(to); err != nil {
			err = refuse("%v", err)
		}
	}
	if err != nil {
		l.answer(w, Answer{Err: err})
		return
	}
	g.handovers = append(g.handovers, handover{w, to})
	l.touch(g)
}

// tickHandovers answers those whose wish wasn't granted. A granted one was lost with the leadership, and asks at the new leader.
func (l *Lane) tickHandovers(g *group) {
	if len(g.handovers) == 0 || g.replica.Engine().Status().TransferTo != 0 {
		return
	}
	for _, h := range g.handovers {
		l.answer(h.waiter, Answer{Err: refuse("node %d didn't take over %s in time", h.to, g.id)})
	}
	g.handovers = nil
}

func (l *Lane) loseHandovers(g *group) {
	for _, h := range g.handovers {
		l.lost(h.waiter, g.id)
	}
	g.handovers = nil
}

// firstState is what an empty replica starts from: the members that the group began with.
func firstState(g *directory.Group, state raft.State) raft.State {
	if state.Membership == nil {
		first := membership.Config{Voters: g.Founding, Learners: g.Audience}
		state.Membership = first.Encode()
	}
	return state
}
