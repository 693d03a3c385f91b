package lane

import (
	"fmt"
	"strings"
	"time"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// In a rolling upgrade nodes of two versions work together. What only the newer one can read is asked for at nobody, and written into no log, before the
// directory says that every node can read it: a node that meets such bytes has to stop. Every node tells the others what it can read until the
// directory has come as far; the leader of the cluster's group raises the level once it has heard it of all.

// told is what a node has said of itself: what it can read, and whether its disk is nearly full. It says so again and again: who is restarted with another version
// says something else, or nothing.
type told struct {
	level    directory.Level
	lowSpace bool
	at       time.Time
}

// levelPatience is how many report times a request waits for the level that it needs: a cluster that was just started, or upgraded, agrees on it within them.
const levelPatience = 4

// reportsCount is for how many report times what a node said of itself counts.
const reportsCount = 4

// tellOfItself has every other node hear what this one can read, as long as not all can, and that its disk is nearly full, as long as it is.
func (l *Lane) tellOfItself() {
	if l.cfg.Level <= l.cluster.machine.Level() && !l.lowSpace || l.now.Sub(l.toldOfItself) < l.limits.ReportEvery {
		return
	}
	l.sayOfItself()
}

func (l *Lane) sayOfItself() {
	l.toldOfItself = l.now
	l.sendOthers(l.cluster.machine.Nodes(), GroupReport{Group: ClusterGroup, Level: l.cfg.Level, LowSpace: l.lowSpace})
}

// saidLately is what a node said of itself, unless that is too long ago to count.
func (l *Lane) saidLately(node raft.NodeID) told {
	if t := l.told[node]; l.now.Sub(t.at) < reportsCount*l.limits.ReportEvery {
		return t
	}
	return told{}
}

// levelOf is what a node can read, as far as is known here.
func (l *Lane) levelOf(node raft.NodeID) directory.Level {
	if node == l.node {
		return l.cfg.Level
	}
	return max(l.saidLately(node).level, directory.LevelFirst)
}

// raise has the level proposed that every node can read. A learner counts: it reads the logs, too.
func (c *clusterHost) raise() {
	if !c.group.leading || len(c.facts) > 0 || len(c.proposed) > 0 {
		return
	}
	to := c.lane.cfg.Level
	for _, n := range c.machine.Nodes() {
		if n.Role != directory.Removed {
			to = min(to, c.lane.levelOf(n.ID))
		}
	}
	if to > c.machine.Level() {
		c.add(directory.Fact{Raise: to}, waiter{})
	}
}

// levelFor is what every node must be able to read before a request is served.
func levelFor(ask Ask) directory.Level {
	switch a := ask.(type) {
	case Submit:
		if a.Transfer.IsHold() {
			return directory.LevelHolds
		}
	case CaptureTransfer, VoidTransfer:
		return directory.LevelHolds
	case ListTransfers, ReadDecisions: // not ListInDoubt, which who is in trouble needs: it writes nothing, and an older leader drops it
		return directory.LevelLists
	}
	return directory.LevelFirst
}

// early says whether a request needs what not every node can read. It is asked at the door only: what another node forwards had passed there, and
// a level that was reached there is reached for good, however far the directory here is behind.
func (l *Lane) early(ask Ask) bool {
	return levelFor(ask) > l.cluster.machine.Level() && !mutant.On(mutant.IgnoreLevel)
}

// writesRuns says whether checkpoints may have runs: a snapshot takes their records to other nodes.
func (l *Lane) writesRuns() bool {
	return l.cluster.machine.Level() >= directory.LevelRuns || mutant.On(mutant.EarlyRuns)
}

// notYet says who keeps a request from being served.
func (l *Lane) notYet(ask Ask) error {
	var older []string
	for _, n := range l.cluster.machine.Nodes() {
		if n.Role != directory.Removed && l.levelOf(n.ID) < levelFor(ask) {
			older = append(older, fmt.Sprint(n.ID))
		}
	}
	switch len(older) {
	case 0:
		return fmt.Errorf("%w: the nodes are about to agree that all of them know it, ask again in a moment", transfer.ErrNotYet)
	case 1:
		return fmt.Errorf("%w: node %s still runs an older version, or doesn't answer: upgrade it, start it or remove it", transfer.ErrNotYet, older[0])
	}
	return fmt.Errorf("%w: nodes %s still run an older version, or don't answer: upgrade, start or remove them", transfer.ErrNotYet, strings.Join(older, ", "))
}

// expireEarly answers who has waited long enough for a level; false if he hasn't, or doesn't wait for one.
func (w *gateway) expireEarly(l *Lane, a *openAsk) bool {
	if a.sent > 0 || !l.early(a.Ask) || a.Until.After(l.now) && l.now.Sub(a.since) < levelPatience*l.limits.ReportEvery {
		return false
	}
	w.close(l, a, Answer{Err: l.notYet(a.Ask)})
	return true
}
