package raft

import (
	"fmt"

	"github.com/quorate/quorate/raft/membership"
)

// Inspect says what is wrong (ErrBadMessage) with a peer's message to a node, before anything looks at its content. Everything is checked that an engine
// relies on; Step does it.
func (m *Message) Inspect(to NodeID) error {
	switch {
	case m.Kind < PreVote || m.Kind > TimeoutNow:
		return fmt.Errorf("%w: unknown kind %d", ErrBadMessage, m.Kind)
	case m.To != to:
		return fmt.Errorf("%w: for node %d, this is node %d", ErrBadMessage, m.To, to)
	case m.From == 0 || m.From == to:
		return fmt.Errorf("%w: from node %d to node %d", ErrBadMessage, m.From, m.To)
	case m.Term == 0 || m.Term > maxTerm:
		return fmt.Errorf("%w: term %d", ErrBadMessage, m.Term)
	case m.Index > maxIndex || m.Commit > maxIndex || m.Hint > maxIndex || m.Compact > maxIndex:
		return fmt.Errorf("%w: index beyond every log", ErrBadMessage)
	}
	switch m.Kind {
	case Append:
		return inspectAppend(m)
	case PreVote, Vote:
		if m.LogTerm >= m.Term || (m.Index == 0) != (m.LogTerm == 0) {
			return fmt.Errorf("%w: campaigns in term %d with a log that ends at %d@%d", ErrBadMessage, m.Term, m.Index, m.LogTerm)
		}
	case Snapshot, SnapshotReply:
		return inspectChunk(m)
	}
	return nil
}

// InspectCommit finds out from a leader's heartbeat that entries are missing in a log (ErrLost) which this node had acknowledged. The leader counts on them, so it
// never sends them again, and a refusal of what follows them looks to it like one from before they came. But its beats name no commit beyond what it was
// told is durable here. etcd's core panics on it.
func (m *Message) InspectCommit(last Index) error {
	if m.Commit > last {
		return fmt.Errorf("%w: node %d knows of entry %d, the log ends at %d", ErrLost, m.From, m.Commit, last)
	}
	return nil
}

func inspectAppend(m *Message) error {
	prev := EntryID{m.Index, m.LogTerm}
	if (prev.Index == 0) != (prev.Term == 0) || prev.Term > m.Term {
		return fmt.Errorf("%w: append after %d@%d in term %d", ErrBadMessage, prev.Index, prev.Term, m.Term)
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		if err := follows(prev, e); err != nil {
			return fmt.Errorf("%w: %w", ErrBadMessage, err)
		}
		prev = e.ID()
	}
	if prev.Term > m.Term {
		return fmt.Errorf("%w: an entry of term %d in a message of term %d", ErrBadMessage, prev.Term, m.Term)
	}
	return nil
}

// maxChunkEnd bounds what a peer may claim of a snapshot's size.
const maxChunkEnd = uint64(1) << 62

func inspectChunk(m *Message) error {
	c := m.Snapshot
	switch {
	case c == nil:
		return fmt.Errorf("%w: a snapshot message without a chunk", ErrBadMessage)
	case c.Last.Index == 0 || c.Last.Index > maxIndex || c.Last.Term == 0 || c.Last.Term > m.Term:
		return fmt.Errorf("%w: a snapshot of %d@%d in term %d", ErrBadMessage, c.Last.Index, c.Last.Term, m.Term)
	case c.Offset > maxChunkEnd || uint64(len(c.Data)) > maxChunkEnd:
		return fmt.Errorf("%w: a chunk at %d", ErrBadMessage, c.Offset)
	}
	if m.Kind == Snapshot && c.Done {
		if _, err := membership.Decode(c.Membership); err != nil {
			return fmt.Errorf("%w: snapshot of %d@%d: %w", ErrBadMessage, c.Last.Index, c.Last.Term, err)
		}
	}
	return nil
}
