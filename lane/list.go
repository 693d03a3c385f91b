package lane

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/transfer"
)

// ListTransfers reads the transfers of one coordinator group from new to old, below a number (zero: from the newest on), until Limit of them
// match or as many were looked at as one page may. Whoever wants those of all groups asks each and merges.
type ListTransfers struct {
	Group  GroupID
	Filter coordinator.Filter
	Below  uint64
	Limit  int
}

// ListInDoubt reads up to Limit transfers of one coordinator group whose outcome isn't known yet, the oldest first.
type ListInDoubt struct {
	Group GroupID
	Limit int
}

// ReadDecisions reads the decisions of one coordinator group above a number, or only what the newest number is. A replica on this node answers with what it has
// applied: that may be a moment old, but the order of decisions is the same everywhere, so whoever follows it misses nothing.
type ReadDecisions struct {
	Group  GroupID
	Filter coordinator.Filter
	After  uint64
	Newest bool // only Last, the number of the newest
	Limit  int
}

func (ListTransfers) isAsk() {}
func (ListInDoubt) isAsk()   {}
func (ReadDecisions) isAsk() {}

// canList: what there is has its numbers.
func (c *coordinatorHost) canList() bool { return c.machine.Numbered() || c.machine.IsEmpty() }

// youngEntries is how long the log of a group that this replica has seen begin may be for numbers to begin unasked: later there may be much to read for it.
const youngEntries = 1024

// mayNumber: the group is at its beginning, and every node can read that its transfers have numbers from now on.
func (c *coordinatorHost) mayNumber() bool {
	if c.numbering || c.machine.Numbered() || c.lane.cluster.machine.Level() < directory.LevelLists {
		return false
	}
	return c.machine.IsEmpty() || c.young && c.group.replica.Applied() < youngEntries
}

// beginToNumber puts the transfers of a group that an older release has begun in their order, through the log. That waits until somebody asks, for all
// of them are read for it; whoever asks has been let in at the door because every node can read such an entry. Only the leader is asked.
func (c *coordinatorHost) beginToNumber() {
	if !c.numbering {
		c.numbering = true
		c.facts = append(c.facts, coordinator.Fact{Number: true})
		c.lane.touch(c.group)
	}
}

// unlisted is a list or a watch that waits until transfers have numbers.
type unlisted struct {
	waiter waiter
	ask    Ask
}

// answerList answers a list or a watch, once there are numbers.
func (c *coordinatorHost) answerList(w waiter, ask Ask) {
	if c.canList() {
		c.lane.answer(w, c.listed(ask))
		return
	}
	c.beginToNumber()
	switch {
	case slices.ContainsFunc(c.unlisted, func(u unlisted) bool { return u.waiter == w }): // it was asked again meanwhile
	case len(c.unlisted) >= c.lane.limits.ReadsMax:
		c.lane.answer(w, Answer{Err: fmt.Errorf("%w: %s is putting its transfers in order, for the first time. Ask again in a moment", transfer.ErrBusy, c.group.id)})
	default:
		c.unlisted = append(c.unlisted, unlisted{w, ask})
	}
}

// answerUnlisted answers who has waited for numbers.
func (c *coordinatorHost) answerUnlisted() {
	if len(c.unlisted) == 0 || !c.machine.Numbered() {
		return
	}
	waiting := c.unlisted
	c.unlisted = nil
	for _, u := range waiting {
		c.lane.answer(u.waiter, c.listed(u.ask))
	}
}

// loseUnlisted has those who wait ask the next leader.
func (c *coordinatorHost) loseUnlisted() {
	for _, u := range c.unlisted {
		c.lane.lost(u.waiter, c.group.id)
	}
	c.unlisted = nil
}

func (c *coordinatorHost) listed(ask Ask) Answer {
	switch a := ask.(type) {
	case ListTransfers:
		return c.list(&a)
	case ReadDecisions:
		return c.decisions(&a)
	}
	invariant.Fail("transfers are listed or watched, not asked for with %T", ask)
	return Answer{}
}

func (c *coordinatorHost) list(a *ListTransfers) Answer {
	limits := &c.lane.limits
	page, err := c.machine.List(&a.Filter, a.Below, min(max(a.Limit, 1), limits.PageMax), limits.ListLookMax, c.driver.View)
	if err != nil {
		return Answer{Err: fmt.Errorf("%w: %w", transfer.ErrInternal, err)}
	}
	return Answer{Listing: &Listing{Page: page}}
}

func (c *coordinatorHost) inDoubt(a *ListInDoubt) Answer {
	return Answer{Listing: &Listing{Doubts: c.driver.InDoubt(min(max(a.Limit, 1), c.lane.limits.PageMax))}}
}

func (c *coordinatorHost) decisions(a *ReadDecisions) Answer {
	if a.Newest {
		return Answer{Listing: &Listing{Decisions: coordinator.Decisions{Last: c.machine.LastDecision()}}}
	}
	limits := &c.lane.limits
	d, err := c.machine.DecidedAfter(&a.Filter, a.After, min(max(a.Limit, 1), limits.PageMax), limits.ListLookMax)
	if err != nil {
		return Answer{Err: fmt.Errorf("%w: %w", transfer.ErrInternal, err)}
	}
	return Answer{Listing: &Listing{Decisions: d}}
}
