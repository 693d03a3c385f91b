// Package wire writes and reads protobuf messages by hand: log entries and state records of the state machines, what nodes say to each other, and
// transfers of clients. Generated code spends more on one of them than a machine itself does, and promises nobody the same bytes tomorrow. The .proto files still describe the formats, and
// tests read what is written here with the generated code.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrDamaged says that bytes can't be what was written.
var ErrDamaged = errors.New("damaged bytes")

// Field is the number of a field in a .proto.
type Field = protowire.Number

// The append functions write one field, or nothing if the value is the default.

// AppendUint writes an unsigned number, or any that is never negative.
func AppendUint(b []byte, number Field, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), v)
}

// AppendElement writes one element of a repeated uint64, a default too: another number of elements would be another value.
func AppendElement(b []byte, number Field, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), v)
}

// AppendSint writes a number of either sign (sint64).
func AppendSint(b []byte, number Field, v int64) []byte {
	return AppendUint(b, number, protowire.EncodeZigZag(v))
}

// AppendBool writes true.
func AppendBool(b []byte, number Field, v bool) []byte {
	return AppendUint(b, number, protowire.EncodeBool(v))
}

// AppendFixed writes eight bytes (fixed64).
func AppendFixed(b []byte, number Field, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, number, protowire.Fixed64Type), v)
}

// AppendText writes a string.
func AppendText(b []byte, number Field, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
}

// AppendBytes writes the field even if it is empty, as an id and the body of a command need it.
func AppendBytes(b []byte, number Field, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), v)
}

// OpenMessage leaves one byte for the length of a nested message; CloseMessage fills it in.
func OpenMessage(b []byte, number Field) (grown []byte, mark int) {
	b = protowire.AppendTag(b, number, protowire.BytesType)
	return append(b, 0), len(b) + 1
}

// CloseMessage moves the body a little where its length needs more than the one byte.
func CloseMessage(b []byte, mark int) []byte {
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

// Cursor reads the fields of one message, strictly: in ascending order, each with the type that is asked for.
// After the first damage every read gives zero and next gives false; Err says what it was.
type Cursor struct {
	data   []byte
	text   string // the same bytes, or "" as long as nobody has read a string: all strings are cut from it, and cost one allocation
	at     int    // of the bytes that come next. Numbers: pointers that move keep the garbage collector busy
	end    int    // of the message
	Number Field  // of the field whose tag was read last
	kind   protowire.Type
	again  bool  // the last field may come once more
	Err    error // the first damage
}

// NewCursor begins to read a message.
func NewCursor(data []byte) Cursor { return Cursor{data: data, end: len(data)} }

// Damage says what is wrong; the first damage stands.
func (c *Cursor) Damage(format string, args ...any) {
	if c.Err == nil {
		c.Err = fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
	}
	c.at = c.end
}

func (c *Cursor) rest() []byte { return c.data[c.at:c.end] }

// Next reads the tag of the next field into number; false at the end.
func (c *Cursor) Next() bool {
	if c.at == c.end {
		return false
	}
	number, kind, n := protowire.ConsumeTag(c.rest())
	if n < 0 || number > protowire.MaxValidNumber {
		c.Damage("no tag after field %d", c.Number)
		return false
	}
	if number < c.Number || (number == c.Number && !c.again) {
		c.Damage("field %d after field %d", number, c.Number)
		return false
	}
	c.Number, c.kind, c.again = number, kind, false
	c.at += n
	return true
}

// Once lets no other field of the number follow the nested message that was just read.
func (c *Cursor) Once() { c.again = false }

// Again lets the field that was just read come once more: a repeated one.
func (c *Cursor) Again() { c.again = true }

// Skip leaves a field out that a later version may have added.
func (c *Cursor) Skip() {
	n := protowire.ConsumeFieldValue(c.Number, c.kind, c.rest())
	if n < 0 {
		c.Damage("field %d is cut off", c.Number)
		return
	}
	c.at += n
	c.again = true
}

// Unknown refuses a field.
func (c *Cursor) Unknown() { c.Damage("unknown field %d", c.Number) }

func (c *Cursor) is(kind protowire.Type) bool {
	if c.kind != kind {
		c.Damage("field %d has wire type %d", c.Number, c.kind)
		return false
	}
	return true
}

// Uint reads an unsigned number.
func (c *Cursor) Uint() uint64 {
	if !c.is(protowire.VarintType) {
		return 0
	}
	v, n := protowire.ConsumeVarint(c.rest())
	if n < 0 {
		c.Damage("field %d is cut off", c.Number)
		return 0
	}
	c.at += n
	return v
}

// Sint reads a number of either sign.
func (c *Cursor) Sint() int64 { return protowire.DecodeZigZag(c.Uint()) }

// Bounded reads a number that fits into a narrower type.
func (c *Cursor) Bounded(limit uint64) uint64 {
	v := c.Uint()
	if v > limit {
		c.Damage("field %d is %d, above %d", c.Number, v, limit)
		return 0
	}
	return v
}

// Amount reads an amount that is never negative.
func (c *Cursor) Amount() int64 { return int64(c.Bounded(math.MaxInt64)) }

// Small reads a number up to 255.
func (c *Cursor) Small() uint8 { return uint8(c.Bounded(math.MaxUint8)) }

// Bool reads 0 or 1.
func (c *Cursor) Bool() bool { return c.Bounded(1) == 1 }

// Fixed reads eight bytes.
func (c *Cursor) Fixed() uint64 {
	if !c.is(protowire.Fixed64Type) {
		return 0
	}
	v, n := protowire.ConsumeFixed64(c.rest())
	if n < 0 {
		c.Damage("field %d is cut off", c.Number)
		return 0
	}
	c.at += n
	return v
}

// bytes finds where the next bytes begin and end.
func (c *Cursor) bytes() (from, to int) {
	if !c.is(protowire.BytesType) {
		return 0, 0
	}
	size, n := protowire.ConsumeVarint(c.rest())
	if n < 0 || size > uint64(c.end-c.at-n) {
		c.Damage("field %d is cut off", c.Number)
		return 0, 0
	}
	from = c.at + n
	c.at = from + int(size)
	return from, c.at
}

// Message cuts out a nested message, which may come again. Its errors come back with Join. It shares the text: most have strings.
func (c *Cursor) Message() Cursor {
	from, to := c.bytes()
	c.again = true
	return Cursor{data: c.data, text: c.wholeText(), at: from, end: to}
}

func (c *Cursor) wholeText() string {
	if c.text == "" {
		c.text = string(c.data)
	}
	return c.text
}

// Join takes over the damage of a nested message.
func (c *Cursor) Join(m *Cursor) {
	if m.Err != nil && c.Err == nil {
		c.Err = fmt.Errorf("in field %d: %w", c.Number, m.Err)
		c.at = c.end
	}
}

// Text reads a string.
func (c *Cursor) Text() string {
	from, to := c.bytes()
	if from == to {
		return ""
	}
	return c.wholeText()[from:to]
}

// ValidText reads a string as protobuf has them: all of it is UTF-8.
func (c *Cursor) ValidText() string {
	s := c.Text()
	if !utf8.ValidString(s) {
		c.Damage("field %d is not UTF-8", c.Number)
	}
	return s
}

// Bytes reads bytes, which are the message's own.
func (c *Cursor) Bytes() []byte {
	from, to := c.bytes()
	return c.data[from:to:to]
}

// ID reads 16 bytes.
func (c *Cursor) ID() (id [16]byte) {
	from, to := c.bytes()
	if to-from != len(id) {
		c.Damage("field %d has %d bytes instead of 16", c.Number, to-from)
		return id
	}
	copy(id[:], c.data[from:to])
	return id
}

// CountMessages counts the fields of one number, as far as the bytes can be read.
func CountMessages(data []byte, number Field) int {
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
