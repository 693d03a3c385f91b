package backend

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/transfer"
)

// pageOf is what a group with these times, oldest first, answers: it looks at up to look transfers below a number and shows those at even seconds.
func pageOf(times []int, below uint64, limit, look int) (p coordinator.Page) {
	number := uint64(len(times))
	if below > 0 {
		number = min(number, below-1)
	}
	for ; number > 0 && look > 0 && len(p.Listed) < limit; number, look = number-1, look-1 {
		at := time.Unix(int64(times[number-1]), 0)
		if times[number-1]%2 == 0 {
			p.Listed = append(p.Listed, coordinator.Listed{Number: number, ReachedAt: at})
		}
		p.Last, p.ReachedAt, p.More = number, at, number > 1
	}
	return p
}

// Whatever the groups hold and however little they look at: every transfer comes once, and none before a newer one.
func TestAListOverGroupsIsInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := make([][]int, rapid.IntRange(1, 4).Draw(t, "groups"))
		var want []int
		for g := range groups {
			groups[g] = rapid.SliceOfN(rapid.IntRange(0, 12), 0, 12).Draw(t, "times")
			slices.Sort(groups[g])
			for _, at := range groups[g] {
				if at%2 == 0 {
					want = append(want, at)
				}
			}
		}
		slices.Sort(want)
		slices.Reverse(want)
		below := make([]uint64, len(groups))
		var got []int
		rounds := 0
		for more := true; more; rounds++ {
			limit := rapid.IntRange(1, 5).Draw(t, "limit")
			parts := make([]coordinator.Page, len(groups))
			for g := range groups {
				if below[g] != exhausted {
					parts[g] = pageOf(groups[g], below[g], limit, rapid.IntRange(1, 4).Draw(t, "look"))
				}
			}
			if rounds == 0 { // what comes meanwhile is not in the list
				for g := range groups {
					groups[g] = append(groups[g], 14)
				}
			}
			var merged []coordinator.Listed
			merged, more = mergeParts(parts, below, limit)
			if len(merged) > limit {
				t.Fatalf("%d on a page of %d", len(merged), limit)
			}
			for _, l := range merged {
				got = append(got, int(l.ReachedAt.Unix()))
			}
			if rounds > 200 {
				t.Fatalf("no end: positions %v", below)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestTransfersOfAllGroupsAreListed(t *testing.T) {
	b := startBackend(t, 1, func(c *node.Config) { c.Coordinators = 3 })
	ctx := ctxFor(t, patience)
	openPair(t, b)
	for i := range 30 {
		p := somePayment(int64(i%3) + 1)
		p.Reference = fmt.Sprint(i % 2)
		if records, errs := b.Submit(ctx, []transfer.Transfer{p}); errs[0] != nil || records[0].State != transfer.Committed {
			t.Fatalf("%+v, %v", records[0], errs[0])
		}
	}
	for _, row := range []struct {
		query api.TransferQuery
		want  int
	}{
		{api.TransferQuery{Limit: 7}, 30},
		{api.TransferQuery{Limit: 1000, Reference: "1"}, 15},
		{api.TransferQuery{Limit: 4, State: transfer.Committed, Bank: "south", Account: "bob"}, 30},
		{api.TransferQuery{Limit: 4, State: transfer.Aborted}, 0},
		{api.TransferQuery{Limit: 4, Account: "nobody"}, 0},
		{api.TransferQuery{Limit: 4, Since: time.Now().Add(time.Hour)}, 0},
	} {
		seen := map[transfer.ID]bool{}
		for more, pages := true, 0; more; pages++ {
			page, err := b.Transfers(ctx, row.query)
			if err != nil || pages > 100 {
				t.Fatalf("%+v: page %d, %v", row.query, pages, err)
			}
			for _, r := range page.Records {
				seen[r.Transfer.ID] = true
			}
			row.query.Below, more = page.Below, page.More
		}
		if len(seen) != row.want {
			t.Errorf("%+v: %d transfers, want %d", row.query, len(seen), row.want)
		}
	}
	if _, err := b.Transfers(ctx, api.TransferQuery{Limit: 1, Below: []uint64{1}}); !errors.Is(err, transfer.ErrInvalidRequest) {
		t.Errorf("a token of another cluster: %v", err)
	}
}

func openPair(t *testing.T, b api.Backend) {
	t.Helper()
	ctx := ctxFor(t, patience)
	if _, err := b.OpenAccount(ctx, "north", bank.Terms{ID: "@cash", Currency: "EUR", Unlimited: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.OpenAccount(ctx, "south", bank.Terms{ID: "bob", Currency: "EUR"}); err != nil {
		t.Fatal(err)
	}
}

// The bank south never comes: what needs it is in doubt until somebody cancels it.
func TestWhatABankHasNotAnsweredIsInDoubt(t *testing.T) {
	b := startBackend(t, 2, func(c *node.Config) {
		c.CoordinatorNodes, c.Banks[0].Nodes, c.Banks[1].Nodes = []uint64{1}, []uint64{1}, []uint64{2}
	})
	ctx := ctxFor(t, patience)
	if _, err := b.OpenAccount(ctx, "north", bank.Terms{ID: "@cash", Currency: "EUR", Unlimited: true}); err != nil {
		t.Fatal(err)
	}
	p := somePayment(1)
	p.Deadline = time.Now().Add(patience)
	ended := make(chan error, 1)
	go func() { // ends when the transfer is cancelled, below
		_, errs := b.Submit(ctx, []transfer.Transfer{p})
		ended <- errs[0]
	}()
	err := poll(t, func() error {
		doubts, err := b.InDoubt(ctx, 10)
		if err != nil || len(doubts) != 1 || doubts[0].Record.Transfer.ID != p.ID || !slices.Equal(doubts[0].Waiting, []transfer.BankID{"south"}) {
			return fmt.Errorf("in doubt: %+v, %w", doubts, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if page, err := b.Transfers(ctx, api.TransferQuery{Limit: 5, State: transfer.Pending}); !errors.Is(err, transfer.ErrNotYet) || !strings.Contains(err.Error(), "node 2") {
		t.Errorf("a list while nobody knows which version node 2 runs: %+v, %v", page, err)
	}
	if r, err := b.Cancel(ctx, p.ID); err != nil || r.State != transfer.Aborted {
		t.Errorf("cancel: %+v, %v", r, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the submission: %v", err)
	}
	if doubts, err := b.InDoubt(ctx, 10); err != nil || len(doubts) != 0 {
		t.Errorf("afterwards: %+v, %v", doubts, err)
	}
}

func TestDecisionsOfAllGroupsAreFollowed(t *testing.T) {
	b := startBackend(t, 1, func(c *node.Config) { c.Coordinators = 3 })
	ctx := ctxFor(t, patience)
	openPair(t, b)
	pay := func(n int) (ids []transfer.ID) {
		for range n {
			p := somePayment(1)
			if records, errs := b.Submit(ctx, []transfer.Transfer{p}); errs[0] != nil || records[0].State != transfer.Committed {
				t.Fatalf("%+v, %v", records[0], errs[0])
			}
			ids = append(ids, p.ID)
		}
		return ids
	}
	// follow reads until so many were decided: a decision is written down a moment after the client has heard of it.
	follow := func(after []uint64, want []transfer.ID) []uint64 {
		seen := map[transfer.ID]bool{}
		err := poll(t, func() error {
			for more := true; more; {
				page, err := b.Decisions(ctx, api.DecisionQuery{Bank: "south", After: after, Limit: 2})
				if err != nil {
					return err
				}
				for _, d := range page.Decided {
					if seen[d.Record.Transfer.ID] || d.Number <= after[d.Group] || d.Number > page.After[d.Group] || d.Record.State != transfer.Committed {
						t.Fatalf("after %v: %+v", after, d)
					}
					seen[d.Record.Transfer.ID] = true
				}
				after, more = page.After, page.More
			}
			if len(seen) < len(want) {
				return fmt.Errorf("%d of %d decided", len(seen), len(want))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range want {
			if !seen[id] {
				t.Errorf("%s is missing", id)
			}
		}
		return after
	}
	after := follow(make([]uint64, 3), pay(20))
	newest, err := b.Decisions(ctx, api.DecisionQuery{})
	if err != nil || !slices.Equal(newest.After, after) || len(newest.Decided) != 0 {
		t.Errorf("the newest: %+v, %v, want %v", newest, err, after)
	}
	follow(after, pay(3))
	if _, err := b.Decisions(ctx, api.DecisionQuery{After: []uint64{1}, Limit: 1}); !errors.Is(err, transfer.ErrInvalidRequest) {
		t.Errorf("a position of another cluster: %v", err)
	}
}
