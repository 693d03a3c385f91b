package lane

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/ledger"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// A backup takes one cut through all groups: a checkpoint of each. Money stays whole if no bank's cut contains a Commit that another bank's cut has no
// hold for. So all banks first execute no Commit any more, then the coordinators are cut, then the banks, and then they go on. Nobody who waits for a
// transfer notices: a client hears "committed" before the banks do. A client's hold that is rolled back waits as a Commit does, for the
// coordinator's cut may say that it is still held. docs/decisions has the whole argument.

// onlyHere says whether an ask is answered by this node or not at all.
func onlyHere(ask Ask) bool {
	switch ask.(type) {
	case HoldCommits, Cut, Examine, FindTransfers:
		return true
	}
	return false
}

// commitHold is a bank's promise to execute no Commit. It ends with the time, or with the leadership.
type commitHold struct {
	by      uint64 // zero: none
	until   time.Time
	waiting []heldCommit
}

type heldCommit struct {
	request *bank.Request
	origin  origin
}

// holdCommits begins, prolongs or ends a hold.
func (b *bankHost) holdCommits(a *HoldCommits) error {
	inForce := b.inForce()
	switch {
	case a.Hold == 0 || a.For < 0 || a.For > b.lane.limits.HoldCommitsMax:
		return fmt.Errorf("%w: commits are held for a name and up to %v, not %d and %v", transfer.ErrInvalidRequest, b.lane.limits.HoldCommitsMax, a.Hold, a.For)
	case inForce && b.held.by != a.Hold:
		return fmt.Errorf("%w: another backup is cutting bank %s", transfer.ErrBusy, b.bank)
	case a.Keep && !inForce:
		return b.holdBroken()
	case a.For == 0:
		b.releaseCommits()
		return nil
	}
	if !inForce {
		b.releaseCommits() // what an expired one has left
	}
	b.held.by, b.held.until = a.Hold, b.lane.now.Add(a.For)
	return nil
}

// inForce says whether the bank executes no Commit now.
func (b *bankHost) inForce() bool { return b.held.by != 0 && b.held.until.After(b.lane.now) }

// holdsFor says whether that is so for the one who asked for it under this name.
func (b *bankHost) holdsFor(hold uint64) bool { return b.held.by == hold && b.inForce() }

func (b *bankHost) holdBroken() error {
	return fmt.Errorf("%w: bank %s didn't hold its commits all the while", transfer.ErrBusy, b.bank)
}

// holdsBack keeps a Commit for later, or the Rollback of a client's hold. One that finds no room is repeated by its driver.
func (b *bankHost) holdsBack(r *bank.Request, o origin) bool {
	if b.held.by == 0 || (r.Op != bank.Commit && (r.Op != bank.Rollback || !b.ledger.HoldsForClient(r.ID))) {
		return false
	}
	if len(b.held.waiting) < b.lane.limits.BankQueueMax {
		b.held.waiting = append(b.held.waiting, heldCommit{r, o})
	}
	return true
}

func (b *bankHost) releaseCommits() {
	for _, c := range b.held.waiting {
		b.add(ledger.Command{Request: c.request}, c.origin)
	}
	b.held = commitHold{}
}

// openCut waits for a durable checkpoint.
type openCut struct {
	waiter waiter
	cut    Cut
	need   raft.Index
}

// beginCut: the state contains everything that was answered before the Cut was asked for.
func (l *Lane) beginCut(g *group, w waiter, cut Cut) {
	g.cuts = append(g.cuts, openCut{w, cut, g.replica.Applied()})
	g.replica.WantCheckpoint()
	l.touch(g)
}

// finishCuts answers those whose checkpoint is durable. A hold that is in force now, in the same reign, was so when it was made.
func (l *Lane) finishCuts(g *group) {
	waiting := g.cuts[:0]
	for _, c := range g.cuts {
		if g.replica.Checkpointed() < c.need {
			waiting = append(waiting, c)
			continue
		}
		var err error
		if c.cut.Hold != 0 {
			if b, ok := g.host.(*bankHost); !ok || !b.holdsFor(c.cut.Hold) {
				err = fmt.Errorf("%w: %s didn't hold its commits all the while", transfer.ErrBusy, g.id)
			}
		}
		l.answer(c.waiter, Answer{Err: err})
	}
	g.cuts = waiting
}

func (l *Lane) loseCuts(g *group) {
	for _, c := range g.cuts {
		l.lost(c.waiter, g.id)
	}
	g.cuts = nil
}
