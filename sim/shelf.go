package sim

import (
	"maps"
	"slices"
	"strings"

	"github.com/quorate/quorate/replica"
)

// shelf is what a disk keeps of a machine: values by key, with the keys in order as soon as somebody asks for it. Values are never
// written to.
type shelf struct {
	kept   map[string]*item
	sorted []*item // every item that isn't in added
	added  []*item
	gone   int    // items without a value
	spare  []item // room for the next ones
}

// item stays when its value goes: most keys that go come back, or many go at a time.
type item struct {
	key   string
	value []byte // nil: it is gone
}

func newShelf() *shelf { return &shelf{kept: map[string]*item{}} }

// put makes changes. What it is given stays the caller's: all values of a call are copied into one piece of memory, which nobody writes to again.
func (s *shelf) put(changes []replica.KV) {
	bytes := 0
	for i := range changes {
		bytes += len(changes[i].Value)
	}
	room := make([]byte, 0, bytes)
	for i := range changes {
		c := &changes[i]
		var value []byte
		if c.Value != nil {
			start := len(room)
			room = append(room, c.Value...)
			value = room[start:len(room):len(room)]
		}
		known := s.kept[string(c.Key)]
		switch {
		case known == nil && value != nil:
			known = s.item(string(c.Key), value)
			s.kept[known.key] = known
			s.added = append(s.added, known)
		case known != nil:
			if known.value == nil {
				s.gone--
			}
			if known.value = value; value == nil {
				s.gone++
			}
		}
	}
}

// itemBlock is how many items are allocated together.
const itemBlock = 32

func (s *shelf) item(key string, value []byte) *item {
	if len(s.spare) == 0 {
		s.spare = make([]item, itemBlock)
	}
	i := &s.spare[0]
	s.spare = s.spare[1:]
	*i = item{key, value}
	return i
}

// get finds a value; nil if there is none.
func (s *shelf) get(key []byte) []byte {
	if i := s.kept[string(key)]; i != nil {
		return i.value
	}
	return nil
}

func (s *shelf) len() int { return len(s.kept) - s.gone }

// items are all of them, in order, and some that are gone. They are the shelf's.
func (s *shelf) items() []*item {
	if len(s.added) > 0 {
		slices.SortFunc(s.added, byKey)
		s.sorted = merge(s.sorted, s.added)
		s.added = nil
	}
	if 2*s.gone > len(s.sorted) {
		s.sorted = slices.DeleteFunc(s.sorted, func(i *item) bool {
			if i.value == nil {
				delete(s.kept, i.key)
			}
			return i.value == nil
		})
		s.gone = 0
	}
	return s.sorted
}

func byKey(a, b *item) int { return strings.Compare(a.key, b.key) }

// merge puts more, which is in order, into items, which are too. No key is in both.
func merge(items, more []*item) []*item {
	at := len(items)
	items = append(items, more...)
	for i, k := len(more)-1, len(items)-1; i >= 0; k-- {
		if at > 0 && items[at-1].key > more[i].key {
			items[k] = items[at-1]
			at--
		} else {
			items[k] = more[i]
			i--
		}
	}
	return items
}

// copied is the same now, and stays so. It is only to be scanned.
func (s *shelf) copied() *shelf {
	c := newShelf()
	for _, i := range s.items() {
		if i.value != nil {
			c.sorted = append(c.sorted, &item{i.key, i.value})
		}
	}
	return c
}

// scan calls fn for from ≤ key < to in order, with what over says in place of what is kept; to nil: to the end. The slices are
// overwritten after each call, as those of package storage are.
func (s *shelf) scan(from, to []byte, over []replica.KV, fn func(key, value []byte) bool) {
	items := within(s.items(), from, to)
	if len(over) > 0 {
		newest := map[string]*item{}
		for i := range over {
			newest[string(over[i].Key)] = &item{string(over[i].Key), over[i].Value}
		}
		items = slices.DeleteFunc(slices.Clone(items), func(i *item) bool { return newest[i.key] != nil })
		items = merge(items, within(slices.SortedFunc(maps.Values(newest), byKey), from, to))
	}
	var key, value []byte
	for _, i := range items {
		if i.value == nil {
			continue
		}
		key, value = append(key[:0], i.key...), append(value[:0], i.value...)
		if !fn(key, value) {
			return
		}
	}
}

// within are the items with from ≤ key < to.
func within(items []*item, from, to []byte) []*item {
	at := func(key []byte) int {
		n, _ := slices.BinarySearchFunc(items, string(key), func(i *item, key string) int { return strings.Compare(i.key, key) })
		return n
	}
	first, end := at(from), len(items)
	if to != nil {
		end = at(to)
	}
	return items[first:max(first, end)]
}
