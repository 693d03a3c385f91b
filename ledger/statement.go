package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/transfer"
)

// A statement is the journal of one account. Each entry has a line beside it in the store, under the account's name, so that a page
// costs what it shows and not what the bank has. Banks of the first format have lines only since they were opened by a newer
// release: what is older is found by reading the journal.

// A line carries the time that the bank had reached with its entry: the latest of any entry so far. Leaders' clocks differ, so
// entries' own times may go back a little; this one doesn't, and periods that follow one another contain every entry once.

// statementScanMax bounds how many entries or lines one page looks at.
const statementScanMax = 4096

// lineKey is the key of one account's line for an entry. No name contains a zero.
func lineKey(id transfer.AccountID, seq uint64) []byte {
	return appendLineKey(make([]byte, 0, len(id)+10), id, seq)
}

func appendLineKey(b []byte, id transfer.AccountID, seq uint64) []byte {
	b = append(append(append(b, keyLine), id...), 0)
	return binary.BigEndian.AppendUint64(b, seq)
}

func appendLine(b []byte, reachedNanos int64) []byte {
	return wire.AppendFixed(wire.AppendUint(b, 1, lineVersion), 2, uint64(reachedNanos))
}

func decodeLine(key, value []byte) (seq uint64, reachedNanos int64, err error) {
	var version uint64
	c := wire.NewCursor(value)
	if len(key) < 8 {
		c.Damage("key of %d bytes", len(key))
	} else {
		seq = binary.BigEndian.Uint64(key[len(key)-8:])
	}
	for c.Next() {
		switch c.Number {
		case 1:
			version = c.Uint()
		case 2:
			reachedNanos = int64(c.Fixed())
		default:
			c.Unknown()
		}
	}
	if version != lineVersion {
		c.Damage("version %d, known is %d", version, lineVersion)
	}
	if c.Err != nil {
		err = failure(&c, "statement", fmt.Sprintf("%x", key))
	}
	return seq, reachedNanos, err
}

// Statement lists up to limit entries of one account whose Seq is above afterSeq, in their order. With a since, from when the
// bank had reached that time; with an until, before it had. more says to ask again with the returned Seq: the page
// is full, or looked at as much as a page may, and has fewer entries or none. An error means that the reader failed or its records are damaged.
func (l *Ledger) Statement(id transfer.AccountID, afterSeq uint64, since, until time.Time, limit int) (entries []bank.Entry, lastSeq uint64, more bool, err error) {
	if limit <= 0 || transfer.ValidateName(string(id)) != nil {
		return nil, afterSeq, false, nil
	}
	s := statement{ledger: l, account: id, since: math.MinInt64, until: math.MaxInt64, limit: limit, at: afterSeq}
	if !since.IsZero() {
		s.since = since.UnixNano()
	}
	if !until.IsZero() {
		s.until = until.UnixNano()
	}
	for _, part := range []func() error{s.unlined, s.lined, s.inMemory} {
		if err := part(); err != nil {
			return nil, afterSeq, false, err
		}
		if s.full || s.over {
			break
		}
	}
	return s.entries, s.at, s.full, nil
}

// statement is one page under way.
type statement struct {
	ledger       *Ledger
	account      transfer.AccountID
	since, until int64
	limit        int

	entries []bank.Entry
	at      uint64 // nothing of the account up to this Seq is missing from the page
	full    bool   // the page ends here, and there may be more
	over    bool   // the time ends here
}

// take puts an entry on the page if there is room.
func (s *statement) take(e bank.Entry) {
	if len(s.entries) == s.limit {
		s.full = true
		return
	}
	s.entries = append(s.entries, e)
	s.at = e.Seq
}

// unlined reads the part of the journal that has no lines. All of it is in the store.
func (s *statement) unlined() error {
	last := s.ledger.journal.linesFrom - 1
	if s.at >= last {
		return nil
	}
	entries, err := s.ledger.Entries(s.at, int(min(last-s.at, statementScanMax)))
	if err != nil {
		return err
	}
	for i := range entries {
		e := &entries[i]
		if at := e.At.UnixNano(); e.Account == s.account && at >= s.since && at < s.until {
			if s.take(*e); s.full {
				return nil
			}
		}
		s.at = e.Seq
	}
	s.full = s.at < last
	return nil
}

// lined reads what has lines and has left memory.
func (s *statement) lined() error {
	l := s.ledger
	from, end := max(s.at+1, l.journal.linesFrom), l.journal.firstInMemory()
	if l.reader == nil || from >= end {
		return nil
	}
	from, err := s.seek(from, end)
	if err != nil {
		return err
	}
	var damage error
	var seqs []uint64
	err = l.reader.Scan(lineKey(s.account, from), lineKey(s.account, end), func(key, value []byte) bool {
		var seq uint64
		var reached int64
		if seq, reached, damage = decodeLine(key, value); damage != nil {
			return false
		}
		if reached >= s.until {
			s.over = true
			return false
		}
		seqs = append(seqs, seq)
		return len(seqs) <= s.limit
	})
	if err == nil {
		err = damage
	}
	if err != nil {
		return fmt.Errorf("read statement of %s: %w", s.account, err)
	}
	for _, seq := range seqs {
		e, err := l.storedEntry(seq)
		if err == nil && e.Account != s.account {
			err = fmt.Errorf("read statement of %s: %w: entry %d belongs to %.64q", s.account, wire.ErrDamaged, seq, e.Account)
		}
		if err != nil {
			return err
		}
		if s.take(e); s.full {
			return nil
		}
	}
	if !s.over {
		s.at = end - 1
	}
	return nil
}

// seek finds the first Seq from which on the bank had reached since: lines are in the order of that time.
func (s *statement) seek(from, end uint64) (uint64, error) {
	if s.since == math.MinInt64 {
		return from, nil
	}
	low, high := from, end // no line below low has reached since, every one from high on has
	for low < high {
		middle := low + (high-low)/2
		seq, reached, ok, err := s.lineFrom(middle, end)
		switch {
		case err != nil:
			return 0, err
		case !ok || reached >= s.since:
			high = middle
		default:
			low = seq + 1
		}
	}
	return low, nil
}

// lineFrom is the account's first line from a Seq on.
func (s *statement) lineFrom(from, end uint64) (seq uint64, reached int64, ok bool, err error) {
	var damage error
	err = s.ledger.reader.Scan(lineKey(s.account, from), lineKey(s.account, end), func(key, value []byte) bool {
		seq, reached, damage = decodeLine(key, value)
		ok = damage == nil
		return false
	})
	if err == nil {
		err = damage
	}
	if err != nil {
		err = fmt.Errorf("read statement of %s: %w", s.account, err)
	}
	return seq, reached, ok, err
}

// inMemory reads what no durable checkpoint contains. An account with such entries is in the cache.
func (s *statement) inMemory() error {
	j := &s.ledger.journal
	a := s.ledger.cache.byID[s.account]
	if a == nil {
		return nil
	}
	for seq := max(s.at+1, j.firstInMemory()); seq <= j.last; seq++ {
		p := j.posting(seq)
		if p.account != a || p.reachedNanos < s.since {
			continue
		}
		if p.reachedNanos >= s.until {
			s.over = true
			return nil
		}
		if s.take(j.entry(seq)); s.full {
			return nil
		}
	}
	return nil
}

// storedEntry reads one entry that has left memory.
func (l *Ledger) storedEntry(seq uint64) (bank.Entry, error) {
	key := entryKey(seq)
	value, ok, err := l.reader.Get(key)
	if err != nil {
		return bank.Entry{}, fmt.Errorf("read journal entry %d: %w", seq, err)
	}
	if !ok {
		return bank.Entry{}, fmt.Errorf("read journal: %w: entry %d is missing", wire.ErrDamaged, seq)
	}
	return decodeEntry(key, value)
}

// lines compares the lines with the journal: none too many, and missing only those that memory stands for.
func (c *check) lines(entries []bank.Entry) error {
	l := c.ledger
	if l.reader == nil {
		return nil
	}
	type line struct {
		reached int64
		seen    bool
	}
	first := max(1, l.journal.linesFrom)
	entries = entries[min(uint64(len(entries)), first-1):] // Seq counts from 1 without a gap: c.entries has looked
	expected := make([]line, len(entries))
	reached := int64(math.MinInt64)
	for i := range entries {
		reached = max(reached, entries[i].At.UnixNano())
		expected[i].reached = reached
	}
	var damage error
	var own []byte // the key that the line should have
	err := l.reader.Scan([]byte{keyLine}, []byte{keyLine + 1}, func(key, value []byte) bool {
		seq, at, bad := decodeLine(key, value)
		var want line
		known := false
		if i := seq - first; seq >= first && i < uint64(len(entries)) {
			own = appendLineKey(own[:0], entries[i].Account, seq)
			want, known = expected[i], bytes.Equal(own, key) && !expected[i].seen
			expected[i].seen = expected[i].seen || known
		}
		switch {
		case bad != nil:
			damage = bad
		case !known || want.reached != at:
			damage = fmt.Errorf("line %x of entry %d says %d, the journal %d (known: %t)", key, seq, at, want.reached, known)
		}
		return damage == nil
	})
	if err == nil {
		err = damage
	}
	if err != nil {
		return fmt.Errorf("read statements: %w", err)
	}
	for i := range entries {
		if seq := entries[i].Seq; seq < l.journal.firstInMemory() && !expected[i].seen {
			return fmt.Errorf("journal entry %d has no line in its account's statement", seq)
		}
	}
	return nil
}
