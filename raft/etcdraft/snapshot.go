package etcdraft

import (
	"fmt"
	"maps"
	"slices"

	etcd "go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
)

// etcd's core hands out a snapshot in one piece. Here it travels as raft.Raft sends it: chunk by chunk, each asked of the host (Ready.Offer)
// when the peer has answered for the one before. The core only knows that the peer is busy with one, until an acknowledgement
// says that it can follow the log again.

// outgoing is a snapshot on its way to a peer.
type outgoing struct {
	last   raft.EntryID // zero: the host has not offered a chunk yet
	offset uint64       // the peer has the bytes before it
	since  uint64       // the tick of the last step forward
}

// offerSnapshot begins: the log no longer has what the peer needs.
func (r *Raft) offerSnapshot(to raft.NodeID) {
	r.lead.sending[to] = &outgoing{since: r.ticks}
	r.askForChunk(to)
}

func (r *Raft) askForChunk(to raft.NodeID) {
	s := r.lead.sending[to]
	r.offers = append(r.offers, raft.Offer{To: to, Last: s.last, Offset: s.offset})
}

// SendChunk sends one chunk of a snapshot to the peer, as Ready.Offer asked. The chunk is kept until it has
// left. raft.ErrNoSnapshot: nobody asked for it (any more).
func (r *Raft) SendChunk(to raft.NodeID, c raft.SnapshotChunk) error {
	s := r.lead.sending[to]
	switch {
	case s == nil:
		return fmt.Errorf("%w: node %d", raft.ErrNoSnapshot, to)
	case s.last.Index == 0 && (c.Offset != 0 || c.Last.Index < r.log.compacted.Index || c.Last.Index > r.log.applied):
		return fmt.Errorf("%w: a snapshot of %d, needed is one from %d to %d", raft.ErrNoSnapshot, c.Last.Index, r.log.compacted.Index, r.log.applied)
	case s.last.Index != 0 && (c.Last != s.last || c.Offset != s.offset):
		return fmt.Errorf("%w: %d at %d, asked was %d at %d", raft.ErrNoSnapshot, c.Last.Index, c.Offset, s.last.Index, s.offset)
	}
	if _, err := membership.Decode(c.Membership); err != nil {
		return err
	}
	s.last = c.Last
	r.send(raft.Message{Kind: raft.Snapshot, From: r.id, To: to, Term: r.term, Snapshot: &c}, false)
	return nil
}

// SnapshotFailed says that the host can't give the chunk that it was asked for. The peer is probed again.
func (r *Raft) SnapshotFailed(to raft.NodeID) {
	if r.lead.sending[to] != nil {
		r.abandonSnapshot(to)
		r.settle()
	}
}

func (r *Raft) abandonSnapshot(to raft.NodeID) {
	delete(r.lead.sending, to)
	r.core.ReportSnapshot(uint64(to), etcd.SnapshotFailure)
	r.absorb()
}

func (r *Raft) handleSnapshotReply(m *raft.Message) {
	s, c := r.lead.sending[m.From], m.Snapshot
	switch {
	case s == nil || c.Last != s.last:
	case m.Reject:
		r.abandonSnapshot(m.From)
	case c.Offset == s.offset && s.offset > 0: // said before
	default:
		s.offset, s.since = c.Offset, r.ticks
		r.askForChunk(m.From)
	}
}

// tickSnapshots repeats what may be lost, and gives up on a peer that doesn't answer.
func (r *Raft) tickSnapshots() {
	for _, id := range slices.Sorted(maps.Keys(r.lead.sending)) {
		since := r.ticks - r.lead.sending[id].since
		switch {
		case r.ticks-r.lead.heard[id] >= uint64(r.cfg.ElectionTicks):
			r.abandonSnapshot(id)
		case since > 0 && since%uint64(r.cfg.ElectionTicks) == 0:
			r.askForChunk(id)
		}
	}
}

// watchSnapshots forgets those whose receivers follow the log again, or have left.
func (r *Raft) watchSnapshots() {
	if len(r.lead.sending) == 0 {
		return
	}
	busy := map[raft.NodeID]bool{}
	r.eachPeer(func(id raft.NodeID, p *tracker.Progress) { busy[id] = p.State == tracker.StateSnapshot })
	maps.DeleteFunc(r.lead.sending, func(id raft.NodeID, _ *outgoing) bool { return !busy[id] })
}

// mayCompact keeps what a peer will need after the snapshot that it is being sent.
func (r *Raft) mayCompact(to raft.Index) error {
	for _, id := range slices.Sorted(maps.Keys(r.lead.sending)) {
		if s := r.lead.sending[id]; s.last.Index != 0 && to > s.last.Index {
			return fmt.Errorf("%w: %d, node %d is being sent a snapshot of %d", raft.ErrCompact, to, id, s.last.Index)
		}
	}
	return nil
}

// arrival is a snapshot on its way to this node.
type arrival struct {
	last   raft.EntryID // zero: none
	term   raft.Term    // of the leader that sends it: another's bytes for the same state may differ
	offset uint64       // the bytes before it were handed to the host
}

func (r *Raft) stepSnapshot(m *raft.Message) error {
	if err := r.checkLeader(m); err != nil {
		return err
	}
	r.follow(m, 0)
	r.heard(0)
	c := m.Snapshot
	switch {
	case c.Last.Index <= r.log.commit:
		r.ack(m, r.log.commit)
	case r.log.matches(c.Last): // all of it is here already, and it is committed
		r.follow(m, c.Last.Index)
		r.ack(m, c.Last.Index)
	case r.install == nil: // else the host hasn't taken the last one yet: in one Ready, all chunks belong to one snapshot
		r.takeChunk(m)
	}
	return nil
}

// follow tells the core who leads, and how much of the log is known to be decided and the same here.
func (r *Raft) follow(m *raft.Message, commit raft.Index) {
	r.tell(toEtcd(&raft.Message{Kind: raft.Heartbeat, From: m.From, To: m.To, Term: m.Term, Commit: commit}))
}

func (r *Raft) takeChunk(m *raft.Message) {
	c := m.Snapshot
	if c.Offset == 0 {
		r.arrival = arrival{last: c.Last, term: m.Term}
	}
	if r.arrival.last != c.Last || r.arrival.term != m.Term {
		r.arrival = arrival{}
		r.answerChunk(m, 0)
		return
	}
	if c.Offset != r.arrival.offset {
		r.answerChunk(m, r.arrival.offset)
		return
	}
	r.chunks = append(r.chunks, *c)
	r.arrival.offset += uint64(len(c.Data))
	if !c.Done {
		r.answerChunk(m, r.arrival.offset)
		return
	}
	r.installSnapshot(m)
}

func (r *Raft) answerChunk(m *raft.Message, offset uint64) {
	reply := raft.SnapshotChunk{Last: m.Snapshot.Last, Offset: offset}
	r.send(raft.Message{Kind: raft.SnapshotReply, From: r.id, To: m.From, Term: r.term, Snapshot: &reply}, false)
}

// ack says that everything up to index is here; it leaves when that is durable.
func (r *Raft) ack(m *raft.Message, index raft.Index) {
	r.send(raft.Message{Kind: raft.AppendReply, From: r.id, To: m.From, Term: r.term, Index: index}, true)
}

// installSnapshot makes the log end with the snapshot and puts a new core on top. Whatever the log held contradicts it or is in it.
func (r *Raft) installSnapshot(m *raft.Message) {
	c := m.Snapshot
	members, err := membership.Decode(c.Membership)
	invariant.Holds(err == nil, "a snapshot without a membership passed inspection: %v", err)
	r.arrival = arrival{}
	r.log.reset(c.Last)
	r.answers, r.committed = nil, nil
	r.accepted, r.verified = m.Term, c.Last.Index
	r.install = &raft.Install{Last: c.Last, Membership: c.Membership}
	r.setMembers(members)
	err = r.buildCore()
	invariant.Holds(err == nil, "no core on a snapshot of %d@%d: %v", c.Last.Index, c.Last.Term, err)
	r.follow(m, 0)
	r.ack(m, c.Last.Index)
}
