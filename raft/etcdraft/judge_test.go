package etcdraft_test

import (
	"fmt"

	"github.com/quorate/quorate/raft"
)

// fail ends the test with the command that repeats it.
func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	for _, h := range w.hosts {
		if h.r != nil {
			w.t.Logf("node %d (%v): %+v", h.id, h.core, h.r.Status())
		}
	}
	w.t.Fatalf("seed %d: %s\nrepeat: go test ./raft/etcdraft -run '^%s$' -seed %d -seeds 1", w.seed, fmt.Sprintf(format, args...), w.t.Name(), w.seed)
}

// made is what an entry of one index and term says, and what stands before it.
type made struct {
	print uint64
	prev  raft.Term
}

// decision is what some machine applied at an index, and a term in which it was known to be decided.
type decision struct {
	id     raft.EntryID
	seenIn raft.Term
}

// judgeLog: log matching. Two entries with the same index and term are the same and have the same entry before them; so, entry by
// entry, the same log.
func (w *world) judgeLog(h *host, p *raft.Persist) {
	if len(p.Entries) == 0 {
		return
	}
	prev, known := h.r.EntryTerm(p.Entries[0].Index - 1)
	for _, e := range p.Entries {
		m := made{print64(e), prev}
		if first, ok := w.made[e.ID()]; ok && known && first != m {
			w.fail("node %d (%v) has an entry %v after one of term %d that differs from another's after term %d", h.id, h.core, e.ID(), prev, first.prev)
		}
		if known {
			w.made[e.ID()] = m
		}
		prev, known = e.Term, true
	}
}

// judgeApply: state-machine safety. Every machine applies the same entry at an index, each once, in order, and only what its own disk has.
func (w *world) judgeApply(h *host, e raft.Entry) {
	if e.Index != h.m.applied.Index+1 {
		w.fail("node %d (%v) applies %d after %d", h.id, h.core, e.Index, h.m.applied.Index)
	}
	if stored := h.durableEntry(e.Index); stored != e.ID() {
		w.fail("node %d (%v) applies %v, its disk has %v", h.id, h.core, e.ID(), stored)
	}
	if int(e.Index) < len(w.decided) {
		if d := w.decided[e.Index]; d.id != e.ID() {
			w.fail("node %d (%v) applies %v, another applied %v", h.id, h.core, e.ID(), d.id)
		}
		return
	}
	w.decided = append(w.decided, decision{e.ID(), h.r.Term()})
}

// maxKnown is the highest index that some machine has applied.
func (w *world) maxKnown() raft.Index { return raft.Index(len(w.decided) - 1) }

// judgeLeader: election safety and leader completeness.
func (w *world) judgeLeader(h *host) {
	term := h.r.Term()
	if l, ok := w.leaders[term]; ok && l != h.id {
		w.fail("nodes %d and %d (%v) lead term %d", l, h.id, h.core, term)
	}
	w.leaders[term] = h.id
	if h.led == term {
		return
	}
	h.led = term
	for i := int(h.disk.Compacted.Index) + 1; i < len(w.decided); i++ {
		d := w.decided[i]
		if d.seenIn >= term {
			continue // decided later, by a leader that this one doesn't know of yet
		}
		if t, known := h.r.EntryTerm(d.id.Index); !known || t != d.id.Term {
			w.fail("node %d (%v) leads term %d without %v, which was decided", h.id, h.core, term, d.id)
		}
	}
}

// judgeRead: no stale reads. An answer shows all that any machine had applied when the read came.
func (w *world) judgeRead(h *host, rr raft.ReadReady) {
	need, ok := w.reads[rr.ID]
	if !ok {
		w.fail("node %d (%v) answers read %d, which nobody waits for", h.id, h.core, rr.ID)
	}
	if rr.Index < need {
		w.fail("node %d (%v) answers read %d at %d, %d was applied before it came", h.id, h.core, rr.ID, rr.Index, need)
	}
	delete(w.reads, rr.ID)
	w.answered++
}

// judgeNode checks what must hold at every moment.
func (w *world) judgeNode(h *host, thoroughly bool) {
	if h.r == nil {
		return
	}
	if h.r.Role() == raft.Leader {
		w.judgeLeader(h)
	}
	if !thoroughly {
		return
	}
	if err := h.r.Verify(); err != nil {
		w.fail("node %d (%v): %v", h.id, h.core, err)
	}
}
