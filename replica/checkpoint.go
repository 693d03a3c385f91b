package replica

import "github.com/quorate/quorate/raft"

// checkpoint decides when the machine's changes are written back and how much of the log
// is then no longer needed.
type checkpoint struct {
	entries int // applied since the last checkpoint
	bytes   int

	writing     raft.EntryID   // the checkpoint on its way to the disk; zero: none
	durable     raft.Index     // what the last durable checkpoint contains
	points      []raft.EntryID // durable checkpoints that the log still reaches behind, oldest first
	compactable raft.Index     // no member needs the log up to here
}

// addTo adds a checkpoint to the write if one is due, and the compaction that earlier ones allow.
func (c *checkpoint) addTo(r *Replica, w *Write) {
	due := c.bytes >= r.policy.CheckpointBytes || c.entries >= r.policy.CheckpointEntries
	if due && c.writing.Index == 0 && r.applied.Index > c.durable {
		w.State = r.machine.Checkpoint()
		w.Applied = r.applied.Index
		w.Members = r.engine.Membership()
		c.writing = r.applied
		c.entries, c.bytes = 0, 0
	}
	c.compact(r, w)
}

// compact drops the log up to the newest durable checkpoint that every member has reached. The engine is asked first: what it
// still needs stays on the disk, and is tried again at the next point.
func (c *checkpoint) compact(r *Replica, w *Write) {
	var to raft.EntryID
	for len(c.points) > 0 && c.points[0].Index <= c.compactable {
		to = c.points[0]
		c.points = c.points[1:]
	}
	if to.Index > 0 && r.engine.Compact(to.Index) == nil {
		w.Compact = to
	}
}

// onWritten takes note that a write is durable.
func (c *checkpoint) onWritten(r *Replica, w *written) {
	if w.checkpoint {
		r.machine.Checkpointed()
		c.durable = c.writing.Index
		c.points = append(c.points, c.writing)
		c.writing = raft.EntryID{}
	}
}
