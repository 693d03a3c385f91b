package node

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transport"
)

// ErrExpelled is why a node ends whose data directory isn't the one that the cluster knows it by, or that was removed.
var ErrExpelled = errors.New("the cluster doesn't take this node back")

// ErrRemoved is why a node ends that was removed while it ran, and knows of it: nothing has failed. One that was away then, or whose directory is
// another, doesn't know, and is expelled.
var ErrRemoved = errors.New("this node was removed, and the cluster goes on without it")

// observe writes a report of the lane for the operator.
func (n *Node) observe(report lane.Report) {
	n.counters.count(report)
	switch r := report.(type) {
	case lane.LeaderChanged:
		n.leaders.changed(n, r.Group, r.Leader)
		if r.Leader == 0 {
			n.log.Warn("leader lost", "group", r.Group, "term", r.Term)
			return
		}
		n.log.Info("leader elected", "group", r.Group, "term", r.Term, "leader", r.Leader)
	case lane.LeadershipOffered:
		n.log.Info("leadership offered to the preferred member", "group", r.Group, "term", r.Term, "to", r.To)
	case lane.BankViolated:
		v := r.Violation
		n.log.Error("bank refuses a decided outcome", "bank_id", v.Bank, "op", v.Op, "tx_id", v.ID)
	case lane.BankBreakerMoved:
		if r.Moved.Open {
			n.log.Warn("bank breaker opened", "bank_id", r.Moved.Bank)
			return
		}
		n.log.Info("bank breaker closed", "bank_id", r.Moved.Bank)
	case lane.MessageRefused:
		n.log.Warn("peer message refused", "peer", r.From, "group", r.Group, "err", r.Err)
	case lane.SnapshotBegun:
		n.log.Info("snapshot begun for a member that is behind the log", "group", r.Group, "member", r.Member)
	case lane.SnapshotUnreadable:
		n.log.Warn("snapshot can't be read", "group", r.Group, "member", r.Member, "err", r.Err)
	case lane.SnapshotInstalled:
		n.log.Info("snapshot installed", "group", r.Group, "applied", r.Applied)
	case lane.ReplicaIncomplete:
		n.log.Error("replica lost what it had acknowledged: it does not vote until it is repaired", "group", r.Group, "term", r.Until)
	case lane.ReplicaRepaired:
		n.log.Info("replica repaired: it votes again", "group", r.Group)
	case lane.MembershipProposed:
		for _, c := range r.Changes {
			n.log.Info("member change proposed", "group", r.Group, "member", c.Node, "change", c.Kind.String())
		}
	case lane.ReplicaRetired:
		n.leaders.changed(n, r.Group, 0)
		n.log.Info("replica retired: the group goes on without this node", "group", r.Group)
	case lane.NodeIntroduced:
		n.log.Info("node introduced by another: the directory here is old", "peer", r.Node)
	case lane.CheckpointBegun:
		n.log.Debug("checkpoint begun", "group", r.Group, "applied", r.Applied, "keys", r.Keys)
	}
}

func (n *Node) observePeer(e transport.Event) {
	n.counters.countPeer(&e)
	switch e.Kind {
	case transport.Connected:
		n.log.Info("peer connected", "peer", e.Peer)
	case transport.Expelled:
		why := ErrExpelled
		if n.leaving.Load() {
			why = ErrRemoved
		}
		n.fail(fmt.Errorf("%w: node %d says: %s", why, e.Peer, e.Reason()))
	default:
		n.log.Warn("peer trouble", "peer", e.Peer, "event", e.Kind.String(), "address", e.Address, "envelopes", e.Envelopes, "err", e.Err)
	}
}

// StorageMetrics is what the disk has done.
func (n *Node) StorageMetrics() (storage.Metrics, error) { return n.store.Metrics() }
