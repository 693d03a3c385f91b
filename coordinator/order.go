package coordinator

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/quorate/quorate/internal/room"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/transfer"
)

// There are two orders of transfers: by when this group took note of them, and by when it decided them, both in its log. Each transfer has its
// number in them, from 1 and without gaps, for ever and on every replica, from the entry on that begins it. So a list that is read from the newest down is neither shifted by new
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
	handed       int     // of these, to whoever makes it
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

func (o *order) seal() { o.sealed, o.fresh = o.fresh, o.sealed }

// unhanded is how many records what is sealed still takes.
func (o *order) unhanded(run int) int { return (len(o.sealed) - o.handed + run - 1) / run }

// hand appends what is sealed, so many places in a record at most, while there are fewer records than upTo.
func (o *order) hand(kvs []KV, run, upTo int) []KV {
	first := o.stored() + 1 + uint64(o.handed)
	part := o.sealed[o.handed:]
	if most := upTo - len(kvs); most < o.unhanded(run) {
		part = part[:most*run]
	}
	o.handed += len(part)
	all := make([]byte, 0, len(part)*placeBytesMax) // one allocation for all keys and values
	for len(part) > 0 {
		places := part[:min(len(part), run)]
		from := len(all)
		all = o.appendKey(all, first)
		value := len(all)
		all = appendPlaces(all, places)
		kvs = append(kvs, KV{Key: all[from:value:value], Value: all[value:len(all):len(all)]})
		part, first = part[len(places):], first+uint64(len(places))
	}
	return kvs
}

// checkpointed keeps the room for as many again.
func (o *order) checkpointed() {
	o.handed, o.sealed = 0, room.Emptied(o.sealed, 4*len(o.sealed)+placesKept)
}

// placesKept: so much room is kept whatever was used of it.
const placesKept = 1 << 7

// placeBytesMax is what a key and its value take: 9 bytes, and fields of at most 2, 18 and 11. Further places of a record take less, the head of their field included.
const placeBytesMax = 40

// A run is places that follow one another in one record, under the key of the oldest: whoever reads on from the key of any of them comes to it first.
// Much of what a checkpoint costs is its number of keys. runMost are in a run.
const runMost = 1 << 5

func (o *order) key(number uint64) []byte { return o.appendKey(nil, number) }

// appendKey counts down, for readers scan upwards and lists begin with the newest.
func (o *order) appendKey(b []byte, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, o.prefix), ^number)
}

// appendPlaces writes a record of places that follow one another. One by itself is of the first version, which is all that a build before runs can read.
func appendPlaces(b []byte, places []place) []byte {
	version := uint64(formatVersion)
	if len(places) > 1 {
		version = runsVersion
	}
	p := &places[0]
	b = wire.AppendUint(b, 1, version)
	b = wire.AppendBytes(b, 2, p.id[:])
	b = wire.AppendSint(b, 3, p.reachedNanos)
	if len(places) == 1 {
		return b
	}
	b, mark := wire.OpenMessage(b, 4)
	for i := range places[1:] {
		after := &places[1+i]
		b = append(b, after.id[:]...)
		b = binary.AppendUvarint(b, uint64(after.reachedNanos-p.reachedNanos))
		p = after
	}
	return wire.CloseMessage(b, mark)
}

// decodePlaces appends the places of a record, from its number up: without an error there is at least one.
func decodePlaces(to []place, key, value []byte) (number uint64, places []place, err error) {
	c := wire.NewCursor(value)
	var version uint64
	var p place
	var after []byte
	for c.Next() {
		switch c.Number {
		case 1:
			if version = c.Uint(); version > runsVersion {
				return 0, to, checkVersion(version, runsVersion)
			}
		case 2:
			p.id = c.ID()
		case 3:
			p.reachedNanos = c.Sint()
		case 4:
			after = c.Bytes()
		default:
			c.Skip()
		}
	}
	if (version == runsVersion) != (len(after) > 0) {
		c.Damage("version %d with %d bytes of further places", version, len(after))
	}
	from := len(to)
	to = append(to, p)
	for c.Err == nil && len(after) > 0 {
		nanos, n := binary.Uvarint(after[min(len(after), len(p.id)):])
		if n <= 0 || p.reachedNanos+int64(nanos) < p.reachedNanos {
			c.Damage("%d bytes are left of the places after that of %s", len(after), p.id)
			break
		}
		p = place{transfer.ID(after[:len(p.id)]), p.reachedNanos + int64(nanos)}
		after = after[len(p.id)+n:]
		to = append(to, p)
	}
	for i := range to[from:] {
		if to[from+i].id == (transfer.ID{}) {
			c.Damage("a place of nobody")
		}
	}
	if len(key) != 9 {
		c.Damage("a place of %s under a key of %d bytes", p.id, len(key))
	} else {
		number = ^binary.BigEndian.Uint64(key[1:])
	}
	return number, to, failure(&c, version, runsVersion)
}

// hash is what a place adds to the state hash: replicas that number differently are told apart like those that decided differently.
func (p *place) hash(prefix byte, number uint64) uint64 {
	h := uint64(fnvOffset) ^ uint64(prefix)
	for _, word := range [...]uint64{number, binary.BigEndian.Uint64(p.id[:8]), binary.BigEndian.Uint64(p.id[8:]), uint64(p.reachedNanos)} {
		h = (h ^ word) * fnvPrime
		h ^= h >> 32
	}
	return h
}

// The value under keyHash: the state hash and, if transfers are numbered, of each order its last number and the time reached, 8 bytes each.
const (
	stateBytesUnnumbered = 8
	stateBytes           = 40
)

// state is what is stored of a group as a whole.
type state struct {
	hash           uint64
	numbered       bool
	noted, decided order
}

func emptyState() state { return state{noted: newOrder(keyPlace), decided: newOrder(keyDecided)} }

// encodeState writes what an older release reads, until transfers are numbered.
func (m *Machine) encodeState() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, stateBytes), m.hash)
	if !m.numbered {
		return b
	}
	for _, o := range []*order{&m.noted, &m.decided} {
		b = binary.BigEndian.AppendUint64(b, o.last)
		b = binary.BigEndian.AppendUint64(b, uint64(o.reachedNanos))
	}
	return b
}

func decodeState(value []byte) (state, error) {
	s := emptyState()
	if len(value) != stateBytesUnnumbered && len(value) != stateBytes {
		return s, fmt.Errorf("%w: a state of %d bytes", ErrDamaged, len(value))
	}
	s.hash = binary.BigEndian.Uint64(value)
	if s.numbered = len(value) == stateBytes; s.numbered {
		s.noted.last, s.noted.reachedNanos = binary.BigEndian.Uint64(value[8:]), int64(binary.BigEndian.Uint64(value[16:]))
		s.decided.last, s.decided.reachedNanos = binary.BigEndian.Uint64(value[24:]), int64(binary.BigEndian.Uint64(value[32:]))
	}
	return s, nil
}

// Numbered says whether transfers have numbers, without which they can't be listed. IsEmpty says that there is none yet.
func (m *Machine) Numbered() bool { return m.numbered }

// IsEmpty says that the group has never taken note of a transfer.
func (m *Machine) IsEmpty() bool {
	return len(m.records)+len(m.settled.list)+len(m.sealed.list) == 0 && m.hash == 0
}

// place gives a transfer its number in an order, if numbers are given.
func (m *Machine) place(o *order, id transfer.ID, at time.Time) {
	if m.numbered {
		o.add(id, at)
		p := o.inMemory(o.last)
		m.hash += p.hash(o.prefix, o.last)
	}
}

// number begins to give numbers. What there is gets its own in the order of its times, for a group that an older release has begun has kept
// no other. That this is a fact in the log, and not done when such a state is opened, makes it the same on every replica: each has the same transfers here,
// and whenever it was upgraded. It reads all of them, once in the life of a group.
func (m *Machine) number() error {
	if m.numbered {
		return nil
	}
	m.numbered = true
	var noted, decided []place
	take := func(r *Record) {
		noted = append(noted, place{r.Transfer.ID, r.CreatedAt.UnixNano()})
		if r.State.Decided() {
			decided = append(decided, place{r.Transfer.ID, r.DecidedAt.UnixNano()})
		}
	}
	for _, r := range m.records {
		take(r)
	}
	for _, r := range slices.Concat(m.settled.list, m.sealed.list) {
		take(r)
	}
	if m.reader != nil {
		var damage error
		err := m.reader.Scan([]byte{keySettled}, []byte{keySettled + 1}, func(_, value []byte) bool {
			var r *Record
			if r, damage = decodeRecord(value); damage != nil {
				return false
			}
			if _, taken := m.inMemory(r.Transfer.ID); !taken {
				take(r)
			}
			return true
		})
		if err == nil {
			err = damage
		}
		if err != nil {
			return fmt.Errorf("number transfers: %w", err)
		}
	}
	m.begin(&m.noted, noted)
	m.begin(&m.decided, decided)
	return nil
}

// begin fills an empty order.
func (m *Machine) begin(o *order, all []place) {
	slices.SortFunc(all, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.reachedNanos, b.reachedNanos), slices.Compare(a.id[:], b.id[:]))
	})
	o.fresh, o.last = all, uint64(len(all))
	for i := range all {
		o.reachedNanos = all[i].reachedNanos
		m.hash += all[i].hash(o.prefix, uint64(i)+1)
	}
}

// placeReader finds places of an order by their numbers. It reads a record once for all that follow one another in it.
type placeReader struct {
	reader Reader
	order  *order
	first  uint64  // number of the first one of …
	run    []place // … the record that was read last
}

// at finds the place with a number from 1 to the last.
func (r *placeReader) at(number uint64) (place, error) {
	if number > r.order.stored() {
		return r.order.inMemory(number), nil
	}
	if at := number - r.first; at < uint64(len(r.run)) {
		return r.run[at], nil
	}
	var damage error
	r.run = r.run[:0]
	err := r.reader.Scan(r.order.key(number), []byte{r.order.prefix + 1}, func(key, value []byte) bool {
		r.first, r.run, damage = decodePlaces(r.run, key, value)
		return false
	})
	at := number - r.first
	switch {
	case err != nil:
		return place{}, fmt.Errorf("read place %d: %w", number, err)
	case damage != nil:
		return place{}, damage
	case at >= uint64(len(r.run)):
		return place{}, fmt.Errorf("read place %d: %w: it is missing", number, ErrDamaged)
	}
	return r.run[at], nil
}

// reachedBefore is the last number whose place had not reached a time.
func (m *Machine) reachedBefore(o *order, t time.Time) (uint64, error) {
	places := placeReader{reader: m.reader, order: o}
	low, high := uint64(0), o.last // up to low none has reached it, above high every one has
	for low < high {
		middle := high - (high-low)/2
		p, err := places.at(middle)
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
