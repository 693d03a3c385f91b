package lane

import (
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// riding is what nobody waits for: commits on their way to the banks, once the client has its answer. While there is little to do they
// wait a moment for the next prepare to the same bank and share its message, its entry and its sync: for a lone client, a second round
// of all of these per transfer would cost as much as the first, and the next transfer would have to get past it. With much to do nothing waits.
type riding struct {
	commits map[transfer.BankID][]bank.Request
	count   int
	until   time.Time // all of it goes then at the latest; zero: nothing rides
}

// ridersMax is how many commits to one bank, or facts of one shard, may ride: more fill a message and an entry of their own.
const ridersMax = 64

// board keeps commits for the next call to their bank. It says no if they should go at once.
func (r *riding) board(id transfer.BankID, requests []bank.Request) bool {
	if len(r.commits[id])+len(requests) > ridersMax {
		return false
	}
	for i := range requests {
		if requests[i].Op != bank.Commit {
			return false
		}
	}
	if r.commits == nil {
		r.commits = map[transfer.BankID][]bank.Request{}
	}
	r.commits[id] = append(r.commits[id], requests...)
	r.count += len(requests)
	return true
}

// alight gives back what rides to a bank.
func (r *riding) alight(id transfer.BankID) []bank.Request {
	requests := r.commits[id]
	if len(requests) > 0 {
		delete(r.commits, id)
		r.count -= len(requests)
	}
	return requests
}

// mayRide says whether the facts that wait for an entry may wait longer: settlements are only for forgetting, and a commit is in force, and told, as
// soon as everything it follows from is durable. The capture of a hold isn't: its client hears of it when it is applied. Nor may an abort wait: its
// transfer keeps money from others.
func (c *coordinatorHost) mayRide() bool {
	if len(c.facts) > ridersMax {
		return false
	}
	for i := range c.facts {
		f := &c.facts[i]
		switch {
		case len(f.Settle) > 0:
		case f.Decide != nil && f.Decide.State == transfer.Committed:
			if r, err := c.machine.Lookup(f.Decide.ID); err != nil || r == nil || r.Transfer.IsHold() {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// wait has the group stepped again when what rides has to go.
func (c *coordinatorHost) wait() {
	if c.riding.until.IsZero() {
		c.riding.until = c.lane.now.Add(c.lane.limits.RideMax)
	}
	c.lane.postpone(c.group, c.riding.until)
}

// waited says whether what rides has waited long enough.
func (c *coordinatorHost) waited() bool {
	return !c.riding.until.IsZero() && !c.riding.until.After(c.lane.now)
}

// letGo sends everything that rides.
func (c *coordinatorHost) letGo() {
	for _, b := range c.lane.cfg.Directory.Banks {
		if requests := c.riding.alight(b.Bank); len(requests) > 0 {
			c.pass(b.Bank, requests)
		}
	}
	c.riding.until = time.Time{}
}

// postpone has a group run again at a time.
func (l *Lane) postpone(g *group, due time.Time) {
	if !g.delayed {
		g.delayed = true
		l.delayed = append(l.delayed, g)
	}
	if l.due.IsZero() || due.Before(l.due) {
		l.due = due
	}
}

// touchDue touches all that wait as soon as the first is due: the others say again what they wait for.
func (l *Lane) touchDue() {
	if l.due.IsZero() || l.now.Before(l.due) {
		return
	}
	for _, g := range l.delayed {
		g.delayed = false
		l.touch(g)
	}
	l.delayed, l.due = nil, time.Time{}
}
