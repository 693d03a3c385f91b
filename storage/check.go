package storage

import (
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
)

// check holds an update against what the group has: the promises that checkLoaded relies on after a restart. It
// runs in every commit, so the numbers of a message are gathered only once it is needed.
func (g *group) check(u *GroupUpdate) {
	if g.retired {
		invariant.Fail("group %s is written after it was retired", u.Group)
	}
	if g.givenUp && !u.StageAnew && (u.Install || len(u.Stage) > 0) {
		invariant.Fail("group %s: a snapshot is built on one that was given up before the group was loaded", u.Group)
	}
	base, last := g.compacted.Index, g.last
	if u.Install {
		if u.Compact.Index == 0 || u.Applied != u.Compact.Index {
			invariant.Fail("group %s installs a snapshot of %d applied at %d", u.Group, u.Compact.Index, u.Applied)
		}
		base, last = u.Compact.Index, u.Compact.Index
	}
	last = checkEntries(u, base, last)
	g.checkCheckpoint(u, last)
	commit := g.hard.Commit // a truncation must respect it too
	if u.HardState != nil {
		g.checkHardState(u)
		commit = u.HardState.Commit
	}
	if commit > last {
		invariant.Fail("group %s: commit %d past last %d", u.Group, commit, last)
	}
}

// checkEntries returns the last entry after the update of a log that goes from base+1 to last.
func checkEntries(u *GroupUpdate, base, last raft.Index) raft.Index {
	n := len(u.Entries)
	if n == 0 {
		return last
	}
	first := u.Entries[0].Index
	if first <= base || first > last+1 {
		invariant.Fail("group %s: entry %d doesn't follow a log of %d to %d", u.Group, first, base+1, last)
	}
	for i := range u.Entries {
		if u.Entries[i].Index != first+raft.Index(i) {
			invariant.Fail("group %s: entry %d stands %d places after %d", u.Group, u.Entries[i].Index, i, first)
		}
	}
	return u.Entries[n-1].Index
}

func (g *group) checkCheckpoint(u *GroupUpdate, last raft.Index) {
	if u.Applied == 0 && (len(u.State) > 0 || u.Membership != nil) {
		invariant.Fail("group %s: state without the applied index that it reflects", u.Group)
	}
	applied := g.asOf.applied
	if u.Applied > 0 {
		if u.Applied < applied {
			invariant.Fail("group %s: applied falls from %d to %d", u.Group, applied, u.Applied)
		}
		applied = u.Applied
	}
	if applied > last {
		invariant.Fail("group %s: applied %d past last %d", u.Group, applied, last)
	}
	if u.Compact.Index > applied {
		invariant.Fail("group %s: compacts %d, applied only %d", u.Group, u.Compact.Index, applied)
	}
}

func (g *group) checkHardState(u *GroupUpdate) {
	was, is := g.hard, u.HardState
	if is.Term < was.Term {
		invariant.Fail("group %s: term falls from %d to %d", u.Group, was.Term, is.Term)
	}
	if is.Term == was.Term && was.Vote != 0 && is.Vote != was.Vote {
		invariant.Fail("group %s: vote of term %d changes from %d to %d", u.Group, is.Term, was.Vote, is.Vote)
	}
}
