package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// The objects that -o json prints: field by field those of the HTTP API. script/json_is_http.txtar holds them
// against what a server says. Amounts are strings of digits.

type transferJSON struct {
	ID        string      `json:"id"`
	State     string      `json:"state"`
	Reason    *reasonJSON `json:"reason,omitempty"`
	Settled   bool        `json:"settled"`
	Legs      []legJSON   `json:"legs"`
	Reference string      `json:"reference"`
	CreatedAt *time.Time  `json:"created_at,omitempty"`
	DecidedAt *time.Time  `json:"decided_at,omitempty"`
	HoldUntil *time.Time  `json:"hold_until,omitempty"`
	Captured  []string    `json:"captured_minor,omitempty"`
	Stale     bool        `json:"stale,omitempty"`
}

type reasonJSON struct {
	Code   string `json:"code"`
	Bank   string `json:"bank,omitempty"`
	Detail string `json:"detail"`

	Shortfall *shortfallJSON `json:"shortfall,omitempty"`
}

type shortfallJSON struct {
	Account        string `json:"account"`
	Currency       string `json:"currency"`
	AvailableMinor string `json:"available_minor"`
	NeededMinor    string `json:"needed_minor"`
}

type legJSON struct {
	Bank        string `json:"bank"`
	Account     string `json:"account"`
	Direction   string `json:"direction"`
	AmountMinor string `json:"amount_minor"`
	Currency    string `json:"currency"`
}

// leg reads one back.
func (l *legJSON) leg() (transfer.Leg, error) {
	leg := transfer.Leg{Bank: transfer.BankID(l.Bank), Account: transfer.AccountID(l.Account), Currency: transfer.Currency(l.Currency)}
	switch l.Direction {
	case transfer.Debit.String():
		leg.Direction = transfer.Debit
	case transfer.Credit.String():
		leg.Direction = transfer.Credit
	default:
		return leg, fmt.Errorf("%w: got %q", transfer.ErrInvalidDirection, l.Direction)
	}
	amount, err := strconv.ParseUint(l.AmountMinor, 10, 63)
	if err != nil {
		return leg, fmt.Errorf("%w: got %q", transfer.ErrInvalidAmount, l.AmountMinor)
	}
	leg.AmountMinor = int64(amount)
	return leg, nil
}

type accountJSON struct {
	ID             string `json:"id"`
	Bank           string `json:"bank"`
	Currency       string `json:"currency"`
	Status         string `json:"status"`
	PostedMinor    string `json:"posted_minor"`
	HeldMinor      string `json:"held_minor"`
	IncomingMinor  string `json:"incoming_minor"`
	AvailableMinor string `json:"available_minor,omitempty"`
	OverdraftMinor string `json:"overdraft_minor"`
	Unlimited      bool   `json:"unlimited"`
}

type statusJSON struct {
	Cluster       string            `json:"cluster"`
	Node          uint64            `json:"node"`
	Version       string            `json:"version"`
	StartedAt     *time.Time        `json:"started_at,omitempty"`
	Groups        []groupStatusJSON `json:"groups"`
	Banks         []bankStatusJSON  `json:"banks"`
	InFlight      int               `json:"in_flight"`
	InDoubt       int               `json:"in_doubt"`
	Committed     uint64            `json:"committed"`
	Aborted       uint64            `json:"aborted"`
	LastSyncP99US int64             `json:"last_sync_p99_us"`
	DiskFull      bool              `json:"disk_full"`
	DiskFreeBytes uint64            `json:"disk_free_bytes"`
}

type groupStatusJSON struct {
	Group   string   `json:"group"`
	Role    string   `json:"role"`
	Leader  uint64   `json:"leader"`
	Term    uint64   `json:"term"`
	Commit  uint64   `json:"commit"`
	Applied uint64   `json:"applied"`
	Members []uint64 `json:"members"`
}

type bankStatusJSON struct {
	ID      string   `json:"id"`
	Nodes   []uint64 `json:"nodes"`
	Leader  uint64   `json:"leader"`
	Up      bool     `json:"up"`
	Breaker string   `json:"breaker"`
}

func transferToJSON(r *transfer.Record) transferJSON {
	out := transferJSON{
		ID: r.Transfer.ID.String(), State: r.State.String(), Settled: r.Settled, Legs: []legJSON{},
		Reference: r.Transfer.Reference, CreatedAt: timeToJSON(r.CreatedAt), DecidedAt: timeToJSON(r.DecidedAt),
		HoldUntil: timeToJSON(r.Transfer.HoldUntil),
	}
	for _, amount := range r.CapturedMinor {
		out.Captured = append(out.Captured, digits(amount))
	}
	if r.State == transfer.Aborted {
		out.Reason = &reasonJSON{Code: string(r.Reason.Code), Bank: string(r.Reason.Bank), Detail: r.Reason.Detail}
		if s := r.Reason.Shortfall; s != nil {
			out.Reason.Shortfall = &shortfallJSON{
				Account: string(s.Account), Currency: string(s.Currency), AvailableMinor: digits(s.AvailableMinor), NeededMinor: digits(s.NeededMinor),
			}
		}
	}
	for _, l := range r.Transfer.Legs {
		out.Legs = append(out.Legs, legJSON{
			Bank: string(l.Bank), Account: string(l.Account), Direction: l.Direction.String(),
			AmountMinor: digits(l.AmountMinor), Currency: string(l.Currency),
		})
	}
	return out
}

func accountToJSON(at transfer.BankID, a *client.Account) accountJSON {
	out := accountJSON{
		ID: string(a.ID), Bank: string(at), Currency: string(a.Currency), Status: a.Status.String(),
		PostedMinor: digits(a.PostedMinor), HeldMinor: digits(a.HeldMinor), IncomingMinor: digits(a.IncomingMinor),
		OverdraftMinor: digits(a.OverdraftMinor), Unlimited: a.Unlimited,
	}
	if !a.Unlimited {
		out.AvailableMinor = digits(a.AvailableMinor)
	}
	return out
}

func statusToJSON(s *client.Status) statusJSON {
	out := statusJSON{
		Cluster: s.Cluster, Node: s.Node, Version: s.Version, StartedAt: timeToJSON(s.Started),
		Groups: []groupStatusJSON{}, Banks: []bankStatusJSON{},
		InFlight: s.InFlight, InDoubt: s.InDoubt, Committed: s.Committed, Aborted: s.Aborted,
		LastSyncP99US: s.LastSyncP99.Microseconds(), DiskFull: s.DiskFull, DiskFreeBytes: s.DiskFree,
	}
	for _, g := range s.Groups {
		out.Groups = append(out.Groups, groupStatusJSON{
			Group: g.Group, Role: g.Role, Leader: g.Leader, Term: g.Term, Commit: g.Commit, Applied: g.Applied,
			Members: append([]uint64{}, g.Members...),
		})
	}
	for _, b := range s.Banks {
		out.Banks = append(out.Banks, bankStatusJSON{ID: string(b.ID), Nodes: append([]uint64{}, b.Nodes...), Leader: b.Leader, Up: b.Up, Breaker: b.Breaker})
	}
	return out
}

func digits(n int64) string { return strconv.FormatInt(n, 10) }

// timeToJSON is in UTC with at most microseconds; nil if there is none.
func timeToJSON(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Microsecond)
	return &t
}
