package raft

import (
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/room"
)

// Persist is what must become durable, in one atomic record, in the order of Seq. Entries replace
// whatever the log held from Entries[0].Index on. Seq counts from 1 after each New.
type Persist struct {
	Seq       uint64
	HardState HardState
	Entries   []Entry

	// Install, if not nil: before Entries, the state machine becomes the snapshot whose chunks Ready.Chunks brought, and the
	// whole log is dropped, all in the same record. A crash leaves either the old state or the new one.
	Install *Install
}

// Install says which snapshot replaces the state machine.
type Install struct {
	Last       EntryID // the new State.Compacted
	Membership []byte  // the new State.Membership
}

// Ready is what a step has to say to the world. All of it but Messages belongs to the host, but entries and data are
// shared with the log: read, never write.
type Ready struct {
	Messages  []Message   // may leave at once, in this order. There until the next Ready, which uses the room again
	Persist   *Persist    // nil: nothing to write. Report back with Persisted(Seq)
	Durable   []Message   // leave only when Persist (or, if nil, every earlier one) is durable
	Committed []Entry     // to apply, in order; locally durable. Report back with Applied
	Reads     []ReadReady // reads that may be answered once Index is applied
	ReadsLost []uint64    // reads that were dropped with the leadership
	Compact   Index       // no member needs the log up to here; the own checkpoint must be that far too. Zero: no news

	Chunks []SnapshotChunk // pieces of a snapshot, in order, to keep aside until Persist.Install; Offset 0 begins a new one
	Offer  []Offer         // peers that need a snapshot: answer with SendChunk or SnapshotFailed
}

// ReadReady says that the read is linearizable as soon as Index is applied.
type ReadReady struct {
	ID    uint64
	Index Index
}

// Offer asks the host for one chunk of a snapshot for a peer.
type Offer struct {
	To     NodeID
	Last   EntryID // of the snapshot that was begun; zero: any, the newest is best
	Offset uint64
}

// HasReady says whether Ready has anything to say.
func (r *Raft) HasReady() bool {
	r.flush()
	return len(r.messages) > 0 || len(r.durable) > 0 || r.mustPersist() || r.deliverable() > r.log.delivered ||
		len(r.reads) > 0 || len(r.readsLost) > 0 || len(r.chunks) > 0 || len(r.offers) > 0
}

// Ready hands out what there is to do, each thing once. It may be called again while earlier Persists are under way.
func (r *Raft) Ready() (rd Ready) {
	r.flush()
	rd.Messages, rd.Reads, rd.ReadsLost, rd.Chunks, rd.Offer = clip(r.messages), r.reads, r.readsLost, r.chunks, r.offers
	r.messages, r.sent = room.Emptied(r.sent, messageBlock), r.messages
	r.reads, r.readsLost, r.chunks, r.offers = nil, nil, nil, nil
	if r.mustPersist() {
		rd.Persist = r.persist()
	}
	rd.Durable = clip(r.durable)
	r.durable = r.durable[len(r.durable):] // what was handed out is the host's; most steps need no more than what is left
	if to := r.deliverable(); to > r.log.delivered {
		rd.Committed = r.log.slice(r.log.delivered, to)
		r.log.delivered = to
	}
	if r.compact > r.compactTold {
		rd.Compact, r.compactTold = r.compact, r.compact
	}
	r.check()
	return rd
}

// clip keeps a host that appends out of our room, and gives nil for nothing.
func clip(m []Message) []Message {
	if len(m) == 0 {
		return nil
	}
	return m[:len(m):len(m)]
}

// deliverable returns how far entries may be applied: decided, and durable here.
func (r *Raft) deliverable() Index { return min(r.log.commit, r.log.stable) }

// mustPersist ignores Commit: it travels with the next record and is never worth one of its own.
func (r *Raft) mustPersist() bool {
	return r.log.handed < r.log.last() || r.install != nil ||
		r.handedHS.Term != r.term || r.handedHS.Vote != r.vote || r.handedHS.Accepted != r.accepted
}

// persistBlock is how many Persists are allocated together.
const persistBlock = 32

// persist makes the record of everything that isn't handed out yet. Commit must be in it: whoever has a Membership entry
// in its log must remember that the one before it is committed, or it could campaign with the membership before that.
func (r *Raft) persist() *Persist {
	if len(r.persists) == 0 {
		r.persists = make([]Persist, persistBlock)
	}
	p := &r.persists[0]
	r.persists = r.persists[1:]

	r.seq++
	*p = Persist{
		Seq: r.seq, HardState: HardState{r.term, r.vote, r.log.commit, r.accepted},
		Entries: r.log.slice(r.log.handed, r.log.last()), Install: r.install,
	}
	r.install = nil
	r.log.handed = r.log.last()
	r.handedHS = p.HardState
	r.log.wrote(write{seq: r.seq, last: r.log.last(), term: r.term, vote: r.vote, tick: r.ticks})
	return p
}

// Persisted reports that every Persist up to seq is durable.
func (r *Raft) Persisted(seq uint64) {
	if seq > r.seq { // not Holds: its arguments would cost an allocation each on the hot path
		invariant.Fail("persisted %d, handed out only %d", seq, r.seq)
	}
	stable := r.log.stable
	for w := r.log.oldest(); w != nil && w.seq <= seq; w = r.log.oldest() {
		r.log.stable = max(r.log.stable, w.last)
		r.durableTerm = w.term
		own := r.role == Candidate && w.term == r.term && w.vote == r.id
		r.log.first++
		if own {
			r.countVote(r.id, true)
		}
	}
	if r.role == Leader && r.log.stable > stable {
		if p := r.peer(r.id); p != nil {
			p.Match, p.Next = r.log.stable, r.log.stable+1
			r.advanceCommit()
		}
	}
	r.check()
}

// Applied reports that the state machine has everything up to index. Memberships up to there are active from now on.
func (r *Raft) Applied(to Index) {
	if to > r.log.delivered {
		invariant.Fail("applied %d, delivered only %d", to, r.log.delivered)
	}
	if to <= r.log.applied {
		return
	}
	entries := r.log.slice(r.log.applied, to)
	for i := range entries {
		r.log.applied = entries[i].Index
		if entries[i].Kind == Membership {
			r.applyMembership(&entries[i])
		}
	}
	if r.role == Leader {
		r.leaveJoint()
	}
	r.check()
}

// Compact frees the log up to index, which must be applied. Ask before the host drops its own: with ErrCompact it
// must keep it, for instance because a snapshot is on its way and the entries after it will be needed.
func (r *Raft) Compact(to Index) error {
	if to <= r.log.compacted.Index {
		return nil
	}
	if err := r.mayCompact(to); err != nil {
		return err
	}
	r.log.drop(to)
	r.check()
	return nil
}
