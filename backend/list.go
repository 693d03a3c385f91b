package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/transfer"
)

// Bounds of one list. A page of a lane looks at a few hundred transfers; one request puts several of them together, and answers with what it
// has when it has looked long enough: the client asks again.
const (
	listRounds  = 8
	listLegsMax = 1 << 16 // of all transfers in one answer
)

// exhausted is the position of a group that has no more: nothing is below the first number.
const exhausted = 1

// Transfers lists from new to old, over all coordinator groups.
func (b *Backend) Transfers(ctx context.Context, q api.TransferQuery) (api.TransferPage, error) {
	page := api.TransferPage{Below: slices.Clone(q.Below), More: true}
	groups := max(1, b.node.Config().Coordinators)
	if page.Below == nil {
		page.Below = make([]uint64, groups)
	}
	if len(page.Below) != groups {
		return api.TransferPage{}, fmt.Errorf("%w: the page token is of %d coordinator groups, there are %d", transfer.ErrInvalidRequest, len(page.Below), groups)
	}
	filter := coordinator.Filter{State: q.State, Bank: q.Bank, Account: q.Account, Reference: q.Reference, Since: q.Since, Until: q.Until}
	legs := 0
	for round := 0; page.More && round < listRounds && len(page.Records) < q.Limit && legs < listLegsMax; round++ {
		parts, err := b.listParts(ctx, filter, page.Below, q.Limit-len(page.Records))
		if err != nil {
			return api.TransferPage{}, err
		}
		listed, more := mergeParts(parts, page.Below, q.Limit-len(page.Records))
		for i := range listed {
			legs += len(listed[i].Record.Transfer.Legs)
			page.Records = append(page.Records, listed[i].Record)
		}
		page.More = more
	}
	return page, nil
}

// listParts asks every group that has more.
func (b *Backend) listParts(ctx context.Context, filter coordinator.Filter, below []uint64, limit int) ([]coordinator.Page, error) {
	var asks []lane.Ask
	var asked []int
	for group := range below {
		if below[group] != exhausted {
			asked = append(asked, group)
			asks = append(asks, lane.ListTransfers{Group: lane.CoordinatorGroup(group), Filter: filter, Below: below[group], Limit: limit})
		}
	}
	parts := make([]coordinator.Page, len(below))
	for i, a := range b.node.Do(AnswerBefore(ctx), asks...) {
		if a.Err != nil {
			return nil, onlyRead(a.Err, "the coordinators")
		}
		parts[asked[i]] = a.Listed().Page
	}
	return parts, nil
}

// mergeParts puts the groups' pages together, newest first, and moves each group's position behind what it has given. What is older than the
// point up to which some group has been read waits: that group may have something newer.
func mergeParts(parts []coordinator.Page, below []uint64, limit int) (merged []coordinator.Listed, more bool) {
	type item struct {
		coordinator.Listed
		group int
	}
	var items []item
	taken := make([]int, len(parts))
	for group := range parts {
		for _, l := range parts[group].Listed {
			items = append(items, item{l, group})
		}
	}
	slices.SortStableFunc(items, func(a, b item) int {
		return cmp.Or(b.ReachedAt.Compare(a.ReachedAt), cmp.Compare(a.group, b.group))
	})
	for _, it := range items {
		waits := slices.ContainsFunc(parts, func(p coordinator.Page) bool { return p.More && p.ReachedAt.After(it.ReachedAt) })
		if waits || len(merged) == limit {
			break
		}
		merged = append(merged, it.Listed)
		taken[it.group]++
	}
	for group := range parts {
		p := &parts[group]
		switch n := taken[group]; {
		case below[group] == exhausted:
		case n == len(p.Listed) && p.More:
			below[group] = p.Last
		case n == len(p.Listed):
			below[group] = exhausted
		case n > 0:
			below[group] = p.Listed[n-1].Number
		default:
			below[group] = p.Listed[0].Number + 1 // not the newest of then, which would be newer than what was listed
		}
		more = more || below[group] != exhausted
	}
	return merged, more
}

// InDoubt lists transfers whose outcome isn't known yet, over all coordinator groups, the oldest first.
func (b *Backend) InDoubt(ctx context.Context, limit int) (doubts []api.Doubt, err error) {
	var asks []lane.Ask
	for group := range max(1, b.node.Config().Coordinators) {
		asks = append(asks, lane.ListInDoubt{Group: lane.CoordinatorGroup(group), Limit: limit})
	}
	for _, a := range b.node.Do(AnswerBefore(ctx), asks...) {
		if a.Err != nil {
			return nil, onlyRead(a.Err, "the coordinators")
		}
		for _, d := range a.Listed().Doubts {
			doubts = append(doubts, api.Doubt{Record: d.Record, Waiting: d.Waiting})
		}
	}
	slices.SortStableFunc(doubts, func(a, b api.Doubt) int { return a.Record.CreatedAt.Compare(b.Record.CreatedAt) })
	return doubts[:min(len(doubts), limit)], nil
}

// onlyRead is an error of something that changes nothing: when no answer comes, nothing is in doubt, and asking again is safe.
func onlyRead(err error, who string) error {
	if errors.Is(err, transfer.ErrOutcomeUnknown) {
		return fmt.Errorf("%w: %s didn't answer in time", transfer.ErrNoLeader, who)
	}
	return err
}

// Decisions lists what was decided behind a position, over all coordinator groups.
func (b *Backend) Decisions(ctx context.Context, q api.DecisionQuery) (page api.DecisionPage, err error) {
	groups := max(1, b.node.Config().Coordinators)
	if q.After != nil && len(q.After) != groups {
		return page, fmt.Errorf("%w: the position is of %d coordinator groups, there are %d", transfer.ErrInvalidRequest, len(q.After), groups)
	}
	filter := coordinator.Filter{State: q.State, Bank: q.Bank, Account: q.Account, Reference: q.Reference}
	asks := make([]lane.Ask, groups)
	for group := range asks {
		ask := lane.ReadDecisions{Group: lane.CoordinatorGroup(group), Filter: filter, Newest: q.After == nil, Limit: q.Limit}
		if q.After != nil {
			ask.After = q.After[group]
		}
		asks[group] = ask
	}
	for group, a := range b.node.Do(AnswerBefore(ctx), asks...) {
		if a.Err != nil {
			return api.DecisionPage{}, onlyRead(a.Err, "the coordinators")
		}
		d := a.Listed().Decisions
		for i := range d.Decided {
			page.Decided = append(page.Decided, api.Decision{Record: d.Decided[i].Record, Group: group, Number: d.Decided[i].Number})
		}
		page.After, page.More = append(page.After, d.Last), page.More || d.More
	}
	return page, nil
}
