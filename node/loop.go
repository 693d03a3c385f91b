package node

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/lane"
	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/raft"
)

// loop steps the lane with whatever has come in, until the node stops or fails.
func (n *Node) loop(tickInterval time.Duration) {
	defer close(n.loopDone)
	defer n.catchBroken()
	timer := time.NewTimer(0) // the first step is where the lane's ticks are counted from
	defer timer.Stop()
	var first time.Time
	var events []lane.Event
	for !n.ended() {
		events = n.inbox.take(timer, events)
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		effects := n.lane.Step(now, events)
		if effects.Fatal != nil {
			n.fail(n.outdated(effects.Fatal))
			return
		}
		n.carryOut(&effects)
		timer.Reset(untilNext(tickInterval-time.Since(first)%tickInterval, effects.Due))
	}
}

// outdated notes, if that is what ends the node, that its data directory lacks what the leader of a group knows it had: no start may use it again.
func (n *Node) outdated(err error) error {
	if errors.Is(err, raft.ErrLost) {
		return n.store.Outdate(err)
	}
	return err
}

// untilNext is how long the loop may sleep: until the next tick is due, or something else before it.
func untilNext(tick time.Duration, due time.Time) time.Duration {
	if due.IsZero() {
		return tick
	}
	return max(0, min(tick, time.Until(due)))
}

func (n *Node) ended() bool {
	select {
	case <-n.failed:
		return true
	default:
		return n.stopping.Load()
	}
}

// catchBroken turns a broken invariant into the node's failure: the process must stop with the numbers. Any other
// panic goes on as it is.
func (n *Node) catchBroken() {
	if err := brokenBy(recover()); err != nil {
		n.fail(err)
	}
}

// brokenBy is the error of a broken invariant, and where it broke; nil if there was no panic.
func brokenBy(recovered any) error {
	switch r := recovered.(type) {
	case nil:
		return nil
	case invariant.Broken:
		return fmt.Errorf("%w\n%s", r, debug.Stack())
	default:
		panic(r)
	}
}

func (n *Node) runDisk() {
	defer close(n.diskDone)
	defer n.catchBroken()
	n.disk.run()
}

func (n *Node) runCheckpoints() {
	defer close(n.keepingDone)
	defer n.catchBroken()
	n.disk.keep()
}

func (n *Node) runSnapshots() {
	defer n.catchBroken()
	n.snapshots.run()
}

// carryOut does what a step wants done. Messages needn't wait for our own disk; those that must
// are sent by the disk.
func (n *Node) carryOut(e *lane.Effects) {
	if e.Nodes != nil {
		n.followNodes(e.Nodes)
		n.followTokens(e.Tokens)
	}
	n.send(e.Send)
	n.disk.write(e.Writes)
	n.disk.keeping.add(e.Checkpoints)
	n.snapshots.ask(e.Reads)
	n.calls.answer(e.Answers)
	for _, r := range e.Reports {
		n.observe(r)
	}
}

// send groups messages by destination, keeping their order, and hands each peer its own.
func (n *Node) send(sends []lane.Send) {
	for to, p := range parcels(sends) {
		if p.deferrable {
			n.transport.SendDeferrable(to, p.envelopes)
		} else {
			n.transport.Send(to, p.envelopes)
		}
	}
}

// parcel is what goes to one peer at once; deferrable if all of it is.
type parcel struct {
	envelopes  []*peerv1.Envelope
	deferrable bool
}

func parcels(sends []lane.Send) map[raft.NodeID]parcel {
	if len(sends) == 0 {
		return nil
	}
	byPeer := map[raft.NodeID]parcel{}
	for i := range sends {
		s := &sends[i]
		p, more := byPeer[s.To]
		p.envelopes = append(p.envelopes, messageToProto(s.Message))
		p.deferrable = s.Deferrable() && (p.deferrable || !more)
		byPeer[s.To] = p
	}
	return byPeer
}
