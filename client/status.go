package client

import (
	"context"
	"time"

	"google.golang.org/grpc"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// Status is one node's view of the cluster.
type Status struct {
	Cluster     string
	Node        uint64
	Version     string
	Started     time.Time
	Groups      []GroupStatus
	Banks       []BankStatus
	InFlight    int    // transfers this node coordinates now
	InDoubt     int    // of those: staged, outcome not yet known
	Committed   uint64 // decided by this node since it started
	Aborted     uint64
	LastSyncP99 time.Duration // of the latest synced writes
	DiskFull    bool          // nearly: it begins nothing new until there is space
	DiskFree    uint64        // bytes; zero: unknown
}

// GroupStatus is one Raft group that the node has a replica of.
type GroupStatus struct {
	Group   string // "coordinator/0", "bank/HOME"
	Role    string // leader, follower, candidate, pre-candidate, learner
	Leader  uint64 // zero: unknown
	Term    uint64
	Commit  uint64
	Applied uint64
	Members []uint64
}

// BankStatus is one bank of the cluster as the node sees it.
type BankStatus struct {
	ID     transfer.BankID
	Nodes  []uint64 // where its replicas live
	Leader uint64   // zero: unknown
	Up     bool     // answered lately, or nothing was asked of it
	// Breaker says whether the coordinators on this node give it new transfers: closed (yes), open (no), half_open (one, to find out).
	Breaker string
}

// Audit is one atomic look at a bank's books.
type Audit struct {
	Bank      transfer.BankID
	Totals    []Total // sorted by currency
	OpenHolds uint64
	LastEntry uint64 // Seq of the newest journal entry that Totals contain
}

// Total is the sum over all accounts of a bank in one currency, in minor units.
type Total struct {
	Currency      transfer.Currency
	PostedMinor   int64
	HeldMinor     int64
	IncomingMinor int64
	Accounts      uint64
}

// Status asks one node, the one that answers first, for its view.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var out Status
	err := c.ask(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		answer, err := n.status.GetStatus(ctx, &quoratev1.GetStatusRequest{}, options...)
		out = statusOf(answer.GetStatus())
		return err
	})
	return out, err
}

// Audit reads a bank's totals, all at one moment.
func (c *Client) Audit(ctx context.Context, bank transfer.BankID) (Audit, error) {
	var out Audit
	err := c.ask(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		answer, err := n.status.AuditBank(ctx, &quoratev1.AuditBankRequest{Bank: string(bank)}, options...)
		out = auditOf(answer.GetAudit())
		return err
	})
	return out, err
}
