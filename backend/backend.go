// Package backend answers what the faces ask by asking a node.
//
// It joins api, which doesn't know node, to node, which doesn't know api, and decides nothing.
package backend

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transfer"
)

// Backend answers the faces of a node by asking its lane. It is an api.Backend.
type Backend struct {
	node    *node.Node
	version string // of the program
	syncs   syncMeter
}

// New makes the backend of a running node. Keep it as long as the node: it remembers how long syncs took lately.
func New(n *node.Node, version string) *Backend { return &Backend{node: n, version: version} }

// Full says why the node would turn transfers away at the door; nil: there is room.
func (b *Backend) Full() error { return b.node.Full() }

// Submit hands over all transfers in one event of the lane, so that they share a log entry and a sync.
func (b *Backend) Submit(ctx context.Context, transfers []transfer.Transfer) ([]transfer.Record, []error) {
	asks := make([]lane.Ask, len(transfers))
	for i := range transfers {
		asks[i] = lane.Submit{Transfer: &transfers[i]}
	}
	answers := b.node.Do(AnswerBefore(ctx), asks...)
	records, errs := make([]transfer.Record, len(answers)), make([]error, len(answers))
	for i := range answers {
		records[i], errs[i] = answers[i].Transfer, answers[i].Err
	}
	return records, errs
}

// SubmitEach hands over all transfers as Submit does and doesn't wait.
func (b *Backend) SubmitEach(grace time.Duration, transfers []transfer.Transfer, tell func(i int, record transfer.Record, err error)) (forget func()) {
	asks := make([]node.Timed, len(transfers))
	for i := range transfers {
		asks[i] = node.Timed{Ask: lane.Submit{Transfer: &transfers[i]}, Until: transfers[i].Deadline.Add(grace)}
	}
	return b.node.DoEach(asks, func(i int, a lane.Answer) { tell(i, a.Transfer, a.Err) })
}

// Leader is where the leader of all shards listens for gRPC, if that isn't this node.
func (b *Backend) Leader() string { return b.node.Leader() }

// Cancel has a transfer aborted unless it is too late.
func (b *Backend) Cancel(ctx context.Context, id transfer.ID) (transfer.Record, error) {
	a := b.ask(ctx, lane.CancelTransfer{ID: id})
	return a.Transfer, a.Err
}

// Capture commits a hold.
func (b *Backend) Capture(ctx context.Context, id transfer.ID, amountsMinor []int64) (transfer.Record, error) {
	a := b.ask(ctx, lane.CaptureTransfer{ID: id, AmountsMinor: amountsMinor})
	return a.Transfer, a.Err
}

// Void aborts a hold.
func (b *Backend) Void(ctx context.Context, id transfer.ID) (transfer.Record, error) {
	a := b.ask(ctx, lane.VoidTransfer{ID: id})
	return a.Transfer, a.Err
}

// Transfer reads one transfer.
func (b *Backend) Transfer(ctx context.Context, id transfer.ID) (transfer.Record, error) {
	a := b.ask(ctx, lane.GetTransfer{ID: id})
	return a.Transfer, a.Err
}

// StaleTransfer reads one transfer as this node knows it.
func (b *Backend) StaleTransfer(ctx context.Context, id transfer.ID) (transfer.Record, error) {
	a := b.ask(ctx, lane.GetTransfer{ID: id, Stale: true})
	return a.Transfer, a.Err
}

// OpenAccount opens an account, or returns the one that exists with the same terms.
func (b *Backend) OpenAccount(ctx context.Context, at transfer.BankID, terms bank.Terms) (bank.Account, error) {
	return oneAccount(b.ask(ctx, lane.OpenAccount{Bank: at, Terms: terms}))
}

// ChangeAccount freezes, unfreezes or closes an account, or sets its limit.
func (b *Backend) ChangeAccount(ctx context.Context, at transfer.BankID, change bank.Change) (bank.Account, error) {
	return oneAccount(b.ask(ctx, lane.ChangeAccount{Bank: at, Change: change}))
}

// Account reads one account.
func (b *Backend) Account(ctx context.Context, at transfer.BankID, id transfer.AccountID) (bank.Account, error) {
	return oneAccount(b.read(ctx, at, lane.GetAccount{Bank: at, ID: id}))
}

func oneAccount(a lane.Answer) (bank.Account, error) {
	if a.Err != nil {
		return bank.Account{}, a.Err
	}
	if len(a.Accounts) != 1 {
		return bank.Account{}, fmt.Errorf("%w: %d accounts came back instead of one", transfer.ErrInternal, len(a.Accounts))
	}
	return a.Accounts[0], nil
}

// Accounts lists accounts after an id.
func (b *Backend) Accounts(ctx context.Context, at transfer.BankID, after transfer.AccountID, limit int) ([]bank.Account, error) {
	return pages(limit, func(limit int, got []bank.Account) ([]bank.Account, error) {
		if len(got) > 0 {
			after = got[len(got)-1].ID
		}
		a := b.read(ctx, at, lane.ListAccounts{Bank: at, After: after, Limit: limit})
		return a.Accounts, a.Err
	})
}

// Statement lists entries of one account. The lane's own pages are shorter than what may be asked for.
func (b *Backend) Statement(ctx context.Context, at transfer.BankID, q api.StatementQuery) (page api.StatementPage, err error) {
	page.LastSeq, page.More = q.AfterSeq, true
	for page.More && len(page.Entries) < q.Limit {
		a := b.read(ctx, at, lane.GetStatement{
			Bank: at, Account: q.Account, AfterSeq: page.LastSeq, Since: q.Since, Until: q.Until, Limit: q.Limit - len(page.Entries),
		})
		if a.Err != nil {
			return api.StatementPage{}, a.Err
		}
		page.Entries = append(page.Entries, a.Entries...)
		page.LastSeq, page.More = a.LastSeq, a.More
		if len(a.Entries) == 0 {
			break // it has looked at much and found nothing: the client decides whether to go on
		}
	}
	return page, nil
}

// Entries lists journal entries after a sequence number.
func (b *Backend) Entries(ctx context.Context, at transfer.BankID, afterSeq uint64, limit int) ([]bank.Entry, error) {
	return pages(limit, func(limit int, got []bank.Entry) ([]bank.Entry, error) {
		if len(got) > 0 {
			afterSeq = got[len(got)-1].Seq
		}
		a := b.read(ctx, at, lane.ListEntries{Bank: at, AfterSeq: afterSeq, Limit: limit})
		return a.Entries, a.Err
	})
}

// pages reads on until limit items have come or there are no more: the lane's own pages may be shorter than what was asked for.
func pages[T any](limit int, next func(limit int, got []T) ([]T, error)) ([]T, error) {
	var got []T
	for len(got) < limit {
		page, err := next(limit-len(got), got)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
	}
	return got, nil
}

// Audit reads a bank's totals.
func (b *Backend) Audit(ctx context.Context, at transfer.BankID) (bank.Audit, error) {
	a := b.read(ctx, at, lane.AuditBank{Bank: at})
	return a.Audit, a.Err
}

// Status says what this node knows.
func (b *Backend) Status(ctx context.Context) (api.Status, error) {
	a := b.ask(ctx, lane.GetStatus{})
	if a.Err != nil {
		return api.Status{}, a.Err
	}
	p99, err := b.syncs.p99(time.Now(), b.node.StorageMetrics)
	if err != nil {
		return api.Status{}, fmt.Errorf("%w: %w", transfer.ErrStopping, err)
	}
	cfg := b.node.Config()
	s := api.Status{
		Cluster: cfg.Cluster, Node: cfg.Node, Version: b.version, Started: b.node.Started(),
		InFlight: a.Status.Counts.InFlight, InDoubt: a.Status.Counts.InDoubt,
		Committed: a.Status.Counts.Committed, Aborted: a.Status.Counts.Aborted,
		LastSyncP99: p99, DiskFull: a.Status.LowSpace, DiskFree: b.node.Space().FreeBytes,
	}
	for _, g := range a.Status.Groups {
		s.Groups = append(s.Groups, api.GroupStatus{
			Group: string(g.Group), Role: roleOf(&g.Raft), Leader: uint64(g.Raft.Leader), Term: uint64(g.Raft.Term),
			Commit: uint64(g.Raft.Commit), Applied: uint64(g.Raft.Applied), Members: raft.Numbers(g.Members.Members()),
		})
	}
	for _, at := range a.Status.Banks {
		s.Banks = append(s.Banks, api.BankStatus{ID: at.Bank, Nodes: raft.Numbers(at.Members), Leader: uint64(at.Leader), Up: at.Up, Breaker: at.Breaker.String()})
	}
	return s, nil
}

// Members lists the nodes.
func (b *Backend) Members(ctx context.Context) ([]api.Member, error) {
	a := b.ask(ctx, lane.ListMembers{})
	var out []api.Member
	for i := range a.Members {
		m := &a.Members[i]
		at := m.Node.Addresses
		member := api.Member{Node: uint64(m.Node.ID), Role: m.Node.Role.String(), Alive: m.Alive, Behind: m.Behind, Peer: at.Peer, GRPC: at.GRPC, HTTP: at.HTTP}
		for _, g := range m.Groups {
			member.Groups = append(member.Groups, string(g))
		}
		out = append(out, member)
	}
	return out, a.Err
}

// ChangeCluster asks for a change of the members, of a bank's place or of a leader.
func (b *Backend) ChangeCluster(ctx context.Context, c api.ClusterChange) error {
	var ask lane.Ask
	switch {
	case c.Add != nil:
		ask = lane.AddMember{Node: raft.NodeID(c.Add.Node), Addresses: directory.Addresses{Peer: c.Add.Peer, GRPC: c.Add.GRPC, HTTP: c.Add.HTTP}}
	case c.Place != nil:
		place := lane.PlaceGroup{Group: lane.BankGroup(c.Place.Bank)}
		for _, n := range c.Place.Nodes {
			place.Members = append(place.Members, raft.NodeID(n))
		}
		ask = place
	case c.Transfer != nil:
		ask = lane.TransferLeader{Group: lane.GroupID(c.Transfer.Group), To: raft.NodeID(c.Transfer.Node)}
	case c.Remove != 0:
		ask = lane.RemoveMember{Node: raft.NodeID(c.Remove)}
	default:
		ask = lane.PromoteMember{Node: raft.NodeID(c.Promote)}
	}
	return b.ask(ctx, ask).Err
}

func (b *Backend) ask(ctx context.Context, ask lane.Ask) lane.Answer {
	return b.node.Do(AnswerBefore(ctx), ask)[0]
}

// read asks a bank for something that changes nothing: when no answer comes, nothing is in doubt, and asking again is safe.
func (b *Backend) read(ctx context.Context, at transfer.BankID, ask lane.Ask) lane.Answer {
	a := b.ask(ctx, ask)
	a.Err = onlyRead(a.Err, "bank "+string(at))
	return a
}

// lanesHeadStart is how long before the caller's deadline the lane gives up. It alone knows whether anybody was asked: its
// "nothing was changed" would otherwise always lose the race against the deadline's "unknown".
const lanesHeadStart = 200 * time.Millisecond

// AnswerBefore is ctx with an earlier deadline to read; it ends when ctx does.
func AnswerBefore(ctx context.Context) context.Context {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx
	}
	left := time.Until(deadline)
	return headStart{Context: ctx, deadline: deadline.Add(-min(lanesHeadStart, left/2))}
}

type headStart struct {
	context.Context
	deadline time.Time
}

// Deadline is earlier than that of the context within.
func (h headStart) Deadline() (time.Time, bool) { return h.deadline, true }

// syncMeter tells how long synced commits took lately, from counts that only grow.
type syncMeter struct {
	mu     sync.Mutex // guards the rest
	readAt time.Time
	before storage.Latency // all commits until readAt
	latest time.Duration   // of the commits of the last interval that had any
}

// syncInterval is how often the counts are read: reading them takes locks inside the store.
const syncInterval = time.Second

func (m *syncMeter) p99(now time.Time, read func() (storage.Metrics, error)) (time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.readAt) < syncInterval {
		return m.latest, nil
	}
	metrics, err := read()
	if err != nil {
		return 0, err
	}
	if lately := since(m.before, metrics.CommitTime); lately.Count > 0 {
		m.latest = lately.Quantile(0.99)
	}
	m.readAt, m.before = now, metrics.CommitTime
	return m.latest, nil
}

// since is what the later histogram has more than the earlier one. The longest of all time stands for that of the
// interval, which isn't known.
func since(before, after storage.Latency) storage.Latency {
	lately := after
	lately.Count -= before.Count
	lately.Sum -= before.Sum
	for i := range lately.Buckets {
		lately.Buckets[i] -= before.Buckets[i]
	}
	return lately
}

// roleOf says what a replica is to its group.
func roleOf(s *raft.Status) string {
	if s.Incomplete {
		return "repairing"
	}
	return s.Role.String()
}
