package rafttest

import "github.com/quorate/quorate/raft"

// judge remembers what may never be contradicted in a play.
type judge struct {
	leaders map[raft.Term]raft.NodeID
	decided map[raft.Index]raft.EntryID
}

func newJudge() judge {
	return judge{leaders: map[raft.Term]raft.NodeID{}, decided: map[raft.Index]raft.EntryID{}}
}

// look checks what must hold at every moment: each core's invariants, and one leader per term.
func (j *judge) look(e *Env) {
	for _, n := range e.nodes {
		if n.core == nil {
			continue
		}
		if err := n.core.Verify(); err != nil {
			e.violation("n%d: %v", n.id, err)
		}
		if n.core.Role() != raft.Leader {
			continue
		}
		term := n.core.Term()
		if other, ok := j.leaders[term]; ok && other != n.id {
			e.violation("n%d and n%d lead term %d", other, n.id, term)
		}
		j.leaders[term] = n.id
	}
}

// applied checks that all machines apply the same entries, in order, once, and only what their own disk has.
func (j *judge) applied(e *Env, n *node, en *raft.Entry) {
	if en.Index != n.machine.applied.Index+1 {
		e.violation("n%d applies %d after %d", n.id, en.Index, n.machine.applied.Index)
	}
	if d, ok := j.decided[en.Index]; ok && d != en.ID() {
		e.violation("n%d applies %s, another applied %s", n.id, printID(en.ID()), printID(d))
	}
	j.decided[en.Index] = en.ID()
	at := int(en.Index) - int(n.disk.Compacted.Index) - 1
	if at < 0 || at >= len(n.disk.Entries) || n.disk.Entries[at].ID() != en.ID() {
		e.violation("n%d applies %s, which its disk doesn't have", n.id, printID(en.ID()))
	}
}

func (e *Env) violation(format string, args ...any) {
	hushed := e.hushed
	e.hushed = false
	e.say("VIOLATION: "+format, args...)
	e.hushed = hushed
}
