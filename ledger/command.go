package ledger

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/transfer"
)

// Encode makes one log entry: the same commands at the same time are the same bytes, on every machine and in every release.
// `at` is kept to the nanosecond, in UTC; it lies between the years 1678 and 2262. Leg.Bank is left out: a
// ledger is one bank, and who routes a request to it has looked at the name already.
func Encode(at time.Time, commands []Command) []byte {
	b := make([]byte, 0, 16+128*len(commands))
	b = appendUint(b, 1, formatVersion)
	b = appendFixed(b, 2, uint64(at.UnixNano()))
	for i := range commands {
		var mark int
		b, mark = openMessage(b, 3)
		b = appendCommand(b, &commands[i])
		b = closeMessage(b, mark)
	}
	return b
}

func appendCommand(b []byte, c *Command) []byte {
	invariant.Holds((c.Request == nil) != (c.Open == nil), "a command is either a request or an account to open")
	if c.Open != nil {
		b, mark := openMessage(b, 5)
		b = appendText(b, 1, string(c.Open.ID))
		b = appendText(b, 2, string(c.Open.Currency))
		b = appendUint(b, 3, uint64(c.Open.OverdraftMinor))
		b = appendBool(b, 4, c.Open.Unlimited)
		return closeMessage(b, mark)
	}
	switch c.Request.Op {
	case bank.Prepare:
		b, mark := openMessage(b, 1)
		b = appendPrepare(b, c.Request)
		return closeMessage(b, mark)
	case bank.Resolve:
		b, mark := openMessage(b, 4)
		b = appendBytes(b, 1, c.Request.ID[:])
		b = appendBytes(b, 2, c.Request.Fingerprint[:])
		return closeMessage(b, mark)
	case bank.Commit, bank.Rollback:
		return appendBytes(b, field(c.Request.Op), c.Request.ID[:])
	default:
		invariant.Fail("no log entry can carry operation %d", c.Request.Op)
		return nil
	}
}

func appendPrepare(b []byte, q *bank.Request) []byte {
	b = appendBytes(b, 1, q.ID[:])
	b = appendBytes(b, 2, q.Fingerprint[:])
	for i := range q.Legs {
		leg := &q.Legs[i]
		var mark int
		b, mark = openMessage(b, 3)
		b = appendText(b, 1, string(leg.Account))
		b = appendUint(b, 2, uint64(leg.Direction))
		b = appendUint(b, 3, uint64(leg.AmountMinor))
		b = appendText(b, 4, string(leg.Currency))
		b = closeMessage(b, mark)
	}
	return appendText(b, 4, q.Reference)
}

// Decode reads what Encode made. An error means that the bytes are damaged or of a newer version;
// either way the host must stop, for nobody can say what they would have done to the money.
func Decode(data []byte) (at time.Time, commands []Command, err error) {
	var d decoder
	return d.decode(data)
}

// decoder keeps its slices from one log entry to the next, so that applying allocates
// nothing per command. What it returned is overwritten by the next decode.
type decoder struct {
	commands []Command
	requests []bank.Request
	terms    []bank.Terms
	legs     []transfer.Leg
}

func (d *decoder) decode(data []byte) (at time.Time, commands []Command, err error) {
	n := countMessages(data, 3)
	d.commands = grown(d.commands, n)
	d.requests = grown(d.requests, n)
	d.terms = grown(d.terms, n)
	d.legs = grown(d.legs, 0)
	c := newCursor(data)
	var version, nanos uint64
	for c.next() {
		switch c.number {
		case 1:
			version = c.uint()
		case 2:
			nanos = c.fixed()
		case 3:
			m := c.message()
			d.command(&m)
			c.join(&m)
		default:
			c.unknown()
		}
	}
	if c.err == nil && version != formatVersion {
		c.err = fmt.Errorf("%w: version %d, known is %d", errDamaged, version, formatVersion)
	}
	if c.err != nil {
		return time.Time{}, nil, fmt.Errorf("read log entry of %d bytes: %w", len(data), c.err)
	}
	return timeOf(int64(nanos)), d.commands, nil
}

// grown empties a slice and makes room for n elements, which then never move: commands point at them.
func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, 0, n)
	}
	clear(s)
	return s[:0]
}

func (d *decoder) command(c *cursor) {
	bodies := 0
	for c.next() {
		if bodies++; bodies > 1 {
			break
		}
		switch c.number {
		case 1:
			m := c.message()
			d.prepare(&m)
			c.join(&m)
		case 2, 3:
			d.request(bank.Request{Op: bank.Op(c.number), ID: c.id()})
		case 4:
			m := c.message()
			d.resolve(&m)
			c.join(&m)
		case 5:
			m := c.message()
			d.open(&m)
			c.join(&m)
		default:
			c.unknown()
		}
	}
	if bodies != 1 {
		c.damage("a command has %d bodies instead of one", bodies)
	}
}

func (d *decoder) request(q bank.Request) {
	d.requests = append(d.requests, q)
	d.commands = append(d.commands, Command{Request: &d.requests[len(d.requests)-1]})
}

func (d *decoder) prepare(c *cursor) {
	q := bank.Request{Op: bank.Prepare}
	first := len(d.legs)
	for c.next() {
		switch c.number {
		case 1:
			q.ID = c.id()
		case 2:
			q.Fingerprint = c.id()
		case 3:
			m := c.message()
			d.legs = append(d.legs, legOf(&m))
			c.join(&m)
		case 4:
			q.Reference = c.string()
		default:
			c.unknown()
		}
	}
	// If legs grow into a new array later, this request keeps the old one, with the same content.
	q.Legs = d.legs[first:len(d.legs):len(d.legs)]
	d.request(q)
}

func (d *decoder) resolve(c *cursor) {
	q := bank.Request{Op: bank.Resolve}
	for c.next() {
		switch c.number {
		case 1:
			q.ID = c.id()
		case 2:
			q.Fingerprint = c.id()
		default:
			c.unknown()
		}
	}
	d.request(q)
}

func legOf(c *cursor) (leg transfer.Leg) {
	for c.next() {
		switch c.number {
		case 1:
			leg.Account = transfer.AccountID(c.string())
		case 2:
			leg.Direction = transfer.Direction(c.small())
		case 3:
			leg.AmountMinor = int64(c.uint())
		case 4:
			leg.Currency = transfer.Currency(c.string())
		default:
			c.unknown()
		}
	}
	return leg
}

func (d *decoder) open(c *cursor) {
	var t bank.Terms
	for c.next() {
		switch c.number {
		case 1:
			t.ID = transfer.AccountID(c.string())
		case 2:
			t.Currency = transfer.Currency(c.string())
		case 3:
			t.OverdraftMinor = int64(c.uint())
		case 4:
			t.Unlimited = c.bool()
		default:
			c.unknown()
		}
	}
	d.terms = append(d.terms, t)
	d.commands = append(d.commands, Command{Open: &d.terms[len(d.terms)-1]})
}
