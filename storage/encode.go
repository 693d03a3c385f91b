package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/bits"

	"github.com/quorate/quorate/raft"
)

// Every record of ours ends in a CRC-32C, four bytes little-endian, over its key and all bytes before it. Pebble has checksums
// of its own on disk; ours also covers memory and the way between, and ties a value to its group and index, so
// that a right record in a wrong place is found. Numbers are unsigned varints in their shortest form.
//
//	record       bytes before the checksum
//	identity     "quorate" format node len(cluster) cluster      (the first two never change their form)
//	hard state   term vote commit accepted
//	as of        index, then the membership: raft's own bytes
//	applied      index                                            (read only)
//	membership   raft's own bytes                                 (read only)
//	compacted    index term
//	slot         kind of the state's keys(1 byte)
//	log entry    term kind(1 byte) data
//
// State values are the machine's own bytes, which carry their format themselves.

// FormatVersion is what this version of Quorate writes. A store with a higher one is refused, one with a lower one is marked with this
// one when it is opened. Version 2 has two slots for a group's state and says which is live; version 3 keeps the applied index and the membership with the state.
const FormatVersion = 3

const (
	identityMagic = "quorate"
	checksumBytes = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Why a record can't be read. The caller adds the place.
var (
	errChecksum = errors.New("its checksum is wrong")
	errShape    = errors.New("its bytes are not of the expected form")
)

func checksum(key, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body)
}

func seal(key, body []byte) []byte {
	return binary.LittleEndian.AppendUint32(body, checksum(key, body))
}

// unseal checks the checksum and returns the bytes before it.
func unseal(key, value []byte) ([]byte, error) {
	if len(value) < checksumBytes {
		return nil, errShape
	}
	body := value[:len(value)-checksumBytes]
	if binary.LittleEndian.Uint32(value[len(body):]) != checksum(key, body) {
		return nil, errChecksum
	}
	return body, nil
}

func uvarintSize(x uint64) int { return (bits.Len64(x|1) + 6) / 7 }

// cutUvarint reads one number; a longer form than needed is refused, so that equal values have equal bytes.
func cutUvarint(b []byte) (uint64, []byte, error) {
	x, n := binary.Uvarint(b)
	if n <= 0 || n != uvarintSize(x) {
		return 0, nil, errShape
	}
	return x, b[n:], nil
}

// cutUvarints reads as many numbers as there are places, and nothing may follow.
func cutUvarints(b []byte, places ...*uint64) error {
	for _, place := range places {
		var err error
		if *place, b, err = cutUvarint(b); err != nil {
			return err
		}
	}
	if len(b) != 0 {
		return errShape
	}
	return nil
}

// entryBytes is how long an entry's value will be.
func entryBytes(e *raft.Entry) int {
	return uvarintSize(uint64(e.Term)) + 1 + len(e.Data) + checksumBytes
}

// putEntry fills value, which is entryBytes long: entries are written straight into the batch, copied once.
func putEntry(value, key []byte, e *raft.Entry) {
	n := binary.PutUvarint(value, uint64(e.Term))
	value[n] = byte(e.Kind)
	copy(value[n+1:], e.Data)
	body := value[:len(value)-checksumBytes]
	binary.LittleEndian.PutUint32(value[len(body):], checksum(key, body))
}

// decodeEntry reads all of an entry but its index, which the key says. Data is a copy of its own; no data is nil.
func decodeEntry(key, value []byte) (raft.Entry, error) {
	body, err := unseal(key, value)
	if err != nil {
		return raft.Entry{}, err
	}
	term, rest, err := cutUvarint(body)
	if err != nil {
		return raft.Entry{}, err
	}
	if len(rest) == 0 || raft.EntryKind(rest[0]) > raft.Membership {
		return raft.Entry{}, errShape
	}
	e := raft.Entry{Term: raft.Term(term), Kind: raft.EntryKind(rest[0])}
	if data := rest[1:]; len(data) > 0 {
		e.Data = append(make([]byte, 0, len(data)), data...)
	}
	return e, nil
}

func appendHardState(b, key []byte, hs *raft.HardState) []byte {
	b = binary.AppendUvarint(b, uint64(hs.Term))
	b = binary.AppendUvarint(b, uint64(hs.Vote))
	b = binary.AppendUvarint(b, uint64(hs.Commit))
	b = binary.AppendUvarint(b, uint64(hs.Accepted))
	return seal(key, b)
}

func decodeHardState(key, value []byte) (raft.HardState, error) {
	body, err := unseal(key, value)
	if err != nil {
		return raft.HardState{}, err
	}
	var hs raft.HardState
	err = cutUvarints(body, (*uint64)(&hs.Term), (*uint64)(&hs.Vote), (*uint64)(&hs.Commit), (*uint64)(&hs.Accepted))
	return hs, err
}

// asOf says of which entry a state is, and who counted then.
type asOf struct {
	applied raft.Index // zero: there is no such record
	members []byte     // nil: not known
}

func appendAsOf(b, key []byte, at *asOf) []byte {
	b = binary.AppendUvarint(b, uint64(at.applied))
	return seal(key, append(b, at.members...))
}

func decodeAsOf(key, value []byte) (asOf, error) {
	body, err := unseal(key, value)
	if err != nil {
		return asOf{}, err
	}
	i, rest, err := cutUvarint(body)
	if err != nil {
		return asOf{}, err
	}
	at := asOf{applied: raft.Index(i)}
	if len(rest) > 0 {
		at.members = bytes.Clone(rest)
	}
	return at, nil
}

func decodeApplied(key, value []byte) (raft.Index, error) {
	body, err := unseal(key, value)
	if err != nil {
		return 0, err
	}
	var i raft.Index
	err = cutUvarints(body, (*uint64)(&i))
	return i, err
}

func appendCompacted(b, key []byte, id raft.EntryID) []byte {
	b = binary.AppendUvarint(b, uint64(id.Index))
	return seal(key, binary.AppendUvarint(b, uint64(id.Term)))
}

func decodeCompacted(key, value []byte) (raft.EntryID, error) {
	body, err := unseal(key, value)
	if err != nil {
		return raft.EntryID{}, err
	}
	var id raft.EntryID
	err = cutUvarints(body, (*uint64)(&id.Index), (*uint64)(&id.Term))
	return id, err
}

func appendSlot(b, key []byte, slot byte) []byte { return seal(key, append(b, slot)) }

func decodeSlot(key, value []byte) (byte, error) {
	body, err := unseal(key, value)
	if err != nil {
		return 0, err
	}
	if len(body) != 1 || (body[0] != kindState && body[0] != kindStateTwo) {
		return 0, errShape
	}
	return body[0], nil
}

// decodeMembers returns a copy that isn't nil.
func decodeMembers(key, value []byte) ([]byte, error) {
	body, err := unseal(key, value)
	if err != nil {
		return nil, err
	}
	return append(make([]byte, 0, len(body)), body...), nil
}
