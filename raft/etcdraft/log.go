package etcdraft

import (
	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
)

// log mirrors etcd's log, and is the storage that its core reads from. Whatever the core hands out to be written is here at
// once: the core itself knows what it may rely on, namely what it has been told is durable.
//
//	compacted ≤ applied ≤ delivered ≤ commit ≤ last
//	delivered ≤ stable ≤ handed ≤ last
type log struct {
	compacted raft.EntryID
	entries   []raft.Entry // as our side sees them; entries[0] is at compacted.Index+1
	shadow    []*pb.Entry  // the same, as etcd's core sees them

	handed raft.Index // given to the host to write
	stable raft.Index // durable here
	writes []write    // under way, oldest first

	commit    raft.Index
	delivered raft.Index // given to us by the core to apply
	applied   raft.Index

	start   *pb.HardState // what a core that is being built remembers
	members *pb.ConfState
}

// write is a Persist under way. Its last falls when the log is cut: it vouches for nothing that was replaced since.
type write struct {
	seq     uint64
	last    raft.Index
	term    raft.Term
	tick    uint64
	answers []*pb.Message // for the core itself, once this and all earlier writes are durable
}

func (l *log) last() raft.Index { return l.compacted.Index + raft.Index(len(l.entries)) }

func (l *log) lastID() raft.EntryID {
	if n := len(l.entries); n > 0 {
		return l.entries[n-1].ID()
	}
	return l.compacted
}

// term returns the term at index. Known is false below the compacted log and behind its end.
func (l *log) term(i raft.Index) (t raft.Term, known bool) {
	switch {
	case i == l.compacted.Index:
		return l.compacted.Term, true
	case i < l.compacted.Index || i > l.last():
		return 0, false
	}
	return l.entries[i-l.compacted.Index-1].Term, true
}

func (l *log) matches(id raft.EntryID) bool {
	t, known := l.term(id.Index)
	return known && t == id.Term
}

// slice returns the entries after from up to to. Nobody may append to it or write into it.
func (l *log) slice(from, to raft.Index) []raft.Entry {
	if from >= to {
		return nil
	}
	a, b := from-l.compacted.Index, to-l.compacted.Index
	return l.entries[a:b:b]
}

// take puts what the core wants written where the log held others or ended.
func (l *log) take(entries []*pb.Entry) {
	at := raft.Index(entries[0].GetIndex())
	invariant.Holds(at > l.commit, "entry %d is replaced, commit is %d", at, l.commit)
	keep := at - 1 - l.compacted.Index
	invariant.Holds(at > l.compacted.Index && int(keep) <= len(l.entries), "entry %d after %d", at, l.last())
	if int(keep) < len(l.entries) {
		// The three-index slice makes append copy: others still hold the entries that are cut off.
		l.entries, l.shadow = l.entries[:keep:keep], l.shadow[:keep:keep]
		l.cut(at - 1)
	}
	for _, e := range entries {
		l.entries = append(l.entries, entryFromEtcd(e))
	}
	l.shadow = append(l.shadow, entries...)
}

// cut forgets that anything after index was handed out or is durable.
func (l *log) cut(to raft.Index) {
	l.handed, l.stable = min(l.handed, to), min(l.stable, to)
	for i := range l.writes {
		l.writes[i].last = min(l.writes[i].last, to)
	}
}

// reset makes the log end with a snapshot. Nothing of it is durable until the write that installs the snapshot is.
func (l *log) reset(to raft.EntryID) {
	l.entries, l.shadow, l.compacted = nil, nil, to
	l.cut(0)
	for i := range l.writes {
		l.writes[i].answers = nil // they are for a core that is gone
	}
	l.handed = to.Index
	l.commit, l.delivered, l.applied = to.Index, to.Index, to.Index
}

// drop frees memory up to index, which is at most applied.
func (l *log) drop(to raft.Index) {
	n := to - l.compacted.Index
	t, _ := l.term(to)
	l.compacted = raft.EntryID{Index: to, Term: t}
	// Copied, or the dropped front would keep its data alive as long as the array lives.
	l.entries = append([]raft.Entry(nil), l.entries[n:]...)
	l.shadow = append([]*pb.Entry(nil), l.shadow[n:]...)
}

// membershipIn says whether there is a Membership entry after from up to to.
func (l *log) membershipIn(from, to raft.Index) bool {
	entries := l.slice(from, to)
	for i := range entries {
		if entries[i].Kind == raft.Membership {
			return true
		}
	}
	return false
}

// storage is the log as etcd.Storage. Its methods must not change the log.
type storage struct{ *log }

// InitialState is asked for when a core is built.
func (s storage) InitialState() (*pb.HardState, *pb.ConfState, error) { return s.start, s.members, nil }

// entryOverheadBytes is what an entry without data counts for.
const entryOverheadBytes = 24

// Entries returns at least one entry, and more as long as they fit.
func (s storage) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	first := uint64(s.compacted.Index) + 1
	if lo < first {
		return nil, etcd.ErrCompacted
	}
	if hi > first+uint64(len(s.shadow)) {
		return nil, etcd.ErrUnavailable
	}
	entries := s.shadow[lo-first : hi-first : hi-first]
	size := uint64(0)
	for i, e := range entries {
		size += entryOverheadBytes + uint64(len(e.GetData()))
		if i > 0 && size > maxSize {
			return entries[:i:i], nil
		}
	}
	return entries, nil
}

// Term returns the term of an entry that is here, or of the one before the first.
func (s storage) Term(i uint64) (uint64, error) {
	t, known := s.term(raft.Index(i))
	switch {
	case known:
		return uint64(t), nil
	case i < uint64(s.compacted.Index):
		return 0, etcd.ErrCompacted
	}
	return 0, etcd.ErrUnavailable
}

// LastIndex is the end of the log.
func (s storage) LastIndex() (uint64, error) { return uint64(s.last()), nil }

// FirstIndex is the first entry that is here.
func (s storage) FirstIndex() (uint64, error) { return uint64(s.compacted.Index) + 1, nil }

// Snapshot only tells the core that there is one. What travels is the host's, see snapshot.go.
func (s storage) Snapshot() (*pb.Snapshot, error) {
	return &pb.Snapshot{Metadata: &pb.SnapshotMetadata{
		ConfState: s.members, Index: new(uint64(s.compacted.Index)), Term: new(uint64(s.compacted.Term)),
	}}, nil
}
