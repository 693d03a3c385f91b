package lane

import (
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/coordinator/driver"
	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transfer"
)

// Effects is what a step wants done.
type Effects struct {
	Send        []Send
	Writes      []GroupWrite      // in order; one sync may cover them all
	Checkpoints []GroupCheckpoint // each as a whole, beside Writes
	Reads       []ReadSnapshot
	Answers     []Answered
	Reports     []Report
	Tokens      []directory.Token // the API tokens, whenever Nodes are told. Shared: never changed
	Nodes       []directory.Node  // the nodes there are and were, when that has changed; else nil. Shared: to be read before the next Step
	Due         time.Time         // step again by then, whatever comes; zero: nothing waits
	Fatal       error             // the process must stop: memory and disk no longer agree
}

// Send is a message for another node.
type Send struct {
	To      raft.NodeID
	Message Message
}

// Deferrable says whether nobody waits for the message, see raft.Message.
func (s *Send) Deferrable() bool {
	m, ok := s.Message.(RaftMessage)
	return ok && m.Message.Deferrable
}

// GroupWrite is one group's atomic write, and what may leave once it is durable.
type GroupWrite struct {
	Group   GroupID
	Write   replica.Write
	Durable []Send
}

// GroupCheckpoint is one group's checkpoint. The host answers with a CheckpointWritten, unless it was dropped because a later write of the group had already installed
// a snapshot or retired it.
type GroupCheckpoint struct {
	Group      GroupID
	Checkpoint replica.Checkpoint
}

// ReadSnapshot wants one chunk of a snapshot of a group for a member that misses what the log no longer holds. It is read from the
// group's last durable checkpoint with replica.Outgoing, beside the loop, and handed in as a SnapshotRead.
type ReadSnapshot struct {
	Group    GroupID
	To       raft.NodeID
	Last     raft.EntryID // of the snapshot that was begun for this member; zero: begin one
	Offset   uint64
	BytesMax int
	Members  []byte // of a checkpoint that an older version wrote and that doesn't say who counted
}

// Answered answers one Asked.
type Answered struct {
	Request uint64
	Answer  Answer
}

// Answer is what a client is told: Err, or the field that fits what it asked.
type Answer struct {
	Err      error
	Transfer transfer.Record
	Accounts []bank.Account
	Entries  []bank.Entry
	LastSeq  uint64 // of a statement: where the next page begins …
	More     bool   // … if there is one
	Listing  *Listing
	Audit    bank.Audit
	Status   *Status
	Hash     StateHash
	Examined *Examined
	Found    []bank.Result // one for each content; zero: nothing is known of it
	Members  []MemberStatus
	Tokens   []directory.Token
}

// Listing is what a coordinator group lists: of ListTransfers a Page, of ReadDecisions Decisions, of ListInDoubt Doubts. Most answers have none.
type Listing struct {
	Page      coordinator.Page
	Decisions coordinator.Decisions
	Doubts    []driver.Doubt
}

// Listed is the Listing, or an empty one: another node says nothing of what is empty.
func (a *Answer) Listed() Listing {
	if a.Listing == nil {
		return Listing{}
	}
	return *a.Listing
}

// Message is what lanes say to each other: RaftMessage, BankRequests, BankAnswers, Inquiry, Forward, ForwardReply, Pulse, Register,
// GroupReport, WhoIsThere or Introduction. The list is closed.
type Message interface{ isMessage() }

// RaftMessage belongs to the agreement of one group.
type RaftMessage struct {
	Group   GroupID
	Message raft.Message
}

// BankRequests asks a bank on behalf of a coordinator group.
type BankRequests struct {
	Bank        transfer.BankID
	Coordinator GroupID
	Requests    []bank.Request
}

// BankAnswers answers. Without answers it says that LeaderHint leads the bank (zero: unknown).
type BankAnswers struct {
	Bank        transfer.BankID
	Coordinator GroupID
	Answers     []bank.Answer
	LeaderHint  raft.NodeID
}

// Inquiry asks a coordinator group about old holds of a bank.
type Inquiry struct {
	Coordinator GroupID
	Bank        transfer.BankID
	IDs         []transfer.ID
}

// Forward hands a client's request to the node that leads its group.
type Forward struct {
	Request uint64
	Group   GroupID
	Ask     Ask
}

// ForwardReply answers a Forward. NotLeader says that this node doesn't know, and LeaderHint who might.
type ForwardReply struct {
	Request    uint64
	NotLeader  bool
	LeaderHint raft.NodeID
	Answer     Answer
}

// Register tells the leader of the cluster's group which disk the sender has, and where it listens.
type Register struct {
	Disk      directory.Disk
	Addresses directory.Addresses
}

// GroupReport tells the leader of the cluster's group what the leader of another knows; or every node what the sender can read, and whether it has room.
type GroupReport struct {
	Group  GroupID
	Behind []Behind      // who doesn't vote yet, or lacks more than who votes should
	Absent []raft.NodeID // who should leave the group, and is out of it
	Level  directory.Level

	LowSpace bool // with a Level: the sender's disk is nearly full
}

// Behind says how many entries a node lacks.
type Behind struct {
	Node    raft.NodeID
	Entries uint64
}

func (Register) isMessage()     {}
func (GroupReport) isMessage()  {}
func (RaftMessage) isMessage()  {}
func (BankRequests) isMessage() {}
func (BankAnswers) isMessage()  {}
func (Inquiry) isMessage()      {}
func (Forward) isMessage()      {}
func (ForwardReply) isMessage() {}

// Report is a fact for logs and metrics: LeaderChanged, LeadershipOffered, BankViolated, BankBreakerMoved, MessageRefused,
// SnapshotBegun, SnapshotUnreadable, SnapshotInstalled, ReplicaIncomplete, ReplicaRepaired, CheckpointBegun,
// MembershipProposed, ReplicaRetired or NodeIntroduced. The host chooses words and level.
type Report interface{ isReport() }

// LeaderChanged says who leads a group now, as this node sees it (zero: nobody known).
type LeaderChanged struct {
	Group  GroupID
	Term   raft.Term
	Leader raft.NodeID
}

// LeadershipOffered says that this node, which leads a group, asks its preferred member to take over.
type LeadershipOffered struct {
	Group GroupID
	Term  raft.Term
	To    raft.NodeID
}

// BankViolated says that a bank answered that it can't do what was decided: money is at risk.
type BankViolated struct {
	Violation driver.Violation
}

// BankBreakerMoved says that this node gives a bank no new transfers, or gives it some again.
type BankBreakerMoved struct {
	Moved driver.BreakerMoved
}

// MessageRefused says that a peer sent what can't be right.
type MessageRefused struct {
	From  raft.NodeID
	Group GroupID
	Err   error
}

// SnapshotBegun says that a member misses entries that the log no longer holds, and is being sent a snapshot.
type SnapshotBegun struct {
	Group  GroupID
	Member raft.NodeID
}

// SnapshotUnreadable says that a member can't be sent the snapshot that it needs. It is tried again.
type SnapshotUnreadable struct {
	Group  GroupID
	Member raft.NodeID
	Err    error
}

// SnapshotInstalled says that this node's replica was replaced by another's, up to Applied.
type SnapshotInstalled struct {
	Group   GroupID
	Applied raft.Index
}

// ReplicaIncomplete says that this node's replica starts without what it had promised in terms up to Until. It neither votes nor
// campaigns until the other members have given it everything.
type ReplicaIncomplete struct {
	Group GroupID
	Until raft.Term
}

// ReplicaRepaired says that it votes again.
type ReplicaRepaired struct {
	Group GroupID
}

// CheckpointBegun says that a checkpoint is on its way to the disk.
type CheckpointBegun struct {
	Group   GroupID
	Applied raft.Index
	Keys    int
}

func (LeaderChanged) isReport()      {}
func (BankViolated) isReport()       {}
func (LeadershipOffered) isReport()  {}
func (BankBreakerMoved) isReport()   {}
func (MessageRefused) isReport()     {}
func (SnapshotBegun) isReport()      {}
func (SnapshotUnreadable) isReport() {}
func (SnapshotInstalled) isReport()  {}
func (ReplicaIncomplete) isReport()  {}
func (ReplicaRepaired) isReport()    {}
func (CheckpointBegun) isReport()    {}

// MembershipProposed says that this node, as a group's leader, has put a change of its members into the log.
type MembershipProposed struct {
	Group   GroupID
	Changes []membership.Change
}

// ReplicaRetired says that the replica here was ended for ever: its group goes on without this node.
type ReplicaRetired struct{ Group GroupID }

func (MembershipProposed) isReport() {}
func (ReplicaRetired) isReport()     {}
