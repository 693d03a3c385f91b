package raft

import (
	"fmt"

	"github.com/quorate/quorate/internal/mutant"
)

// handleAppend takes the leader's entries if they join on to ours (Ongaro §3.5). What of them is here already stays
// as it is: a repeated or overtaken message must never cut off what came after it.
func (r *Raft) handleAppend(m *Message) error {
	r.noteCompact(m.Compact)
	prev := EntryID{m.Index, m.LogTerm}
	if prev.Index < r.log.compacted.Index {
		r.ack(r.log.commit) // everything up to the commit is the same in every log
		return nil
	}
	if !r.log.matches(prev) && !mutant.On(mutant.MatchAnything) {
		return r.refuseAppend(m)
	}
	last := prev.Index + Index(len(m.Entries))
	fresh := r.fresh(m.Entries)
	if mutant.On(mutant.CutOnRepeat) {
		fresh = m.Entries
	}
	if len(fresh) > 0 {
		if fresh[0].Index <= r.log.commit && !mutant.On(mutant.CutOnRepeat) {
			return fmt.Errorf("%w: node %d has %d@%d, committed here is another entry", ErrUnsafe, m.From, fresh[0].Index, fresh[0].Term)
		}
		r.log.replace(fresh)
	}
	if r.accepted != m.Term {
		r.accepted, r.verified = m.Term, 0
	}
	r.verified = max(r.verified, last)
	// Not our own last entry: what is behind the message's last may be another leader's.
	r.commitTo(min(m.Commit, last))
	r.ack(last)
	return nil
}

// fresh returns the entries from the first that isn't in our log.
func (r *Raft) fresh(entries []Entry) []Entry {
	for i := range entries {
		if !r.log.matches(entries[i].ID()) {
			return entries[i:]
		}
	}
	return nil
}

// refuseAppend says where to look next: the last entry of ours up to there that could be the leader's, which has LogTerm at Index.
func (r *Raft) refuseAppend(m *Message) error {
	if m.Index <= r.log.commit {
		return fmt.Errorf("%w: node %d has %d@%d, committed here is another entry", ErrUnsafe, m.From, m.Index, m.LogTerm)
	}
	hint := max(r.log.atMost(m.Index, m.LogTerm), r.log.commit)
	hintTerm, _ := r.log.term(hint)
	r.send(Message{Kind: AppendReply, To: m.From, Index: m.Index, Reject: true, Hint: hint, HintTerm: hintTerm})
	return nil
}

// ack says that everything up to index is here; it leaves when that is durable. One answer for all appends of a step is enough.
func (r *Raft) ack(to Index) {
	if n := len(r.durable); n > 0 {
		last := &r.durable[n-1]
		if last.Kind == AppendReply && !last.Reject && last.To == r.leader && last.Term == r.term {
			last.Index = max(last.Index, to)
			return
		}
	}
	r.send(Message{Kind: AppendReply, To: r.leader, Index: to})
}

// handleHeartbeat learns the commit, as far as our log is known to be this leader's: a node that lost its unsynced end, or has
// not heard an append of this leader yet, may hold other entries there.
func (r *Raft) handleHeartbeat(m *Message) error {
	if err := m.InspectCommit(r.log.last()); err != nil {
		return err
	}
	if m.Term == r.accepted {
		r.commitTo(min(m.Commit, r.verified))
	}
	r.noteCompact(m.Compact)
	if m.Round != 0 {
		r.send(Message{Kind: HeartbeatReply, To: m.From, Round: m.Round})
	}
	return nil
}

func (r *Raft) commitTo(to Index) {
	r.log.commit = max(r.log.commit, to)
}

func (r *Raft) noteCompact(to Index) {
	r.compact = max(r.compact, min(to, r.log.commit))
}
