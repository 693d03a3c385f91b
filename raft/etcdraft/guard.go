package etcdraft

import (
	"fmt"

	etcd "go.etcd.io/raft/v3"

	"github.com/quorate/quorate/raft"
)

// checkID refuses the two ids that etcd's core uses for itself.
func checkID(id raft.NodeID) error {
	if etcd.IsLocalMsgTarget(uint64(id)) {
		return fmt.Errorf("%w: node %d is reserved by go.etcd.io/raft", raft.ErrBadConfig, id)
	}
	return nil
}

// inspect says what is wrong with a peer's message: what raft.Raft refuses, and what etcd's core would take for a message of its own.
func (r *Raft) inspect(m *raft.Message) error {
	if err := m.Inspect(r.id); err != nil {
		return err
	}
	if err := checkID(m.From); err != nil {
		return fmt.Errorf("%w: %w", raft.ErrBadMessage, err)
	}
	return nil
}

// checkLeader refuses a second leader of a term. etcd's core would follow whoever spoke last.
func (r *Raft) checkLeader(m *raft.Message) error {
	if m.Term > r.term {
		return nil
	}
	if r.state == etcd.StateLeader {
		return fmt.Errorf("%w: node %d leads term %d too", raft.ErrUnsafe, m.From, m.Term)
	}
	if r.ruled.term == m.Term && r.ruled.leader != m.From {
		return fmt.Errorf("%w: nodes %d and %d both lead term %d", raft.ErrUnsafe, r.ruled.leader, m.From, m.Term)
	}
	return nil
}

// checkAppend refuses what contradicts committed entries: etcd's core panics on it.
func (r *Raft) checkAppend(m *raft.Message) error {
	prev := raft.EntryID{Index: m.Index, Term: m.LogTerm}
	if prev.Index >= r.log.compacted.Index && prev.Index <= r.log.commit && !r.log.matches(prev) {
		return fmt.Errorf("%w: node %d has %d@%d, committed here is another entry", raft.ErrUnsafe, m.From, prev.Index, prev.Term)
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Index > r.log.commit {
			break
		}
		if e.Index >= r.log.compacted.Index && !r.log.matches(e.ID()) {
			return fmt.Errorf("%w: node %d has %d@%d, committed here is another entry", raft.ErrUnsafe, m.From, e.Index, e.Term)
		}
	}
	return nil
}

// checkReply refuses acknowledgements of what was never sent: with them etcd's core would run past the end of its log or of its reads.
func (r *Raft) checkReply(m *raft.Message) error {
	switch {
	case m.Kind == raft.AppendReply && !m.Reject && m.Index > r.log.last():
		return fmt.Errorf("%w: node %d acknowledges entry %d, the log ends at %d", raft.ErrBadMessage, m.From, m.Index, r.log.last())
	case m.Kind == raft.HeartbeatReply && m.Round > r.lead.sentRound:
		return fmt.Errorf("%w: node %d answers round %d, the last was %d", raft.ErrBadMessage, m.From, m.Round, r.lead.sentRound)
	}
	return nil
}
