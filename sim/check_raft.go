package sim

import (
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
)

// raftJudge holds every group to Raft's promises (Ongaro & Ousterhout, "In Search of an Understandable Consensus
// Algorithm", 2014, figure 3), and every replica to the same state.
type raftJudge struct {
	w       *world
	leaders map[groupTerm]raft.NodeID
	votes   map[cast]raft.NodeID // that others may have heard of
	decided map[lane.GroupID][]decided
	hashes  map[lane.GroupID][]uint64 // by index; zero: not seen
}

type groupTerm struct {
	group lane.GroupID
	term  raft.Term
}

type cast struct {
	groupTerm
	by raft.NodeID
}

// decided is what the first replica saw as committed at an index.
type decided struct {
	term raft.Term
	sum  uint64
	by   raft.Term // it was committed in this term or before
}

func newRaftJudge(w *world) *raftJudge {
	return &raftJudge{w: w, leaders: map[groupTerm]raft.NodeID{}, votes: map[cast]raft.NodeID{}, decided: map[lane.GroupID][]decided{},
		hashes: map[lane.GroupID][]uint64{}}
}

// watched is a production engine under the eyes of the judge.
type watched struct {
	*raft.Raft
	host  *host
	group lane.GroupID

	// What judges have seen of it: others of the same replica come after a restart and are looked at anew.
	led    raft.Term  // the last term in which it was seen to lead
	hashed raft.Index // when the state's hash was last looked at
	read   uint64     // up to which number its decisions were
}

// Ready shows the judge what the engine calls committed.
func (e *watched) Ready() (rd raft.Ready) {
	rd = e.Raft.Ready()
	e.host.w.judge.raft.onReady(e, rd.Committed)
	return rd
}

func (j *raftJudge) onReady(e *watched, committed []raft.Entry) {
	if e.Role() == raft.Leader {
		j.onLeader(e)
	}
	for i := range committed {
		entry := &committed[i]
		all := j.decided[e.group]
		d := decided{entry.Term, hashBytes(entry.Data) ^ uint64(entry.Kind), e.Term()}
		switch {
		case int(entry.Index) == len(all)+1:
			j.decided[e.group] = append(all, d)
		case int(entry.Index) > len(all)+1:
			j.w.fail("entries are committed in order", "node %d has entry %d of %s, nobody has %d", e.host.id, entry.Index, e.group, len(all)+1)
		case all[entry.Index-1].term != d.term || all[entry.Index-1].sum != d.sum:
			j.w.fail("no two replicas apply different entries at an index", "node %d has %d@%d of %s, another had term %d", e.host.id, entry.Index, entry.Term, e.group, all[entry.Index-1].term)
		}
	}
}

// onLeader: one leader per term, and it has everything that was committed in the terms before. Who is elected late, when others
// are in a later term already, needn't have what they commit.
func (j *raftJudge) onLeader(e *watched) {
	if e.led == e.Term() {
		return // it has been looked at, and no other was the first to lead
	}
	key := groupTerm{e.group, e.Term()}
	leader, known := j.leaders[key]
	if known {
		if leader != e.host.id {
			j.w.fail("a term has one leader", "nodes %d and %d both lead %s in term %d", leader, e.host.id, key.group, key.term)
		}
		return
	}
	j.leaders[key], e.led = e.host.id, key.term
	for i, d := range j.decided[e.group] {
		if d.by >= key.term {
			continue
		}
		if term, has := e.EntryTerm(raft.Index(i + 1)); has && term != d.term {
			j.w.fail("a leader has every committed entry", "node %d leads %s in term %d and has %d@%d, committed is term %d", e.host.id, e.group, key.term, i+1, term, d.term)
		} else if !has && raft.Index(i+1) > e.Commit() {
			j.w.fail("a leader has every committed entry", "node %d leads %s in term %d without entry %d", e.host.id, e.group, key.term, i+1)
		}
	}
}

// onSend: a vote is one per term, and both votes and acknowledgements are durable before anybody hears them.
func (j *raftJudge) onSend(from raft.NodeID, m *lane.RaftMessage) {
	r := &m.Message
	if acknowledges := (r.Kind == raft.AppendReply || r.Kind == raft.VoteReply) && !r.Reject; !acknowledges && r.Kind != raft.Vote {
		return
	}
	disk := j.w.host(from).disk.of(m.Group)
	switch {
	case disk.retired: // what it still says counts no more
	case r.Kind == raft.AppendReply:
		if err := disk.covers(r.Term, r.Index); err != nil {
			j.w.fail("an acknowledged entry is durable", "node %d %v", from, err)
		}
	case r.Kind == raft.VoteReply:
		j.vote(from, r.To, m.Group, r.Term, disk)
	default:
		j.vote(from, from, m.Group, r.Term, disk)
	}
}

func (j *raftJudge) vote(by, candidate raft.NodeID, group lane.GroupID, term raft.Term, disk *stored) {
	key := cast{groupTerm{group, term}, by}
	if before, known := j.votes[key]; known && before != candidate {
		j.w.fail("a node votes once per term", "node %d votes for %d in term %d of %s, and before for %d", by, candidate, term, group, before)
	}
	j.votes[key] = candidate
	if hard := disk.hard; hard.Term < term || (hard.Term == term && hard.Vote != candidate) {
		j.w.fail("a vote is durable before it counts", "node %d votes for %d in term %d of %s, durable is %+v", by, candidate, term, group, hard)
	}
}

// Applied tells the judge that there is a new state.
func (e *watched) Applied(to raft.Index) {
	e.host.applied = true
	e.Raft.Applied(to)
}

// afterStep: replicas that have applied the same entries are in the same state.
func (j *raftJudge) afterStep(h *host) {
	replicas := h.replicas()
	for i := range replicas {
		r := &replicas[i]
		engine := r.Engine.(*watched)
		if r.Applied == 0 || engine.hashed == r.Applied {
			continue
		}
		engine.hashed = r.Applied
		seen, hash := j.hashes[r.Group], r.StateHash()
		if short := int(r.Applied) + 1 - len(seen); short > 0 {
			seen = append(seen, make([]uint64, short)...)
			j.hashes[r.Group] = seen
		}
		if before := seen[r.Applied]; before != 0 && before != hash {
			j.w.fail("equal logs give equal state", "node %d has hash %016x after entry %d of %s, another had %016x", h.id, hash, r.Applied, r.Group, before)
		}
		seen[r.Applied] = hash
	}
}

// verify has an engine look at all of itself.
func (j *raftJudge) verify(h *host, r *lane.Replica) {
	if err := r.Engine.(*watched).Verify(); err != nil {
		j.w.fail("an engine is consistent", "node %d, %s: %v", h.id, r.Group, err)
	}
}
