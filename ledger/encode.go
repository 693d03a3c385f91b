package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// formatVersion is the version of the log entries and of the state records: proto/quorate/store/v1/ledger.proto
// describes both. The bytes are made by hand because generated code spends more on one
// prepare than the ledger itself does, and promises nobody the same bytes tomorrow.
const formatVersion = 1

var errDamaged = errors.New("damaged bytes")

// field is the number of a field in the .proto.
type field = protowire.Number

// The append functions write one field, or nothing if the value is the default.

func appendUint(b []byte, number field, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), v)
}

func appendSint(b []byte, number field, v int64) []byte {
	return appendUint(b, number, protowire.EncodeZigZag(v))
}

func appendBool(b []byte, number field, v bool) []byte {
	return appendUint(b, number, protowire.EncodeBool(v))
}

func appendFixed(b []byte, number field, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, number, protowire.Fixed64Type), v)
}

func appendText(b []byte, number field, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
}

// appendBytes writes the field even if it is empty, as an id and the body of a command need it.
func appendBytes(b []byte, number field, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), v)
}

// openMessage leaves one byte for the length of a nested message; closeMessage fills it in.
func openMessage(b []byte, number field) (grown []byte, mark int) {
	b = protowire.AppendTag(b, number, protowire.BytesType)
	return append(b, 0), len(b) + 1
}

// closeMessage moves the body a little where its length needs more than the one byte.
func closeMessage(b []byte, mark int) []byte {
	size := len(b) - mark
	if size < 1<<7 {
		b[mark-1] = byte(size)
		return b
	}
	var head [binary.MaxVarintLen64]byte
	width := binary.PutUvarint(head[:], uint64(size))
	b = append(b, head[:width-1]...) // any bytes: only the room counts
	copy(b[mark-1+width:], b[mark:mark+size])
	copy(b[mark-1:], head[:width])
	return b
}

// cursor reads the fields of one message, strictly: in ascending order, each with the type that is asked for.
// After the first damage every read gives zero and next gives false; err says what it was.
type cursor struct {
	data   []byte
	text   string // the same bytes; strings are cut from it, so that all of them cost one allocation
	number field
	kind   protowire.Type
	again  bool // the last field may come once more
	err    error
}

func newCursor(data []byte) cursor { return cursor{data: data, text: string(data)} }

func (c *cursor) damage(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: "+format, append([]any{errDamaged}, args...)...)
	}
	c.data, c.text = nil, ""
}

func (c *cursor) skip(n int) {
	c.data, c.text = c.data[n:], c.text[n:]
}

// next reads the tag of the next field into number; false at the end.
func (c *cursor) next() bool {
	if len(c.data) == 0 {
		return false
	}
	number, kind, n := protowire.ConsumeTag(c.data)
	if n < 0 {
		c.damage("no tag after field %d", c.number)
		return false
	}
	if number < c.number || (number == c.number && !c.again) {
		c.damage("field %d after field %d", number, c.number)
		return false
	}
	c.number, c.kind, c.again = number, kind, false
	c.skip(n)
	return true
}

func (c *cursor) unknown() { c.damage("unknown field %d", c.number) }

func (c *cursor) is(kind protowire.Type) bool {
	if c.kind != kind {
		c.damage("field %d has wire type %d", c.number, c.kind)
		return false
	}
	return true
}

func (c *cursor) uint() uint64 {
	if !c.is(protowire.VarintType) {
		return 0
	}
	v, n := protowire.ConsumeVarint(c.data)
	if n < 0 {
		c.damage("field %d is cut off", c.number)
		return 0
	}
	c.skip(n)
	return v
}

func (c *cursor) sint() int64 { return protowire.DecodeZigZag(c.uint()) }

// bounded reads a number that fits into a narrower type.
func (c *cursor) bounded(limit uint64) uint64 {
	v := c.uint()
	if v > limit {
		c.damage("field %d is %d, above %d", c.number, v, limit)
		return 0
	}
	return v
}

func (c *cursor) small() uint8 { return uint8(c.bounded(math.MaxUint8)) }

func (c *cursor) bool() bool { return c.bounded(1) == 1 }

func (c *cursor) fixed() uint64 {
	if !c.is(protowire.Fixed64Type) {
		return 0
	}
	v, n := protowire.ConsumeFixed64(c.data)
	if n < 0 {
		c.damage("field %d is cut off", c.number)
		return 0
	}
	c.skip(n)
	return v
}

// message cuts out a nested message, which may come again. Its errors come back with join.
func (c *cursor) message() cursor {
	if !c.is(protowire.BytesType) {
		return cursor{}
	}
	size, n := protowire.ConsumeVarint(c.data)
	if n < 0 || size > uint64(len(c.data)-n) {
		c.damage("field %d is cut off", c.number)
		return cursor{}
	}
	c.skip(n)
	m := cursor{data: c.data[:size], text: c.text[:size]}
	c.skip(int(size))
	c.again = true
	return m
}

func (c *cursor) join(m *cursor) {
	if m.err != nil && c.err == nil {
		c.err = fmt.Errorf("in field %d: %w", c.number, m.err)
		c.data, c.text = nil, ""
	}
}

func (c *cursor) string() string {
	m := c.message()
	c.again = false
	return m.text
}

func (c *cursor) id() (id [16]byte) {
	s := c.string()
	if len(s) != len(id) {
		c.damage("field %d has %d bytes instead of 16", c.number, len(s))
		return id
	}
	copy(id[:], s)
	return id
}

// countMessages counts the fields of one number, as far as the bytes can be read.
func countMessages(data []byte, number field) int {
	count := 0
	for len(data) > 0 {
		found, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return count
		}
		m := protowire.ConsumeFieldValue(found, kind, data[n:])
		if m < 0 {
			return count
		}
		if found == number {
			count++
		}
		data = data[n+m:]
	}
	return count
}
