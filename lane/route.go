package lane

import (
	"encoding/binary"
	"hash/crc32"

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

// coordinatorOf says which group decides about a transfer.
func (l *Lane) coordinatorOf(id transfer.ID) GroupID {
	return l.shards[slotOf(id)*len(l.shards)/slots]
}

// groupOf says which group a request is for; "" for what this node answers itself.
func (l *Lane) groupOf(ask Ask) GroupID {
	switch a := ask.(type) {
	case Submit:
		return l.coordinatorOf(a.Transfer.ID)
	case GetTransfer:
		return l.coordinatorOf(a.ID)
	case OpenAccount:
		return BankGroup(a.Bank)
	case GetAccount:
		return BankGroup(a.Bank)
	case ListAccounts:
		return BankGroup(a.Bank)
	case ListEntries:
		return BankGroup(a.Bank)
	case AuditBank:
		return BankGroup(a.Bank)
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
	if members := l.directory.members(id); len(members) > 0 {
		return members[0]
	}
	return 0
}

// learnLeader takes a hint about a group that this node has no replica of. A hint of zero moves on to the next
// member, so that asking around finds the leader.
func (l *Lane) learnLeader(id GroupID, hint raft.NodeID) {
	if l.groups[id] != nil {
		return
	}
	before := l.leaderOf(id)
	if hint == 0 {
		hint = l.memberAfter(id, before)
	}
	if hint == before || hint == 0 {
		return
	}
	l.hints[id] = hint
	l.onLeaderMoved(id)
}

func (l *Lane) memberAfter(id GroupID, node raft.NodeID) raft.NodeID {
	members := l.directory.members(id)
	for i, m := range members {
		if m == node {
			return members[(i+1)%len(members)]
		}
	}
	return 0
}
