package etcdraft

import (
	"encoding/binary"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
)

// transferContext marks a campaign that the leader asked for.
const transferContext = "CampaignTransfer"

// A Membership entry in etcd's log is a ConfChangeV2 with one change of nobody and our bytes as its context. The core looks
// only at whether there are changes; what they are, it is told when they are applied. The prefix is two fields of the protobuf encoding:
// changes, of length 0, and the tag of context.
const changePrefix = "\x12\x00\x1a"

func changesToEtcd(ours []byte) []byte {
	if len(ours) == 0 {
		return nil
	}
	b := binary.AppendUvarint([]byte(changePrefix), uint64(len(ours)))
	return append(b, ours...)
}

func changesFromEtcd(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	invariant.Holds(len(b) > len(changePrefix) && string(b[:len(changePrefix)]) == changePrefix, "a membership entry of %d bytes is not of our making", len(b))
	b = b[len(changePrefix):]
	n, head := binary.Uvarint(b)
	invariant.Holds(head > 0 && uint64(len(b)-head) == n, "a membership entry names %d bytes and has %d", n, len(b)-head)
	return b[head:]
}

func entryFromEtcd(e *pb.Entry) raft.Entry {
	ours := raft.Entry{Index: raft.Index(e.GetIndex()), Term: raft.Term(e.GetTerm()), Data: e.GetData()}
	switch {
	case e.GetType() == pb.EntryConfChangeV2:
		ours.Kind, ours.Data = raft.Membership, changesFromEtcd(e.GetData())
	case ours.Data == nil:
		ours.Kind = raft.Noop
	}
	return ours
}

// etcdEntry is one entry with what its fields point to: one allocation for all of a message.
type etcdEntry struct {
	entry       pb.Entry
	term, index uint64
	kind        pb.EntryType
}

func entriesToEtcd(entries []raft.Entry) []*pb.Entry {
	if len(entries) == 0 {
		return nil
	}
	block := make([]etcdEntry, len(entries))
	theirs := make([]*pb.Entry, len(entries))
	for i := range entries {
		e, b := &entries[i], &block[i]
		b.term, b.index = uint64(e.Term), uint64(e.Index)
		b.entry.Term, b.entry.Index, b.entry.Type, b.entry.Data = &b.term, &b.index, &b.kind, e.Data
		switch e.Kind {
		case raft.Membership:
			b.kind, b.entry.Data = pb.EntryConfChangeV2, changesToEtcd(e.Data)
		case raft.Noop:
			b.entry.Data = nil
		default:
			b.entry.Data = present(e.Data)
		}
		theirs[i] = &b.entry
	}
	return theirs
}

// present makes data that is empty differ from no data, which is a Noop.
func present(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

// kinds pairs the kinds that mean the same.
var kinds = [...]struct {
	ours   raft.MessageKind
	theirs pb.MessageType
}{
	{raft.PreVote, pb.MsgPreVote},
	{raft.PreVoteReply, pb.MsgPreVoteResp},
	{raft.Vote, pb.MsgVote},
	{raft.VoteReply, pb.MsgVoteResp},
	{raft.Append, pb.MsgApp},
	{raft.AppendReply, pb.MsgAppResp},
	{raft.Heartbeat, pb.MsgHeartbeat},
	{raft.HeartbeatReply, pb.MsgHeartbeatResp},
	{raft.TimeoutNow, pb.MsgTimeoutNow},
}

func kindToEtcd(kind raft.MessageKind) pb.MessageType {
	for _, k := range kinds {
		if k.ours == kind {
			return k.theirs
		}
	}
	invariant.Fail("message of kind %d has no counterpart", kind)
	return 0
}

func kindFromEtcd(kind pb.MessageType) raft.MessageKind {
	for _, k := range kinds {
		if k.theirs == kind {
			return k.ours
		}
	}
	invariant.Fail("etcd's core sends a message of kind %d", kind)
	return 0
}

// toEtcd translates a message of a peer. What it may do to the core is guard.go's to judge, before.
func toEtcd(m *raft.Message) *pb.Message {
	theirs := &pb.Message{
		Type: kindToEtcd(m.Kind).Enum(), From: new(uint64(m.From)), To: new(uint64(m.To)), Term: new(uint64(m.Term)),
		Index: new(uint64(m.Index)), LogTerm: new(uint64(m.LogTerm)), Commit: new(uint64(m.Commit)), Reject: new(m.Reject),
	}
	switch m.Kind {
	case raft.Vote:
		if m.Transfer {
			theirs.Context = []byte(transferContext)
		}
	case raft.Append:
		theirs.Entries = entriesToEtcd(m.Entries)
	case raft.AppendReply:
		theirs.RejectHint, theirs.LogTerm = new(uint64(m.Hint)), new(uint64(m.HintTerm))
	case raft.Heartbeat:
		theirs.Context = roundContext(m.Round)
	case raft.HeartbeatReply:
		theirs.Context = positionContext(m.Round)
	}
	return theirs
}

// fromEtcd translates a message of the core. Entries are taken from the log by the caller, who also adds what is ours alone.
func fromEtcd(m *pb.Message) raft.Message {
	ours := raft.Message{
		Kind: kindFromEtcd(m.GetType()), From: raft.NodeID(m.GetFrom()), To: raft.NodeID(m.GetTo()), Term: raft.Term(m.GetTerm()),
		Index: raft.Index(m.GetIndex()), LogTerm: raft.Term(m.GetLogTerm()), Commit: raft.Index(m.GetCommit()), Reject: m.GetReject(),
	}
	switch ours.Kind {
	case raft.Vote:
		ours.Transfer = string(m.GetContext()) == transferContext
	case raft.AppendReply:
		ours.Hint, ours.HintTerm, ours.LogTerm = raft.Index(m.GetRejectHint()), raft.Term(m.GetLogTerm()), 0
	case raft.Heartbeat:
		ours.Round = contextNumber(m.GetContext()) + 1
	case raft.HeartbeatReply:
		ours.Round = contextNumber(m.GetContext())
	}
	return ours
}

// roundContext is what a follower on etcd's core is asked to echo.
func roundContext(round uint64) []byte {
	if round == 0 {
		return nil
	}
	return binary.LittleEndian.AppendUint64(nil, round)
}

// positionContext is the context of the heartbeat whose number is answered here: round 1 had none, for no read waited.
func positionContext(round uint64) []byte {
	if round <= 1 {
		return nil
	}
	return binary.LittleEndian.AppendUint64(nil, round-1)
}

// contextNumber reads either of them. The core makes contexts of eight bytes or none, and echoes only ours.
func contextNumber(b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	invariant.Holds(len(b) == 8, "a context of %d bytes", len(b))
	return binary.LittleEndian.Uint64(b)
}

// membersToEtcd translates a membership. Who was removed is ours alone.
func membersToEtcd(c membership.Config) *pb.ConfState {
	return &pb.ConfState{
		Voters: raft.Numbers(c.Voters), VotersOutgoing: raft.Numbers(c.Outgoing),
		Learners: raft.Numbers(c.Learners), LearnersNext: raft.Numbers(c.LearnersNext), AutoLeave: new(c.AutoLeave),
	}
}

// changesToApply is what the core is told when changes become active.
func changesToApply(changes []membership.Change) *pb.ConfChangeV2 {
	theirs := &pb.ConfChangeV2{}
	for _, ch := range changes {
		kind := pb.ConfChangeRemoveNode
		switch ch.Kind {
		case membership.AddVoter:
			kind = pb.ConfChangeAddNode
		case membership.AddLearner:
			kind = pb.ConfChangeAddLearnerNode
		}
		theirs.Changes = append(theirs.Changes, &pb.ConfChangeSingle{Type: kind.Enum(), NodeId: new(uint64(ch.Node))})
	}
	return theirs
}
