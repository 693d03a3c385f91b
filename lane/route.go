package lane

import (
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// slots is how many parts the space of transfer ids is cut into. Slots, not ids, belong to
// coordinator groups, so that they can move one day without a new hash.
const slots = 1024

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// slotOf spreads ids evenly, whatever part of them is random.
func slotOf(id transfer.ID) int {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], crc32.Checksum(id[:], castagnoli))
	return int(binary.BigEndian.Uint16(b[:2])) % slots
}

// shardOf says which of so many shards decides about a transfer.
func shardOf(id transfer.ID, shards int) int { return slotOf(id) * shards / slots }

// coordinatorOf says which group decides about a transfer.
func (l *Lane) coordinatorOf(id transfer.ID) GroupID {
	return l.shards[shardOf(id, len(l.shards))]
}

// groupOf says which group a request is for; "" for what this node answers itself.
func (l *Lane) groupOf(ask Ask) GroupID {
	if id, ok := transferOf(ask); ok {
		return l.coordinatorOf(id)
	}
	switch a := ask.(type) {
	case OpenAccount:
		return BankGroup(a.Bank)
	case ChangeAccount:
		return BankGroup(a.Bank)
	case GetAccount:
		return BankGroup(a.Bank)
	case GetStatement:
		return BankGroup(a.Bank)
	case ListAccounts:
		return BankGroup(a.Bank)
	case ListEntries:
		return BankGroup(a.Bank)
	case AuditBank:
		return BankGroup(a.Bank)
	case HoldCommits:
		return BankGroup(a.Bank)
	case FindTransfers:
		return BankGroup(a.Bank)
	case ListTransfers:
		return a.Group
	case ListInDoubt:
		return a.Group
	case ReadDecisions:
		return a.Group
	case Cut:
		return a.Group
	case HashReplica:
		return a.Group
	case SaveReplica:
		return a.Group
	case Examine:
		return a.Group
	case ListMembers, AddMember, PromoteMember, RemoveMember, PlaceGroup, ListTokens, AddToken, RevokeToken:
		return ClusterGroup
	case TransferLeader:
		return a.Group
	}
	return ""
}

// leaderOf says which node leads a group, as far as this one knows: from its own replica, or else from the
// last hint. Zero: unknown.
func (l *Lane) leaderOf(id GroupID) raft.NodeID {
	if g := l.groups[id]; g != nil {
		return g.replica.Engine().Leader()
	}
	if hint, ok := l.hints[id]; ok {
		return hint
	}
	if members := l.members(id); len(members) > 0 {
		return members[0]
	}
	return 0
}

// hopsPerTick bounds how often within a tick news of a group's leader is followed at once. Two members that each believe the
// other leads would have everything that waits sent to and fro as fast as the network allows.
const hopsPerTick = 2

// learnLeader takes what a node said that was asked as the leader of a group and isn't. Only the answer of the one who is
// believed to lead now counts: those to older questions would move us on again and again, and each time everything that
// waits would be sent anew. Whoever knows of nobody else moves us on to the next member, but that one
// is asked at the next tick only: without a leader, asking faster would drown the election.
func (l *Lane) learnLeader(id GroupID, from, hint raft.NodeID) {
	if g := l.groups[id]; g != nil {
		if g.quiesced {
			l.touch(g) // whoever put it to rest leads no more: find out
		}
		return
	}
	before := l.leaderOf(id)
	if from != before {
		return
	}
	if hint == 0 || hint == before {
		l.hints[id] = l.memberAfter(id, before)
		return
	}
	l.hints[id] = hint
	if l.hops[id] < hopsPerTick {
		l.hops[id]++
		l.onLeaderMoved(id)
	}
}

// askRemote sends a question to the node that is believed to lead a group, and remembers that it owes a word.
func (l *Lane) askRemote(id GroupID, to raft.NodeID, m Message) {
	if _, waiting := l.owing[id]; !waiting && l.groups[id] == nil {
		l.owing[id] = l.now
	}
	l.send(to, m)
}

// heardFrom notes that a node has spoken about a group.
func (l *Lane) heardFrom(id GroupID, from raft.NodeID) {
	if from == l.leaderOf(id) {
		delete(l.owing, id)
	}
}

// giveUpSilent moves on to the next member of every group whose believed leader has said nothing since it was asked: without
// a replica of our own, silence is all that tells us of a dead leader.
func (l *Lane) giveUpSilent() {
	if len(l.owing) == 0 {
		return // the usual: no leader elsewhere owes a word
	}
	for _, id := range l.shards {
		l.giveUpIfSilent(id)
	}
	for _, b := range l.cfg.Directory.Banks {
		l.giveUpIfSilent(l.banks[b.Bank])
	}
}

func (l *Lane) giveUpIfSilent(id GroupID) {
	since, waiting := l.owing[id]
	if !waiting || l.now.Sub(since) < l.limits.ReforwardAfter {
		return
	}
	delete(l.owing, id)
	believed := l.leaderOf(id)
	if next := l.memberAfter(id, believed); next != believed {
		l.hints[id] = next
		l.onLeaderMoved(id)
	}
}

// memberAfter is the next member to ask: the first one after a node that is none, or not any more. Zero: there is no such group.
func (l *Lane) memberAfter(id GroupID, node raft.NodeID) raft.NodeID {
	members := l.members(id)
	if len(members) == 0 {
		return 0
	}
	return members[(slices.Index(members, node)+1)%len(members)]
}

// forgetLeft has those asked that hold a group now, where the one that was believed to lead it doesn't any more.
func (l *Lane) forgetLeft(id GroupID) {
	if hint, ok := l.hints[id]; ok && !slices.Contains(l.members(id), hint) {
		delete(l.hints, id)
		delete(l.owing, id)
		l.onLeaderMoved(id)
	}
}
