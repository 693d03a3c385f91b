package coordinator

import (
	"errors"
	"fmt"
	"time"

	"github.com/quorate/quorate/internal/room"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/transfer"
)

// The versions that entries and records may have, as proto/quorate/store/v1/coordinator.proto describes them. A reader refuses a newer one,
// and skips fields that it doesn't know. What holds need has a version of its own, for a build that knows none would
// commit one, and so has the entry that begins to number transfers, for a build that doesn't number would lose count. Everything else stays as it was.
const (
	formatVersion  = 1
	holdsVersion   = 2
	numbersVersion = 3 // of entries only
	runsVersion    = 2 // of places only: there are more than one in a record
)

func versionOf(facts []Fact) uint64 {
	version := uint64(formatVersion)
	for i := range facts {
		switch f := &facts[i]; {
		case f.Number:
			return numbersVersion
		case f.Hold != nil || f.Stage != nil && f.Stage.IsHold() || f.Decide != nil && f.Decide.CapturedMinor != nil:
			version = holdsVersion
		}
	}
	return version
}

// ErrDamaged says that stored bytes can't be what was written.
var ErrDamaged = errors.New("coordinator: damaged bytes")

// ErrNewerFormat says that bytes were written by a newer version of Quorate.
var ErrNewerFormat = errors.New("coordinator: bytes of a newer format")

// Encode makes one log entry of facts, proposed at the leader's time.
func Encode(at time.Time, facts []Fact) []byte { return AppendEntry(nil, at, facts) }

// AppendEntry appends what Encode makes.
func AppendEntry(b []byte, at time.Time, facts []Fact) []byte {
	b = wire.AppendUint(b, 1, versionOf(facts))
	b = wire.AppendSint(b, 2, at.UnixNano())
	for i := range facts {
		var mark int
		b, mark = wire.OpenMessage(b, 3)
		b = appendFact(b, &facts[i])
		b = wire.CloseMessage(b, mark)
	}
	return b
}

func appendFact(b []byte, f *Fact) []byte {
	var mark int
	switch {
	case f.Stage != nil:
		b, mark = wire.OpenMessage(b, 1)
		b = appendTransfer(b, f.Stage)
	case f.Decide != nil:
		b, mark = wire.OpenMessage(b, 2)
		b = appendDecision(b, f.Decide)
	case f.Hold != nil:
		b, mark = wire.OpenMessage(b, 4)
		b = wire.AppendBytes(b, 1, f.Hold[:])
	case f.Number:
		b, mark = wire.OpenMessage(b, 5)
	default:
		b, mark = wire.OpenMessage(b, 3)
		for i := range f.Settle {
			b = wire.AppendBytes(b, 1, f.Settle[i][:])
		}
	}
	return wire.CloseMessage(b, mark)
}

func appendDecision(b []byte, d *Decision) []byte {
	b = wire.AppendBytes(b, 1, d.ID[:])
	b = wire.AppendUint(b, 2, uint64(d.State))
	b = wire.AppendText(b, 3, string(d.Reason.Code))
	b = wire.AppendText(b, 4, string(d.Reason.Bank))
	b = wire.AppendText(b, 5, d.Reason.Detail)
	b = wire.AppendSint(b, 6, d.At.UnixNano())
	b = wire.AppendBool(b, 7, d.Tombstone)
	b = wire.AppendShortfall(b, 8, d.Reason.Shortfall)
	return appendAmounts(b, 9, d.CapturedMinor)
}

func appendAmounts(b []byte, number wire.Field, amounts []int64) []byte {
	for _, amount := range amounts {
		b = wire.AppendElement(b, number, uint64(amount))
	}
	return b
}

// appendTransfer writes a zero deadline (a tombstone has none) as zero.
func appendTransfer(b []byte, t *transfer.Transfer) []byte {
	b = wire.AppendBytes(b, 1, t.ID[:])
	for i := range t.Legs {
		l := &t.Legs[i]
		var mark int
		b, mark = wire.OpenMessage(b, 2)
		b = wire.AppendText(b, 1, string(l.Bank))
		b = wire.AppendText(b, 2, string(l.Account))
		b = wire.AppendUint(b, 3, uint64(l.Direction))
		b = wire.AppendUint(b, 4, uint64(l.AmountMinor))
		b = wire.AppendText(b, 5, string(l.Currency))
		b = wire.CloseMessage(b, mark)
	}
	if !t.Deadline.IsZero() {
		b = wire.AppendSint(b, 3, t.Deadline.UnixNano())
	}
	b = wire.AppendText(b, 4, t.Reference)
	if t.IsHold() {
		b = wire.AppendSint(b, 5, t.HoldUntil.UnixNano())
	}
	return b
}

// Decode reads one log entry. Every id, amount and state is checked: bytes from a disk or a peer are not trusted.
func Decode(data []byte) (at time.Time, facts []Fact, err error) {
	var d decoder
	return d.decode(data)
}

// decoder keeps its room from one log entry to the next, so that facts cost no allocation each. What it returned is overwritten by the next decode, but not
// what the facts refer to: legs, amounts and strings.
type decoder struct {
	facts     []Fact
	stages    []transfer.Transfer // of facts, which point at them: none of the two ever grows
	decisions []Decision
	legs      []transfer.Leg // the last ones that were read; behind them is room for more
}

const (
	decoderKeeps = 1 << 11 // so much room for facts is kept, however few the next entry has
	legsAtOnce   = 1 << 6  // that room is made for
)

func (d *decoder) decode(data []byte) (at time.Time, facts []Fact, err error) {
	n := wire.CountMessages(data, 3)
	d.facts = room.Grown(d.facts, n, decoderKeeps)
	d.stages = room.Grown(d.stages, n, decoderKeeps)
	d.decisions = room.Grown(d.decisions, n, decoderKeeps)
	at = timeOf(0)
	c := wire.NewCursor(data)
	var version uint64
	for c.Next() {
		switch c.Number {
		case 1:
			if version = c.Uint(); version > numbersVersion {
				return time.Time{}, nil, checkVersion(version, numbersVersion) // what follows may mean anything
			}
		case 2:
			at = timeOf(c.Sint())
		case 3:
			m := c.Message()
			d.facts = append(d.facts, d.fact(&m))
			c.Join(&m)
		default:
			c.Skip()
		}
	}
	if err := failure(&c, version, numbersVersion); err != nil {
		return time.Time{}, nil, err
	}
	return at, d.facts, nil
}

// failure says what is wrong with an entry, a record or a place that has been read, of which this build reads versions up to newest.
func failure(c *wire.Cursor, version, newest uint64) error {
	if c.Err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, c.Err)
	}
	return checkVersion(version, newest)
}

func checkVersion(version, newest uint64) error {
	if version > newest {
		return fmt.Errorf("%w: version %d, this build reads %d", ErrNewerFormat, version, newest)
	}
	if version == 0 {
		return fmt.Errorf("%w: version %d", ErrDamaged, version)
	}
	return nil
}

func timeOf(unixNano int64) time.Time { return time.Unix(0, unixNano).UTC() }

func (d *decoder) fact(c *wire.Cursor) (f Fact) {
	bodies := 0
	for c.Next() {
		m := c.Message()
		switch c.Number {
		case 1:
			d.stages = append(d.stages, d.stage(&m))
			f.Stage = &d.stages[len(d.stages)-1]
		case 2:
			d.decisions = append(d.decisions, decodeDecision(&m))
			f.Decide = &d.decisions[len(d.decisions)-1]
		case 3:
			f.Settle = decodeSettlement(&m)
		case 4:
			f.Hold = decodeHeld(&m)
		case 5:
			f.Number = true
			for m.Next() {
				m.Skip()
			}
		default:
			c.Damage("a fact of kind %d", c.Number)
		}
		bodies++
		c.Join(&m)
	}
	if bodies != 1 {
		c.Damage("a fact with %d bodies instead of one", bodies)
	}
	return f
}

func (d *decoder) stage(c *wire.Cursor) transfer.Transfer {
	if cap(d.legs)-len(d.legs) < legsUsual {
		d.legs = make([]transfer.Leg, 0, legsAtOnce)
	}
	behind := d.legs[len(d.legs):]
	t := decodeTransfer(c, behind)
	if n := len(t.Legs); n <= cap(behind) { // else they are elsewhere
		d.legs = d.legs[:len(d.legs)+n]
		t.Legs = t.Legs[:n:n]
	}
	if c.Err != nil {
		return t
	}
	// A currency that this build doesn't know was known to the one that accepted it: every replica must read the same log.
	if err := t.Validate(); err != nil && !errors.Is(err, transfer.ErrInvalidCurrency) {
		c.Damage("staged transfer %s: %w", t.ID, err)
	}
	return t
}

// legsUsual: most transfers have as many.
const legsUsual = 2

// decodeTransfer puts the legs into the room behind those given, if there is enough.
func decodeTransfer(c *wire.Cursor, legs []transfer.Leg) (t transfer.Transfer) {
	for c.Next() {
		switch c.Number {
		case 1:
			t.ID = c.ID()
		case 2:
			if t.Legs == nil {
				t.Legs = legs
			}
			m := c.Message()
			t.Legs = append(t.Legs, decodeLeg(&m))
			c.Join(&m)
		case 3:
			t.Deadline = timeOf(c.Sint())
		case 4:
			t.Reference = c.Text()
		case 5:
			t.HoldUntil = timeOf(c.Sint())
		default:
			c.Skip()
		}
	}
	if t.ID == (transfer.ID{}) {
		c.Damage("a transfer without an id")
	}
	return t
}

func decodeLeg(c *wire.Cursor) (l transfer.Leg) {
	for c.Next() {
		switch c.Number {
		case 1:
			l.Bank = transfer.BankID(c.Text())
		case 2:
			l.Account = transfer.AccountID(c.Text())
		case 3:
			l.Direction = transfer.Direction(c.Small())
		case 4:
			l.AmountMinor = int64(c.Uint())
		case 5:
			l.Currency = transfer.Currency(c.Text())
		default:
			c.Skip()
		}
	}
	return l
}

func decodeDecision(c *wire.Cursor) Decision {
	d := Decision{At: timeOf(0)}
	for c.Next() {
		switch c.Number {
		case 1:
			d.ID = c.ID()
		case 2:
			d.State = transfer.State(c.Small())
		case 3:
			d.Reason.Code = transfer.Code(c.Text())
		case 4:
			d.Reason.Bank = transfer.BankID(c.Text())
		case 5:
			d.Reason.Detail = c.Text()
		case 6:
			d.At = timeOf(c.Sint())
		case 7:
			d.Tombstone = c.Bool()
		case 8:
			d.Reason.Shortfall = c.Shortfall()
		case 9:
			d.CapturedMinor = append(d.CapturedMinor, c.Amount())
			c.Again()
		default:
			c.Skip()
		}
	}
	if d.ID == (transfer.ID{}) || !d.State.Decided() || (d.State == transfer.Aborted && d.CapturedMinor != nil) {
		c.Damage("decision %d for %s", d.State, d.ID)
	}
	// The first builds wrote no tombstone that wasn't the answer to a bank's inquiry, and marked it by its reason alone.
	d.Tombstone = d.Tombstone || d.Reason.Code == transfer.ErrOrphaned.Code
	return d
}

func decodeHeld(c *wire.Cursor) *transfer.ID {
	var id transfer.ID
	for c.Next() {
		if c.Number == 1 {
			id = c.ID()
		} else {
			c.Skip()
		}
	}
	if id == (transfer.ID{}) {
		c.Damage("nobody is held")
	}
	return &id
}

func decodeSettlement(c *wire.Cursor) []transfer.ID {
	ids := []transfer.ID{}
	for c.Next() {
		if c.Number != 1 {
			c.Skip()
			continue
		}
		id := transfer.ID(c.ID())
		if id == (transfer.ID{}) {
			c.Damage("a settlement of nobody")
		}
		ids = append(ids, id)
		c.Again()
	}
	return ids
}

func appendRecord(b []byte, r *Record) []byte {
	version := uint64(formatVersion)
	if r.Transfer.IsHold() {
		version = holdsVersion
	}
	b = wire.AppendUint(b, 1, version)
	b, mark := wire.OpenMessage(b, 2)
	b = appendTransfer(b, &r.Transfer)
	b = wire.CloseMessage(b, mark)
	b = wire.AppendBytes(b, 3, r.Fingerprint[:])
	b = wire.AppendUint(b, 4, uint64(r.State))
	b = wire.AppendText(b, 5, string(r.Reason.Code))
	b = wire.AppendText(b, 6, string(r.Reason.Bank))
	b = wire.AppendText(b, 7, r.Reason.Detail)
	b = wire.AppendBool(b, 8, r.Settled)
	b = wire.AppendSint(b, 9, r.CreatedAt.UnixNano())
	if r.State.Decided() {
		b = wire.AppendSint(b, 10, r.DecidedAt.UnixNano())
	}
	b = wire.AppendShortfall(b, 11, r.Reason.Shortfall)
	return appendAmounts(b, 12, r.CapturedMinor)
}

func decodeRecord(data []byte) (*Record, error) {
	r := &Record{CreatedAt: timeOf(0), DecidedAt: timeOf(0)}
	c := wire.NewCursor(data)
	var version uint64
	marked := false
	for c.Next() {
		switch c.Number {
		case 1:
			if version = c.Uint(); version > holdsVersion {
				return nil, checkVersion(version, holdsVersion)
			}
		case 2:
			m := c.Message()
			r.Transfer = decodeTransfer(&m, make([]transfer.Leg, 0, legsUsual))
			c.Join(&m)
			c.Once()
		case 3:
			r.Fingerprint, marked = c.ID(), true
		case 4:
			r.State = transfer.State(c.Bounded(uint64(transfer.Held)))
		case 5:
			r.Reason.Code = transfer.Code(c.Text())
		case 6:
			r.Reason.Bank = transfer.BankID(c.Text())
		case 7:
			r.Reason.Detail = c.Text()
		case 8:
			r.Settled = c.Bool()
		case 9:
			r.CreatedAt = timeOf(c.Sint())
		case 10:
			r.DecidedAt = timeOf(c.Sint())
		case 11:
			r.Reason.Shortfall = c.Shortfall()
		case 12:
			r.CapturedMinor = append(r.CapturedMinor, c.Amount())
			c.Again()
		default:
			c.Skip()
		}
	}
	if !r.State.Decided() {
		r.DecidedAt = time.Time{}
	}
	if (r.State == transfer.Held && !r.Transfer.IsHold()) || (r.CapturedMinor != nil && len(r.CapturedMinor) != len(r.Transfer.Legs)) {
		c.Damage("a record of %s, held or captured in part: %d amounts for %d legs", r.Transfer.ID, len(r.CapturedMinor), len(r.Transfer.Legs))
	}
	if r.State < transfer.Pending || !marked || r.Transfer.ID == (transfer.ID{}) {
		c.Damage("a record of %s in state %d, fingerprint: %t", r.Transfer.ID, r.State, marked)
	}
	if err := failure(&c, version, holdsVersion); err != nil {
		return nil, err
	}
	r.digest = r.hash()
	return r, nil
}
