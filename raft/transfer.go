package raft

import "fmt"

// TransferLeadership asks another voter to take over (Ongaro §3.10). Proposals are refused while the target catches up; if it
// doesn't lead within an election timeout, this node goes on. Asking again for the same node changes nothing. Refusals:
// ErrNotLeader, ErrSelf, ErrNotVoter, ErrTransferring (to another node).
func (r *Raft) TransferLeadership(to NodeID) error {
	switch {
	case r.role != Leader:
		return ErrNotLeader
	case to == r.id:
		return ErrSelf
	case !r.voters.Has(to):
		return fmt.Errorf("%w: node %d", ErrNotVoter, to)
	case r.transferTo == to:
		return nil
	case r.transferTo != 0:
		return fmt.Errorf("%w: to node %d", ErrTransferring, r.transferTo)
	}
	r.transferTo, r.transferSince = to, r.ticks
	p := r.peer(to)
	if p.Match < r.log.last() {
		// It takes along what is held back, and wants no answer: nothing is proposed until the target has it.
		r.send(Message{Kind: Heartbeat, To: to, Commit: min(r.log.commit, p.Match), Compact: r.compact})
	}
	r.continueTransfer(p)
	return nil
}

// continueTransfer lets the target campaign once it has all that it needs to win.
func (r *Raft) continueTransfer(p *peer) {
	if p.id == r.transferTo && p.Match == r.log.last() {
		r.sendTimeoutNow(p.id)
	}
}

// sendTimeoutNow ends the lease of this term: the message may arrive at any time, and then others vote against a leader they hear.
func (r *Raft) sendTimeoutNow(to NodeID) {
	r.reading.leaseBroken = true
	r.send(Message{Kind: TimeoutNow, To: to})
}

func (r *Raft) tickTransfer() {
	if r.transferTo != 0 && r.ticks-r.transferSince >= uint64(r.cfg.ElectionTicks) {
		r.transferTo = 0
	}
}

// handleTimeoutNow campaigns at once: without pre-vote, and in spite of stickiness.
func (r *Raft) handleTimeoutNow(m *Message) {
	if r.role == Follower && (r.leader == m.From || r.leader == 0) && r.mayCampaign() {
		r.becomeCandidate(true)
	}
}
