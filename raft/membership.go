package raft

import (
	"slices"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft/membership"
	"github.com/quorate/quorate/raft/progress"
	"github.com/quorate/quorate/raft/quorum"
)

// ProposeMembership adds a change of the members to the log. It is active on each member when that applies the entry. Several
// changes at once go through a joint phase, in which both the old and the new voters decide, and which the leader ends by itself.
// Refusals: ErrNotLeader, ErrTransferring, ErrPending, those of membership.Check, and ErrNoQuorum: the voters after the change would have no
// majority that was heard within an election timeout, so the group would stand still at once. Newcomers join as learners first.
func (r *Raft) ProposeMembership(changes ...membership.Change) (EntryID, error) {
	switch {
	case r.role != Leader:
		return EntryID{}, ErrNotLeader
	case r.transferTo != 0 || r.leaving != 0:
		return EntryID{}, ErrTransferring
	case r.pendingChange > r.log.applied:
		return EntryID{}, ErrPending
	}
	if err := membership.Check(r.members, changes); err != nil {
		return EntryID{}, err
	}
	next := membership.Apply(r.members, changes)
	if agreed := quorum.Majority(next.Voters).Vote(r.isWell); agreed != quorum.Won {
		return EntryID{}, ErrNoQuorum
	}
	id := r.appendOwn(Membership, membership.EncodeChanges(changes))
	r.pendingChange = id.Index
	return id, nil
}

// isWell says whether a node was heard within an election timeout, in this term.
func (r *Raft) isWell(id NodeID) (well, known bool) {
	p := r.peer(id)
	well = id == r.id || p != nil && (p.Match > 0 || p.Round > 0) && r.ticks-p.Heard < uint64(r.cfg.ElectionTicks)
	return well, true
}

// Members returns the active membership: that of the last applied entry. It must not be changed.
func (r *Raft) Members() membership.Config { return r.members }

// Membership returns the active membership in its durable form. A checkpoint of the state machine at the last applied
// index must keep it, and bring it back as State.Membership.
func (r *Raft) Membership() []byte { return r.members.Encode() }

// applyMembership makes a change active.
func (r *Raft) applyMembership(e *Entry) {
	changes, err := membership.DecodeChanges(e.Data)
	invariant.Holds(err == nil, "membership entry %d@%d got into the log: %v", e.Index, e.Term, err)
	next := membership.Apply(r.members, changes)
	if r.role == Leader {
		r.sayGoodbye(&next)
	}
	r.setMembers(next)
}

// setMembers is the one place where the active membership changes.
func (r *Raft) setMembers(next membership.Config) {
	r.members, r.voters = next, next.Quorum()
	votes := r.voters.Has(r.id)
	switch {
	case r.role == Leader:
		r.syncPeers()
		r.leaving = 0
		if !votes {
			r.leaving = r.log.applied
			r.beat()
		}
		if r.transferTo != 0 && !r.voters.Has(r.transferTo) {
			r.transferTo = 0
		}
		r.advanceCommit() // a smaller set may agree on more
		r.confirmRounds()
		r.sendDue = true
	case !votes:
		if r.role != Learner {
			r.becomeFollower(r.term, r.leader)
		}
	case r.role == Learner:
		r.role = Follower
	}
}

// stopIfTold ends the reign of a leader that has left, once more than half of those who stay know that it has (Ongaro §4.2.2 lets it go when the change is
// committed; but here memberships are active when applied, and whoever doesn't know of the commit still waits for this node's vote).
func (r *Raft) stopIfTold() {
	told := func(id NodeID) (bool, bool) {
		p := r.peer(id)
		return p.ToldIn > 0 && p.Round >= p.ToldIn, true
	}
	if r.leaving == 0 || quorum.Majority(r.members.Voters).Vote(told) != quorum.Won {
		return
	}
	if best := r.bestSuccessor(); best != nil {
		r.sendTimeoutNow(best.id)
	}
	r.becomeFollower(r.term, 0)
}

// sayGoodbye tells those who leave that they do: they stop campaigning as soon as they apply it.
func (r *Raft) sayGoodbye(next *membership.Config) {
	stay := next.Members()
	for i := range r.peers {
		p := &r.peers[i]
		if p.id != r.id && !slices.Contains(stay, p.id) && p.State == progress.Replicate {
			r.sendHeartbeat(p)
		}
	}
}

// syncPeers makes peers the members, keeping what is known of those who stay.
func (r *Raft) syncPeers() {
	old := r.peers
	ids := r.members.Members()
	r.peers = make([]peer, len(ids))
	for i, id := range ids {
		p := &r.peers[i]
		at := slices.IndexFunc(old, func(o peer) bool { return o.id == id })
		switch {
		case at >= 0:
			*p = old[at]
		default:
			p.id = id
			p.Reset(r.log.last()+1, r.ticks)
		}
		if id == r.id {
			p.Match, p.Next, p.Round = r.log.stable, r.log.stable+1, r.reading.round
		}
	}
}

// leaveJoint ends a joint phase, also one that another leader began.
func (r *Raft) leaveJoint() {
	if r.role == Leader && r.members.Joint() && r.members.AutoLeave && r.pendingChange <= r.log.applied {
		r.pendingChange = r.appendOwn(Membership, nil).Index
	}
}
