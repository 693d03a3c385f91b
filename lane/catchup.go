package lane

import (
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
)

// readSnapshot has the host read the chunk that a member needs next.
func (l *Lane) readSnapshot(g *group, o raft.Offer) {
	if o.Last.Index == 0 {
		l.report(SnapshotBegun{Group: g.id, Member: o.To})
	}
	place := l.cluster.machine.Group(string(g.id))
	first := membership.Config{Voters: place.Founding, Learners: place.Audience}
	l.effects.Reads = append(l.effects.Reads, ReadSnapshot{
		Group: g.id, To: o.To, Last: o.Last, Offset: o.Offset, BytesMax: l.limits.SnapshotChunk, Members: first.Encode(),
	})
}

// snapshotRead sends the chunk on.
func (l *Lane) snapshotRead(e SnapshotRead) {
	g := l.groups[e.Group]
	if g == nil {
		return
	}
	if e.Err != nil {
		l.report(SnapshotUnreadable{Group: e.Group, Member: e.To, Err: e.Err})
		g.replica.SnapshotFailed(e.To)
	} else {
		g.replica.SendChunk(e.To, e.Chunk)
	}
	l.touch(g)
}
