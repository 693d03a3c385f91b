package etcdraft

import (
	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
	"github.com/quorate/quorate/raft/quorum"
)

// ProposeMembership adds a change of the members to the log, as raft.Raft does. Refusals: raft.ErrNotLeader,
// raft.ErrTransferring, raft.ErrPending, those of membership.Check, and raft.ErrNoQuorum.
func (r *Raft) ProposeMembership(changes ...membership.Change) (raft.EntryID, error) {
	switch {
	case r.state != etcd.StateLeader:
		return raft.EntryID{}, raft.ErrNotLeader
	case r.core.BasicStatus().LeadTransferee != 0:
		return raft.EntryID{}, raft.ErrTransferring
	case r.lead.pendingChange > r.log.applied:
		return raft.EntryID{}, raft.ErrPending
	}
	if err := membership.Check(r.members, changes); err != nil {
		return raft.EntryID{}, err
	}
	next := membership.Apply(r.members, changes)
	if agreed := quorum.Majority(next.Voters).Vote(r.isWell); agreed != quorum.Won {
		return raft.EntryID{}, raft.ErrNoQuorum
	}
	return r.propose(&pb.Entry{Type: pb.EntryConfChangeV2.Enum(), Data: changesToEtcd(membership.EncodeChanges(changes))})
}

// isWell says whether a node was heard within an election timeout, in this term.
func (r *Raft) isWell(id raft.NodeID) (well, known bool) {
	at, heard := r.lead.heard[id]
	return id == r.id || heard && r.ticks-at < uint64(r.cfg.ElectionTicks), true
}

// noteChanges remembers the change that isn't active yet; the core makes one by itself to end a joint phase.
func (r *Raft) noteChanges(entries []*pb.Entry) {
	for _, e := range entries {
		if r.state == etcd.StateLeader && e.GetType() == pb.EntryConfChangeV2 {
			r.lead.pendingChange = raft.Index(e.GetIndex())
		}
	}
}

// leaveJoint ends a joint phase that the core couldn't end when it was due, because leadership was being transferred.
func (r *Raft) leaveJoint() {
	if r.state == etcd.StateLeader && r.members.Joint() && r.members.AutoLeave && r.lead.pendingChange <= r.log.applied {
		_, _ = r.propose(&pb.Entry{Type: pb.EntryConfChangeV2.Enum()}) // refused while it still is: then the next tick asks again
	}
}

// Members returns the active membership: that of the last applied entry. It must not be changed.
func (r *Raft) Members() membership.Config { return r.members }

// Membership returns the active membership in its durable form. A checkpoint of the state machine at the last applied
// index must keep it, and bring it back as State.Membership.
func (r *Raft) Membership() []byte { return r.members.Encode() }

// applyMembership makes a change active. What ours turns into nothing, the core is not shown: it would panic.
func (r *Raft) applyMembership(e *raft.Entry) {
	changes, err := membership.DecodeChanges(e.Data)
	invariant.Holds(err == nil, "membership entry %d@%d got into the log: %v", e.Index, e.Term, err)
	next := membership.Apply(r.members, changes)
	if sameVotes(&next, &r.members) {
		r.setMembers(next)
		return
	}
	r.setMembers(next)
	theirs := r.core.ApplyConfChange(changesToApply(changes))
	differ := r.log.members.Equivalent(theirs)
	invariant.Holds(differ == nil, "entry %d@%d: two memberships: %v", e.Index, e.Term, differ)
	r.absorb()
	r.askAnew()
}

// sameVotes says whether two memberships are the same to the core.
func sameVotes(a, b *membership.Config) bool {
	return membersToEtcd(*a).Equivalent(membersToEtcd(*b)) == nil
}

// setMembers is the one place where the active membership changes.
func (r *Raft) setMembers(next membership.Config) {
	r.members, r.voters = next, next.Quorum()
	r.log.members = membersToEtcd(next)
}
