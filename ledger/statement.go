package ledger

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/transfer"
)

// A statement is the journal of one account. Each entry has a line beside it in the store, under the account's name, so that a page
// costs what it shows and not what the bank has. Banks of the first format have lines only since they were opened by a newer
// release: what is older is found by reading the journal. Lines of one account that come with one checkpoint share records: runs (record.go).

// A line carries the time that the bank had reached with its entry: the latest of any entry so far. Leaders' clocks differ, so
// entries' own times may go back a little; this one doesn't, and periods that follow one another contain every entry once.

// statementScanMax bounds how many entries or lines one page looks at.
const statementScanMax = 4096

// lineKey is the key of one account's line for an entry. No name contains a zero.
func lineKey(id transfer.AccountID, seq uint64) []byte {
	return appendLineKey(make([]byte, 0, len(id)+10), id, seq)
}

// accountOfLines is whose lines are under a key; "" if nobody's can be.
func accountOfLines(key []byte) string {
	if len(key) < 10 || key[0] != keyLine || key[len(key)-9] != 0 {
		return ""
	}
	return string(key[1 : len(key)-9])
}

func appendLineKey(b []byte, id transfer.AccountID, seq uint64) []byte {
	b = append(append(append(b, keyLine), id...), 0)
	return binary.BigEndian.AppendUint64(b, seq)
}

// line is one of a statement: an entry, and the time that the bank had reached with it.
type line struct {
	seq          uint64
	reachedNanos int64
}

// A record with one line is of the first version, which is all that the builds before runs can read.
const (
	lineVersionOne = 1
	lineVersionRun = 2
)

// appendLines writes the record of an account's lines that are sealed, as many as are in a run, from a Seq back. older is the next one; zero: that was all.
func (j *journal) appendLines(b []byte, seq uint64) (record []byte, older uint64, lines int) {
	first := j.firstInMemory()
	p := j.sealed.at(int(seq - first))
	version, lines := uint64(lineVersionOne), 1
	if j.run > 1 && p.before >= first {
		version = lineVersionRun
	}
	b = wire.AppendFixed(wire.AppendUint(b, 1, version), 2, uint64(p.reachedNanos))
	if version == lineVersionRun {
		var mark int
		b, mark = wire.OpenMessage(b, 3)
		for ; lines < j.run && p.before >= first; lines++ {
			q := j.sealed.at(int(p.before - first))
			b = binary.AppendUvarint(b, seq-p.before)
			b = binary.AppendUvarint(b, uint64(p.reachedNanos-q.reachedNanos))
			seq, p = p.before, q
		}
		b = wire.CloseMessage(b, mark)
	}
	if p.before < first {
		return b, 0, lines
	}
	return b, p.before, lines
}

// decodeLines appends the lines of a record, in the order of their entries: without an error there is at least one.
func decodeLines(to []line, key, value []byte) ([]line, error) {
	var version uint64
	var at line
	var before []byte
	c := wire.NewCursor(value)
	if len(key) < 8 {
		c.Damage("key of %d bytes", len(key))
	} else {
		at.seq = binary.BigEndian.Uint64(key[len(key)-8:])
	}
	for c.Next() {
		switch c.Number {
		case 1:
			version = c.Uint()
		case 2:
			at.reachedNanos = int64(c.Fixed())
		case 3:
			before = c.Bytes()
		default:
			c.Unknown()
		}
	}
	if version != lineVersionOne && version != lineVersionRun || (version == lineVersionRun) != (len(before) > 0) {
		c.Damage("version %d, known are %d and %d, with %d bytes of lines before", version, lineVersionOne, lineVersionRun, len(before))
	}
	from := len(to)
	to = append(to, at)
	for c.Err == nil && len(before) > 0 {
		seqs, n := binary.Uvarint(before)
		nanos, m := binary.Uvarint(before[max(n, 0):])
		if n <= 0 || m <= 0 || seqs == 0 || seqs >= at.seq || nanos > math.MaxInt64 || at.reachedNanos-int64(nanos) > at.reachedNanos {
			c.Damage("a line %d numbers and %d ns before that of entry %d", seqs, nanos, at.seq)
			break
		}
		before = before[n+m:]
		at.seq, at.reachedNanos = at.seq-seqs, at.reachedNanos-int64(nanos)
		to = append(to, at)
	}
	slices.Reverse(to[from:])
	if c.Err != nil {
		return to, failure(&c, "statement", fmt.Sprintf("%x", key))
	}
	return to, nil
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

// take puts an entry on the page if there is room. A full page ends with its last entry wherever that was read, so that what
// it says doesn't depend on how much of the journal has left memory.
func (s *statement) take(e bank.Entry) {
	if len(s.entries) == s.limit {
		s.full, s.at = true, s.entries[s.limit-1].Seq
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
	var run []line
	err = l.reader.Scan(lineKey(s.account, from), lineKey(s.account, end), func(key, value []byte) bool {
		if run, damage = decodeLines(run[:0], key, value); damage != nil {
			return false
		}
		for _, one := range run {
			switch {
			case one.seq < from:
				continue
			case one.reachedNanos >= s.until:
				s.over = true
				return false
			}
			if seqs = append(seqs, one.seq); len(seqs) > s.limit {
				return false
			}
		}
		return true
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
		found, ok, err := s.lineFrom(middle, end)
		switch {
		case err != nil:
			return 0, err
		case !ok || found.reachedNanos >= s.since:
			high = middle
		default:
			low = found.seq + 1
		}
	}
	return low, nil
}

// lineFrom is the account's first line from a Seq on.
func (s *statement) lineFrom(from, end uint64) (found line, ok bool, err error) {
	var damage error
	var run []line
	err = s.ledger.reader.Scan(lineKey(s.account, from), lineKey(s.account, end), func(key, value []byte) bool {
		run, damage = decodeLines(run, key, value)
		return false
	})
	if err == nil {
		err = damage
	}
	if err != nil {
		return line{}, false, fmt.Errorf("read statement of %s: %w", s.account, err)
	}
	for _, one := range run { // the last one has the record's key, which is from or above
		if one.seq >= from {
			return one, true, nil
		}
	}
	return line{}, false, nil
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
	entries, err := l.storedEntries(seq-1, 1)
	if err != nil {
		return bank.Entry{}, err
	}
	return entries[0], nil
}

// lines compares the lines with the journal: none too many, and missing only those that memory stands for.
func (c *check) lines(entries []bank.Entry) error {
	l := c.ledger
	if l.reader == nil {
		return nil
	}
	type expectation struct {
		reached int64
		seen    bool
	}
	first := max(1, l.journal.linesFrom)
	entries = entries[min(uint64(len(entries)), first-1):] // Seq counts from 1 without a gap: c.entries has looked
	expected := make([]expectation, len(entries))
	reached := int64(math.MinInt64)
	for i := range entries {
		reached = max(reached, entries[i].At.UnixNano())
		expected[i].reached = reached
	}
	var damage error
	var run []line
	err := l.reader.Scan([]byte{keyLine}, []byte{keyLine + 1}, func(key, value []byte) bool {
		if run, damage = decodeLines(run[:0], key, value); damage != nil {
			return false
		}
		account := accountOfLines(key)
		for _, one := range run {
			var want expectation
			known := false
			if i := one.seq - first; one.seq >= first && i < uint64(len(entries)) {
				want, known = expected[i], account == string(entries[i].Account) && !expected[i].seen
				expected[i].seen = expected[i].seen || known
			}
			if !known || want.reached != one.reachedNanos {
				damage = fmt.Errorf("line %x of entry %d says %d, the journal %d (known: %t)", key, one.seq, one.reachedNanos, want.reached, known)
				return false
			}
		}
		return true
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
