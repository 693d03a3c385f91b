package raft

import (
	"fmt"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft/membership"
	"github.com/quorate/quorate/raft/progress"
)

// A snapshot travels in chunks, one at a time: the leader asks its host for a chunk (Ready.Offer), the host gives it (SendChunk), the
// peer's answer says where the next one begins. The peer's host keeps the chunks aside (Ready.Chunks) until
// Persist.Install tells it to become the snapshot.

// offerSnapshot begins: the log no longer has what the peer needs.
func (r *Raft) offerSnapshot(p *peer) {
	p.NeedsSnapshot(r.ticks)
	r.askForChunk(p)
}

func (r *Raft) askForChunk(p *peer) {
	s := &p.Sending
	r.offers = append(r.offers, Offer{To: p.id, Last: EntryID{s.Last, Term(s.Term)}, Offset: s.Offset})
}

// SendChunk sends one chunk of a snapshot to the peer, as Ready.Offer asked. The chunk is kept until it has left. ErrNoSnapshot: nobody asked for it (any more).
func (r *Raft) SendChunk(to NodeID, c SnapshotChunk) error {
	p := r.peer(to)
	if r.role != Leader || p == nil || p.State != progress.Snapshot {
		return fmt.Errorf("%w: node %d", ErrNoSnapshot, to)
	}
	s := &p.Sending
	switch {
	case s.Last == 0 && (c.Offset != 0 || c.Last.Index < r.log.compacted.Index || c.Last.Index > r.log.applied):
		return fmt.Errorf("%w: a snapshot of %d, needed is one from %d to %d", ErrNoSnapshot, c.Last.Index, r.log.compacted.Index, r.log.applied)
	case s.Last != 0 && (c.Last != EntryID{s.Last, Term(s.Term)} || c.Offset != s.Offset):
		return fmt.Errorf("%w: %d at %d, asked was %d at %d", ErrNoSnapshot, c.Last.Index, c.Offset, s.Last, s.Offset)
	}
	if _, err := membership.Decode(c.Membership); err != nil {
		return err
	}
	s.Last, s.Term = c.Last.Index, uint64(c.Last.Term)
	r.send(Message{Kind: Snapshot, To: to, Snapshot: &c})
	return nil
}

// SnapshotFailed says that the host can't give the chunk that it was asked for. The peer is probed again.
func (r *Raft) SnapshotFailed(to NodeID) {
	if p := r.peer(to); r.role == Leader && p != nil && p.State == progress.Snapshot {
		p.Probing()
		p.Paused = true
	}
}

func (r *Raft) handleSnapshotReply(p *peer, m *Message) error {
	s := &p.Sending
	c := m.Snapshot
	if p.State != progress.Snapshot || (c.Last != EntryID{s.Last, Term(s.Term)}) {
		return nil
	}
	if m.Reject {
		p.Probing()
		r.sendDue = true
		return nil
	}
	if c.Offset == s.Offset && s.Offset > 0 {
		return nil // said before
	}
	s.Offset, s.Since = c.Offset, r.ticks
	r.askForChunk(p)
	return nil
}

// tickSnapshot repeats what may be lost, and gives up on a peer that doesn't answer.
func (r *Raft) tickSnapshot(p *peer) {
	since := r.ticks - p.Sending.Since
	switch {
	case r.ticks-p.Heard >= uint64(r.cfg.ElectionTicks):
		p.Probing()
		p.Paused = true
	case since > 0 && since%uint64(r.cfg.ElectionTicks) == 0:
		r.askForChunk(p)
	}
}

// arrival is a snapshot on its way to this node.
type arrival struct {
	last   EntryID // zero: none
	term   Term    // of the leader that sends it: another's bytes for the same state may differ
	offset uint64  // the bytes before it were handed to the host
}

func (r *Raft) handleSnapshot(m *Message) error {
	c := m.Snapshot
	if c.Last.Index <= r.log.commit {
		r.ack(r.log.commit)
		return nil
	}
	if r.log.matches(c.Last) {
		// All of it is here already, and it is committed.
		r.commitTo(c.Last.Index)
		r.ack(c.Last.Index)
		return nil
	}
	if r.install != nil {
		return nil // the host hasn't taken the last one yet: in one Ready, all chunks belong to one snapshot
	}
	if c.Offset == 0 {
		r.arrival = arrival{last: c.Last, term: m.Term}
	}
	if r.arrival.last != c.Last || r.arrival.term != m.Term {
		r.arrival = arrival{}
		r.answerChunk(m, 0)
		return nil
	}
	if c.Offset != r.arrival.offset {
		r.answerChunk(m, r.arrival.offset)
		return nil
	}
	r.chunks = append(r.chunks, *c)
	r.arrival.offset += uint64(len(c.Data))
	if !c.Done {
		r.answerChunk(m, r.arrival.offset)
		return nil
	}
	r.installSnapshot(c, m.Term)
	return nil
}

func (r *Raft) answerChunk(m *Message, offset uint64) {
	r.send(Message{Kind: SnapshotReply, To: m.From, Snapshot: &SnapshotChunk{Last: m.Snapshot.Last, Offset: offset}})
}

// installSnapshot makes the log end with the snapshot. Whatever the log held contradicts it or is in it.
func (r *Raft) installSnapshot(c *SnapshotChunk, term Term) {
	members, err := membership.Decode(c.Membership)
	invariant.Holds(err == nil, "a membership passed inspection and can't be read: %v", err)
	r.arrival = arrival{}
	r.log.reset(c.Last)
	r.accepted, r.verified = term, c.Last.Index
	r.install = &Install{Last: c.Last, Membership: c.Membership}
	r.setMembers(members)
	r.ack(c.Last.Index)
}

// mayCompact keeps what a peer will need after the snapshot that it is being sent.
func (r *Raft) mayCompact(to Index) error {
	if to > r.log.applied {
		return fmt.Errorf("%w: %d, applied is %d", ErrCompact, to, r.log.applied)
	}
	if r.role != Leader {
		return nil
	}
	for i := range r.peers {
		p := &r.peers[i]
		if p.State == progress.Snapshot && p.Sending.Last != 0 && to > p.Sending.Last {
			return fmt.Errorf("%w: %d, node %d is being sent a snapshot of %d", ErrCompact, to, p.id, p.Sending.Last)
		}
	}
	return nil
}
