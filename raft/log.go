package raft

import (
	"sort"

	"github.com/quorate/quorate/internal/mutant"
)

// log is the entries in memory, and how far each stage has come:
//
//	compacted ≤ applied ≤ delivered ≤ commit ≤ last
//	stable ≤ handed ≤ last
//
// An entry, once in the slice, is never overwritten in place: messages and hosts hold parts of it.
type log struct {
	compacted EntryID // the entry before entries[0]
	entries   []Entry

	handed Index // given to the host to write
	stable Index // durable here. An older write must not vouch for newer entries: see writes
	writes []write
	first  int // of writes: the oldest that is still under way

	commit    Index // decided
	delivered Index // given to the host to apply
	applied   Index // applied, says the host

	dropped int // entries at the front of the array that compaction no longer needs
}

// write is a Persist under way. When the log is cut, last is lowered in every write under way: when such a write is
// reported later, it vouches for nothing that has been replaced since, be it by another entry at that index or, after two
// changes of leader, by the very same one again.
type write struct {
	seq  uint64
	last Index // entries up to here are durable with it
	term Term
	vote NodeID
	tick uint64 // when it was handed out
}

func (l *log) last() Index { return l.compacted.Index + Index(len(l.entries)) }

func (l *log) lastID() EntryID {
	if n := len(l.entries); n > 0 {
		return l.entries[n-1].ID()
	}
	return l.compacted
}

// at returns the entry at index, which must be in memory.
func (l *log) at(i Index) *Entry { return &l.entries[i-l.compacted.Index-1] }

// term returns the term at index. Known is false below the compacted log and behind its end.
func (l *log) term(i Index) (t Term, known bool) {
	switch {
	case i == l.compacted.Index:
		return l.compacted.Term, true
	case i < l.compacted.Index || i > l.last():
		return 0, false
	default:
		return l.at(i).Term, true
	}
}

func (l *log) matches(id EntryID) bool {
	t, known := l.term(id.Index)
	return known && t == id.Term
}

// slice returns the entries after from up to to. Nobody may append to it or write into it.
func (l *log) slice(from, to Index) []Entry {
	if from >= to {
		return nil
	}
	a, b := from-l.compacted.Index, to-l.compacted.Index
	return l.entries[a:b:b]
}

// append adds one entry at the end.
func (l *log) append(e Entry) { l.entries = append(l.entries, e) }

// replace puts entries, which are not empty, where the log held others or ended.
func (l *log) replace(entries []Entry) {
	at := entries[0].Index
	if at > l.last() {
		l.entries = append(l.entries, entries...)
		return
	}
	keep := at - 1 - l.compacted.Index
	// The three-index slice makes append copy: others still hold the entries that are cut off.
	l.entries = append(l.entries[:keep:keep], entries...)
	l.dropped = 0
	l.cut(at - 1)
}

// cut forgets that anything after index was handed out or is durable.
func (l *log) cut(to Index) {
	l.handed = min(l.handed, to)
	l.stable = min(l.stable, to)
	for i := l.first; i < len(l.writes); i++ {
		if !mutant.On(mutant.VouchForReplaced) {
			l.writes[i].last = min(l.writes[i].last, to)
		}
	}
}

// reset makes the log end with a snapshot. Nothing of it is durable until the write that installs the snapshot is.
func (l *log) reset(to EntryID) {
	l.entries, l.dropped, l.compacted = nil, 0, to
	l.cut(0)
	l.handed = to.Index
	l.commit, l.delivered, l.applied = to.Index, to.Index, to.Index
}

// drop frees memory up to index, which is at most applied.
func (l *log) drop(to Index) {
	n := int(to - l.compacted.Index)
	l.compacted = l.at(to).ID()
	l.entries = l.entries[n:]
	l.dropped += n
	if l.dropped > len(l.entries)+1024 {
		// The dropped front keeps its data alive as long as the array lives.
		l.entries = append(make([]Entry, 0, 2*len(l.entries)+256), l.entries...)
		l.dropped = 0
	}
}

// atMost returns the last index up to bound whose term is at most t: the latest place where two logs can
// agree if one of them has term t at bound. It is compacted.Index at the least.
func (l *log) atMost(bound Index, t Term) Index {
	bound = min(bound, l.last())
	if bound <= l.compacted.Index {
		return l.compacted.Index
	}
	n := int(bound - l.compacted.Index)
	// Terms never fall along the log, so the first that is too high can be bisected.
	high := sort.Search(n, func(i int) bool { return l.entries[i].Term > t })
	return l.compacted.Index + Index(high)
}

// wrote notes that a write was handed out.
func (l *log) wrote(w write) {
	if l.first == len(l.writes) {
		l.writes, l.first = l.writes[:0], 0
	} else if l.first > 64 && l.first > len(l.writes)/2 {
		n := copy(l.writes, l.writes[l.first:])
		l.writes, l.first = l.writes[:n], 0
	}
	l.writes = append(l.writes, w)
}

// oldest returns the oldest write under way, or nil.
func (l *log) oldest() *write {
	if l.first == len(l.writes) {
		return nil
	}
	return &l.writes[l.first]
}

// hasMembership says whether there is a Membership entry after from up to to.
func (l *log) hasMembership(from, to Index) bool {
	entries := l.slice(from, to)
	for i := range entries {
		if entries[i].Kind == Membership {
			return true
		}
	}
	return false
}
