package etcdraft

import (
	"encoding/binary"
	"fmt"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
)

// leading is what is known only to a leader, and forgotten with the leadership.
type leading struct {
	termStart     raft.Index // its own no-op
	pendingChange raft.Index // a Membership entry up to here is not applied yet
	heard         map[raft.NodeID]uint64
	sentRound     uint64 // the highest number of a heartbeat in this term

	waiting []uint64 // reads that came before the first commit of the term
	asked   []uint64 // reads that the core was asked for, in that order

	sending map[raft.NodeID]*outgoing // snapshots
}

// startLeading takes note of a reign that the core has just begun: the last entry is its no-op.
func (r *Raft) startLeading() {
	last := r.log.lastID()
	invariant.Holds(last.Term == r.term, "node %d leads term %d, its log ends with %d@%d", r.id, r.term, last.Index, last.Term)
	r.lead = leading{
		termStart: last.Index, pendingChange: last.Index - 1,
		heard: map[raft.NodeID]uint64{}, sending: map[raft.NodeID]*outgoing{},
	}
	r.accepted, r.verified = r.term, last.Index
}

// stopLeading drops what only a leader may promise.
func (r *Raft) stopLeading() {
	r.verified = r.log.last() // our own log: a leader never cuts it
	r.readsLost = append(r.readsLost, r.lead.asked...)
	r.readsLost = append(r.readsLost, r.lead.waiting...)
	r.lead, r.offers = leading{}, nil
	r.waitAnew()
}

func (r *Raft) tickLeader() {
	r.noteCompact()
	if r.diskHangs() {
		r.handOver()
	}
	r.core.Tick()
	r.absorb()
	r.tickSnapshots()
	r.leaveJoint()
}

// handOver gives the group to a voter whose disk works: the others commit without our disk, but nobody could be answered here.
func (r *Raft) handOver() {
	var best raft.NodeID
	var match raft.Index
	r.eachPeer(func(id raft.NodeID, p *tracker.Progress) {
		if id != r.id && r.voters.Has(id) && (best == 0 || raft.Index(p.Match) > match) {
			best, match = id, raft.Index(p.Match)
		}
	})
	if best != 0 && r.core.BasicStatus().LeadTransferee == 0 {
		r.core.TransferLeader(uint64(best))
		r.absorb()
	}
}

// eachPeer shows what the core knows of every member, in the order of ids.
func (r *Raft) eachPeer(show func(id raft.NodeID, p *tracker.Progress)) {
	r.core.WithProgress(func(id uint64, _ etcd.ProgressType, p tracker.Progress) { show(raft.NodeID(id), &p) })
}

// noteCompact notes how far everybody has the log: what members still lack must stay.
func (r *Raft) noteCompact() {
	everybody := r.log.commit
	r.eachPeer(func(_ raft.NodeID, p *tracker.Progress) { everybody = min(everybody, raft.Index(p.Match)) })
	r.compact = max(r.compact, everybody)
}

// stepReply takes what a follower answers. Only the leader of that term can use it; a later term is news for everyone.
func (r *Raft) stepReply(m *raft.Message) error {
	mine := m.Term == r.term && r.state == etcd.StateLeader
	if mine {
		if err := r.checkReply(m); err != nil {
			return err
		}
		r.lead.heard[m.From] = r.ticks
	}
	if m.Kind != raft.SnapshotReply {
		r.tell(toEtcd(m))
		return nil
	}
	// The core knows no such thing. It learns that the node is there, and the term.
	r.tell(toEtcd(&raft.Message{Kind: raft.HeartbeatReply, From: m.From, To: m.To, Term: m.Term}))
	if mine {
		r.handleSnapshotReply(m)
	}
	return nil
}

// Propose adds data to the log if this node leads, as raft.Raft.Propose does. Refusals: raft.ErrNotLeader,
// raft.ErrWrongTerm, raft.ErrTransferring, raft.ErrBusy. Data is kept: nobody may write into it any more.
func (r *Raft) Propose(term raft.Term, data []byte) (raft.EntryID, error) {
	switch {
	case r.state != etcd.StateLeader:
		return raft.EntryID{}, raft.ErrNotLeader
	case term != 0 && term != r.term:
		return raft.EntryID{}, fmt.Errorf("%w: it is %d, not %d", raft.ErrWrongTerm, r.term, term)
	}
	return r.propose(&pb.Entry{Data: present(data)})
}

func (r *Raft) propose(e *pb.Entry) (raft.EntryID, error) {
	if r.core.BasicStatus().LeadTransferee != 0 {
		return raft.EntryID{}, raft.ErrTransferring
	}
	last := r.log.last()
	err := r.core.Step(&pb.Message{Type: pb.MsgProp.Enum(), From: new(uint64(r.id)), Entries: []*pb.Entry{e}})
	if err != nil {
		return raft.EntryID{}, raft.ErrBusy // what else it drops proposals for was asked before
	}
	r.absorb()
	id := r.log.lastID()
	invariant.Holds(id == raft.EntryID{Index: last + 1, Term: r.term}, "a proposal after %d in term %d became %d@%d", last, r.term, id.Index, id.Term)
	r.settle()
	return id, nil
}

// ReadIndex asks how far the state machine must have come for a read that starts now to be linearizable. The answer
// is in Ready.Reads, or the id is in Ready.ReadsLost. raft.ErrNotLeader: ask the leader.
func (r *Raft) ReadIndex(id uint64) error {
	if r.state != etcd.StateLeader {
		return raft.ErrNotLeader
	}
	r.lead.waiting = append(r.lead.waiting, id)
	r.releaseReads()
	r.absorb()
	r.settle()
	return nil
}

// releaseReads hands the core the reads that wait. Until an entry of its own is committed, a leader doesn't know
// what its predecessors committed; the core would answer even so if it decides alone.
func (r *Raft) releaseReads() {
	if r.state != etcd.StateLeader || len(r.lead.waiting) == 0 || r.log.commit < r.lead.termStart {
		return
	}
	for _, id := range r.lead.waiting {
		r.core.ReadIndex(binary.LittleEndian.AppendUint64(nil, id))
	}
	r.lead.asked = append(r.lead.asked, r.lead.waiting...)
	r.lead.waiting = r.lead.waiting[:0]
}

// askAnew repeats the reads that wait for others, when a change of the members leaves a leader that decides alone.
func (r *Raft) askAnew() {
	if r.state != etcd.StateLeader || len(r.lead.asked) == 0 || r.members.Joint() || len(r.members.Voters) != 1 || !r.voters.Has(r.id) {
		return
	}
	r.lead.waiting = append(r.lead.asked, r.lead.waiting...)
	r.lead.asked = nil
	r.releaseReads()
	r.absorb()
}

// readDone passes on an answer, unless the read was given up with an earlier reign.
func (r *Raft) readDone(rs etcd.ReadState) {
	id := binary.LittleEndian.Uint64(rs.RequestCtx)
	for i, asked := range r.lead.asked {
		if asked == id {
			r.lead.asked = append(r.lead.asked[:i], r.lead.asked[i+1:]...)
			r.reads = append(r.reads, raft.ReadReady{ID: id, Index: raft.Index(rs.Index)})
			return
		}
	}
}

// TransferLeadership asks another voter to take over, as raft.Raft does. Refusals: raft.ErrNotLeader, raft.ErrSelf,
// raft.ErrNotVoter, raft.ErrTransferring (to another node).
func (r *Raft) TransferLeadership(to raft.NodeID) error {
	under := raft.NodeID(0)
	if r.state == etcd.StateLeader {
		under = raft.NodeID(r.core.BasicStatus().LeadTransferee)
	}
	switch {
	case r.state != etcd.StateLeader:
		return raft.ErrNotLeader
	case to == r.id:
		return raft.ErrSelf
	case !r.voters.Has(to):
		return fmt.Errorf("%w: node %d", raft.ErrNotVoter, to)
	case under == to:
		return nil
	case under != 0:
		return fmt.Errorf("%w: to node %d", raft.ErrTransferring, under)
	}
	r.core.TransferLeader(uint64(to))
	r.absorb()
	r.settle()
	return nil
}

// LeaderReady says whether this node leads and has applied its own first entry, and so everything that was
// decided before its term.
func (r *Raft) LeaderReady() bool {
	return r.state == etcd.StateLeader && r.log.applied >= r.lead.termStart
}
