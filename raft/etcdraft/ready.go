package etcdraft

import (
	"fmt"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
)

// HasReady says whether Ready has anything to say.
func (r *Raft) HasReady() bool {
	return len(r.messages) > 0 || len(r.durable) > 0 || r.mustPersist() || len(r.committed) > 0 ||
		len(r.reads) > 0 || len(r.readsLost) > 0 || len(r.chunks) > 0 || len(r.offers) > 0
}

// Ready hands out what there is to do, each thing once. It may be called again while earlier Persists are under way.
func (r *Raft) Ready() raft.Ready {
	rd := raft.Ready{
		Messages: r.messages, Durable: r.durable, Committed: r.committed,
		Reads: r.reads, ReadsLost: r.readsLost, Chunks: r.chunks, Offer: r.offers,
	}
	r.messages, r.durable, r.committed = nil, nil, nil
	r.reads, r.readsLost, r.chunks, r.offers = nil, nil, nil, nil
	if r.mustPersist() {
		rd.Persist = r.persist()
	}
	if r.compact > r.compactTold {
		rd.Compact, r.compactTold = r.compact, r.compact
	}
	r.settle()
	return rd
}

// mustPersist ignores Commit: it travels with the next record and is never worth one of its own.
func (r *Raft) mustPersist() bool {
	return r.log.handed < r.log.last() || r.install != nil ||
		r.handedHS.Term != r.term || r.handedHS.Vote != r.vote || r.handedHS.Accepted != r.accepted
}

// persist makes the record of everything that isn't handed out yet.
func (r *Raft) persist() *raft.Persist {
	r.seq++
	p := &raft.Persist{
		Seq: r.seq, HardState: r.HardState(), Entries: r.log.slice(r.log.handed, r.log.last()), Install: r.install,
	}
	r.install = nil
	r.log.handed = r.log.last()
	r.handedHS = p.HardState
	r.log.writes = append(r.log.writes, write{seq: r.seq, last: r.log.last(), term: r.term, tick: r.ticks, answers: r.takeAnswers()})
	return p
}

// Persisted reports that every Persist up to seq is durable.
func (r *Raft) Persisted(seq uint64) {
	invariant.Holds(seq <= r.seq, "persisted %d, handed out only %d", seq, r.seq)
	for len(r.log.writes) > 0 && r.log.writes[0].seq <= seq {
		w := r.log.writes[0]
		r.log.writes = r.log.writes[1:]
		r.log.stable = max(r.log.stable, w.last)
		r.durableTerm = w.term
		r.answer(w.answers)
	}
	r.settle()
}

// Applied reports that the state machine has everything up to index. Memberships up to there are active from now on.
func (r *Raft) Applied(to raft.Index) {
	invariant.Holds(to <= r.log.delivered, "applied %d, delivered only %d", to, r.log.delivered)
	if to <= r.log.applied {
		return
	}
	from := r.log.applied
	entries := r.log.slice(from, to)
	for i := range entries {
		r.log.applied = entries[i].Index
		if entries[i].Kind == raft.Membership {
			r.applyMembership(&entries[i])
		}
	}
	first := r.log.compacted.Index
	r.tell(&pb.Message{
		Type: pb.MsgStorageApplyResp.Enum(), From: new(etcd.LocalApplyThread), To: new(uint64(r.id)),
		Entries: r.log.shadow[from-first : to-first],
	})
	r.settle()
}

// Compact frees the log up to index, which must be applied. Ask before the host drops its own: with raft.ErrCompact it
// must keep it.
func (r *Raft) Compact(to raft.Index) error {
	if to <= r.log.compacted.Index {
		return nil
	}
	if to > r.log.applied {
		return fmt.Errorf("%w: %d, applied is %d", raft.ErrCompact, to, r.log.applied)
	}
	if err := r.mayCompact(to); err != nil {
		return err
	}
	r.log.drop(to)
	r.settle()
	return nil
}
