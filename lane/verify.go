package lane

import (
	"fmt"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/ledger"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// An operator compares the replicas of a group by what their machines hold after one and the same entry, and the groups with each other
// by what they hold while no bank executes a Commit (cut.go).

// StateHash is what a replica's machine came to after an entry.
type StateHash struct {
	Index raft.Index
	Hash  uint64
}

// Examined is what a group holds at one moment.
type Examined struct {
	Index     raft.Index        // the last entry that it contains
	Unsettled []OpenTransfer    // of a coordinator, by id
	Audit     bank.Audit        // of a bank …
	Holds     []ledger.OpenHold // … in the order in which they were prepared
}

// OpenTransfer is a transfer that isn't settled, as its coordinator knows it.
type OpenTransfer struct {
	Record      transfer.Record
	Fingerprint transfer.Fingerprint
}

// openHash waits until the replica has applied an entry.
type openHash struct {
	index  raft.Index
	waiter waiter
}

// ofOwnReplica says whether an ask is answered by this node's own replica, whoever leads.
func ofOwnReplica(ask Ask) bool {
	switch ask.(type) {
	case HashReplica, SaveReplica:
		return true
	}
	return false
}

// askOwnReplica doesn't wake a group that rests for a hash, and does for a checkpoint.
func (l *Lane) askOwnReplica(a *openAsk) {
	g := l.groups[a.group]
	if g == nil {
		l.gateway.close(l, a, Answer{Err: l.noReplica(a.group)})
		return
	}
	a.target = l.node
	w := waiterAt(l.node, a.Request)
	switch ask := a.Ask.(type) {
	case SaveReplica:
		l.beginCut(g, w, Cut{Group: g.id})
	case HashReplica:
		if g.replica.Applied() >= ask.Index {
			l.gateway.close(l, a, Answer{Hash: g.hashAt(ask.Index)})
			return
		}
		g.hashed = append(g.hashed, openHash{ask.Index, w})
	}
}

// hashAt is the hash at an index, or the newest one if that index is forgotten, or not reached.
func (g *group) hashAt(index raft.Index) StateHash {
	hash, known := g.replica.HashAt(index)
	if !known || index == 0 {
		index = g.replica.Applied()
		hash, known = g.replica.HashAt(index)
		invariant.Holds(known, "group %s has forgotten the hash at entry %d, the last that it has applied", g.id, index)
	}
	return StateHash{index, hash}
}

// finishHashes answers those whose entry is applied now.
func (l *Lane) finishHashes(g *group) {
	if len(g.hashed) == 0 {
		return
	}
	waiting := g.hashed[:0]
	for _, h := range g.hashed {
		if h.index <= g.replica.Applied() {
			l.answer(h.waiter, Answer{Hash: g.hashAt(h.index)})
		} else if l.gateway.open[h.waiter.Request] != nil {
			waiting = append(waiting, h)
		}
	}
	g.hashed = waiting
}

// loseHashes ends the waiting for a replica that is no more.
func (l *Lane) loseHashes(g *group) {
	for _, h := range g.hashed {
		l.answer(h.waiter, Answer{Err: l.noReplica(g.id)})
	}
	g.hashed = nil
}

func (l *Lane) noReplica(id GroupID) error {
	return fmt.Errorf("%w: node %d has no replica of %s", transfer.ErrNotFound, l.node, id)
}

// examine answers with all that a group has open. A hold that is in force now, in the same reign, was so since it was asked for.
func (l *Lane) examine(g *group, w waiter, ask Examine) {
	x := Examined{Index: g.replica.Applied()}
	switch host := g.host.(type) {
	case *coordinatorHost:
		for _, r := range host.machine.Unsettled() {
			x.Unsettled = append(x.Unsettled, OpenTransfer{Record: r.Public(), Fingerprint: r.Fingerprint})
		}
	case *bankHost:
		if !host.holdsFor(ask.Hold) {
			l.answer(w, Answer{Err: host.holdBroken()})
			return
		}
		x.Audit, x.Holds = host.ledger.Audit(), host.ledger.Holds()
	default:
		l.answer(w, Answer{Err: fmt.Errorf("%w: %s is neither a coordinator nor a bank", transfer.ErrInvalidRequest, g.id)})
		return
	}
	l.answer(w, Answer{Examined: &x})
}

// findTransfers answers with what a bank knows of each.
func (b *bankHost) findTransfers(ask FindTransfers) Answer {
	if !b.holdsFor(ask.Hold) {
		return Answer{Err: b.holdBroken()}
	}
	if len(ask.Contents) > b.lane.limits.PageMax {
		return Answer{Err: fmt.Errorf("%w: %d transfers, at most %d at once", transfer.ErrInvalidRequest, len(ask.Contents), b.lane.limits.PageMax)}
	}
	found := make([]bank.Result, len(ask.Contents))
	for i, c := range ask.Contents {
		var err error
		if found[i], err = b.ledger.Find(c.ID, c.Fingerprint); err != nil {
			return Answer{Err: fmt.Errorf("%w: %w", transfer.ErrInternal, err)}
		}
	}
	return Answer{Found: found}
}
