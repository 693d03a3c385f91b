package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"

	"github.com/quorate/quorate/raft"
)

// A snapshot is a group's stored state as of one checkpoint: all its keys, in order, cut into chunks that each stand for
// themselves. What raft carries as the chunk's Data is
//
//	version (1 byte) · count · count × (length key length value) · whole (8 bytes) · own (4 bytes)
//
// Numbers are unsigned varints in their shortest form; the two checksums are little-endian. whole is the CRC-64 (ECMA) of all the snapshot's bytes up to
// here, without the checksums: a chunk of another snapshot, or one left out, doesn't continue it. own is the CRC-32C of the chunk's Last,
// Offset, Done and Membership and of all its bytes before.

// SnapshotFormat is the version of the chunks that are written; a higher one is refused.
const SnapshotFormat = 1

const (
	wholeBytes = 8
	ownBytes   = 4
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	ecma       = crc64.MakeTable(crc64.ECMA)
)

// Why a chunk can't be used.
var (
	ErrDamagedChunk = errors.New("damaged chunk of a snapshot")
	ErrNewerChunk   = errors.New("chunk of a snapshot in a newer format")
)

// Source is a group's stored state as of one checkpoint, which doesn't change while it is open.
type Source interface {
	// Last is the last entry that the checkpoint contains; zero: there is no checkpoint.
	Last() raft.EntryID
	// Membership is that of Last, as raft encodes it.
	Membership() []byte
	// Scan calls fn for every key from on, in order, until fn returns false.
	Scan(from []byte, fn func(key, value []byte) bool) error
}

// Outgoing cuts one Source into chunks. It is for hosts, beside the loop.
type Outgoing struct {
	source Source
	last   raft.SnapshotChunk // the newest one; a lost one is asked for again
	from   []byte             // where the next one begins
	whole  uint64
}

// NewOutgoing begins a snapshot.
func NewOutgoing(source Source) *Outgoing { return &Outgoing{source: source} }

// Source is what the snapshot is of.
func (o *Outgoing) Source() Source { return o.source }

// Chunk gives the chunk at offset: the first, the one after the newest, or the newest again. bytesMax bounds it, but for
// one record that is larger.
func (o *Outgoing) Chunk(offset uint64, bytesMax int) (raft.SnapshotChunk, error) {
	next := o.last.Offset + uint64(len(o.last.Data))
	switch {
	case offset == 0:
		o.from, o.whole, o.last = nil, 0, raft.SnapshotChunk{}
	case offset == o.last.Offset:
		return o.last, nil
	case offset != next || o.last.Done:
		return raft.SnapshotChunk{}, fmt.Errorf("the chunk at %d was asked for, the next is at %d", offset, next)
	}
	if o.source.Last().Index == 0 {
		return raft.SnapshotChunk{}, errors.New("there is no checkpoint yet")
	}
	return o.cut(offset, bytesMax)
}

func (o *Outgoing) cut(offset uint64, bytesMax int) (raft.SnapshotChunk, error) {
	var records, from []byte
	count := 0
	err := o.source.Scan(o.from, func(key, value []byte) bool {
		if count > 0 && len(records)+len(key)+len(value) > bytesMax {
			from = append([]byte(nil), key...)
			return false
		}
		if records == nil {
			records = make([]byte, 0, bytesMax+len(key)+len(value)+4*binary.MaxVarintLen64)
		}
		records = appendBytes(appendBytes(records, key), value)
		count++
		return true
	})
	if err != nil {
		return raft.SnapshotChunk{}, err
	}
	c := raft.SnapshotChunk{Last: o.source.Last(), Membership: o.source.Membership(), Offset: offset, Done: from == nil}
	data := make([]byte, 0, 1+binary.MaxVarintLen64+len(records)+wholeBytes+ownBytes)
	data = binary.AppendUvarint(append(data, SnapshotFormat), uint64(count))
	data = append(data, records...)
	o.whole = crc64.Update(o.whole, ecma, data)
	data = binary.LittleEndian.AppendUint64(data, o.whole)
	c.Data = binary.LittleEndian.AppendUint32(data, ownSum(&c, data))
	o.from, o.last = from, c
	return c, nil
}

// ownSum ties a chunk's bytes to its place.
func ownSum(c *raft.SnapshotChunk, data []byte) uint32 {
	place := binary.LittleEndian.AppendUint64(nil, uint64(c.Last.Index))
	place = binary.LittleEndian.AppendUint64(place, uint64(c.Last.Term))
	place = binary.LittleEndian.AppendUint64(place, c.Offset)
	done := byte(0)
	if c.Done {
		done = 1
	}
	place = append(append(place, done), c.Membership...)
	return crc32.Update(crc32.Checksum(place, castagnoli), castagnoli, data)
}

// Incoming follows a snapshot chunk by chunk. The zero value waits for a first one.
type Incoming struct {
	last   raft.EntryID
	offset uint64 // of the chunk that comes next
	whole  uint64
}

// Continues says whether the chunk is the one that comes next.
func (in *Incoming) Continues(c *raft.SnapshotChunk) bool {
	return c.Offset == 0 || c.Last == in.last && c.Offset == in.offset
}

// Check reads a chunk and returns its records, which share its bytes. If the chunk is the next one, it must continue what came before.
func (in *Incoming) Check(c *raft.SnapshotChunk) ([]KV, error) {
	body, whole, err := verifyChunk(c)
	if err != nil {
		return nil, err
	}
	if in.Continues(c) && in.sumWith(c, body) != whole {
		return nil, fmt.Errorf("%w: at %d it doesn't continue what came before", ErrDamagedChunk, c.Offset)
	}
	return cutRecords(body[1:])
}

// Take follows a chunk that Check found right.
func (in *Incoming) Take(c *raft.SnapshotChunk) {
	body := c.Data[:len(c.Data)-wholeBytes-ownBytes]
	*in = Incoming{last: c.Last, offset: c.Offset + uint64(len(c.Data)), whole: in.sumWith(c, body)}
}

func (in *Incoming) sumWith(c *raft.SnapshotChunk, body []byte) uint64 {
	if c.Offset == 0 {
		return crc64.Checksum(body, ecma)
	}
	return crc64.Update(in.whole, ecma, body)
}

// verifyChunk checks the version before anything else: it must recognise formats that don't exist yet.
func verifyChunk(c *raft.SnapshotChunk) (body []byte, whole uint64, err error) {
	if len(c.Data) > 0 && c.Data[0] > SnapshotFormat {
		return nil, 0, fmt.Errorf("%w: it is of format %d and this version reads up to %d", ErrNewerChunk, c.Data[0], SnapshotFormat)
	}
	if len(c.Data) < 1+1+wholeBytes+ownBytes || c.Data[0] == 0 {
		return nil, 0, fmt.Errorf("%w: %d bytes at %d", ErrDamagedChunk, len(c.Data), c.Offset)
	}
	sealed := c.Data[:len(c.Data)-ownBytes]
	if binary.LittleEndian.Uint32(c.Data[len(sealed):]) != ownSum(c, sealed) {
		return nil, 0, fmt.Errorf("%w: the checksum of the one at %d is wrong", ErrDamagedChunk, c.Offset)
	}
	body = sealed[:len(sealed)-wholeBytes]
	return body, binary.LittleEndian.Uint64(sealed[len(body):]), nil
}

func cutRecords(b []byte) ([]KV, error) {
	count, b, ok := cutNumber(b)
	if !ok || count > uint64(len(b)) {
		return nil, fmt.Errorf("%w: it counts its records wrong", ErrDamagedChunk)
	}
	kvs := make([]KV, count)
	for i := range kvs {
		var fine bool
		if kvs[i].Key, b, ok = cutBytes(b); ok {
			kvs[i].Value, b, fine = cutBytes(b)
		}
		if !ok || !fine {
			return nil, fmt.Errorf("%w: record %d of %d ends too early", ErrDamagedChunk, i, count)
		}
		if len(kvs[i].Key) == 0 {
			return nil, fmt.Errorf("%w: record %d of %d has an empty key", ErrDamagedChunk, i, count)
		}
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%w: %d bytes follow its records", ErrDamagedChunk, len(b))
	}
	return kvs, nil
}

func appendBytes(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// cutBytes never returns nil bytes: nil would be a deletion.
func cutBytes(b []byte) (s, rest []byte, ok bool) {
	n, b, ok := cutNumber(b)
	if !ok || n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// cutNumber refuses a longer form than needed, so that equal values have equal bytes.
func cutNumber(b []byte) (n uint64, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || size > 1 && b[size-1] == 0 {
		return 0, nil, false
	}
	return n, b[size:], true
}
