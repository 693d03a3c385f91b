package sim

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// receiver is a member that is sent a group's snapshot: one at a time.
type receiver struct {
	group lane.GroupID
	to    raft.NodeID
}

// readSnapshots reads chunks beside everything else, as package node does.
func (d *disk) readSnapshots(reads []lane.ReadSnapshot) {
	for i := range reads {
		r := reads[i]
		d.h.later(d.h.w.now+d.latency, func() {
			chunk, err := d.chunk(&r)
			if err == nil {
				d.h.w.trace.note(d.h.w.now, "reads a chunk", d.h.id, r.To, chunk.Last, hashBytes(chunk.Data))
			}
			d.h.inbox = append(d.h.inbox, lane.SnapshotRead{Group: r.Group, To: r.To, Chunk: chunk, Err: err})
			d.h.poke()
		})
	}
}

// installs says whether a write is a part of an installation.
func installs(writes []lane.GroupWrite) bool {
	return slices.ContainsFunc(writes, func(w lane.GroupWrite) bool { return w.Write.Install || w.Write.StageAnew || len(w.Write.Stage) > 0 })
}

func (d *disk) chunk(r *lane.ReadSnapshot) (raft.SnapshotChunk, error) {
	key := receiver{r.Group, r.To}
	if r.Last.Index == 0 {
		d.views[key] = replica.NewOutgoing(d.of(r.Group).view(r.Members))
	}
	out := d.views[key]
	if out == nil || out.Source().Last() != r.Last && r.Last.Index != 0 {
		return raft.SnapshotChunk{}, fmt.Errorf("nothing is open for node %d", r.To)
	}
	return out.Chunk(r.Offset, r.BytesMax)
}

// view is a group's durable checkpoint as it is now.
type view struct {
	last    raft.EntryID
	members []byte
	kv      *shelf
}

func (s *stored) view(members []byte) *view {
	v := &view{last: s.compacted, members: slices.Clone(s.members), kv: s.kv.copied()}
	if v.members == nil {
		v.members = members
	}
	if s.applied > s.compacted.Index {
		e := &s.entries[s.applied-s.compacted.Index-1]
		v.last = e.ID()
	}
	return v
}

func (v *view) Last() raft.EntryID { return v.last }

func (v *view) Membership() []byte { return v.members }

func (v *view) Scan(from []byte, fn func(key, value []byte) bool) error {
	v.kv.scan(from, nil, nil, fn)
	return nil
}
