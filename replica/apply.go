package replica

import (
	"fmt"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/raft"
)

// apply executes committed entries in order, each once.
func (r *Replica) apply(entries []raft.Entry) error {
	for i := range entries {
		e := &entries[i]
		if e.Index != r.applied.Index+1 { // not Holds: its arguments would cost an allocation each on the hot path
			invariant.Fail("entry %d is to be applied after %d", e.Index, r.applied.Index)
		}
		if e.Kind == raft.Normal && !(mutant.On(mutant.SkipFirstAfterStart) && e.Index == r.policy.Applied+1) {
			if err := r.machine.Apply(*e); err != nil {
				return fmt.Errorf("apply entry %d of term %d: %w", e.Index, e.Term, err)
			}
		}
		r.applied = raft.EntryID{Index: e.Index, Term: e.Term}
		r.hashes.add(e.Index, r.machine.Hash())
		r.checkpoint.count(e)
	}
	if len(entries) > 0 {
		r.engine.Applied(r.applied.Index)
	}
	return nil
}

// readable takes out the reads whose index is applied.
func (r *Replica) readable() []uint64 {
	var ids []uint64
	waiting := r.reads[:0]
	for _, read := range r.reads {
		if read.Index <= r.applied.Index {
			ids = append(ids, read.ID)
		} else {
			waiting = append(waiting, read)
		}
	}
	r.reads = waiting
	return ids
}
