package sim

import (
	"slices"
	"time"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/replica"
)

// keeping is a checkpoint on its way to the disk, beside the writes: it becomes durable as a whole, mostly a little later and now and then much later.
type keeping struct {
	lane.GroupCheckpoint
	sum uint64 // when it was handed over
}

// keep takes the checkpoints of a step.
func (d *disk) keep(checkpoints []lane.GroupCheckpoint) {
	for i := range checkpoints {
		k := &keeping{GroupCheckpoint: checkpoints[i], sum: sumOfCheckpoint(&checkpoints[i].Checkpoint)}
		d.keeping = append(d.keeping, k)
		for _, piece := range k.Checkpoint.State {
			d.h.w.judge.versions.onState(d.h, k.Group, piece)
		}
		d.h.w.trace.note(d.h.w.now, "keeps", d.h.id, 0, &k.GroupCheckpoint, k.sum)
		took := d.latency + time.Duration(d.rng.Int64N(int64(4*d.latency)))
		if d.rng.IntN(8) == 0 {
			took *= 100
		}
		d.endKeeping(k, d.h.w.now+took)
	}
}

func (d *disk) endKeeping(k *keeping, at time.Duration) {
	d.h.later(max(at, d.stalled), func() {
		switch {
		case d.h.w.now < d.stalled:
			d.endKeeping(k, d.stalled)
			return
		case d.failing:
			d.failing = false
			d.h.stop("at a checkpoint that can't be written")
			return
		}
		kept := d.makeKept(k)
		d.keeping = slices.DeleteFunc(d.keeping, func(other *keeping) bool { return other == k })
		if d.h.crashPoint("after a checkpoint was written") || !kept {
			return
		}
		d.h.inbox = append(d.h.inbox, lane.CheckpointWritten{Group: k.Group, Applied: k.Checkpoint.Applied})
		d.h.poke()
	})
}

// makeKept makes a checkpoint durable, as package storage does; false: something has overtaken it.
func (d *disk) makeKept(k *keeping) bool {
	if sumOfCheckpoint(&k.Checkpoint) != k.sum {
		invariant.Fail("the checkpoint of %d of group %s has changed after it was handed over", k.Checkpoint.Applied, k.Group)
	}
	return d.of(k.Group).keep(&k.Checkpoint)
}

// loseKeeping is what a crash does: any may have made it.
func (d *disk) loseKeeping() {
	for _, k := range d.keeping {
		if d.rng.IntN(2) == 0 {
			d.makeKept(k)
		}
	}
	d.keeping = nil
}

func (s *stored) keep(c *replica.Checkpoint) bool {
	if s.retired || c.Applied <= s.applied {
		return false
	}
	invariant.Holds(c.Applied <= s.last(), "%s: a checkpoint of %d, the log ends at %d", s.group, c.Applied, s.last())
	for _, piece := range c.State {
		s.kv.put(piece)
	}
	s.applied, s.members = c.Applied, slices.Clone(c.Members)
	return true
}

func sumOfCheckpoint(c *replica.Checkpoint) uint64 {
	h := mix(uint64(c.Applied), hashBytes(c.Members))
	for _, piece := range c.State {
		for i := range piece {
			h = mix(mix(h, hashBytes(piece[i].Key)), hashBytes(piece[i].Value))
		}
	}
	return h
}
