package ledger

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/transfer"
)

// The keys of a bank, below whatever the host puts in front. Ids that are numbers are big-endian, so that
// keys sort as the numbers do.
//
//	key              value            one for each
//	a <account id>   LedgerAccount    account
//	e <seq, 8 bytes> LedgerEntry      journal entry, and those just before it
//	f <id, 16 bytes> LedgerFinished   transfer that has ended here, for ever
//	h <id, 16 bytes> LedgerHold       transfer that is prepared and undecided; read in full at start
//	m                LedgerMeta       bank
//	s <account id> 0 <seq, 8 bytes>   LedgerLine: a journal entry of this account, and those just before it
//	t <currency>     LedgerTotal      currency; read in full at start
const (
	keyAccount  = 'a'
	keyEntry    = 'e'
	keyFinished = 'f'
	keyHold     = 'h'
	keyLine     = 's'
	keyMeta     = 'm'
	keyTotal    = 't'
)

// The versions of the state: the first has no lines, and its meta record neither of the last two fields. The second has no
// clients' holds, and is written until there was one: a build that knows none can read it. The third has no runs.
const (
	stateVersionFirst = 1
	stateVersionLines = 2
	stateVersionHolds = 3
	stateVersion      = 4
)

// A run is entries of the journal that follow one another, or lines of one account that do, in one record under the key of the newest: whoever reads forward from the
// key of any of them comes to it first. Much of what a checkpoint costs is its number of keys, and what an account has between two checkpoints is a few dozen lines.
// runMost are in a run.
const runMost = 1 << 5

func accountKey(id transfer.AccountID) []byte {
	return append(append(make([]byte, 0, len(id)+2), keyAccount), id...)
}

func entryKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyEntry}, seq)
}

func finishedKey(id transfer.ID) []byte {
	return append([]byte{keyFinished}, id[:]...)
}

func appendAccount(b []byte, a *bank.Account) []byte {
	b = wire.AppendText(b, 1, string(a.Currency))
	b = wire.AppendUint(b, 2, uint64(a.OverdraftMinor))
	b = wire.AppendBool(b, 3, a.Unlimited)
	b = wire.AppendSint(b, 4, a.PostedMinor)
	b = wire.AppendUint(b, 5, uint64(a.HeldMinor))
	b = wire.AppendUint(b, 6, uint64(a.IncomingMinor))
	return wire.AppendUint(b, 7, uint64(a.Status))
}

func decodeAccount(id transfer.AccountID, value []byte) (bank.Account, error) {
	a := bank.Account{Terms: bank.Terms{ID: id}}
	c := wire.NewCursor(value)
	for c.Next() {
		switch c.Number {
		case 1:
			a.Currency = transfer.Currency(c.Text())
		case 2:
			a.OverdraftMinor = c.Amount()
		case 3:
			a.Unlimited = c.Bool()
		case 4:
			a.PostedMinor = c.Sint()
		case 5:
			a.HeldMinor = c.Amount()
		case 6:
			a.IncomingMinor = c.Amount()
		case 7:
			a.Status = bank.AccountStatus(c.Bounded(uint64(bank.Closed)))
		default:
			c.Unknown()
		}
	}
	if a.Status == 0 || !isCurrencyCode(a.Currency) {
		c.Damage("status %d, currency %.8q", a.Status, a.Currency)
	}
	if !inRange(a.PostedMinor, a.HeldMinor, a.IncomingMinor) {
		c.Damage("posted %d, held %d, incoming %d", a.PostedMinor, a.HeldMinor, a.IncomingMinor)
	}
	return a, failure(&c, "account", string(id))
}

// failure is the error of a record: what it is and which one. A name that has to be made first is made only where there is damage.
func failure(c *wire.Cursor, record, name string) error {
	if c.Err == nil {
		return nil
	}
	return fmt.Errorf("read %s record %s: %w", record, name, c.Err)
}

func appendHold(b []byte, h *hold) []byte {
	b = wire.AppendBytes(b, 1, h.fingerprint[:])
	b = wire.AppendFixed(b, 2, uint64(h.preparedNanos))
	b = wire.AppendUint(b, 3, h.index)
	b = wire.AppendUint(b, 4, uint64(h.ordinal))
	for i := range h.legs {
		var mark int
		b, mark = wire.OpenMessage(b, 5)
		b = wire.AppendText(b, 1, string(h.legs[i].account.ID))
		b = wire.AppendSint(b, 2, h.legs[i].amountMinor)
		b = wire.CloseMessage(b, mark)
	}
	b = wire.AppendText(b, 6, h.reference)
	return wire.AppendFixed(b, 7, uint64(h.untilNanos))
}

// storedLeg is a holdLeg whose account hasn't been found yet.
type storedLeg struct {
	account     transfer.AccountID
	amountMinor int64
}

func decodeHold(id transfer.ID, value []byte) (h *hold, legs []storedLeg, err error) {
	h = &hold{id: id, stored: true}
	c := wire.NewCursor(value)
	for c.Next() {
		switch c.Number {
		case 1:
			h.fingerprint = c.ID()
		case 2:
			h.preparedNanos = int64(c.Fixed())
		case 3:
			h.index = c.Uint()
		case 4:
			h.ordinal = uint32(c.Bounded(math.MaxUint32))
		case 5:
			m := c.Message()
			legs = append(legs, decodeHoldLeg(&m))
			c.Join(&m)
		case 6:
			h.reference = c.Text()
		case 7:
			h.untilNanos = int64(c.Fixed())
		default:
			c.Unknown()
		}
	}
	if len(legs) == 0 {
		c.Damage("no legs")
	}
	if c.Err != nil {
		err = failure(&c, "hold", id.String())
	}
	return h, legs, err
}

func decodeHoldLeg(c *wire.Cursor) (leg storedLeg) {
	for c.Next() {
		switch c.Number {
		case 1:
			leg.account = transfer.AccountID(c.Text())
		case 2:
			leg.amountMinor = c.Sint()
		default:
			c.Unknown()
		}
	}
	if leg.amountMinor == 0 || leg.amountMinor == math.MinInt64 {
		c.Damage("amount %d", leg.amountMinor)
	}
	return leg
}

func appendFinished(b []byte, f *finished) []byte {
	b = wire.AppendUint(b, 1, uint64(f.state))
	if f.prepared {
		b = wire.AppendBytes(b, 2, f.fingerprint[:])
	}
	b = wire.AppendUint(b, 3, f.index)
	if f.reason != nil {
		b = wire.AppendText(b, 4, string(f.reason.Code))
		b = wire.AppendText(b, 5, f.reason.Detail)
		b = wire.AppendShortfall(b, 6, f.reason.Shortfall)
	}
	return b
}

func decodeFinished(id transfer.ID, value []byte) (f finished, err error) {
	f.id = id
	var reason transfer.Reason
	c := wire.NewCursor(value)
	for c.Next() {
		switch c.Number {
		case 1:
			f.state = finishedState(c.Bounded(uint64(rolledBack)))
		case 2:
			f.fingerprint, f.prepared = c.ID(), true
		case 3:
			f.index = c.Uint()
		case 4:
			reason.Code = transfer.Code(c.Text())
		case 5:
			reason.Detail = c.Text()
		case 6:
			reason.Shortfall = c.Shortfall()
		default:
			c.Unknown()
		}
	}
	if f.state == 0 || (f.state == refused) != (reason.Code != "") || (f.state != refused && reason.Shortfall != nil) || (f.state != rolledBack && !f.prepared) {
		c.Damage("state %d, reason %.32q, fingerprint known: %t", f.state, reason.Code, f.prepared)
	}
	if f.state == refused {
		why := reason // most have none, and pay for none
		f.reason = &why
	}
	if c.Err != nil {
		err = failure(&c, "finished", id.String())
	}
	return f, err
}

func appendEntry(b []byte, e *bank.Entry) []byte {
	b = wire.AppendBytes(b, 1, e.Transfer[:])
	b = wire.AppendText(b, 2, string(e.Account))
	b = wire.AppendText(b, 3, string(e.Currency))
	b = wire.AppendSint(b, 4, e.AmountMinor)
	b = wire.AppendSint(b, 5, e.BalanceMinor)
	b = wire.AppendFixed(b, 6, uint64(e.At.UnixNano()))
	return wire.AppendText(b, 7, e.Reference)
}

// appendEntries writes the record of entries that follow one another in memory, from a Seq on.
func (j *journal) appendEntries(b []byte, first uint64, entries int) []byte {
	last := j.entry(first + uint64(entries) - 1)
	b = appendEntry(b, &last)
	for i := range entries - 1 {
		var mark int
		e := j.entry(first + uint64(i))
		b, mark = wire.OpenMessage(b, 8)
		b = appendEntry(b, &e)
		b = wire.CloseMessage(b, mark)
	}
	return b
}

// decodeEntries appends, in their order, those entries of a record that are numbered from a Seq on, so many at most. The others aren't looked at.
func decodeEntries(to []bank.Entry, key, value []byte, from uint64, most int) ([]bank.Entry, error) {
	c := wire.NewCursor(value)
	last := bank.Entry{At: timeOf(0)}
	if len(key) == 9 {
		last.Seq = binary.BigEndian.Uint64(key[1:])
	} else {
		c.Damage("key of %d bytes", len(key))
	}
	before := uint64(wire.CountMessages(value, 8))
	if before >= last.Seq {
		c.Damage("%d entries before number %d", before, last.Seq)
	}
	taken := len(to)
	wanted := last.Seq >= from
	seq := last.Seq - before // of the next of those before
	for c.Next() {
		switch {
		case c.Number < 8 && wanted:
			readEntryField(&c, &last)
		case c.Number == 8 && seq >= from && len(to)-taken < most:
			e := bank.Entry{Seq: seq, At: timeOf(0)}
			m := c.Message()
			for m.Next() {
				readEntryField(&m, &e)
			}
			c.Join(&m)
			to = append(to, e)
			seq++
		case c.Number <= 8:
			if c.Number == 8 {
				seq++
			}
			c.Skip()
		default:
			c.Unknown()
		}
	}
	if wanted && len(to)-taken < most {
		to = append(to, last)
	}
	if c.Err != nil {
		return to, failure(&c, "journal", fmt.Sprintf("%x", key))
	}
	return to, nil
}

func readEntryField(c *wire.Cursor, e *bank.Entry) {
	switch c.Number {
	case 1:
		e.Transfer = c.ID()
	case 2:
		e.Account = transfer.AccountID(c.Text())
	case 3:
		e.Currency = transfer.Currency(c.Text())
	case 4:
		e.AmountMinor = c.Sint()
	case 5:
		e.BalanceMinor = c.Sint()
	case 6:
		e.At = timeOf(int64(c.Fixed()))
	case 7:
		e.Reference = c.Text()
	default:
		c.Unknown()
	}
}

func appendTotal(b []byte, t *bank.Total) []byte {
	b = wire.AppendSint(b, 1, t.PostedMinor)
	b = wire.AppendUint(b, 2, uint64(t.HeldMinor))
	b = wire.AppendUint(b, 3, uint64(t.IncomingMinor))
	return wire.AppendUint(b, 4, t.Accounts)
}

func decodeTotal(currency transfer.Currency, value []byte) (bank.Total, error) {
	t := bank.Total{Currency: currency}
	c := wire.NewCursor(value)
	for c.Next() {
		switch c.Number {
		case 1:
			t.PostedMinor = c.Sint()
		case 2:
			t.HeldMinor = c.Amount()
		case 3:
			t.IncomingMinor = c.Amount()
		case 4:
			t.Accounts = c.Uint()
		default:
			c.Unknown()
		}
	}
	if t.Accounts == 0 || !inRange(t.PostedMinor, t.HeldMinor, t.IncomingMinor) {
		c.Damage("%d accounts, posted %d, held %d, incoming %d", t.Accounts, t.PostedMinor, t.HeldMinor, t.IncomingMinor)
	}
	return t, failure(&c, "total", string(currency))
}

func appendMeta(b []byte, l *Ledger) []byte {
	b = wire.AppendUint(b, 1, l.written)
	b = wire.AppendUint(b, 2, l.index)
	b = wire.AppendUint(b, 3, l.journal.last)
	b = wire.AppendFixed(b, 4, l.hash)
	b = wire.AppendFixed(b, 5, uint64(l.journal.reachedNanos))
	return wire.AppendUint(b, 6, l.journal.linesFrom)
}

func (l *Ledger) decodeMeta(value []byte) error {
	var version uint64
	l.journal.reachedNanos, l.journal.linesFrom = 0, 0
	c := wire.NewCursor(value)
	for c.Next() {
		switch c.Number {
		case 1:
			version = c.Uint()
		case 2:
			l.index = c.Uint()
		case 3:
			l.journal.last = c.Uint()
		case 4:
			l.hash = c.Fixed()
		case 5:
			l.journal.reachedNanos = int64(c.Fixed())
		case 6:
			l.journal.linesFrom = c.Uint()
		default:
			c.Unknown()
		}
	}
	j := &l.journal
	switch version {
	case stateVersionFirst:
		if j.reachedNanos != 0 || j.linesFrom != 0 {
			c.Damage("version 1 has lines from entry %d", j.linesFrom)
		}
		j.startLines(j.last + 1)
	case stateVersionLines, stateVersionHolds, stateVersion:
		l.written = version
		if j.linesFrom == 0 || j.linesFrom-1 > j.last {
			c.Damage("lines from entry %d, the last is %d", j.linesFrom, j.last)
		}
	default:
		c.Damage("version %d, known are 1 to %d", version, stateVersion)
	}
	return failure(&c, "meta", "m")
}
