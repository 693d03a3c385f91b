package raft

import (
	"fmt"

	"github.com/quorate/quorate/internal/invariant"
)

// check is cheap and always on: it runs after every call that changes something.
func (r *Raft) check() {
	l := &r.log
	last := l.lastID()
	if l.compacted.Index > l.applied || l.applied > l.delivered || l.delivered > l.commit || l.commit > last.Index ||
		l.stable > l.handed || l.handed > last.Index || last.Term > r.term || r.accepted > r.term || r.durableTerm > r.term {
		r.explain(last)
	}
	if r.role == Leader && r.leader != r.id { // not Holds: its arguments would be made at every call
		invariant.Fail("leader %d follows %d", r.id, r.leader)
	}
}

// explain says which promise is broken. It is apart from check because making the arguments costs more than the comparisons.
func (r *Raft) explain(last EntryID) {
	l := &r.log
	invariant.Holds(l.compacted.Index <= l.applied, "compacted %d past applied %d", l.compacted.Index, l.applied)
	invariant.Holds(l.applied <= l.delivered, "applied %d past delivered %d", l.applied, l.delivered)
	invariant.Holds(l.delivered <= l.commit, "delivered %d past commit %d", l.delivered, l.commit)
	invariant.Holds(l.commit <= last.Index, "commit %d past last %d", l.commit, last.Index)
	invariant.Holds(l.stable <= l.handed, "stable %d past handed %d", l.stable, l.handed)
	invariant.Holds(l.handed <= last.Index, "handed %d past last %d", l.handed, last.Index)
	invariant.Holds(last.Term <= r.term, "entry of term %d in term %d", last.Term, r.term)
	invariant.Holds(r.accepted <= r.term, "accepted a log of term %d in term %d", r.accepted, r.term)
	invariant.Fail("durable term %d past term %d", r.durableTerm, r.term)
}

// Verify looks at everything, in time proportional to the log: for tests and simulators, after every step.
func (r *Raft) Verify() error {
	r.check()
	prev := r.log.compacted
	for i := range r.log.entries {
		if err := follows(prev, &r.log.entries[i]); err != nil {
			return err
		}
		prev = r.log.entries[i].ID()
	}
	if err := r.members.Verify(); err != nil {
		return err
	}
	if r.role != Leader && r.role != Learner && !r.voters.Has(r.id) {
		return fmt.Errorf("node %d has no vote and is a %s", r.id, r.role)
	}
	if n := r.unsettledMemberships(); n > 1 {
		return fmt.Errorf("%d membership changes are not known to be committed", n)
	}
	if r.role != Leader {
		return nil
	}
	for i := range r.peers {
		p := &r.peers[i]
		if p.id == r.id {
			continue
		}
		if err := p.Verify(r.limits); err != nil {
			return fmt.Errorf("node %d: %w", p.id, err)
		}
		if p.Match > r.log.last() {
			return fmt.Errorf("node %d has %d, the log ends at %d", p.id, p.Match, r.log.last())
		}
	}
	return nil
}

// unsettledMemberships counts the changes behind the commit: never more than one. A node with the second would know of
// the first's commit, or it could campaign with a membership that two changes have replaced.
func (r *Raft) unsettledMemberships() int {
	n := 0
	for _, e := range r.log.slice(max(r.log.commit, r.log.compacted.Index), r.log.last()) {
		if e.Kind == Membership {
			n++
		}
	}
	return n
}
