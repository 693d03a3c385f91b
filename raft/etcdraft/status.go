package etcdraft

import (
	"fmt"
	"strings"

	etcd "go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
)

// Status returns a copy of what may interest people. Uncommitted stays zero: etcd's core keeps it to itself.
func (r *Raft) Status() raft.Status {
	s := raft.Status{
		ID: r.id, Role: r.Role(), Term: r.term, Vote: r.vote, Leader: r.leader,
		Commit: r.log.commit, Applied: r.log.applied, Last: r.log.last(), First: r.log.compacted.Index + 1,
		Incomplete: r.Incomplete(), Durable: r.log.stable,
	}
	if r.state == etcd.StateLeader {
		s.TransferTo, s.Handed = raft.NodeID(r.core.BasicStatus().LeadTransferee), r.handed
		s.Match, s.Peers, s.SilentTicks = map[raft.NodeID]raft.Index{}, map[raft.NodeID]string{}, map[raft.NodeID]uint64{}
		r.eachPeer(func(id raft.NodeID, p *tracker.Progress) {
			s.Match[id] = raft.Index(p.Match)
			if id != r.id {
				s.Peers[id] = strings.ToLower(strings.TrimPrefix(p.State.String(), "State"))
				if at, heard := r.lead.heard[id]; heard {
					s.SilentTicks[id] = r.ticks - at
				}
			}
		})
	}
	return s
}

// Role returns what the node is.
func (r *Raft) Role() raft.Role {
	switch r.state {
	case etcd.StateLeader:
		return raft.Leader
	case etcd.StateCandidate:
		return raft.Candidate
	case etcd.StatePreCandidate:
		return raft.PreCandidate
	}
	if !r.voters.Has(r.id) {
		return raft.Learner
	}
	return raft.Follower
}

// Term returns the current term.
func (r *Raft) Term() raft.Term { return r.term }

// Leader returns the leader of the term, zero if it is unknown or was silent for an election timeout.
func (r *Raft) Leader() raft.NodeID { return r.leader }

// Commit returns how far the log is decided, as far as this node knows.
func (r *Raft) Commit() raft.Index { return r.log.commit }

// HardState returns what of it a restart would need, durable or not.
func (r *Raft) HardState() raft.HardState {
	return raft.HardState{Term: r.term, Vote: r.vote, Commit: r.log.commit, Accepted: r.accepted}
}

// EntryTerm returns the term of the entry at index, if the log still or already has it.
func (r *Raft) EntryTerm(index raft.Index) (raft.Term, bool) { return r.log.term(index) }

// check is cheap and always on: it runs after every call that changes something.
func (r *Raft) check() {
	l := &r.log
	last := l.lastID()
	if l.compacted.Index > l.applied || l.applied > l.delivered || l.delivered > l.commit || l.commit > last.Index ||
		l.stable > l.handed || l.handed > last.Index || last.Term > r.term || r.accepted > r.term || r.durableTerm > r.term {
		invariant.Fail("compacted %d ≤ applied %d ≤ delivered %d ≤ commit %d ≤ last %d@%d, stable %d ≤ handed %d, term %d ≥ accepted %d, durable %d",
			l.compacted.Index, l.applied, l.delivered, l.commit, last.Index, last.Term, l.stable, l.handed, r.term, r.accepted, r.durableTerm)
	}
}

// Verify looks at everything, in time proportional to the log: for tests and simulators, after every step.
func (r *Raft) Verify() error {
	r.check()
	if r.core.HasReady() {
		return fmt.Errorf("the core has more to say")
	}
	s := r.core.Status()
	switch {
	case raft.Term(s.GetTerm()) != r.term || raft.NodeID(s.GetVote()) != r.vote || raft.Index(s.GetCommit()) != r.log.commit:
		return fmt.Errorf("term, vote and commit are %d, %d, %d, the core's are %d, %d, %d", r.term, r.vote, r.log.commit, s.GetTerm(), s.GetVote(), s.GetCommit())
	case s.RaftState != r.state || raft.NodeID(s.Lead) != r.leader:
		return fmt.Errorf("%v under %d, the core is %v under %d", r.state, r.leader, s.RaftState, s.Lead)
	case raft.Index(s.Applied) != r.log.applied:
		return fmt.Errorf("applied %d, in the core %d", r.log.applied, s.Applied)
	case len(r.log.shadow) != len(r.log.entries):
		return fmt.Errorf("%d entries, %d shadows", len(r.log.entries), len(r.log.shadow))
	}
	s.Config.AutoLeave = r.members.AutoLeave // the core's copy of its membership leaves it out
	if err := r.log.members.Equivalent((&tracker.ProgressTracker{Config: s.Config}).ConfState()); err != nil {
		return err
	}
	if err := r.verifyLog(); err != nil {
		return err
	}
	return r.members.Verify()
}

// verifyLog compares the log with the core's, and each entry with the one before.
func (r *Raft) verifyLog() error {
	prev := r.log.compacted
	for i := range r.log.entries {
		e, shadow := &r.log.entries[i], r.log.shadow[i]
		if e.Index != prev.Index+1 || e.Term < prev.Term || uint64(e.Index) != shadow.GetIndex() || uint64(e.Term) != shadow.GetTerm() {
			return fmt.Errorf("entry %d@%d after %d@%d, in the core %d@%d", e.Index, e.Term, prev.Index, prev.Term, shadow.GetIndex(), shadow.GetTerm())
		}
		prev = e.ID()
	}
	return nil
}
