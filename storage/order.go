package storage

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/quorate/quorate/internal/invariant"
)

// position is where a record of a checkpoint is, with the bytes of its key that follow those which all of its kind share: they tell most apart, but for the lines of
// an account with a long name.
type position struct {
	high, low uint64
	piece, at int32
}

// sorter puts the records of a checkpoint in order.
type sorter struct {
	state [][]KV
	pause func() // called after each workEvery records that were looked at or compared
	work  int    // since the last pause
}

// workEvery takes a fraction of a millisecond.
const workEvery = 1 << 15

func (s *sorter) did(work int) {
	if s.work += work; s.work >= workEvery {
		s.work = 0
		s.pause()
	}
}

func (s *sorter) record(p *position) *KV { return &s.state[p.piece][p.at] }

func (s *sorter) key(p *position) []byte { return s.state[p.piece][p.at].Key }

// kinds lists the places of the records by the first byte of their keys, and otherwise as they come.
func (s *sorter) kinds() [][]position {
	var count [256]int
	total := 0
	for _, piece := range s.state {
		for i := range piece {
			if len(piece[i].Key) == 0 {
				invariant.Fail("a machine's state has an empty key")
			}
			count[piece[i].Key[0]]++
		}
		total += len(piece)
	}
	all := make([]position, total)
	var sections [256][]position
	of := make([][]position, 0, 8)
	from := 0
	for kind, n := range count {
		sections[kind] = all[from : from : from+n]
		from += n
	}
	for p, piece := range s.state {
		s.did(len(piece))
		for i := range piece {
			kind := piece[i].Key[0]
			sections[kind] = append(sections[kind], position{piece: int32(p), at: int32(i)})
		}
	}
	for kind := range sections {
		if len(sections[kind]) > 0 {
			of = append(of, sections[kind])
		}
	}
	return of
}

// inOrder sorts one kind by key, and keeps the last change of each key.
//
// Machines hand most kinds over in the order of time. Numbers rise or fall then, and need no sorting.
func (s *sorter) inOrder(places []position) []position {
	skip := s.commonPrefix(places)
	s.did(len(places))
	for i := range places {
		p := &places[i]
		var rest [16]byte
		copy(rest[:], s.key(p)[skip:])
		p.high, p.low = binary.BigEndian.Uint64(rest[:8]), binary.BigEndian.Uint64(rest[8:])
	}
	compare := func(a, b position) int {
		s.did(1)
		switch {
		case a.high != b.high:
			return cmp.Compare(a.high, b.high)
		case a.low != b.low:
			return cmp.Compare(a.low, b.low)
		}
		return bytes.Compare(s.key(&a), s.key(&b))
	}
	switch {
	case slices.IsSortedFunc(places, compare):
	case slices.IsSortedFunc(places, func(a, b position) int { return compare(b, a) }):
		slices.Reverse(places)
	default:
		slices.SortFunc(places, compare)
	}
	last := places[:0]
	for _, p := range places {
		n := len(last) - 1
		switch {
		case n < 0 || compare(last[n], p) != 0:
			last = append(last, p)
		case last[n].before(p):
			last[n] = p
		}
	}
	return last
}

// before says which of two changes of a key came first.
func (p position) before(q position) bool {
	return cmp.Or(cmp.Compare(p.piece, q.piece), cmp.Compare(p.at, q.at)) < 0
}

// commonPrefix is how many bytes all keys begin with.
func (s *sorter) commonPrefix(places []position) int {
	first := s.key(&places[0])
	n := len(first)
	for i := range places[1:] {
		key := s.key(&places[1+i])
		n = min(n, len(key))
		for !bytes.Equal(key[:n], first[:n]) {
			n--
		}
	}
	return n
}

// partsMost: a kind of record with more than so small a part of what makes a file worth its while gets one of its own.
const partsMost = 4

// parts cuts the records into files, each in the order of its keys. The first is for the as-of record, too, and may have nothing else.
//
// A machine begins the keys of each kind of record with a byte of their own, and some kinds only ever grow at one end. Such a kind in a file by itself lies beside all
// that is stored: Pebble puts it where it stays, and never writes it again. Kinds of which there is little share files.
func (s *sorter) parts(least int) [][]position {
	cut := [][]position{nil}
	shared := true // the last one
	for _, places := range s.kinds() {
		places = s.inOrder(places)
		size := 0
		for i := range places {
			kv := s.record(&places[i])
			size += len(kv.Key) + len(kv.Value)
		}
		last := len(cut) - 1
		switch {
		case size > least:
			cut, shared = append(cut, places), false
		case shared:
			cut[last] = append(cut[last], places...)
		default:
			cut, shared = append(cut, places), true
		}
	}
	return cut
}
