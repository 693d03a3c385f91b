package ledger

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/room"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/transfer"
)

// The versions of log entries: proto/quorate/store/v1/ledger.proto describes them. An entry is written in the first that has all it needs, so
// that a replica of an older release stops at the first entry that it can't obey and not before.
const (
	entryVersion       = 1
	entryVersionChange = 2 // has Changes
	entryVersionHold   = 3 // has prepares of clients' holds, or commits in part, and perhaps Changes
)

func versionOf(commands []Command) uint64 {
	version := uint64(entryVersion)
	for i := range commands {
		switch c := &commands[i]; {
		case c.Request != nil && (isForClient(c.Request) || isInPart(c.Request)):
			return entryVersionHold
		case c.Change != nil:
			version = entryVersionChange
		}
	}
	return version
}

func isForClient(q *bank.Request) bool { return q.Op == bank.Prepare && !q.HoldUntil.IsZero() }

func isInPart(q *bank.Request) bool { return q.Op == bank.Commit && len(q.CapturedMinor) > 0 }

// Encode makes one log entry: the same commands at the same time are the same bytes, on every machine and in every release.
// `at` is kept to the nanosecond, in UTC; it lies between the years 1678 and 2262. Leg.Bank is left out: a
// ledger is one bank, and who routes a request to it has looked at the name already.
func Encode(at time.Time, commands []Command) []byte { return AppendEntry(nil, at, commands) }

// AppendEntry appends what Encode makes.
func AppendEntry(b []byte, at time.Time, commands []Command) []byte {
	b = wire.AppendUint(b, 1, versionOf(commands))
	b = wire.AppendFixed(b, 2, uint64(at.UnixNano()))
	for i := range commands {
		var mark int
		b, mark = wire.OpenMessage(b, 3)
		b = appendCommand(b, &commands[i])
		b = wire.CloseMessage(b, mark)
	}
	return b
}

func appendCommand(b []byte, c *Command) []byte {
	if c.Change != nil {
		invariant.Holds(c.Request == nil && c.Open == nil, "a command is one of a request, an account to open and a change")
		return appendChange(b, c.Change)
	}
	invariant.Holds((c.Request == nil) != (c.Open == nil), "a command is either a request or an account to open")
	if c.Open != nil {
		b, mark := wire.OpenMessage(b, 5)
		b = wire.AppendText(b, 1, string(c.Open.ID))
		b = wire.AppendText(b, 2, string(c.Open.Currency))
		b = wire.AppendUint(b, 3, uint64(c.Open.OverdraftMinor))
		b = wire.AppendBool(b, 4, c.Open.Unlimited)
		return wire.CloseMessage(b, mark)
	}
	switch c.Request.Op {
	case bank.Prepare:
		b, mark := wire.OpenMessage(b, 1)
		b = appendPrepare(b, c.Request)
		return wire.CloseMessage(b, mark)
	case bank.Resolve:
		b, mark := wire.OpenMessage(b, 4)
		b = wire.AppendBytes(b, 1, c.Request.ID[:])
		b = wire.AppendBytes(b, 2, c.Request.Fingerprint[:])
		return wire.CloseMessage(b, mark)
	case bank.Commit, bank.Rollback:
		if isInPart(c.Request) {
			b, mark := wire.OpenMessage(b, 7)
			b = wire.AppendBytes(b, 1, c.Request.ID[:])
			for _, amount := range c.Request.CapturedMinor {
				b = wire.AppendElement(b, 2, uint64(amount))
			}
			return wire.CloseMessage(b, mark)
		}
		return wire.AppendBytes(b, wire.Field(c.Request.Op), c.Request.ID[:])
	default:
		invariant.Fail("no log entry can carry operation %d", c.Request.Op)
		return nil
	}
}

func appendChange(b []byte, c *bank.Change) []byte {
	b, mark := wire.OpenMessage(b, 6)
	b = wire.AppendText(b, 1, string(c.Account))
	b = wire.AppendUint(b, 2, uint64(c.Kind))
	b = wire.AppendUint(b, 3, uint64(c.OverdraftMinor))
	b = wire.AppendBool(b, 4, c.Unlimited)
	return wire.CloseMessage(b, mark)
}

func appendPrepare(b []byte, q *bank.Request) []byte {
	b = wire.AppendBytes(b, 1, q.ID[:])
	b = wire.AppendBytes(b, 2, q.Fingerprint[:])
	for i := range q.Legs {
		leg := &q.Legs[i]
		var mark int
		b, mark = wire.OpenMessage(b, 3)
		b = wire.AppendText(b, 1, string(leg.Account))
		b = wire.AppendUint(b, 2, uint64(leg.Direction))
		b = wire.AppendUint(b, 3, uint64(leg.AmountMinor))
		b = wire.AppendText(b, 4, string(leg.Currency))
		b = wire.CloseMessage(b, mark)
	}
	b = wire.AppendText(b, 4, q.Reference)
	if isForClient(q) {
		b = wire.AppendFixed(b, 5, uint64(q.HoldUntil.UnixNano()))
	}
	return b
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
	changes  []bank.Change
	legs     []transfer.Leg
}

// decoderKeeps: so much room of each kind is kept, however little the next entry needs.
const decoderKeeps = 1 << 12

func (d *decoder) decode(data []byte) (at time.Time, commands []Command, err error) {
	n := wire.CountMessages(data, 3)
	d.commands = room.Grown(d.commands, n, decoderKeeps) // commands point at requests and terms: these mustn't move
	d.requests = room.Grown(d.requests, n, decoderKeeps)
	d.terms = room.Grown(d.terms, n, decoderKeeps)
	d.changes = room.Grown(d.changes, 0, decoderKeeps)
	d.legs = room.Grown(d.legs, 0, decoderKeeps)
	c := wire.NewCursor(data)
	var version, nanos uint64
	for c.Next() {
		switch c.Number {
		case 1:
			version = c.Uint()
		case 2:
			nanos = c.Fixed()
		case 3:
			m := c.Message()
			d.command(&m)
			c.Join(&m)
		default:
			c.Unknown()
		}
	}
	if needed := versionOf(d.commands); c.Err == nil && version != needed {
		c.Err = fmt.Errorf("%w: version %d, its commands are of version %d, known are 1 to %d", wire.ErrDamaged, version, needed, entryVersionHold)
	}
	if c.Err != nil {
		return time.Time{}, nil, fmt.Errorf("read log entry of %d bytes: %w", len(data), c.Err)
	}
	return timeOf(int64(nanos)), d.commands, nil
}

func (d *decoder) command(c *wire.Cursor) {
	bodies := 0
	for c.Next() {
		if bodies++; bodies > 1 {
			break
		}
		switch c.Number {
		case 1:
			m := c.Message()
			d.prepare(&m)
			c.Join(&m)
		case 2, 3:
			d.request(bank.Request{Op: bank.Op(c.Number), ID: c.ID()})
		case 4:
			m := c.Message()
			d.resolve(&m)
			c.Join(&m)
		case 5:
			m := c.Message()
			d.open(&m)
			c.Join(&m)
		case 6:
			m := c.Message()
			d.change(&m)
			c.Join(&m)
		case 7:
			m := c.Message()
			d.capture(&m)
			c.Join(&m)
		default:
			c.Unknown()
		}
	}
	if bodies != 1 {
		c.Damage("a command has %d bodies instead of one", bodies)
	}
}

func (d *decoder) request(q bank.Request) {
	d.requests = append(d.requests, q)
	d.commands = append(d.commands, Command{Request: &d.requests[len(d.requests)-1]})
}

func (d *decoder) prepare(c *wire.Cursor) {
	q := bank.Request{Op: bank.Prepare}
	first := len(d.legs)
	for c.Next() {
		switch c.Number {
		case 1:
			q.ID = c.ID()
		case 2:
			q.Fingerprint = c.ID()
		case 3:
			m := c.Message()
			d.legs = append(d.legs, legOf(&m))
			c.Join(&m)
		case 4:
			q.Reference = c.Text()
		case 5:
			if nanos := c.Fixed(); nanos != 0 {
				q.HoldUntil = timeOf(int64(nanos))
			}
		default:
			c.Unknown()
		}
	}
	// If legs grow into a new array later, this request keeps the old one, with the same content.
	q.Legs = d.legs[first:len(d.legs):len(d.legs)]
	d.request(q)
}

func (d *decoder) capture(c *wire.Cursor) {
	q := bank.Request{Op: bank.Commit}
	for c.Next() {
		switch c.Number {
		case 1:
			q.ID = c.ID()
		case 2:
			q.CapturedMinor = append(q.CapturedMinor, c.Amount())
			c.Again()
		default:
			c.Unknown()
		}
	}
	if len(q.CapturedMinor) == 0 {
		c.Damage("a commit in part of nothing")
	}
	d.request(q)
}

func (d *decoder) resolve(c *wire.Cursor) {
	q := bank.Request{Op: bank.Resolve}
	for c.Next() {
		switch c.Number {
		case 1:
			q.ID = c.ID()
		case 2:
			q.Fingerprint = c.ID()
		default:
			c.Unknown()
		}
	}
	d.request(q)
}

func legOf(c *wire.Cursor) (leg transfer.Leg) {
	for c.Next() {
		switch c.Number {
		case 1:
			leg.Account = transfer.AccountID(c.Text())
		case 2:
			leg.Direction = transfer.Direction(c.Small())
		case 3:
			leg.AmountMinor = int64(c.Uint())
		case 4:
			leg.Currency = transfer.Currency(c.Text())
		default:
			c.Unknown()
		}
	}
	return leg
}

func (d *decoder) open(c *wire.Cursor) {
	var t bank.Terms
	for c.Next() {
		switch c.Number {
		case 1:
			t.ID = transfer.AccountID(c.Text())
		case 2:
			t.Currency = transfer.Currency(c.Text())
		case 3:
			t.OverdraftMinor = int64(c.Uint())
		case 4:
			t.Unlimited = c.Bool()
		default:
			c.Unknown()
		}
	}
	d.terms = append(d.terms, t)
	d.commands = append(d.commands, Command{Open: &d.terms[len(d.terms)-1]})
}

func (d *decoder) change(c *wire.Cursor) {
	var change bank.Change
	for c.Next() {
		switch c.Number {
		case 1:
			change.Account = transfer.AccountID(c.Text())
		case 2:
			change.Kind = bank.ChangeKind(c.Bounded(uint64(bank.SetLimit)))
		case 3:
			change.OverdraftMinor = int64(c.Uint())
		case 4:
			change.Unlimited = c.Bool()
		default:
			c.Unknown()
		}
	}
	if change.Kind == 0 || (change.Kind != bank.SetLimit && (change.OverdraftMinor != 0 || change.Unlimited)) {
		c.Damage("change %d with a limit of %d, unlimited %t", change.Kind, change.OverdraftMinor, change.Unlimited)
	}
	// A command keeps its own copy's address if changes grow into a new array later.
	d.changes = append(d.changes, change)
	d.commands = append(d.commands, Command{Change: &d.changes[len(d.changes)-1]})
}
