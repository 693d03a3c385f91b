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
	at        int32
}

// kinds lists the places of a state's records by the first byte of their keys, and otherwise as they come.
func kinds(state []KV) [][]position {
	var count [256]int
	for i := range state {
		if len(state[i].Key) == 0 {
			invariant.Fail("a machine's state has an empty key")
		}
		count[state[i].Key[0]]++
	}
	all := make([]position, len(state))
	var sections [256][]position
	of := make([][]position, 0, 8)
	from := 0
	for kind, n := range count {
		sections[kind] = all[from : from : from+n]
		from += n
	}
	for i := range state {
		kind := state[i].Key[0]
		sections[kind] = append(sections[kind], position{at: int32(i)})
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
func inOrder(state []KV, places []position) []position {
	skip := commonPrefix(state, places)
	for i := range places {
		p := &places[i]
		var rest [16]byte
		copy(rest[:], state[p.at].Key[skip:])
		p.high, p.low = binary.BigEndian.Uint64(rest[:8]), binary.BigEndian.Uint64(rest[8:])
	}
	compare := func(a, b position) int {
		switch {
		case a.high != b.high:
			return cmp.Compare(a.high, b.high)
		case a.low != b.low:
			return cmp.Compare(a.low, b.low)
		}
		return bytes.Compare(state[a.at].Key, state[b.at].Key)
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
		case last[n].at < p.at:
			last[n] = p
		}
	}
	return last
}

// commonPrefix is how many bytes all keys begin with.
func commonPrefix(state []KV, places []position) int {
	first := state[places[0].at].Key
	n := len(first)
	for _, p := range places[1:] {
		key := state[p.at].Key
		n = min(n, len(key))
		for !bytes.Equal(key[:n], first[:n]) {
			n--
		}
	}
	return n
}

// partsMost: a kind of record with more than so small a part of what makes a file worth its while gets one of its own.
const partsMost = 4

// parts cuts records into files, each in the order of its keys. The first is for the as-of record, too, and may have nothing else.
//
// A machine begins the keys of each kind of record with a byte of their own, and some kinds only ever grow at one end. Such a kind in a file by itself lies beside all
// that is stored: Pebble puts it where it stays, and never writes it again. Kinds of which there is little share files.
func parts(state []KV, least int) [][]position {
	cut := [][]position{nil}
	shared := true // the last one
	for _, places := range kinds(state) {
		places = inOrder(state, places)
		size := 0
		for _, p := range places {
			size += len(state[p.at].Key) + len(state[p.at].Value)
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
