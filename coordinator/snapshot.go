package coordinator

import (
	"bytes"
	"fmt"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/transfer"
)

// KV is one key of the stored state; a nil Value deletes it. It has no name of its own, so that the hosts between here and the disk needn't copy it.
type KV = struct{ Key, Value []byte }

// The keys of a coordinator's stored state:
//
//	'h'        the state: its hash and, once transfers are numbered, the last number and the time reached of both orders, 8 bytes big endian each
//	'd' + n    the place with number n of the order of decisions, its bits turned over, and those just after it: read when somebody follows them
//	'p' + n    likewise of the order of taking note: read when transfers are listed
//	'u' + id   an unsettled record: all of them are loaded at start
//	'r' + id   a settled record: read when asked for
const (
	keyHash      = 'h'
	keyDecided   = 'd'
	keyPlace     = 'p'
	keyUnsettled = 'u'
	keySettled   = 'r'
)

func recordKey(prefix byte, id transfer.ID) []byte {
	key := make([]byte, 1+len(id))
	key[0] = prefix
	copy(key[1:], id[:])
	return key
}

// chunkBytes is how much is allocated at once for the keys and values of a checkpoint: each by itself would keep the garbage collector busy.
const (
	chunkBytes   = 64 << 10
	chunkReserve = 1 << 8 // few records are longer; those that are let the chunk grow
)

// cut appends a record, whose key and value it takes from a chunk, or from a new one if that is full. The record is one of so many left.
func cut(kvs []KV, chunk []byte, prefix byte, r *Record, left int) ([]KV, []byte) {
	if cap(chunk)-len(chunk) < chunkReserve {
		chunk = make([]byte, 0, min(chunkBytes, left*chunkReserve))
	}
	start := len(chunk)
	chunk = append(append(chunk, prefix), r.Transfer.ID[:]...)
	value := len(chunk)
	chunk = appendRecord(chunk, r)
	return append(kvs, KV{Key: chunk[start:value:value], Value: chunk[value:len(chunk):len(chunk)]}), chunk
}

// Checkpoint begins a checkpoint of all that has changed since the last one. It returns what may change again; Sealed has the rest. The host
// stores all of it atomically with the applied index as of now, and calls Checkpointed before the next Checkpoint. Apply may go on in between.
func (m *Machine) Checkpoint() []KV {
	invariant.Holds(!m.sealing, "a checkpoint of %d settled records is still under way", len(m.sealed.list))
	m.sealing = true
	m.noted.seal()
	m.decided.seal()
	m.settled, m.sealed = m.sealed, m.settled
	writes := make([]KV, 0, len(m.dirty)+len(m.gone)+1)
	writes = append(writes, KV{Key: []byte{keyHash}, Value: m.encodeState()})
	for _, id := range m.gone {
		writes = append(writes, KV{Key: recordKey(keyUnsettled, id)})
	}
	var chunk []byte
	for i, r := range m.dirty {
		r.dirty = false
		if !r.Settled {
			r.storedAlive = true
			writes, chunk = cut(writes, chunk, keyUnsettled, r, len(m.dirty)-i)
		}
	}
	m.gone, m.dirty = nil, nil
	return writes
}

// unsealed is how many records of the checkpoint under way Sealed has still to return.
func (m *Machine) unsealed() int {
	return len(m.sealed.list) - m.sealed.handed + m.noted.unhanded(m.run) + m.decided.unhanded(m.run)
}

// Sealed returns the next records of the checkpoint under way, most of them at most; fewer: that was all.
func (m *Machine) Sealed(most int) []KV {
	kvs := make([]KV, 0, min(most, m.unsealed()))
	part := m.sealed.list[m.sealed.handed:]
	part = part[:min(len(part), most)]
	var chunk []byte
	for i, r := range part {
		kvs, chunk = cut(kvs, chunk, keySettled, r, len(part)-i)
	}
	m.sealed.handed += len(part)
	return m.decided.hand(m.noted.hand(kvs, m.run, most), m.run, most)
}

// WriteRuns lets the checkpoints from now on have many places of an order in one record. A build before LevelRuns (room directory) can't read them.
func (m *Machine) WriteRuns() { m.run = runMost }

// Checkpointed says that the reader now shows the last Checkpoint: what has settled before it may be forgotten.
func (m *Machine) Checkpointed() {
	left := m.unsealed()
	invariant.Holds(left == 0, "a checkpoint is confirmed without %d of its records", left)
	m.sealing = false
	if bytes.Compare(m.sealed.newest[:], m.newest[:]) > 0 {
		m.newest = m.sealed.newest
	}
	m.sealed = newGeneration()
	m.noted.checkpointed()
	m.decided.checkpointed()
}

// load brings the unsettled records and the hash back.
func (m *Machine) load() error {
	stored, ok, err := storedState(m.reader)
	if err != nil || !ok {
		return err
	}
	m.hash, m.numbered, m.noted, m.decided = stored.hash, stored.numbered, stored.noted, stored.decided
	if err := m.findNewest(); err != nil {
		return fmt.Errorf("read the newest settled transfer: %w", err)
	}
	var failed error
	err = m.reader.Scan([]byte{keyUnsettled}, []byte{keyUnsettled + 1}, func(_, value []byte) bool {
		r, err := decodeRecord(value)
		if err != nil {
			failed = err
			return false
		}
		r.storedAlive = true
		m.records[r.Transfer.ID] = r
		if r.State == transfer.Pending {
			m.staged++
		}
		return true
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("read unsettled transfers: %w", err)
	}
	return nil
}

// findNewest looks for the highest settled id bit by bit: a reader only reads forwards.
func (m *Machine) findNewest() error {
	for bit := range 8 * len(m.newest) {
		at, mask := bit/8, byte(0x80)>>(bit%8)
		from := m.newest
		if from[at]&mask != 0 {
			continue
		}
		from[at] = from[at]&-mask | mask
		clear(from[at+1:])
		err := m.reader.Scan(recordKey(keySettled, from), []byte{keySettled + 1}, func(key, _ []byte) bool {
			copy(m.newest[:], key[1:])
			return false
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// storedState reads what is stored of the group as a whole; ok is false if nothing was ever stored.
func storedState(reader Reader) (s state, ok bool, err error) {
	value, ok, err := reader.Get([]byte{keyHash})
	if err != nil {
		return s, false, fmt.Errorf("read coordinator state: %w", err)
	}
	if !ok {
		return emptyState(), false, nil
	}
	s, err = decodeState(value)
	return s, true, err
}

// readFinished reads a settled record; nil if there is none.
func (m *Machine) readFinished(id transfer.ID) (*Record, error) {
	value, ok, err := m.reader.Get(recordKey(keySettled, id))
	if err != nil {
		return nil, fmt.Errorf("read transfer %s: %w", id, err)
	}
	if !ok {
		return nil, nil
	}
	r, err := decodeRecord(value)
	if err != nil {
		return nil, fmt.Errorf("read transfer %s: %w", id, err)
	}
	return r, nil
}
