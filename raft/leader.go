package raft

import (
	"fmt"

	"github.com/quorate/quorate/raft/progress"
)

func (r *Raft) tickLeader() {
	if !r.hasContact() {
		r.becomeFollower(r.term, 0)
		return
	}
	if r.diskHangs() && r.handOver() {
		return
	}
	r.tickTransfer()
	r.tickPeers()
	r.sinceBeat++
	if r.sinceBeat >= r.cfg.HeartbeatTicks {
		r.beat()
	}
}

// hasContact says whether a majority was heard within the last election timeout (CheckQuorum, Ongaro §6.2).
func (r *Raft) hasContact() bool {
	if p := r.peer(r.id); p != nil {
		p.Heard = r.ticks
	}
	newest := uint64(r.voters.Committed(r.heardAt)) // the latest tick by which more than half have spoken
	return r.ticks-newest < uint64(r.cfg.ElectionTicks)
}

// diskHangs says whether a write is overdue.
func (r *Raft) diskHangs() bool {
	w := r.log.oldest()
	return w != nil && r.ticks-w.tick >= uint64(r.cfg.DiskStallTicks)
}

// handOver gives the group to a voter whose disk works, and says whether there is one. The others commit without our disk,
// but nobody could be answered here: entries are applied only once they are durable.
func (r *Raft) handOver() bool {
	best := r.bestSuccessor()
	if best == nil {
		return false
	}
	r.sendTimeoutNow(best.id)
	r.becomeFollower(r.term, 0)
	return true
}

// bestSuccessor returns the other voter that has most of the log, or nil.
func (r *Raft) bestSuccessor() *peer {
	var best *peer
	for i := range r.peers {
		p := &r.peers[i]
		if p.id != r.id && r.voters.Has(p.id) && (best == nil || p.Match > best.Match) {
			best = p
		}
	}
	return best
}

// tickPeers notices who is gone: what was sent to it ahead of its answers is better asked for again.
func (r *Raft) tickPeers() {
	for i := range r.peers {
		p := &r.peers[i]
		if p.id == r.id {
			continue
		}
		silent := r.ticks-p.Heard >= uint64(r.cfg.ElectionTicks)
		if silent && p.State == progress.Replicate {
			p.Probing()
			p.Paused = true // until a heartbeat is answered
		}
		if p.State == progress.Snapshot {
			r.tickSnapshot(p)
		}
	}
}

// beat sends every member a heartbeat, which begins a new round.
func (r *Raft) beat() {
	r.sinceBeat = 0
	r.sendDue = true
	r.reading.due = false
	r.updateCompact()
	r.newRound()
	for i := range r.peers {
		p := &r.peers[i]
		if p.id == r.id {
			continue
		}
		r.sendHeartbeat(p)
		p.Deciding = 0 // whoever was slow for once may be the first again
		if p.HeartbeatDue() {
			p.Doubt = true
		}
	}
}

func (r *Raft) sendHeartbeat(p *peer) {
	// A follower must never hear of a commit beyond what it is known to have: its own entries there may be others.
	commit := min(r.log.commit, p.Match)
	p.SentCommit = max(p.SentCommit, commit)
	if r.leaving != 0 && commit >= r.leaving && p.ToldIn == 0 {
		p.ToldIn = r.reading.round
	}
	r.send(Message{Kind: Heartbeat, To: p.id, Commit: commit, Round: r.reading.round, Compact: r.compact})
}

func (r *Raft) handleHeartbeatReply(p *peer, m *Message) error {
	if m.Round > r.reading.round {
		return fmt.Errorf("%w: node %d answers round %d, the last was %d", ErrBadMessage, p.id, m.Round, r.reading.round)
	}
	if m.Round > p.Round {
		p.Round = m.Round
		r.confirmRounds()
		r.stopIfTold()
		if r.role != Leader {
			return nil
		}
	}
	if p.State == progress.Probe && p.Paused {
		p.Paused = false
		r.sendDue = true
	}
	if p.Doubt && p.State == progress.Replicate {
		r.sendAppend(p, p.Next-1) // refused if an append before it was lost
	}
	p.Doubt = false
	return nil
}

// ReportUnreachable says that messages to a peer were lost for sure. It is sent one append at a time until it answers.
func (r *Raft) ReportUnreachable(id NodeID) {
	if p := r.peer(id); r.role == Leader && p != nil && p.id != r.id && p.State == progress.Replicate {
		p.Probing()
		p.Paused = true
	}
}
