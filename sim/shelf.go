package sim

import (
	"maps"
	"slices"

	"github.com/quorate/quorate/replica"
)

// shelf is what a disk keeps of a machine: values by key, with the keys in order as soon as somebody asks for it. Values are never
// written to.
type shelf struct {
	values map[string][]byte
	sorted []string // every key that isn't in added, and some that are gone
	added  []string
	gone   bool // some of sorted is
}

func newShelf() *shelf { return &shelf{values: map[string][]byte{}} }

// put makes changes. What it is given stays the caller's.
func (s *shelf) put(changes []replica.KV) {
	for i := range changes {
		c := &changes[i]
		_, known := s.values[string(c.Key)]
		switch {
		case c.Value == nil && known:
			delete(s.values, string(c.Key))
			s.gone = true
		case c.Value == nil:
		case known:
			s.values[string(c.Key)] = slices.Clone(c.Value)
		default:
			key := string(c.Key)
			s.values[key] = slices.Clone(c.Value)
			s.added = append(s.added, key)
		}
	}
}

// keys are all of them, in order. They are the shelf's.
func (s *shelf) keys() []string {
	if s.gone {
		isGone := func(key string) bool { return s.values[key] == nil }
		s.sorted, s.added = slices.DeleteFunc(s.sorted, isGone), slices.DeleteFunc(s.added, isGone)
		s.gone = false
	}
	if len(s.added) > 0 {
		slices.Sort(s.added)
		s.sorted = merge(s.sorted, s.added)
		s.added = nil
	}
	return s.sorted
}

// merge puts more, which is in order, into keys, which are too. A key that was gone and came back is in both: it stays once.
func merge(keys, more []string) []string {
	at := len(keys)
	keys = append(keys, more...)
	for i, k := len(more)-1, len(keys)-1; i >= 0; k-- {
		if at > 0 && keys[at-1] > more[i] {
			keys[k] = keys[at-1]
			at--
		} else {
			keys[k] = more[i]
			i--
		}
	}
	return slices.Compact(keys)
}

// copied is the same now, and stays so.
func (s *shelf) copied() *shelf {
	return &shelf{values: maps.Clone(s.values), sorted: slices.Clone(s.keys())}
}

// scan calls fn for from ≤ key < to in order, with what over says in place of what is kept; to nil: to the end. The slices are
// overwritten after each call, as those of package storage are.
func (s *shelf) scan(from, to []byte, over []replica.KV, fn func(key, value []byte) bool) {
	keys := s.keys()
	first, _ := slices.BinarySearch(keys, string(from))
	end := len(keys)
	if to != nil {
		end, _ = slices.BinarySearch(keys, string(to))
	}
	keys = keys[first:max(first, end)]
	var newer map[string][]byte
	if len(over) > 0 {
		newer = map[string][]byte{}
		var more []string
		for i := range over {
			if k := string(over[i].Key); k >= string(from) && (to == nil || k < string(to)) {
				newer[k] = over[i].Value
				more = append(more, k)
			}
		}
		slices.Sort(more)
		keys = merge(slices.Clone(keys), slices.Compact(more))
	}
	var key, value []byte
	for _, k := range keys {
		v, changed := newer[k]
		if !changed {
			v = s.values[k]
		}
		if v == nil {
			continue
		}
		key, value = append(key[:0], k...), append(value[:0], v...)
		if !fn(key, value) {
			return
		}
	}
}
