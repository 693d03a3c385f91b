package replica

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quorate/quorate/raft"
)

// catchup is the traffic of snapshots: which members this one brings up to date while it leads, and the snapshot that it gets itself.
type catchup struct {
	members   []raft.NodeID // behind the log, or following it after a snapshot and not yet past the newest checkpoint
	sent      uint64        // of a snapshot to one of them, at most: bytes that have arrived
	incoming  Incoming
	installed uint64 // Seq of the Write that installs the last snapshot; zero: none is under way
}

// Step takes a message of another member. A chunk that can't be used never reaches the engine, and the sender hears that it must begin again.
// While one is being written none does: a sender that hears nothing repeats the last, the engine would answer at once that it has it, and a whole
// snapshot could gather in memory before a disk that stands still.
func (r *Replica) Step(m raft.Message) error {
	if m.Kind == raft.Snapshot && m.Snapshot != nil {
		if r.staging() {
			return nil
		}
		if _, err := r.catchup.incoming.Check(m.Snapshot); err != nil {
			if m.Term == r.engine.Term() {
				r.refused = append(r.refused, raft.Message{
					Kind: raft.SnapshotReply, From: m.To, To: m.From, Term: m.Term, Reject: true,
					Snapshot: &raft.SnapshotChunk{Last: m.Snapshot.Last, Offset: m.Snapshot.Offset},
				})
			}
			return fmt.Errorf("%w: %w", raft.ErrBadMessage, err)
		}
	}
	return r.engine.Step(m)
}

// staging says whether a piece of another member's snapshot is on its way to the disk.
func (r *Replica) staging() bool {
	return slices.ContainsFunc(r.inFlight, func(w written) bool { return w.stages })
}

// SendChunk gives the engine a chunk that Output.Offers asked for. One that it no longer needs, since it asked twice or for another snapshot, changes nothing: it
// asks again for what it lacks.
func (r *Replica) SendChunk(to raft.NodeID, c raft.SnapshotChunk) {
	if err := r.engine.SendChunk(to, c); err != nil && !errors.Is(err, raft.ErrNoSnapshot) {
		r.engine.SnapshotFailed(to) // from the beginning, when the member is heard again
	}
}

// SnapshotFailed says that there is no such chunk.
func (r *Replica) SnapshotFailed(to raft.NodeID) { r.engine.SnapshotFailed(to) }

// Installing says whether a snapshot is on its way to the disk: the machine is not what it was, and not yet what it will be.
func (r *Replica) Installing() bool { return r.catchup.installed != 0 }

// offer notes whom the engine wants to send snapshots.
func (c *catchup) offer(out *Output, offers []raft.Offer) {
	for _, o := range offers {
		if !slices.Contains(c.members, o.To) {
			c.members = append(c.members, o.To)
		}
		c.sent = max(c.sent, o.Offset)
	}
	out.Offers = append(out.Offers, offers...)
}

// take keeps chunks aside.
func (c *catchup) take(w *Write, chunks []raft.SnapshotChunk) error {
	for i := range chunks {
		kvs, err := c.incoming.Check(&chunks[i])
		if err != nil {
			return fmt.Errorf("a chunk that was right is wrong now: %w", err)
		}
		c.incoming.Take(&chunks[i])
		if chunks[i].Offset == 0 {
			w.StageAnew, w.Stage = true, nil
		}
		w.Stage = append(w.Stage, kvs...)
	}
	return nil
}

// install makes the snapshot the state. The machine follows once that is durable.
func (r *Replica) install(w *Write, in *raft.Install) {
	w.Install, w.Members, w.Compact = true, in.Membership, in.Last
	w.Entries = nil
	r.checkpoint.next = Checkpoint{} // it would be overtaken
	r.catchup.incoming = Incoming{}
	r.reads = nil
}

// onInstalled builds the machine again from what its reader shows now.
func (r *Replica) onInstalled(w *written) error {
	if w.seq != r.catchup.installed {
		return nil // a newer one is on its way, and may be what the reader shows already
	}
	r.catchup.installed = 0
	r.applied = w.install
	r.checkpoint.restart(r, w.install)
	if err := r.machine.Reload(); err != nil {
		return err
	}
	r.hashes = newHashes(w.install.Index, r.machine.Hash())
	return nil
}

// holding says whether members that are being brought up to date may still hold the log back. Whoever has the newest
// durable checkpoint is done.
func (c *catchup) holding(r *Replica) bool {
	if len(c.members) == 0 {
		return false
	}
	match := r.engine.Status().Match
	c.members = slices.DeleteFunc(c.members, func(id raft.NodeID) bool {
		at, known := match[id]
		return !known || at >= r.checkpoint.durable
	})
	if len(c.members) == 0 {
		c.sent = 0
	}
	return len(c.members) > 0
}

// budget is how much log members may hold back that are being brought up to date: as much more as one has been sent, for who gains on the log is
// caught: else a busy group whose state is far larger would begin again for ever.
func (c *catchup) budget(p *Config) uint64 { return p.CatchupBytesMax + c.sent }

// giveUp begins again with members that are too slow: the log that they hold back has grown too long.
func (c *catchup) giveUp(r *Replica) {
	for _, id := range c.members {
		r.engine.SnapshotFailed(id)
	}
	c.members, c.sent = nil, 0
}
