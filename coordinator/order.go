package coordinator

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/transfer"
)

// There are two orders of transfers: by when this group took note of them, and by when it decided them, both in its log. Each transfer has its
// number in them, from 1 and without gaps, for ever and on every replica. So a list that is read from the newest down is neither shifted by new
// transfers nor by what becomes of old ones, and whoever follows the decisions goes on behind the last number it has seen.

// place is one transfer's place in an order.
type place struct {
	id transfer.ID
	// reachedNanos is the latest time of any transfer so far. Leaders' clocks differ; this one doesn't go back, so a time can be looked up, and
	// periods that follow one another have every transfer once.
	reachedNanos int64
}

// order is the places since the last durable checkpoint; all older ones are behind the reader.
type order struct {
	prefix       byte   // of its keys
	last         uint64 // number of the newest
	reachedNanos int64
	sealed       []place // in the last Checkpoint, which isn't durable yet
	fresh        []place // since then
}

func newOrder(prefix byte) order { return order{prefix: prefix, reachedNanos: math.MinInt64} }

func (o *order) add(id transfer.ID, at time.Time) {
	o.last++
	o.reachedNanos = max(o.reachedNanos, at.UnixNano())
	o.fresh = append(o.fresh, place{id, o.reachedNanos})
}

// stored is the number up to which only the reader knows.
func (o *order) stored() uint64 { return o.last - uint64(len(o.sealed)+len(o.fresh)) }

// inMemory is the place with a number above stored.
func (o *order) inMemory(number uint64) place {
	at := number - o.stored() - 1
	if at < uint64(len(o.sealed)) {
		return o.sealed[at]
	}
	return o.fresh[at-uint64(len(o.sealed))]
}

// checkpoint writes what is fresh, and seals it.
func (o *order) checkpoint(writes []KV) []KV {
	first := o.last - uint64(len(o.fresh)) + 1
	all := make([]byte, 0, len(o.fresh)*placeBytesMax) // one allocation for all keys and values
	for i := range o.fresh {
		from := len(all)
		all = o.appendKey(all, first+uint64(i))
		value := len(all)
		all = appendPlace(all, &o.fresh[i])
		writes = append(writes, KV{Key: all[from:value:value], Value: all[value:len(all):len(all)]})
	}
	o.sealed, o.fresh = o.fresh, nil
	return writes
}

func (o *order) checkpointed() { o.sealed = nil }

// placeBytesMax is what a key and its value take: 9 bytes, and fields of at most 2, 18 and 11.
const placeBytesMax = 40

func (o *order) key(number uint64) []byte { return o.appendKey(nil, number) }

// appendKey counts down, for readers scan upwards and lists begin with the newest.
func (o *order) appendKey(b []byte, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, o.prefix), ^number)
}

func appendPlace(b []byte, p *place) []byte {
	b = wire.AppendUint(b, 1, formatVersion)
	b = wire.AppendBytes(b, 2, p.id[:])
	return wire.AppendSint(b, 3, p.reachedNanos)
}

func decodePlace(key, value []byte) (number uint64, p place, err error) {
	c := wire.NewCursor(value)
	var version uint64
	for c.Next() {
		switch c.Number {
		case 1:
			if version = c.Uint(); version > formatVersion {
				return 0, place{}, checkVersion(version)
			}
		case 2:
			p.id = c.ID()
		case 3:
			p.reachedNanos = c.Sint()
		default:
			c.Skip()
		}
	}
	if len(key) != 9 || p.id == (transfer.ID{}) {
		c.Damage("a place of %s under a key of %d bytes", p.id, len(key))
	} else {
		number = ^binary.BigEndian.Uint64(key[1:])
	}
	return number, p, failure(&c, version)
}

// The value under keyHash: the state hash and, of each order that there is, its last number and the time reached, 8 bytes each.
const (
	stateBytesFirst  = 8
	stateBytesListed = 24 // with the order of taking note
	stateBytes       = 40 // and the order of decisions
)

// state is what is stored of a group as a whole.
type state struct {
	hash           uint64
	noted, decided order
	lacksNoted     bool // it was stored by a release that had no such order
	lacksDecided   bool
}

func emptyState() state { return state{noted: newOrder(keyPlace), decided: newOrder(keyDecided)} }

func (m *Machine) encodeState() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, stateBytes), m.hash)
	for _, o := range []*order{&m.noted, &m.decided} {
		b = binary.BigEndian.AppendUint64(b, o.last)
		b = binary.BigEndian.AppendUint64(b, uint64(o.reachedNanos))
	}
	return b
}

func decodeState(value []byte) (state, error) {
	s := emptyState()
	if len(value) != stateBytesFirst && len(value) != stateBytesListed && len(value) != stateBytes {
		return s, fmt.Errorf("%w: a state of %d bytes", ErrDamaged, len(value))
	}
	s.lacksNoted, s.lacksDecided = len(value) < stateBytesListed, len(value) < stateBytes
	s.hash = binary.BigEndian.Uint64(value)
	if !s.lacksNoted {
		s.noted.last, s.noted.reachedNanos = binary.BigEndian.Uint64(value[8:]), int64(binary.BigEndian.Uint64(value[16:]))
	}
	if !s.lacksDecided {
		s.decided.last, s.decided.reachedNanos = binary.BigEndian.Uint64(value[24:]), int64(binary.BigEndian.Uint64(value[32:]))
	}
	return s, nil
}

// putInOrder gives places to the transfers of a state that lacks an order, by their times. They are written with
// the next checkpoint. It reads all there is, once in the life of a group that an older release has begun. Replicas that are upgraded
// one after the other may differ in the order of what came meanwhile, in the same moment or from leaders whose clocks
// differ: everything later has the same number on all of them.
func (m *Machine) putInOrder(lacksNoted, lacksDecided bool) error {
	var noted, decided []place
	for _, prefix := range []byte{keySettled, keyUnsettled} {
		var damage error
		err := m.reader.Scan([]byte{prefix}, []byte{prefix + 1}, func(_, value []byte) bool {
			var r *Record
			if r, damage = decodeRecord(value); damage != nil {
				return false
			}
			noted = append(noted, place{r.Transfer.ID, r.CreatedAt.UnixNano()})
			if r.State.Decided() {
				decided = append(decided, place{r.Transfer.ID, r.DecidedAt.UnixNano()})
			}
			return true
		})
		if err == nil {
			err = damage
		}
		if err != nil {
			return fmt.Errorf("put transfers in order: %w", err)
		}
	}
	if lacksNoted {
		m.noted.begin(noted)
	}
	if lacksDecided {
		m.decided.begin(decided)
	}
	return nil
}

// begin fills an empty order.
func (o *order) begin(all []place) {
	slices.SortFunc(all, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.reachedNanos, b.reachedNanos), slices.Compare(a.id[:], b.id[:]))
	})
	o.fresh, o.last = all, uint64(len(all))
	if len(all) > 0 {
		o.reachedNanos = all[len(all)-1].reachedNanos
	}
}

// placeOf finds the place with a number from 1 to the last.
func (m *Machine) placeOf(o *order, number uint64) (place, error) {
	if number > o.stored() {
		return o.inMemory(number), nil
	}
	key := o.key(number)
	value, ok, err := m.reader.Get(key)
	if err != nil {
		return place{}, fmt.Errorf("read place %d: %w", number, err)
	}
	if !ok {
		return place{}, fmt.Errorf("read place %d: %w: it is missing", number, ErrDamaged)
	}
	_, p, err := decodePlace(key, value)
	return p, err
}

// reachedBefore is the last number whose place had not reached a time.
func (m *Machine) reachedBefore(o *order, t time.Time) (uint64, error) {
	low, high := uint64(0), o.last // up to low none has reached it, above high every one has
	for low < high {
		middle := high - (high-low)/2
		p, err := m.placeOf(o, middle)
		if err != nil {
			return 0, err
		}
		if p.reachedNanos < t.UnixNano() {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low, nil
}
