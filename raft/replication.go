package raft

import (
	"fmt"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft/progress"
	"github.com/quorate/quorate/raft/quorum"
)

// becomeLeader begins a reign. The no-op is needed because entries of older terms are committed
// only together with one of the leader's own (Ongaro §3.6.2).
func (r *Raft) becomeLeader() {
	invariant.Holds(r.role == Candidate && r.vote == r.id, "node %d as %s, who voted for %d, leads term %d", r.id, r.role, r.vote, r.term)
	r.role, r.leader = Leader, r.id
	r.sinceBeat = 0
	r.accepted = r.term
	r.uncommitted = 0
	r.reading.begin()
	r.peers = r.peers[:0]
	r.syncPeers()
	r.pendingChange = 0
	if last := r.log.last(); r.log.hasMembership(r.log.applied, last) {
		r.pendingChange = last
	}
	r.termStart = r.appendOwn(Noop, nil).Index
	r.leaveJoint()
}

// stopLeading drops what only a leader may promise.
func (r *Raft) stopLeading() {
	r.verified = r.log.last() // our own log: a leader never cuts it
	r.loseReads()
	r.transferTo, r.leaving = 0, 0
	r.offers = nil
	r.sendDue = false
}

// appendOwn adds an entry to the leader's log. It leaves with the next Ready.
func (r *Raft) appendOwn(kind EntryKind, data []byte) EntryID {
	e := Entry{Index: r.log.last() + 1, Term: r.term, Kind: kind, Data: data}
	r.log.append(e)
	r.uncommitted += e.bytes()
	r.sendDue = true
	return e.ID()
}

// Propose adds data to the log if this node leads, and returns the name of its entry: it is decided when an entry of that name is in
// Ready.Committed, and lost for ever when another one with its index is. With a term the proposal belongs to that reign
// only; zero is any. Refusals: ErrNotLeader, ErrWrongTerm, ErrTransferring, ErrBusy. Data is kept: nobody may write into it any more.
func (r *Raft) Propose(term Term, data []byte) (EntryID, error) {
	switch {
	case r.role != Leader:
		return EntryID{}, ErrNotLeader
	case term != 0 && term != r.term:
		return EntryID{}, fmt.Errorf("%w: it is %d, not %d", ErrWrongTerm, r.term, term)
	case r.transferTo != 0 || r.leaving != 0:
		return EntryID{}, ErrTransferring
	}
	size := entryOverheadBytes + uint64(len(data))
	if r.uncommitted > 0 && r.uncommitted+size > r.cfg.MaxUncommittedBytes {
		return EntryID{}, ErrBusy
	}
	return r.appendOwn(Normal, data), nil
}

// flush makes the messages that are due, as late as possible: whatever was proposed since the last Ready shares its appends.
func (r *Raft) flush() {
	if r.role != Leader || !r.sendDue {
		return
	}
	r.sendDue = false
	r.startRound()
	for i := range r.peers {
		if p := &r.peers[i]; p.id != r.id {
			r.replicate(p)
		}
	}
}

// decidesWithout says whether those who decided later than a peer are a majority: then entries are committed without it as a rule, and it may
// hear of them a moment later. EPaxos sends nothing to who isn't needed ("thrifty": Moraru, Andersen, Kaminsky, SOSP 2013); here a majority that is slow for
// once costs that moment, since the peer's answer counts like any other ("hedged requests": Dean, Barroso, The Tail at Scale, CACM 56(2), 2013), and each beat lets all try
// again who is first.
func (r *Raft) decidesWithout(p *peer) bool {
	if p.id == r.transferTo {
		return false
	}
	if !r.voters.Has(p.id) {
		return true
	}
	return r.voters.Vote(func(id NodeID) (decides, said bool) {
		q := r.peer(id)
		return id == r.id || q != nil && q.State == progress.Replicate && q.Deciding > p.Deciding, true
	}) == quorum.Won
}

// replicate sends a peer all that it may be sent now.
func (r *Raft) replicate(p *peer) {
	last := r.log.last()
	for p.Next <= last && p.MaySend(r.limits) {
		r.sendAppend(p, last)
	}
	if p.State == progress.Probe && !p.Paused && p.Match < last {
		r.sendAppend(p, p.Next-1) // nothing to send from there on: ask whether the peer has all before it
	}
	if news := min(r.log.commit, p.Match); news > p.SentCommit && p.State == progress.Replicate && r.log.commit == last {
		// No entries took the commit along, and there are none whose commit will be news, too: while there are, it goes with the next append or
		// beat. Round zero wants no answer.
		p.SentCommit = news
		r.send(Message{Kind: Heartbeat, To: p.id, Commit: news, Compact: r.compact, Deferrable: true})
	}
}

// sendAppend sends as many of the entries as one message may hold; none is a question whether the peer has the one before Next.
// Without the entry before Next no append is possible, only a snapshot.
func (r *Raft) sendAppend(p *peer, to Index) {
	prev := p.Next - 1
	prevTerm, known := r.log.term(prev)
	if !known {
		r.offerSnapshot(p)
		return
	}
	entries := r.log.slice(prev, to)
	n, size := 0, uint64(0)
	for n < len(entries) && (n == 0 || size+entries[n].bytes() <= r.cfg.MaxAppendBytes) {
		size += entries[n].bytes()
		n++
	}
	r.send(Message{
		Kind: Append, To: p.id, Index: prev, LogTerm: prevTerm, Entries: entries[:n:n],
		Commit: r.log.commit, Compact: r.compact, Deferrable: n > 0 && n == len(entries) && r.decidesWithout(p),
	})
	last := prev + Index(n)
	p.SentCommit = max(p.SentCommit, min(r.log.commit, last))
	p.Sent(last, size)
}

func (r *Raft) handleAppendReply(p *peer, m *Message) error {
	if m.Reject {
		if p.Rejected(m.Index, r.firstPossible(m.Hint, m.HintTerm)) {
			r.sendDue = true
		}
		return nil
	}
	if m.Index > r.log.last() {
		return fmt.Errorf("%w: node %d acknowledges entry %d, the log ends at %d", ErrBadMessage, p.id, m.Index, r.log.last())
	}
	news := p.Acked(m.Index)
	if news && m.Index > r.log.commit {
		p.Deciding = m.Index
	}
	if p.State == progress.Snapshot && p.Match >= r.log.compacted.Index {
		p.Streaming() // it can follow the log again, by the snapshot or by an append that was faster
	}
	if news {
		r.advanceCommit()
		r.continueTransfer(p)
	}
	r.sendDue = true
	return nil
}

// firstPossible returns where to try next with a peer whose log has term t at hint and only later
// terms behind it: right after the last entry of ours there that is of no later term.
func (r *Raft) firstPossible(hint Index, t Term) Index {
	if hint < r.log.compacted.Index {
		return hint + 1
	}
	return r.log.atMost(hint, t) + 1
}

// advanceCommit commits what the voters have, if it ends with an entry of this term (Ongaro §3.6.2; figure 8 shows why).
func (r *Raft) advanceCommit() {
	agreed := r.voters.Committed(r.matched)
	if agreed <= r.log.commit {
		return
	}
	if t, _ := r.log.term(agreed); t != r.term {
		return
	}
	first := r.log.commit < r.termStart
	r.releaseBytes(r.log.commit, agreed)
	r.log.commit = agreed
	r.sendDue = true
	if first {
		r.startWaitingReads()
	}
}

func (r *Raft) releaseBytes(from, to Index) {
	from = max(from, r.termStart-1) // entries of older terms were never counted
	entries := r.log.slice(from, to)
	for i := range entries {
		r.uncommitted -= min(r.uncommitted, entries[i].bytes())
	}
}

// updateCompact notes how far everybody has the log: what members still lack must stay.
func (r *Raft) updateCompact() {
	everybody := r.log.commit
	for i := range r.peers {
		everybody = min(everybody, r.peers[i].Match)
	}
	r.compact = max(r.compact, everybody)
}
