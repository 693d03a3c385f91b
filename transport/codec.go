package transport

import (
	"fmt"

	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/raft"
)

// groupBytesMax bounds the name of a group: "bank/" and a bank's name of 64.
const groupBytesMax = 128

// RaftEnvelope puts a message for one group into an envelope. The envelope shares the bytes of entries and of
// a snapshot with the message.
func RaftEnvelope(group string, m *raft.Message) *peerv1.Envelope {
	out := &peerv1.RaftMessage{
		Group:    group,
		Kind:     uint32(m.Kind),
		From:     uint64(m.From),
		To:       uint64(m.To),
		Term:     uint64(m.Term),
		LogTerm:  uint64(m.LogTerm),
		Index:    uint64(m.Index),
		Commit:   uint64(m.Commit),
		Entries:  encodeEntries(m.Entries),
		Reject:   m.Reject,
		Hint:     uint64(m.Hint),
		HintTerm: uint64(m.HintTerm),
		Round:    m.Round,
		Transfer: m.Transfer,
		Compact:  uint64(m.Compact),
		Snapshot: encodeSnapshot(m.Snapshot),
	}
	return &peerv1.Envelope{Message: &peerv1.Envelope_Raft{Raft: out}}
}

func encodeEntries(entries []raft.Entry) []*peerv1.RaftEntry {
	if len(entries) == 0 {
		return nil
	}
	block := make([]peerv1.RaftEntry, len(entries)) // one allocation for all
	out := make([]*peerv1.RaftEntry, len(entries))
	for i := range entries {
		e := &entries[i]
		block[i].Index, block[i].Term = uint64(e.Index), uint64(e.Term)
		block[i].Kind, block[i].Data = uint32(e.Kind), e.Data
		out[i] = &block[i]
	}
	return out
}

func encodeSnapshot(s *raft.SnapshotChunk) *peerv1.SnapshotChunk {
	if s == nil {
		return nil
	}
	return &peerv1.SnapshotChunk{
		LastIndex: uint64(s.Last.Index), LastTerm: uint64(s.Last.Term),
		Membership: s.Membership, Offset: s.Offset, Data: s.Data, Done: s.Done,
	}
}

// DecodeRaft reads a peer's message and checks what can be checked without knowing the group: a peer's input gets
// an error, never a panic further in. The message shares its bytes with m.
func DecodeRaft(m *peerv1.RaftMessage) (group string, msg raft.Message, err error) {
	if m == nil {
		return "", raft.Message{}, malformed("there is none")
	}
	msg = raft.Message{
		From:     raft.NodeID(m.From),
		To:       raft.NodeID(m.To),
		Term:     raft.Term(m.Term),
		LogTerm:  raft.Term(m.LogTerm),
		Index:    raft.Index(m.Index),
		Commit:   raft.Index(m.Commit),
		Reject:   m.Reject,
		Hint:     raft.Index(m.Hint),
		HintTerm: raft.Term(m.HintTerm),
		Round:    m.Round,
		Transfer: m.Transfer,
		Compact:  raft.Index(m.Compact),
	}
	if err := checkHead(m); err != nil {
		return "", raft.Message{}, err
	}
	msg.Kind = raft.MessageKind(m.Kind)
	if msg.Entries, err = decodeEntries(m); err != nil {
		return "", raft.Message{}, err
	}
	if msg.Snapshot, err = decodeSnapshot(m); err != nil {
		return "", raft.Message{}, err
	}
	return m.Group, msg, nil
}

func checkHead(m *peerv1.RaftMessage) error {
	switch {
	case len(m.Group) == 0 || len(m.Group) > groupBytesMax:
		return malformed("a group's name of %d bytes", len(m.Group))
	case m.Kind < uint32(raft.PreVote) || m.Kind > uint32(raft.TimeoutNow):
		return malformed("kind %d", m.Kind)
	case m.From == 0 || m.To == 0:
		return malformed("from node %d to node %d", m.From, m.To)
	case m.From == m.To:
		return malformed("node %d speaks to itself", m.From)
	}
	return nil
}

// decodeEntries checks that entries are consecutive and that their terms never fall, nor pass the sender's.
func decodeEntries(m *peerv1.RaftMessage) ([]raft.Entry, error) {
	if len(m.Entries) == 0 {
		return nil, nil
	}
	if raft.MessageKind(m.Kind) != raft.Append {
		return nil, malformed("%d entries in a message of kind %d", len(m.Entries), m.Kind)
	}
	entries := make([]raft.Entry, len(m.Entries))
	index, term := m.Index, m.LogTerm
	for i, e := range m.Entries {
		switch {
		case e.GetIndex() != index+1 || e.GetIndex() == 0:
			return nil, malformed("entry %d after entry %d", e.GetIndex(), index)
		case e.GetTerm() == 0 || e.GetTerm() < term || e.GetTerm() > m.Term:
			return nil, malformed("entry %d of term %d after term %d from a leader of term %d", e.GetIndex(), e.GetTerm(), term, m.Term)
		case e.GetKind() > uint32(raft.Membership):
			return nil, malformed("entry %d of kind %d", e.GetIndex(), e.GetKind())
		}
		index, term = e.Index, e.Term
		entries[i] = raft.Entry{Index: raft.Index(e.Index), Term: raft.Term(e.Term), Kind: raft.EntryKind(e.Kind), Data: e.Data}
	}
	return entries, nil
}

// decodeSnapshot checks that a snapshot's message brings a chunk, and that only it and its reply do.
func decodeSnapshot(m *peerv1.RaftMessage) (*raft.SnapshotChunk, error) {
	kind := raft.MessageKind(m.Kind)
	s := m.Snapshot
	switch {
	case s == nil && kind == raft.Snapshot:
		return nil, malformed("a snapshot without a chunk")
	case s == nil:
		return nil, nil
	case kind != raft.Snapshot && kind != raft.SnapshotReply:
		return nil, malformed("a snapshot's chunk in a message of kind %d", m.Kind)
	case s.LastIndex == 0 || s.LastTerm == 0 || s.LastTerm > m.Term:
		return nil, malformed("a snapshot up to entry %d of term %d from term %d", s.LastIndex, s.LastTerm, m.Term)
	case s.Offset+uint64(len(s.Data)) < s.Offset:
		return nil, malformed("a chunk of %d bytes at %d", len(s.Data), s.Offset)
	}
	return &raft.SnapshotChunk{
		Last:       raft.EntryID{Index: raft.Index(s.LastIndex), Term: raft.Term(s.LastTerm)},
		Membership: s.Membership, Offset: s.Offset, Data: s.Data, Done: s.Done,
	}, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("malformed raft message: "+format, args...)
}
