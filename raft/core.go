package raft

// Config is what a Raft is built from. Everything random comes from Seed.
type Config struct {
	ID     NodeID
	Voters []NodeID // the first membership; ignored if State brings one
	Seed   uint64   // for the randomised election timeouts; differs from node to node

	ElectionTicks  int // a follower waits ElectionTicks..2×ElectionTicks−1 ticks
	HeartbeatTicks int // the leader beats this often; below ElectionTicks

	MaxAppendBytes      uint64 // entries in one message; one larger entry still travels
	MaxInflightMessages int    // appends under way to one follower
	MaxInflightBytes    uint64
	MaxUncommittedBytes uint64 // proposals are refused above it

	State State // what the disk remembered
}

// State is what storage remembers of a group at start.
type State struct {
	HardState HardState
	Compacted EntryID // the entry before Entries; zero if the log is whole
	Entries   []Entry // consecutive, from Compacted.Index+1
	Applied   Index   // what the state machine's checkpoint contains; ≥ Compacted.Index
}

// Role is what a node is at the moment.
type Role uint8

// The roles of Ongaro §3.3, with the pre-candidate of §9.6.
const (
	Follower Role = iota + 1
	PreCandidate
	Candidate
	Leader
	Learner
)

// Persist is what must become durable, in one atomic record, in the order of Seq. Entries replace
// whatever the log held from Entries[0].Index on.
type Persist struct {
	Seq       uint64
	HardState HardState
	Entries   []Entry
}

// Ready is what a step has to say to the world.
type Ready struct {
	Messages  []Message   // may leave at once, in this order
	Persist   *Persist    // nil: nothing to write. Report back with Persisted(Seq)
	Durable   []Message   // leave only when Persist (or, if nil, every earlier one) is durable
	Committed []Entry     // to apply, in order; locally durable. Report back with Applied
	Reads     []ReadReady // reads that may be answered once Index is applied
	ReadsLost []uint64    // reads that were dropped with the leadership
	Compact   Index       // the log is no longer needed up to here by any member; zero: no news
}

// ReadReady says that the read is linearizable as soon as Index is applied.
type ReadReady struct {
	ID    uint64
	Index Index
}

// Status is a view for hosts, logs and people.
type Status struct {
	ID      NodeID
	Role    Role
	Term    Term
	Vote    NodeID
	Leader  NodeID // zero: unknown
	Commit  Index
	Applied Index
	Last    Index
	First   Index
	Match   map[NodeID]Index // leader only
}
