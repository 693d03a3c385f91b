package rafttest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
)

// seen is what was last printed of a node's standing, so that only changes are.
type seen struct {
	role   raft.Role
	term   raft.Term
	leader raft.NodeID
}

// noteRole prints what a node has become.
func (e *Env) noteRole(n *node) {
	now := seen{n.core.Role(), n.core.Term(), n.core.Leader()}
	before := n.seen
	if now == before {
		return
	}
	n.seen = now
	switch {
	case now.role == raft.Leader:
		e.say("n%d@%d leads", n.id, now.term)
	case before.role == 0:
	case now.role != before.role:
		e.say("n%d@%d is %s", n.id, now.term, now.role)
	}
}

func printID(id raft.EntryID) string {
	if id == (raft.EntryID{}) {
		return "nothing"
	}
	return fmt.Sprintf("%d@%d", id.Index, id.Term)
}

func printEntry(en *raft.Entry) string {
	s := printID(en.ID())
	switch en.Kind {
	case raft.Noop:
		return s + " noop"
	case raft.Membership:
		return s + " " + printChanges(en.Data)
	default:
		return strings.TrimRight(s+" "+string(en.Data), " ")
	}
}

func printChanges(data []byte) string {
	changes, err := membership.DecodeChanges(data)
	if err != nil {
		return err.Error()
	}
	if len(changes) == 0 {
		return "leave joint"
	}
	var words []string
	for _, c := range changes {
		verb := [...]string{"?", "add", "learn", "remove"}[c.Kind]
		words = append(words, fmt.Sprintf("%s=%d", verb, c.Node))
	}
	return strings.Join(words, " ")
}

// printEntries shortens runs of one term: 3@1..7@1.
func printEntries(entries []raft.Entry) string {
	var words []string
	for len(entries) > 0 {
		n := 1
		for n < len(entries) && entries[n].Term == entries[0].Term {
			n++
		}
		word := printID(entries[0].ID())
		if n > 1 {
			word += ".." + printID(entries[n-1].ID())
		}
		words = append(words, word)
		entries = entries[n:]
	}
	return strings.Join(words, " ")
}

func printPersist(p *raft.Persist) string {
	words := []string{fmt.Sprintf("term %d", p.HardState.Term)}
	if p.HardState.Vote != 0 {
		words = append(words, fmt.Sprintf("vote n%d", p.HardState.Vote))
	}
	if p.Install != nil {
		words = append(words, "snapshot "+printID(p.Install.Last)+" in place of its log")
	}
	if len(p.Entries) > 0 {
		words = append(words, printEntries(p.Entries))
	}
	return strings.Join(words, ", ")
}

var kindNames = [...]string{
	raft.PreVote: "pre-vote?", raft.PreVoteReply: "pre-vote", raft.Vote: "vote?", raft.VoteReply: "vote",
	raft.Append: "append", raft.AppendReply: "appended", raft.Heartbeat: "heartbeat", raft.HeartbeatReply: "heard",
	raft.Snapshot: "snapshot", raft.SnapshotReply: "got", raft.TimeoutNow: "take-over",
}

func kindNamed(name string) (raft.MessageKind, bool) {
	i := slices.Index(kindNames[:], name)
	return raft.MessageKind(i), i > 0
}

// printMessage is the line of a play: n1@2 → n3 append 7@2.
func printMessage(m *raft.Message, arrow string) string {
	name := fmt.Sprintf("kind %d", m.Kind)
	if int(m.Kind) < len(kindNames) {
		name = kindNames[m.Kind]
	}
	s := fmt.Sprintf("n%d@%d %s n%d %s", m.From, m.Term, arrow, m.To, name)
	switch m.Kind {
	case raft.PreVote, raft.Vote:
		s += " my log ends with " + printID(raft.EntryID{Index: m.Index, Term: m.LogTerm})
		if m.Transfer {
			s += ", by transfer"
		}
	case raft.PreVoteReply, raft.VoteReply:
		s += map[bool]string{false: " yes", true: " no, committed is " + printID(raft.EntryID{Index: m.Index, Term: m.LogTerm})}[m.Reject]
	case raft.Append:
		if len(m.Entries) == 0 {
			s += " no entries"
		} else {
			s += " " + printEntries(m.Entries)
		}
		s += fmt.Sprintf(" after %s, commit %d", printID(raft.EntryID{Index: m.Index, Term: m.LogTerm}), m.Commit)
	case raft.AppendReply:
		s += printAnswer(m)
	case raft.Heartbeat:
		s += fmt.Sprintf(" round %d, commit %d", m.Round, m.Commit)
		if m.Round == 0 {
			s = fmt.Sprintf("n%d@%d %s n%d commit %d", m.From, m.Term, arrow, m.To, m.Commit)
		}
	case raft.HeartbeatReply:
		s += fmt.Sprintf(" round %d", m.Round)
	case raft.Snapshot, raft.SnapshotReply:
		s += printChunk(m)
	}
	return s
}

func printChunk(m *raft.Message) string {
	if m.Snapshot == nil {
		return " without a chunk"
	}
	s := ""
	switch m.Kind {
	case raft.Snapshot:
		s += fmt.Sprintf(" %s at %d %q", printID(m.Snapshot.Last), m.Snapshot.Offset, m.Snapshot.Data)
		if m.Snapshot.Done {
			s += " done"
		}
	case raft.SnapshotReply:
		s += fmt.Sprintf(" %s up to %d", printID(m.Snapshot.Last), m.Snapshot.Offset)
	}
	return s
}

func printAnswer(m *raft.Message) string {
	switch {
	case !m.Reject:
		return fmt.Sprintf(" up to %d", m.Index)
	case m.Hint == 0 && m.HintTerm == 0:
		return fmt.Sprintf(" no, not after %d", m.Index)
	default:
		return fmt.Sprintf(" no, not after %d, try %s", m.Index, printID(raft.EntryID{Index: m.Hint, Term: m.HintTerm}))
	}
}

func (e *Env) printStatus(n *node) {
	if n.core == nil {
		e.say("n%d is down", n.id)
		return
	}
	s := n.core.Status()
	leader := "nobody"
	if s.Leader != 0 {
		leader = fmt.Sprintf("n%d", s.Leader)
	}
	entries := fmt.Sprintf("log %d..%d", s.First, s.Last)
	if s.Last < s.First {
		entries = fmt.Sprintf("log empty after %d", s.Last)
	}
	e.say("n%d@%d %s under %s, %s, durable %d, commit %d, applied %d, %s, machine [%s]",
		n.id, s.Term, s.Role, leader, entries, s.Durable, s.Commit, s.Applied, printMembers(n.core.Members()), strings.Join(n.machine.words, " "))
}

func printMembers(c membership.Config) string {
	s := "voters " + printNodes(c.Voters)
	for _, l := range []struct {
		name string
		ids  []raft.NodeID
	}{{"outgoing", c.Outgoing}, {"learners", c.Learners}, {"then learners", c.LearnersNext}, {"removed", c.Removed}} {
		if len(l.ids) > 0 {
			s += " " + l.name + " " + printNodes(l.ids)
		}
	}
	return s
}

func printNodes(ids []raft.NodeID) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(ids), " ", ","), "[]")
}

func (e *Env) printProgress(n *node) {
	s := n.core.Status()
	ids := make([]raft.NodeID, 0, len(s.Match))
	for id := range s.Match {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if id == n.id {
			e.say("n%d itself has %d", id, s.Match[id])
		} else {
			e.say("n%d has %d, %s", id, s.Match[id], s.Peers[id])
		}
	}
	if s.TransferTo != 0 {
		e.say("n%d shall take over", s.TransferTo)
	}
}

// Reads are named in plays and numbered in the core: r7 is 7.
func readName(id uint64) string { return fmt.Sprintf("r%d", id) }
