package ledger

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// The keys of a bank, below whatever the host puts in front. Ids that are numbers are big-endian, so that
// keys sort as the numbers do.
//
//	key              value            one for each
//	a <account id>   LedgerAccount    account
//	e <seq, 8 bytes> LedgerEntry      journal entry
//	f <id, 16 bytes> LedgerFinished   transfer that has ended here, for ever
//	h <id, 16 bytes> LedgerHold       transfer that is prepared and undecided; read in full at start
//	m                LedgerMeta       bank
//	t <currency>     LedgerTotal      currency; read in full at start
const (
	keyAccount  = 'a'
	keyEntry    = 'e'
	keyFinished = 'f'
	keyHold     = 'h'
	keyMeta     = 'm'
	keyTotal    = 't'
)

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
	b = appendText(b, 1, string(a.Currency))
	b = appendUint(b, 2, uint64(a.OverdraftMinor))
	b = appendBool(b, 3, a.Unlimited)
	b = appendSint(b, 4, a.PostedMinor)
	b = appendUint(b, 5, uint64(a.HeldMinor))
	b = appendUint(b, 6, uint64(a.IncomingMinor))
	return appendUint(b, 7, uint64(a.Status))
}

func decodeAccount(id transfer.AccountID, value []byte) (bank.Account, error) {
	a := bank.Account{Terms: bank.Terms{ID: id}}
	c := newCursor(value)
	for c.next() {
		switch c.number {
		case 1:
			a.Currency = transfer.Currency(c.string())
		case 2:
			a.OverdraftMinor = c.amount()
		case 3:
			a.Unlimited = c.bool()
		case 4:
			a.PostedMinor = c.sint()
		case 5:
			a.HeldMinor = c.amount()
		case 6:
			a.IncomingMinor = c.amount()
		case 7:
			a.Status = bank.AccountStatus(c.bounded(uint64(bank.Closed)))
		default:
			c.unknown()
		}
	}
	if a.Status == 0 || !isCurrencyCode(a.Currency) {
		c.damage("status %d, currency %.8q", a.Status, a.Currency)
	}
	if !inRange(a.PostedMinor, a.HeldMinor, a.IncomingMinor) {
		c.damage("posted %d, held %d, incoming %d", a.PostedMinor, a.HeldMinor, a.IncomingMinor)
	}
	return a, c.failure("account", string(id))
}

// amount reads an amount that is never negative.
func (c *cursor) amount() int64 { return int64(c.bounded(math.MaxInt64)) }

// failure is the error of a record: what it is and which one.
func (c *cursor) failure(record, name string) error {
	if c.err == nil {
		return nil
	}
	return fmt.Errorf("read %s record %s: %w", record, name, c.err)
}

func appendHold(b []byte, h *hold) []byte {
	b = appendBytes(b, 1, h.fingerprint[:])
	b = appendFixed(b, 2, uint64(h.preparedNanos))
	b = appendUint(b, 3, h.index)
	b = appendUint(b, 4, uint64(h.ordinal))
	for i := range h.legs {
		var mark int
		b, mark = openMessage(b, 5)
		b = appendText(b, 1, string(h.legs[i].account.ID))
		b = appendSint(b, 2, h.legs[i].amountMinor)
		b = closeMessage(b, mark)
	}
	return appendText(b, 6, h.reference)
}

// storedLeg is a holdLeg whose account hasn't been found yet.
type storedLeg struct {
	account     transfer.AccountID
	amountMinor int64
}

func decodeHold(id transfer.ID, value []byte) (*hold, []storedLeg, error) {
	h := &hold{id: id, stored: true}
	var legs []storedLeg
	c := newCursor(value)
	for c.next() {
		switch c.number {
		case 1:
			h.fingerprint = c.id()
		case 2:
			h.preparedNanos = int64(c.fixed())
		case 3:
			h.index = c.uint()
		case 4:
			h.ordinal = uint32(c.bounded(math.MaxUint32))
		case 5:
			m := c.message()
			legs = append(legs, decodeHoldLeg(&m))
			c.join(&m)
		case 6:
			h.reference = c.string()
		default:
			c.unknown()
		}
	}
	if len(legs) == 0 {
		c.damage("no legs")
	}
	return h, legs, c.failure("hold", id.String())
}

func decodeHoldLeg(c *cursor) (leg storedLeg) {
	for c.next() {
		switch c.number {
		case 1:
			leg.account = transfer.AccountID(c.string())
		case 2:
			leg.amountMinor = c.sint()
		default:
			c.unknown()
		}
	}
	if leg.amountMinor == 0 || leg.amountMinor == math.MinInt64 {
		c.damage("amount %d", leg.amountMinor)
	}
	return leg
}

func appendFinished(b []byte, f *finished) []byte {
	b = appendUint(b, 1, uint64(f.state))
	if f.prepared {
		b = appendBytes(b, 2, f.fingerprint[:])
	}
	b = appendUint(b, 3, f.index)
	if f.reason != nil {
		b = appendText(b, 4, string(f.reason.Code))
		b = appendText(b, 5, f.reason.Detail)
		b = appendShortfall(b, f.reason.Shortfall)
	}
	return b
}

func appendShortfall(b []byte, s *transfer.Shortfall) []byte {
	if s == nil {
		return b
	}
	b, mark := openMessage(b, 6)
	b = appendText(b, 1, string(s.Account))
	b = appendText(b, 2, string(s.Currency))
	b = appendSint(b, 3, s.AvailableMinor)
	b = appendUint(b, 4, uint64(s.NeededMinor))
	return closeMessage(b, mark)
}

func decodeFinished(id transfer.ID, value []byte) (finished, error) {
	f := finished{id: id}
	var reason transfer.Reason
	c := newCursor(value)
	for c.next() {
		switch c.number {
		case 1:
			f.state = finishedState(c.bounded(uint64(rolledBack)))
		case 2:
			f.fingerprint, f.prepared = c.id(), true
		case 3:
			f.index = c.uint()
		case 4:
			reason.Code = transfer.Code(c.string())
		case 5:
			reason.Detail = c.string()
		case 6:
			m := c.message()
			reason.Shortfall = decodeShortfall(&m)
			c.join(&m)
			c.again = false
		default:
			c.unknown()
		}
	}
	if f.state == 0 || (f.state == refused) != (reason.Code != "") || (f.state != refused && reason.Shortfall != nil) || (f.state != rolledBack && !f.prepared) {
		c.damage("state %d, reason %.32q, fingerprint known: %t", f.state, reason.Code, f.prepared)
	}
	if f.state == refused {
		f.reason = &reason
	}
	return f, c.failure("finished", id.String())
}

func decodeShortfall(c *cursor) *transfer.Shortfall {
	s := &transfer.Shortfall{}
	for c.next() {
		switch c.number {
		case 1:
			s.Account = transfer.AccountID(c.string())
		case 2:
			s.Currency = transfer.Currency(c.string())
		case 3:
			s.AvailableMinor = c.sint()
		case 4:
			s.NeededMinor = c.amount()
		default:
			c.unknown()
		}
	}
	return s
}

func appendEntry(b []byte, e *bank.Entry) []byte {
	b = appendBytes(b, 1, e.Transfer[:])
	b = appendText(b, 2, string(e.Account))
	b = appendText(b, 3, string(e.Currency))
	b = appendSint(b, 4, e.AmountMinor)
	b = appendSint(b, 5, e.BalanceMinor)
	b = appendFixed(b, 6, uint64(e.At.UnixNano()))
	return appendText(b, 7, e.Reference)
}

func decodeEntry(key, value []byte) (bank.Entry, error) {
	var e bank.Entry
	var nanos uint64
	c := newCursor(value)
	if len(key) == 9 {
		e.Seq = binary.BigEndian.Uint64(key[1:])
	} else {
		c.damage("key of %d bytes", len(key))
	}
	for c.next() {
		switch c.number {
		case 1:
			e.Transfer = c.id()
		case 2:
			e.Account = transfer.AccountID(c.string())
		case 3:
			e.Currency = transfer.Currency(c.string())
		case 4:
			e.AmountMinor = c.sint()
		case 5:
			e.BalanceMinor = c.sint()
		case 6:
			nanos = c.fixed()
		case 7:
			e.Reference = c.string()
		default:
			c.unknown()
		}
	}
	e.At = timeOf(int64(nanos))
	return e, c.failure("journal", fmt.Sprintf("%x", key))
}

func appendTotal(b []byte, t *bank.Total) []byte {
	b = appendSint(b, 1, t.PostedMinor)
	b = appendUint(b, 2, uint64(t.HeldMinor))
	b = appendUint(b, 3, uint64(t.IncomingMinor))
	return appendUint(b, 4, t.Accounts)
}

func decodeTotal(currency transfer.Currency, value []byte) (bank.Total, error) {
	t := bank.Total{Currency: currency}
	c := newCursor(value)
	for c.next() {
		switch c.number {
		case 1:
			t.PostedMinor = c.sint()
		case 2:
			t.HeldMinor = c.amount()
		case 3:
			t.IncomingMinor = c.amount()
		case 4:
			t.Accounts = c.uint()
		default:
			c.unknown()
		}
	}
	if t.Accounts == 0 || !inRange(t.PostedMinor, t.HeldMinor, t.IncomingMinor) {
		c.damage("%d accounts, posted %d, held %d, incoming %d", t.Accounts, t.PostedMinor, t.HeldMinor, t.IncomingMinor)
	}
	return t, c.failure("total", string(currency))
}

func appendMeta(b []byte, l *Ledger) []byte {
	b = appendUint(b, 1, formatVersion)
	b = appendUint(b, 2, l.index)
	b = appendUint(b, 3, l.journal.last)
	return appendFixed(b, 4, l.hash)
}

func (l *Ledger) decodeMeta(value []byte) error {
	var version uint64
	c := newCursor(value)
	for c.next() {
		switch c.number {
		case 1:
			version = c.uint()
		case 2:
			l.index = c.uint()
		case 3:
			l.journal.last = c.uint()
		case 4:
			l.hash = c.fixed()
		default:
			c.unknown()
		}
	}
	if version != formatVersion {
		c.damage("version %d, known is %d", version, formatVersion)
	}
	return c.failure("meta", "m")
}
