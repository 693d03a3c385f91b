package etcdraft_test

import (
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/etcdraft"
	"github.com/quorate/quorate/raft/membership"
)

// engine is what the world asks of a member, whichever core it runs on.
type engine interface {
	Tick()
	Step(m raft.Message) error
	Propose(term raft.Term, data []byte) (raft.EntryID, error)
	ProposeMembership(changes ...membership.Change) (raft.EntryID, error)
	ReadIndex(id uint64) error
	TransferLeadership(to raft.NodeID) error
	HasReady() bool
	Ready() raft.Ready
	Persisted(seq uint64)
	Applied(to raft.Index)
	Compact(to raft.Index) error
	SendChunk(to raft.NodeID, c raft.SnapshotChunk) error
	SnapshotFailed(to raft.NodeID)

	Role() raft.Role
	Term() raft.Term
	Leader() raft.NodeID
	Commit() raft.Index
	LeaderReady() bool
	Members() membership.Config
	Membership() []byte
	EntryTerm(i raft.Index) (raft.Term, bool)
	HardState() raft.HardState
	Status() raft.Status
	Verify() error
}

// core names an implementation.
type core uint8

const (
	ours core = iota
	etcds
)

func (c core) String() string { return [...]string{"ours", "etcd's"}[c] }

func (c core) start(cfg raft.Config) (engine, error) {
	if c == etcds {
		return etcdraft.New(cfg)
	}
	return raft.New(cfg)
}
