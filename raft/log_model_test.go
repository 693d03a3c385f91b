package raft

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestLogAgainstAModel holds the log, with its one array, its pieces in others' hands and its writes under way, against
// a plain list of terms and a plain disk that makes writes durable in order.
func TestLogAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &logModel{t: t, l: &log{}, terms: []Term{0}}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			rapid.SampledFrom([]func(){m.append, m.replace, m.hand, m.persist, m.drop, m.reset}).Draw(t, "step")()
			m.compare()
		}
	})
}

type logModel struct {
	t     *rapid.T
	l     *log
	terms []Term // by index; those up to compacted are kept only here
	seq   uint64
	disk  []Term       // what a crash would leave
	under [][]Term     // the whole log as each write under way makes it
	parts [][2][]Entry // what others hold, and a copy of it
}

func (m *logModel) lastTerm() Term { return m.terms[len(m.terms)-1] }

func (m *logModel) append() {
	term := m.lastTerm() + Term(rapid.IntRange(0, 2).Draw(m.t, "later"))
	if term == 0 {
		term = 1
	}
	m.l.append(Entry{Index: Index(len(m.terms)), Term: term})
	m.terms = append(m.terms, term)
}

// replace puts entries of a new term somewhere behind what is compacted.
func (m *logModel) replace() {
	low := int(m.l.compacted.Index) + 1
	at := rapid.IntRange(low, len(m.terms)).Draw(m.t, "at")
	term := m.lastTerm() + 1
	var fresh []Entry
	m.terms = slices.Clone(m.terms[:at])
	for range rapid.IntRange(1, 4).Draw(m.t, "n") {
		fresh = append(fresh, Entry{Index: Index(len(m.terms)), Term: term})
		m.terms = append(m.terms, term)
	}
	m.l.replace(fresh)
}

// hand gives everything that isn't handed out yet to the disk.
func (m *logModel) hand() {
	part := m.l.slice(m.l.handed, m.l.last())
	m.parts = append(m.parts, [2][]Entry{part, slices.Clone(part)})
	m.seq++
	m.l.handed = m.l.last()
	m.l.wrote(write{seq: m.seq, last: m.l.last()})
	m.under = append(m.under, slices.Clone(m.terms))
}

// persist makes the oldest write durable.
func (m *logModel) persist() {
	w := m.l.oldest()
	if w == nil {
		return
	}
	m.l.stable = max(m.l.stable, w.last)
	m.l.first++
	m.disk, m.under = m.under[0], m.under[1:]
}

func (m *logModel) drop() {
	if m.l.stable > m.l.compacted.Index { // only what is durable is ever applied
		m.l.drop(Index(rapid.IntRange(int(m.l.compacted.Index)+1, int(m.l.stable)).Draw(m.t, "to")))
		m.l.applied = m.l.compacted.Index
	}
}

// reset installs a snapshot a little further on.
func (m *logModel) reset() {
	if rapid.IntRange(0, 4).Draw(m.t, "rarely") > 0 {
		return
	}
	to := len(m.terms) + rapid.IntRange(0, 3).Draw(m.t, "skip")
	term := m.lastTerm() + 1
	for len(m.terms) <= to {
		m.terms = append(slices.Clip(m.terms), term)
	}
	m.l.reset(EntryID{Index(to), term})
	m.hand()
}

func (m *logModel) compare() {
	l := m.l
	if l.last() != Index(len(m.terms)-1) || l.lastID() != (EntryID{l.last(), m.lastTerm()}) {
		m.t.Fatalf("ends with %v, want %d@%d", l.lastID(), len(m.terms)-1, m.lastTerm())
	}
	for i := range m.terms {
		term, known := l.term(Index(i))
		if known != (Index(i) >= l.compacted.Index) || known && term != m.terms[i] {
			m.t.Fatalf("term %d of entry %d, known %v; want %d", term, i, known, m.terms[i])
		}
	}
	// What is called stable is on the disk now, and no write under way touches it.
	for i := l.compacted.Index + 1; i <= l.stable; i++ {
		for _, log := range append([][]Term{m.disk}, m.under...) {
			if int(i) >= len(log) || log[i] != m.terms[i] {
				m.t.Fatalf("entry %d is called stable; a crash may leave %v of %v", i, log, m.terms)
			}
		}
	}
	bound, term := Index(len(m.terms)), Term(rapid.IntRange(0, int(m.lastTerm())+1).Draw(m.t, "term"))
	want := l.compacted.Index
	for i := l.compacted.Index + 1; i <= l.last(); i++ {
		if m.terms[i] <= term {
			want = i
		}
	}
	if got := l.atMost(bound, term); got != want {
		m.t.Fatalf("the last of at most term %d is %d, want %d in %v", term, got, want, m.terms)
	}
	for _, p := range m.parts {
		if !slices.EqualFunc(p[0], p[1], func(a, b Entry) bool { return a.ID() == b.ID() }) {
			m.t.Fatalf("what others hold changed from %v to %v", p[1], p[0])
		}
	}
}
