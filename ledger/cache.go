package ledger

import (
	"slices"
	"strings"

	"github.com/quorate/quorate/transfer"
)

// cacheAccountsDefault is how many accounts stay in memory after a checkpoint: about 60 MB.
const cacheAccountsDefault = 1 << 18

// cache is the accounts in memory. What a step needs is fetched into it; what is stored, idle and
// above the bound leaves it when a checkpoint has become durable.
type cache struct {
	byID    map[transfer.AccountID]*account
	ring    []*account // the same accounts, for the hand of the eviction
	hand    int
	bound   int
	dirty   []*account // changed since the last Checkpoint, by first change
	sealed  []*account // in the last Checkpoint, which isn't durable yet
	newborn newborn
}

// LimitCache bounds how many accounts stay in memory after a checkpoint, apart from those with open holds or
// changes. The answers don't depend on it; 0 keeps none. Without it the bound is 262,144.
func (l *Ledger) LimitCache(accounts int) { l.cache.bound = max(0, accounts) }

func (c *cache) add(a *account) {
	a.used = true
	c.byID[a.ID] = a
	c.ring = append(c.ring, a)
}

func (c *cache) seal() {
	c.dirty, c.sealed = c.sealed[:0], c.dirty
	for _, a := range c.sealed {
		a.dirty, a.sealed = false, true
	}
	c.newborn.seal()
}

func (c *cache) drop() {
	for _, a := range c.sealed {
		a.sealed = false
	}
	clear(c.sealed)
	c.sealed = c.sealed[:0]
	c.newborn.drop()
	c.evict()
}

// evict goes round like the hand of a clock (Corbató, "A Paging Experiment with the Multics System",
// 1969): who was used since it last came by gets another round. Two rounds look at everybody twice.
func (c *cache) evict() {
	for steps := 2 * len(c.ring); steps > 0 && len(c.ring) > c.bound; steps-- {
		if c.hand >= len(c.ring) {
			c.hand = 0
		}
		a := c.ring[c.hand]
		if a.used || a.holds > 0 || a.dirty || a.sealed {
			a.used = false
			c.hand++
			continue
		}
		delete(c.byID, a.ID)
		last := len(c.ring) - 1
		c.ring[c.hand], c.ring[last] = c.ring[last], nil
		c.ring = c.ring[:last]
	}
}

// newborn is the accounts that the reader may not list yet.
type newborn struct {
	fresh  []*account // opened since the last Checkpoint
	sealed []*account // in the last Checkpoint, which isn't durable yet
	sorted []*account // both by id, if it has the length of both
}

func (n *newborn) add(a *account) { n.fresh = append(n.fresh, a) }

func (n *newborn) seal() { n.sealed, n.fresh = n.fresh, nil }

func (n *newborn) drop() { n.sealed, n.sorted = nil, nil }

func (n *newborn) after(id transfer.AccountID) []*account {
	if len(n.sorted) != len(n.fresh)+len(n.sealed) {
		n.sorted = slices.Concat(n.sealed, n.fresh)
		slices.SortFunc(n.sorted, byID)
	}
	from, found := slices.BinarySearchFunc(n.sorted, id, func(a *account, id transfer.AccountID) int {
		return strings.Compare(string(a.ID), string(id))
	})
	if found {
		from++
	}
	return n.sorted[from:]
}

func byID(a, b *account) int { return strings.Compare(string(a.ID), string(b.ID)) }
