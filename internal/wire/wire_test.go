package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/quorate/quorate/internal/wire"
)

// message writes one of everything: a nested message of 300 bytes, whose length takes two, and an empty one.
func message() []byte {
	b := wire.AppendUint(nil, 1, 300)
	b = wire.AppendSint(b, 2, -1)
	b = wire.AppendBool(b, 3, true)
	b = wire.AppendFixed(b, 4, 1<<63)
	b = wire.AppendText(b, 5, "text")
	b = wire.AppendBytes(b, 6, bytes.Repeat([]byte{7}, 16))
	for _, size := range []int{300, 0} {
		var mark int
		b, mark = wire.OpenMessage(b, 7)
		b = wire.AppendText(b, 1, string(bytes.Repeat([]byte("x"), size)))
		b = wire.CloseMessage(b, mark)
	}
	return b
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	c := wire.NewCursor(message())
	sizes := []int{}
	for c.Next() {
		ok := true
		switch c.Number {
		case 1:
			ok = c.Uint() == 300
		case 2:
			ok = c.Sint() == -1
		case 3:
			ok = c.Bool()
		case 4:
			ok = c.Fixed() == 1<<63
		case 5:
			ok = c.Text() == "text"
		case 6:
			ok = c.ID() == [16]byte(bytes.Repeat([]byte{7}, 16))
		case 7:
			m := c.Message()
			size := 0
			for m.Next() {
				size = len(m.Text())
			}
			sizes = append(sizes, size)
			c.Join(&m)
		}
		if !ok {
			t.Errorf("field %d is read as something else", c.Number)
		}
	}
	if c.Err != nil || len(sizes) != 2 || sizes[0] != 300 || sizes[1] != 0 {
		t.Fatalf("%v, nested messages of %v", c.Err, sizes)
	}
	if n := wire.CountMessages(message(), 7); n != 2 {
		t.Errorf("counted %d messages, want 2", n)
	}
}

func TestEverythingCanBeSkipped(t *testing.T) {
	c := wire.NewCursor(message())
	fields := 0
	for c.Next() {
		c.Skip()
		fields++
	}
	if c.Err != nil || fields != 8 {
		t.Fatalf("%v after %d fields, want 8", c.Err, fields)
	}
}

func TestDamageIsFoundAtEveryByte(t *testing.T) {
	whole := message()
	for n := range whole {
		c := wire.NewCursor(whole[:n])
		for c.Next() {
			c.Skip()
		}
		if c.Err != nil && !errors.Is(c.Err, wire.ErrDamaged) {
			t.Fatalf("cut after %d bytes: %v", n, c.Err)
		}
		if c.Err == nil && !betweenFields(whole, n) {
			t.Fatalf("cut after %d bytes, inside a field, and read as whole", n)
		}
	}
}

func betweenFields(data []byte, cut int) bool {
	at := 0
	for at < cut {
		_, _, n := protowire.ConsumeField(data[at:])
		at += n
	}
	return at == cut
}

func TestOrderAndTypesAreStrict(t *testing.T) {
	cases := map[string]struct {
		data []byte
		read func(*wire.Cursor)
	}{
		"descending":         {wire.AppendUint(wire.AppendUint(nil, 2, 1), 1, 1), func(c *wire.Cursor) { c.Uint() }},
		"twice":              {wire.AppendUint(wire.AppendUint(nil, 1, 1), 1, 1), func(c *wire.Cursor) { c.Uint() }},
		"a singular message": {wire.AppendBytes(wire.AppendBytes(nil, 1, nil), 1, nil), func(c *wire.Cursor) { c.Message(); c.Once() }},
		"another type":       {wire.AppendUint(nil, 1, 1), func(c *wire.Cursor) { c.Text() }},
		"no UTF-8":           {wire.AppendText(nil, 1, "\xff"), func(c *wire.Cursor) { c.ValidText() }},
		"above its bound":    {wire.AppendUint(nil, 1, 256), func(c *wire.Cursor) { c.Small() }},
		"a negative amount":  {wire.AppendUint(nil, 1, 1<<63), func(c *wire.Cursor) { c.Amount() }},
		"neither 0 nor 1":    {wire.AppendUint(nil, 1, 2), func(c *wire.Cursor) { c.Bool() }},
		"an id of 15 bytes":  {wire.AppendBytes(nil, 1, make([]byte, 15)), func(c *wire.Cursor) { c.ID() }},
		"an unknown field":   {wire.AppendUint(nil, 1, 1), (*wire.Cursor).Unknown},
	}
	for name, tt := range cases {
		c := wire.NewCursor(tt.data)
		for c.Next() {
			tt.read(&c)
		}
		if !errors.Is(c.Err, wire.ErrDamaged) {
			t.Errorf("%s: %v", name, c.Err)
		}
	}
	c := wire.NewCursor(wire.AppendUint(wire.AppendUint(nil, 1, 1), 1, 2))
	sum := uint64(0)
	for c.Next() {
		sum += c.Uint()
		c.Again()
	}
	if c.Err != nil || sum != 3 {
		t.Errorf("a repeated number: %d, %v", sum, c.Err)
	}
}
