package api

import (
	"context"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// Backend is what the faces need from a node. Every method may be called from any goroutine and
// gives up when ctx ends. Errors wrap a *transfer.Error; one of KindUnknown means that the
// request may still take effect.
type Backend interface {
	// Full says why transfers would be turned away at the door (ErrBusy, ErrStopping), at next to no cost; nil: there is room for now.
	Full() error
	// Submit hands over validated transfers and waits for each outcome. The two slices of the
	// result have the length of the argument: errs[i] is nil or says why records[i] is not an outcome.
	Submit(ctx context.Context, transfers []transfer.Transfer) (records []transfer.Record, errs []error)
	// SubmitEach is Submit that doesn't wait: tell hears of each outcome, by its place, once, at the latest a grace after the transfer's deadline. It is
	// called by any goroutine, possibly before SubmitEach returns, and must not block. After forget it isn't called any more.
	SubmitEach(grace time.Duration, transfers []transfer.Transfer, tell func(i int, record transfer.Record, err error)) (forget func())
	// Leader is where the server listens for gRPC that leads all coordinators; empty if that is this one, or not known.
	Leader() string
	// Cancel aborts a transfer unless it is too late, or closes an unknown id, and waits for what became of it.
	Cancel(ctx context.Context, id transfer.ID) (transfer.Record, error)
	// Capture commits a hold, all of it without amounts, and Void aborts it; both wait for what became of it.
	Capture(ctx context.Context, id transfer.ID, amountsMinor []int64) (transfer.Record, error)
	Void(ctx context.Context, id transfer.ID) (transfer.Record, error)
	// Transfer reads one transfer, linearizably.
	Transfer(ctx context.Context, id transfer.ID) (transfer.Record, error)
	// StaleTransfer reads one transfer as this node knows it, without asking others.
	StaleTransfer(ctx context.Context, id transfer.ID) (transfer.Record, error)
	// Transfers lists transfers from new to old, linearizably.
	Transfers(ctx context.Context, q TransferQuery) (TransferPage, error)
	// Decisions lists what was decided behind a position, of each coordinator group in the order of its log. It may be a moment old, and never in another order.
	Decisions(ctx context.Context, q DecisionQuery) (DecisionPage, error)
	// InDoubt lists up to limit transfers whose outcome isn't known yet, the oldest first.
	InDoubt(ctx context.Context, limit int) ([]Doubt, error)
	// OpenAccount opens an account, or returns the one that exists with the same terms.
	OpenAccount(ctx context.Context, bank transfer.BankID, terms bank.Terms) (bank.Account, error)
	// Account reads one account, linearizably; ErrAccountNotFound.
	Account(ctx context.Context, bank transfer.BankID, id transfer.AccountID) (bank.Account, error)
	// Accounts lists up to limit accounts whose id comes after the given one, by id.
	Accounts(ctx context.Context, bank transfer.BankID, after transfer.AccountID, limit int) ([]bank.Account, error)
	// ChangeAccount freezes, unfreezes or closes an account, or sets its limit, and returns it as it is then.
	ChangeAccount(ctx context.Context, bank transfer.BankID, change bank.Change) (bank.Account, error)
	// Statement lists entries of one account; ErrAccountNotFound.
	Statement(ctx context.Context, bank transfer.BankID, q StatementQuery) (StatementPage, error)
	// Entries lists up to limit journal entries of a bank after a sequence number.
	Entries(ctx context.Context, bank transfer.BankID, afterSeq uint64, limit int) ([]bank.Entry, error)
	// Audit reads a bank's totals, all at one moment.
	Audit(ctx context.Context, bank transfer.BankID) (bank.Audit, error)
	// Status says what this node knows of the cluster.
	Status(ctx context.Context) (Status, error)
	// Members lists every node that the cluster ever had, by id, linearizably.
	Members(ctx context.Context) ([]Member, error)
	// ChangeCluster has a change accepted, or says why it is refused. A wish for another leader is fulfilled when it returns.
	ChangeCluster(ctx context.Context, change ClusterChange) error

	Tokens
}

// TransferQuery asks for up to Limit transfers. A field that isn't set lets all through.
type TransferQuery struct {
	State        transfer.State
	Bank         transfer.BankID    // has a leg there …
	Account      transfer.AccountID // … and, if both are set, the same leg is of this account
	Reference    string             // the whole of it
	Since, Until time.Time          // by when a coordinator took note of it: from Since up to, but without, Until
	Below        []uint64           // where the page before has ended, one for each coordinator group; nil: the first page
	Limit        int
}

// TransferPage is a part of a list. It may have fewer than were asked for, or none, and still not be the last.
type TransferPage struct {
	Records []transfer.Record
	Below   []uint64
	More    bool
}

// Doubt is a transfer whose outcome isn't known yet.
type Doubt struct {
	Record  transfer.Record
	Waiting []transfer.BankID // have not said yet that they hold it
}

// StatementQuery asks for up to Limit entries of an account after a sequence number, in the period from Since up to, but without, Until (zero: no bound).
type StatementQuery struct {
	Account      transfer.AccountID
	AfterSeq     uint64
	Since, Until time.Time
	Limit        int
}

// StatementPage is a part of a statement. With More, the next one begins after LastSeq.
type StatementPage struct {
	Entries []bank.Entry
	LastSeq uint64
	More    bool
}

// Status is one node's view: cheap, local, possibly a little old for what other nodes lead.
type Status struct {
	Cluster     string
	Node        uint64
	Version     string
	Started     time.Time
	Groups      []GroupStatus
	Banks       []BankStatus
	InFlight    int    // transfers this node coordinates now
	InDoubt     int    // of those: staged, outcome not yet known
	Committed   uint64 // decided here since start
	Aborted     uint64
	LastSyncP99 time.Duration // of the latest synced commits
	DiskFull    bool          // nearly: nothing new is begun here
	DiskFree    uint64        // bytes; zero: unknown
}

// GroupStatus is one Raft group that this node has a replica of.
type GroupStatus struct {
	Group   string // "coordinator/0", "bank/HOME"
	Role    string // leader, follower, candidate, pre-candidate, learner; repairing: it lost what it had acknowledged and doesn't vote yet
	Leader  uint64 // zero: unknown
	Term    uint64
	Commit  uint64
	Applied uint64
	Members []uint64
}

// BankStatus is one bank of the cluster as this node sees it.
type BankStatus struct {
	ID     transfer.BankID
	Nodes  []uint64 // where its replicas live
	Leader uint64   // zero: unknown
	Up     bool     // answered lately, or nothing was asked of it
	// Breaker says whether the coordinators on this node give it new transfers: closed (yes), open (no), half_open (one, to find out).
	Breaker string
}
