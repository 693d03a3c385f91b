package replica

import (
	"cmp"
	"math"

	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/raft"
)

// checkpoint decides when the machine's changes are written back and how much of the log
// is then no longer needed.
type checkpoint struct {
	entries int // applied since the last checkpoint
	bytes   int

	next        Checkpoint // is being gathered, a part with each Drain: nobody waits until a large one is whole. Zero: none
	writing     point      // the checkpoint that is being gathered, or on its way to the disk; zero: none
	durable     raft.Index // what the last durable checkpoint contains
	wanted      raft.Index // one that contains this is asked for
	points      []point    // durable checkpoints that the log still reaches behind, oldest first
	compactable raft.Index // no member needs the log up to here

	logged uint64 // bytes of all entries applied, ever
	start  uint64 // logged at the beginning of the log
}

// point is a place where the log can be cut.
type point struct {
	raft.EntryID
	logged uint64
}

// newCheckpoint is what a replica knows of the log that it finds.
func newCheckpoint(cfg *Config) checkpoint {
	c := checkpoint{durable: cfg.Applied, logged: cfg.LogBytes}
	if cfg.Applied == 0 { // else the last one was ahead already
		c.bytes = cfg.CheckpointAhead
	}
	if cfg.AppliedTerm != 0 {
		c.points = []point{{raft.EntryID{Index: cfg.Applied, Term: cfg.AppliedTerm}, cfg.LogBytes}}
	}
	return c
}

// count takes note of an applied entry.
func (c *checkpoint) count(e *raft.Entry) {
	c.entries++
	c.bytes += len(e.Data)
	c.logged += uint64(len(e.Data))
}

// addTo begins a checkpoint if one is due, hands it out when it is whole, and adds to the write the compaction that earlier ones allow.
func (c *checkpoint) addTo(r *Replica, out *Output) {
	due := c.bytes >= r.policy.CheckpointBytes || c.entries >= r.policy.CheckpointEntries || c.wanted > c.durable
	if due && c.writing.Index == 0 && r.applied.Index > c.durable {
		c.next = Checkpoint{State: [][]KV{r.machine.Checkpoint()}, Applied: r.applied.Index, Members: r.engine.Membership()}
		if mutant.On(mutant.CheckpointBehind) {
			c.next.Applied--
		}
		c.writing = point{raft.EntryID{Index: c.next.Applied, Term: r.applied.Term}, c.logged}
		c.entries, c.bytes = 0, 0
	}
	if r.Gathering() {
		c.gather(r, out)
	}
	c.compact(r, &out.Write)
}

func (c *checkpoint) gather(r *Replica, out *Output) {
	most := cmp.Or(r.policy.CheckpointStep, math.MaxInt32)
	piece := r.machine.Sealed(most)
	c.next.State = append(c.next.State, piece)
	if len(piece) < most {
		out.Checkpoint, c.next = c.next, Checkpoint{}
	}
}

// compact drops the log up to the newest durable checkpoint that every member has reached, and further if what is left is more than a
// member may hold back: that member gets a snapshot. The engine is asked first: what it still needs stays on the disk, and is
// tried again with the next write.
func (c *checkpoint) compact(r *Replica, w *Write) {
	if mutant.On(mutant.CompactAhead) && r.applied.Index > c.durable {
		c.points = append(c.points, point{r.applied, c.logged})
	}
	if len(c.points) == 0 {
		return
	}
	budget := r.policy.LogBytesMax
	if r.catchup.holding(r) && c.logged-c.start > budget { // in this order: who has caught up must be noticed before the log is long
		budget = r.catchup.budget(&r.policy)
		if c.logged-c.start > budget {
			r.catchup.giveUp(r)
		}
	}
	drop, start := 0, c.start
	for drop < len(c.points) && (c.points[drop].Index <= c.compactable || c.logged-start > budget) {
		start = c.points[drop].logged
		drop++
	}
	if drop == 0 || r.engine.Compact(c.points[drop-1].Index) != nil {
		return
	}
	w.Compact = c.points[drop-1].EntryID
	c.points, c.start = c.points[drop:], start
}

// onWritten takes note that a checkpoint is durable.
func (c *checkpoint) onWritten(r *Replica) {
	r.machine.Checkpointed()
	c.durable = c.writing.Index
	c.points = append(c.points, c.writing)
	c.writing = point{}
}

// restart begins again after a snapshot: there is nothing before it.
func (c *checkpoint) restart(r *Replica, at raft.EntryID) {
	*c = checkpoint{durable: at.Index, compactable: c.compactable, bytes: r.policy.CheckpointAhead}
}
