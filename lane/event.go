package lane

import (
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// Event is something that happened to the node: Received, Persisted, CheckpointWritten, SnapshotRead, SpaceChanged, Asked or Forgotten. The list is closed.
type Event interface{ isEvent() }

// Received is a message from another node.
type Received struct {
	From    raft.NodeID
	Message Message
}

// Persisted says that a group's writes up to Seq are durable.
type Persisted struct {
	Group GroupID
	Seq   uint64
}

// CheckpointWritten says that a group's checkpoint is durable.
type CheckpointWritten struct {
	Group   GroupID
	Applied raft.Index // by the checkpoint
}

// SpaceChanged says that the disk is nearly full, or no longer.
type SpaceChanged struct{ Low bool }

// SnapshotRead answers a ReadSnapshot: with the chunk, or with why there is none.
type SnapshotRead struct {
	Group GroupID
	To    raft.NodeID
	Chunk raft.SnapshotChunk
	Err   error
}

// Asked is a client's request at this node. Request is the host's name for it, never used twice, not even after a
// restart: a late answer to an earlier life must find nobody. The answer comes as an Answered by Until at the latest.
type Asked struct {
	Request uint64
	Until   time.Time
	Ask     Ask
}

// Forgotten says that nobody waits for the answer to an Asked any more.
type Forgotten struct{ Request uint64 }

func (Received) isEvent()          {}
func (Persisted) isEvent()         {}
func (CheckpointWritten) isEvent() {}
func (SpaceChanged) isEvent()      {}
func (SnapshotRead) isEvent()      {}
func (Asked) isEvent()             {}
func (Forgotten) isEvent()         {}

// Ask is what a client may want: Submit, CaptureTransfer, VoidTransfer, CancelTransfer, GetTransfer, OpenAccount, ChangeAccount, GetAccount, ListAccounts, GetStatement, ListEntries,
// ListTransfers, ListInDoubt, ReadDecisions, AuditBank or GetStatus; an operator HoldCommits, Cut, HashReplica, SaveReplica, Examine, FindTransfers,
// ListMembers, AddMember, PromoteMember, RemoveMember, PlaceGroup, TransferLeader, ListTokens, AddToken or RevokeToken. The list is closed.
type Ask interface{ isAsk() }

// Submit wants a transfer carried out, and waits for its outcome.
type Submit struct{ Transfer *transfer.Transfer }

// CancelTransfer wants a transfer aborted, or its id closed for ever if nobody knows it, and waits for what became of it.
type CancelTransfer struct{ ID transfer.ID }

// GetTransfer reads one transfer: linearizably, at the leader. Stale asks for what this node has applied instead, however old that is; a
// node without a replica of the group asks the leader all the same.
type GetTransfer struct {
	ID    transfer.ID
	Stale bool
}

// OpenAccount opens an account, or finds the one that exists with the same terms.
type OpenAccount struct {
	Bank  transfer.BankID
	Terms bank.Terms
}

// ChangeAccount freezes, unfreezes or closes an account, or sets its limit.
type ChangeAccount struct {
	Bank   transfer.BankID
	Change bank.Change
}

// GetAccount reads one account.
type GetAccount struct {
	Bank transfer.BankID
	ID   transfer.AccountID
}

// ListAccounts reads up to Limit accounts after an id, by id.
type ListAccounts struct {
	Bank  transfer.BankID
	After transfer.AccountID
	Limit int
}

// GetStatement reads up to Limit entries of one account after a sequence number, since and until the bank had reached a time (zero: no bound).
type GetStatement struct {
	Bank         transfer.BankID
	Account      transfer.AccountID
	AfterSeq     uint64
	Since, Until time.Time
	Limit        int
}

// ListEntries reads up to Limit journal entries after a sequence number.
type ListEntries struct {
	Bank     transfer.BankID
	AfterSeq uint64
	Limit    int
}

// AuditBank reads a bank's totals.
type AuditBank struct{ Bank transfer.BankID }

// HoldCommits has the leader of a bank execute no Commit for a while, so that a cut of all banks is one of one moment. Hold names
// whoever wants that; For is how long, zero ends it. Keep only prolongs a hold that is in force. Only the node that leads is asked.
type HoldCommits struct {
	Bank transfer.BankID
	Hold uint64
	For  time.Duration
	Keep bool
}

// Cut wants a durable checkpoint of a group that contains everything that the group had answered before. With a Hold it fails unless that has been
// in force all the while. Only the node that leads is asked.
type Cut struct {
	Group GroupID
	Hold  uint64
}

// HashReplica wants the state hash of this node's own replica as of an entry, once that is applied. An entry that is forgotten by then, or that
// isn't applied in time, is answered with the newest one instead; so is index zero, at once.
type HashReplica struct {
	Group GroupID
	Index raft.Index
}

// SaveReplica wants a durable checkpoint of this node's own replica that contains all it has applied now.
type SaveReplica struct{ Group GroupID }

// Examine wants all that a group has open, at least as new as any answer given before. A bank must have held its commits for Hold all the while. Only the
// node that leads is asked.
type Examine struct {
	Group GroupID
	Hold  uint64
}

// FindTransfers wants to know what a bank that holds its commits knows of transfers. Only the node that leads is asked.
type FindTransfers struct {
	Bank     transfer.BankID
	Hold     uint64
	Contents []Content
}

// Content is a transfer's id and which content is meant under it.
type Content struct {
	ID          transfer.ID
	Fingerprint transfer.Fingerprint
}

// ListMembers reads the nodes of the cluster, at the leader of its group.
type ListMembers struct{}

// AddMember lets a node in, as a learner.
type AddMember struct {
	Node      raft.NodeID
	Addresses directory.Addresses
}

// PromoteMember lets a learner vote that has caught up.
type PromoteMember struct{ Node raft.NodeID }

// RemoveMember takes a node out of all its groups, for ever. It need not be alive.
type RemoveMember struct{ Node raft.NodeID }

// PlaceGroup moves a bank's replicas to other nodes.
type PlaceGroup struct {
	Group   GroupID
	Members []raft.NodeID
}

// TransferLeader has another voter of a group lead it.
type TransferLeader struct {
	Group GroupID
	To    raft.NodeID
}

// GetStatus reads what this node knows.
type GetStatus struct{}

func (Submit) isAsk()         {}
func (CancelTransfer) isAsk() {}
func (GetTransfer) isAsk()    {}
func (OpenAccount) isAsk()    {}
func (ChangeAccount) isAsk()  {}
func (GetStatement) isAsk()   {}
func (GetAccount) isAsk()     {}
func (ListAccounts) isAsk()   {}
func (ListEntries) isAsk()    {}
func (AuditBank) isAsk()      {}
func (HoldCommits) isAsk()    {}
func (Cut) isAsk()            {}
func (HashReplica) isAsk()    {}
func (SaveReplica) isAsk()    {}
func (Examine) isAsk()        {}
func (FindTransfers) isAsk()  {}
func (GetStatus) isAsk()      {}

func (ListMembers) isAsk()    {}
func (AddMember) isAsk()      {}
func (PromoteMember) isAsk()  {}
func (RemoveMember) isAsk()   {}
func (PlaceGroup) isAsk()     {}
func (TransferLeader) isAsk() {}
