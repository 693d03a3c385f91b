package raft

import "github.com/quorate/quorate/internal/mutant"

// reading is what a leader knows about reads. A read is answered when a majority has answered a heartbeat round begun after the read came:
// then nobody else was leader in between (Ongaro §6.4). Rounds are numbered by the leader and never by callers.
type reading struct {
	round     uint64 // the newest round begun; numbers go on over terms
	confirmed uint64 // the newest round that a majority has answered in this term
	due       bool   // a read waits for a round that isn't begun

	waiting []uint64 // ids of reads that came before the first commit of the term
	pending []read   // by round

	begun       []beginning // leases: rounds not confirmed yet
	leaseFrom   uint64      // the tick at which the newest confirmed round was begun
	leased      bool        // there was one in this term
	leaseBroken bool        // a TimeoutNow left in this term: somebody may campaign against it at any time
}

type read struct {
	id    uint64
	index Index
	round uint64
}

type beginning struct{ round, tick uint64 }

func (d *reading) begin() {
	*d = reading{round: d.round, confirmed: d.round, waiting: d.waiting[:0], pending: d.pending[:0], begun: d.begun[:0]}
}

// ReadIndex asks how far the state machine must have come for a read that starts now to be linearizable. The answer
// is in Ready.Reads, or the id is in Ready.ReadsLost. ErrNotLeader: ask the leader.
func (r *Raft) ReadIndex(id uint64) error {
	switch {
	case r.role != Leader:
		return ErrNotLeader
	case r.log.commit < r.termStart:
		// Until an entry of its own is committed, a leader doesn't know what its predecessors committed.
		r.reading.waiting = append(r.reading.waiting, id)
	case r.hasLease() || mutant.On(mutant.ReadUnconfirmed):
		r.reads = append(r.reads, ReadReady{id, r.log.commit})
	default:
		r.queueRead(id)
	}
	return nil
}

func (r *Raft) queueRead(id uint64) {
	r.reading.pending = append(r.reading.pending, read{id, r.log.commit, r.reading.round + 1})
	r.reading.due = true
	r.sendDue = true
}

func (r *Raft) startWaitingReads() {
	for _, id := range r.reading.waiting {
		r.queueRead(id)
	}
	r.reading.waiting = r.reading.waiting[:0]
}

// startRound begins a round for the reads that need one; all that came since the last Ready share it.
func (r *Raft) startRound() {
	if !r.reading.due {
		return
	}
	r.reading.due = false
	r.newRound()
	if r.reading.confirmed == r.reading.round {
		return // this node decides alone
	}
	for i := range r.peers {
		if p := &r.peers[i]; p.id != r.id && r.voters.Has(p.id) {
			r.sendHeartbeat(p)
		}
	}
}

func (r *Raft) newRound() {
	d := &r.reading
	d.round++
	if r.cfg.LeaseTicks > 0 {
		d.begun = append(d.begun, beginning{d.round, r.ticks})
	}
	if p := r.peer(r.id); p != nil {
		p.Round = d.round
		r.confirmRounds()
	}
}

// confirmRounds answers the reads whose round a majority has answered.
func (r *Raft) confirmRounds() {
	d := &r.reading
	agreed := uint64(r.voters.Committed(r.roundSeen))
	if agreed <= d.confirmed {
		return
	}
	d.confirmed = agreed
	n := 0
	for n < len(d.pending) && d.pending[n].round <= agreed {
		r.reads = append(r.reads, ReadReady{d.pending[n].id, d.pending[n].index})
		n++
	}
	d.pending = append(d.pending[:0], d.pending[n:]...)
	r.extendLease(agreed)
}

// extendLease: whoever answered a round will not vote for another until an election timeout after it got there, which is later than it was begun.
func (r *Raft) extendLease(round uint64) {
	d := &r.reading
	n := 0
	for n < len(d.begun) && d.begun[n].round <= round {
		d.leaseFrom, d.leased = d.begun[n].tick, true
		n++
	}
	d.begun = append(d.begun[:0], d.begun[n:]...)
}

// hasLease says whether nobody else can have become leader by now, by the clock.
func (r *Raft) hasLease() bool {
	d := &r.reading
	return d.leased && !d.leaseBroken && r.ticks-d.leaseFrom < uint64(r.cfg.LeaseTicks)
}

// loseReads gives up all reads: only a leader can answer them.
func (r *Raft) loseReads() {
	r.readsLost = append(r.readsLost, r.reading.waiting...)
	for _, p := range r.reading.pending {
		r.readsLost = append(r.readsLost, p.id)
	}
	r.reading.waiting, r.reading.pending = r.reading.waiting[:0], r.reading.pending[:0]
	r.reading.due = false
}
