package raft

import "github.com/quorate/quorate/raft/quorum"

// NodeID names a member of a group. Zero is nobody. An id is never used again after its node is gone.
type NodeID = quorum.NodeID

// Numbers are ids as other rooms' formats have them.
func Numbers(ids []NodeID) []uint64 {
	numbers := make([]uint64, len(ids))
	for i, id := range ids {
		numbers[i] = uint64(id)
	}
	return numbers
}

// Index is a position in the log, from 1. Zero is before the first entry.
type Index = quorum.Index

// Term is a reign: at most one leader per term. Zero is before the first election.
type Term uint64

// EntryID names one entry for ever: no two entries share index and term.
type EntryID struct {
	Index Index
	Term  Term
}

// EntryKind says who an entry is for.
type EntryKind uint8

// Normal entries carry a proposal's bytes; a Noop is what a new leader commits first; a Membership entry changes who counts.
const (
	Normal     EntryKind = 0
	Noop       EntryKind = 1
	Membership EntryKind = 2
)

// Entry is one element of the log. Data is never changed once it is handed over.
type Entry struct {
	Index Index
	Term  Term
	Kind  EntryKind
	Data  []byte
}

// ID returns the entry's name.
func (e *Entry) ID() EntryID { return EntryID{e.Index, e.Term} }

// entryOverheadBytes is what an entry without data counts for in limits.
const entryOverheadBytes = 24

func (e *Entry) bytes() uint64 { return entryOverheadBytes + uint64(len(e.Data)) }

// HardState is what must survive a restart besides the entries (Ongaro §3.8; Commit may be
// stale and only saves time).
type HardState struct {
	Term     Term
	Vote     NodeID // whom this node voted for in Term
	Commit   Index
	Accepted Term // term of the leader whose log this node last accepted (scenario 54 of SCENARIOS.md)
}

// MessageKind is the kind of a Message.
type MessageKind uint8

// The messages of the protocol. A reply's Term is the sender's own.
const (
	PreVote MessageKind = iota + 1
	PreVoteReply
	Vote
	VoteReply
	Append
	AppendReply
	Heartbeat
	HeartbeatReply
	Snapshot
	SnapshotReply
	TimeoutNow
)

// Message is what members of a group say to each other: one plain value for all kinds. Entries and snapshot
// data are shared with the sender's log: whoever carries a Message reads them and never writes.
//
//	kind            means                                   uses, besides Kind, From, To, Term
//	PreVote         would you vote for me? Term is the      Index, LogTerm: the sender's last entry
//	                term it would campaign in
//	PreVoteReply    a grant's Term is the one asked for     Reject; then Index, LogTerm: the last committed entry
//	Vote            vote for me                             Index, LogTerm: the last entry; Transfer
//	VoteReply                                               as PreVoteReply
//	Append          store these after the entry at Index    Index, LogTerm: the entry before; Entries; Commit; Compact
//	AppendReply     I have, durably, all up to Index        Index
//	 with Reject    I don't have the entry at Index         Index: as in the Append; Hint, HintTerm
//	Heartbeat       I lead. Round 0: only news of the       Commit, at most what the receiver is known to have; Round; Compact
//	                commit, wants no reply
//	HeartbeatReply  I heard that round                      Round
//	Snapshot        one chunk                               Snapshot
//	SnapshotReply   I have the bytes before Offset          Snapshot: Last and Offset. Reject: I can't use this snapshot
//	TimeoutNow      campaign at once, you take over
type Message struct {
	Kind     MessageKind
	Reject   bool
	Transfer bool // Vote: campaigns because the leader asked it to; stickiness doesn't apply
	From     NodeID
	To       NodeID
	Term     Term
	LogTerm  Term  // term of the entry at Index
	Index    Index // Append: the entry before Entries. Vote, PreVote: the last entry. AppendReply: the last entry now known to match
	Commit   Index // Append: the leader's commit. Heartbeat: the same, bounded by what the receiver is known to have
	Entries  []Entry
	Hint     Index  // AppendReply with Reject: where to look next
	HintTerm Term   // AppendReply with Reject: the term at Hint
	Round    uint64 // Heartbeat and its reply: the leader's own number of this round, for ReadIndex
	Compact  Index  // Append, Heartbeat: everybody's log may be dropped up to here
	Snapshot *SnapshotChunk

	// Deferrable: as a rule nobody waits for this one, so whoever carries it may hold it back for a moment, to send it with others; but nothing to the same
	// node may overtake it. It doesn't travel.
	Deferrable bool
}

// SnapshotChunk is one piece of a state machine's snapshot on its way to a member that is behind the compacted log.
type SnapshotChunk struct {
	Last       EntryID // the last entry that the snapshot contains
	Membership []byte  // the membership at Last, encoded
	Offset     uint64  // of Data within the snapshot
	Data       []byte
	Done       bool // this is the last chunk
}
