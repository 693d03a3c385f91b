package etcdraft

import (
	"fmt"

	etcd "go.etcd.io/raft/v3"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
)

// Bounds of what a peer may claim, so that adding to it never overflows. They are those of raft.Raft.
const (
	maxTerm     = raft.Term(1) << 62
	maxIndex    = raft.Index(1) << 62
	maxChunkEnd = uint64(1) << 62
)

// checkID refuses the two ids that etcd's core uses for itself.
func checkID(id raft.NodeID) error {
	if etcd.IsLocalMsgTarget(uint64(id)) {
		return fmt.Errorf("%w: node %d is reserved by go.etcd.io/raft", raft.ErrBadConfig, id)
	}
	return nil
}

// inspect says what is wrong with a peer's message, before anything looks at its content. It refuses what raft.Raft refuses.
func (r *Raft) inspect(m *raft.Message) error {
	switch {
	case m.Kind < raft.PreVote || m.Kind > raft.TimeoutNow:
		return fmt.Errorf("%w: unknown kind %d", raft.ErrBadMessage, m.Kind)
	case m.To != r.id:
		return fmt.Errorf("%w: for node %d, this is node %d", raft.ErrBadMessage, m.To, r.id)
	case m.From == 0 || m.From == r.id || checkID(m.From) != nil:
		return fmt.Errorf("%w: from node %d to node %d", raft.ErrBadMessage, m.From, m.To)
	case m.Term == 0 || m.Term > maxTerm:
		return fmt.Errorf("%w: term %d", raft.ErrBadMessage, m.Term)
	case m.Index > maxIndex || m.Commit > maxIndex || m.Hint > maxIndex || m.Compact > maxIndex:
		return fmt.Errorf("%w: index beyond every log", raft.ErrBadMessage)
	}
	switch m.Kind {
	case raft.Append:
		return inspectAppend(m)
	case raft.PreVote, raft.Vote:
		if m.LogTerm >= m.Term || (m.Index == 0) != (m.LogTerm == 0) {
			return fmt.Errorf("%w: campaigns in term %d with a log that ends at %d@%d", raft.ErrBadMessage, m.Term, m.Index, m.LogTerm)
		}
	case raft.Snapshot, raft.SnapshotReply:
		return inspectChunk(m)
	}
	return nil
}

func inspectAppend(m *raft.Message) error {
	prev := raft.EntryID{Index: m.Index, Term: m.LogTerm}
	if (prev.Index == 0) != (prev.Term == 0) {
		return fmt.Errorf("%w: append after %d@%d", raft.ErrBadMessage, prev.Index, prev.Term)
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Index != prev.Index+1 || e.Term < prev.Term || e.Term == 0 || e.Kind > raft.Membership {
			return fmt.Errorf("%w: entry %d@%d of kind %d after %d@%d", raft.ErrBadMessage, e.Index, e.Term, e.Kind, prev.Index, prev.Term)
		}
		if e.Kind == raft.Membership {
			if _, err := membership.DecodeChanges(e.Data); err != nil {
				return fmt.Errorf("%w: entry %d: %w", raft.ErrBadMessage, e.Index, err)
			}
		}
		prev = e.ID()
	}
	if prev.Term > m.Term {
		return fmt.Errorf("%w: an entry of term %d in a message of term %d", raft.ErrBadMessage, prev.Term, m.Term)
	}
	return nil
}

func inspectChunk(m *raft.Message) error {
	c := m.Snapshot
	switch {
	case c == nil:
		return fmt.Errorf("%w: a snapshot message without a chunk", raft.ErrBadMessage)
	case c.Last.Index == 0 || c.Last.Index > maxIndex || c.Last.Term == 0 || c.Last.Term > m.Term:
		return fmt.Errorf("%w: a snapshot of %d@%d in term %d", raft.ErrBadMessage, c.Last.Index, c.Last.Term, m.Term)
	case c.Offset > maxChunkEnd:
		return fmt.Errorf("%w: a chunk at %d", raft.ErrBadMessage, c.Offset)
	}
	if m.Kind == raft.Snapshot && c.Done {
		if _, err := membership.Decode(c.Membership); err != nil {
			return fmt.Errorf("%w: snapshot of %d@%d: %w", raft.ErrBadMessage, c.Last.Index, c.Last.Term, err)
		}
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
