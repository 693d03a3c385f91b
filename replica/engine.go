package replica

import (
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
)

// Engine is agreement on a log, as raft.Raft does it. See raft for what each method promises.
type Engine interface {
	Tick()
	Step(m raft.Message) error
	Propose(term raft.Term, data []byte) (raft.EntryID, error)
	ReadIndex(id uint64) error
	HasReady() bool
	Ready() raft.Ready
	Persisted(seq uint64)
	Applied(i raft.Index)
	Compact(to raft.Index) error
	SendChunk(to raft.NodeID, c raft.SnapshotChunk) error
	SnapshotFailed(to raft.NodeID)
	TransferLeadership(to raft.NodeID) error
	ProposeMembership(changes ...membership.Change) (raft.EntryID, error)
	Members() membership.Config
	Membership() []byte
	Status() raft.Status
	Role() raft.Role
	Term() raft.Term
	Leader() raft.NodeID
	LeaderReady() bool
	Incomplete() bool
}
