package ledger

import (
	"fmt"
	"math"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/transfer"
)

// Scanned is what the stored records of a bank add up to.
type Scanned struct {
	Records  uint64
	Recorded uint64 // the state hash that was stored with them
	Computed uint64 // from the records themselves; another one: some of them aren't what was written
}

// Scan reads a whole bank as it is stored, in constant memory, and adds it up anew: the state hash, and per currency what accounts and
// journal come to. Unlike Check it needs no Ledger and trusts nothing that was kept up to date. An error that wraps wire.ErrDamaged says which
// record can't be right; any other is a reader that failed.
func Scan(reader Reader) (Scanned, error) {
	s := scan{reader: reader, meta: &Ledger{}, accounts: totals{}, stored: totals{}}
	for _, step := range []func() error{s.readMeta, s.readAccounts, s.readEntries, s.readLines, s.readFinished, s.readHolds, s.readTotals} {
		if err := step(); err != nil {
			return s.Scanned, err
		}
	}
	return s.Scanned, s.compareTotals()
}

type scan struct {
	Scanned
	reader   Reader
	meta     *Ledger // what the meta record says, and nothing else
	accounts totals  // as the accounts and the journal give them
	stored   totals

	lines    uint64 // that entries have
	linesSum uint64 // of their digests
	reached  int64  // the latest time of these entries
}

func (s *scan) readMeta() error {
	value, ok, err := s.reader.Get([]byte{keyMeta})
	if err != nil {
		return fmt.Errorf("read meta record: %w", err)
	}
	if ok {
		s.Records++
		if err := s.meta.decodeMeta(value); err != nil {
			return err
		}
	}
	s.Recorded = s.meta.hash
	return nil
}

// each reads all records of one kind.
func (s *scan) each(prefix byte, fn func(key, value []byte) error) error {
	var damage error
	err := s.reader.Scan([]byte{prefix}, []byte{prefix + 1}, func(key, value []byte) bool {
		s.Records++
		damage = fn(key, value)
		return damage == nil
	})
	if err != nil {
		return fmt.Errorf("read records %c: %w", prefix, err)
	}
	return damage
}

func (s *scan) readAccounts() error {
	return s.each(keyAccount, func(key, value []byte) error {
		id := transfer.AccountID(key[1:])
		a, err := decodeAccount(id, value)
		if err != nil {
			return err
		}
		s.Computed += digestOfAccount(nameDigest(id, a.Currency), &a)
		t := s.total(a.Currency)
		t.PostedMinor += a.PostedMinor
		t.HeldMinor += a.HeldMinor
		t.IncomingMinor += a.IncomingMinor
		t.Accounts++
		return nil
	})
}

func (s *scan) total(c transfer.Currency) *total {
	if t := s.accounts.of(c); t != nil {
		return t
	}
	return s.accounts.add(bank.Total{Currency: c})
}

func (s *scan) readEntries() error {
	seq := uint64(0)
	var run []bank.Entry
	err := s.each(keyEntry, func(key, value []byte) (err error) {
		if run, err = decodeEntries(run[:0], key, value, 0, math.MaxInt); err != nil {
			return err
		}
		for i := range run {
			e := &run[i]
			if seq++; e.Seq != seq {
				return fmt.Errorf("%w: journal entry %d comes where %d should be", wire.ErrDamaged, e.Seq, seq)
			}
			s.expectLine(e)
			s.total(e.Currency).entriesMinor += e.AmountMinor
			s.Computed += digestOfListed(e)
		}
		return nil
	})
	if err == nil && seq != s.meta.journal.last {
		err = fmt.Errorf("%w: the journal ends with entry %d instead of %d", wire.ErrDamaged, seq, s.meta.journal.last)
	}
	return err
}

// expectLine adds up the line that the entry has in the statement of its account.
func (s *scan) expectLine(e *bank.Entry) {
	if e.Seq < s.meta.journal.linesFrom {
		return
	}
	if s.lines++; s.lines == 1 {
		s.reached = math.MinInt64
	}
	s.reached = max(s.reached, e.At.UnixNano())
	s.linesSum += digestOfLine(string(e.Account), line{e.Seq, s.reached})
}

// readLines adds up the lines that there are: they lie in another order than the entries do.
func (s *scan) readLines() error {
	var lines, sum uint64
	var run []line
	err := s.each(keyLine, func(key, value []byte) (err error) {
		if run, err = decodeLines(run[:0], key, value); err != nil {
			return err
		}
		account := accountOfLines(key)
		for _, one := range run {
			lines++
			sum += digestOfLine(account, one)
		}
		return nil
	})
	if err == nil && lines != s.lines {
		err = fmt.Errorf("%w: %d lines of statements for %d entries", wire.ErrDamaged, lines, s.lines)
	}
	if err == nil && sum != s.linesSum {
		err = fmt.Errorf("%w: the lines of statements aren't those of the journal's entries: they add up to %016x instead of %016x", wire.ErrDamaged, sum, s.linesSum)
	}
	if err == nil && s.lines > 0 && s.reached != s.meta.journal.reachedNanos {
		err = fmt.Errorf("%w: the journal has reached %d, the bank says %d", wire.ErrDamaged, s.reached, s.meta.journal.reachedNanos)
	}
	return err
}

func (s *scan) readFinished() error {
	return s.each(keyFinished, func(key, value []byte) error {
		if len(key) != 1+len(transfer.ID{}) {
			return fmt.Errorf("%w: finished transfer with a key of %d bytes", wire.ErrDamaged, len(key))
		}
		f, err := decodeFinished(transfer.ID(key[1:]), value)
		if err == nil {
			s.Computed += digestOfFinished(&f)
		}
		return err
	})
}

func (s *scan) readHolds() error {
	return s.each(keyHold, func(key, value []byte) error {
		if len(key) != 1+len(transfer.ID{}) {
			return fmt.Errorf("%w: hold with a key of %d bytes", wire.ErrDamaged, len(key))
		}
		h, legs, err := decodeHold(transfer.ID(key[1:]), value)
		if err != nil {
			return err
		}
		for _, leg := range legs {
			value, ok, err := s.reader.Get(accountKey(leg.account))
			if err != nil {
				return fmt.Errorf("read account %s: %w", leg.account, err)
			}
			if !ok {
				return fmt.Errorf("%w: the hold of %s names account %.64q, which isn't there", wire.ErrDamaged, h.id, leg.account)
			}
			a, err := decodeAccount(leg.account, value)
			if err != nil {
				return err
			}
			h.legs = append(h.legs, holdLeg{account: &account{name: nameDigest(leg.account, a.Currency)}, amountMinor: leg.amountMinor})
		}
		s.Computed += digestOfHold(h)
		return nil
	})
}

func (s *scan) readTotals() error {
	return s.each(keyTotal, func(key, value []byte) error {
		t, err := decodeTotal(transfer.Currency(key[1:]), value)
		if err == nil {
			s.stored.add(t)
		}
		return err
	})
}

// compareTotals is about records that the state hash leaves out, because they follow from others.
func (s *scan) compareTotals() error {
	if len(s.stored) != len(s.accounts) {
		return fmt.Errorf("%w: %d totals for accounts in %d currencies", wire.ErrDamaged, len(s.stored), len(s.accounts))
	}
	for i, t := range s.accounts {
		if t.Total != s.stored[i].Total || t.PostedMinor != t.entriesMinor {
			return fmt.Errorf("%w: %s: the stored total is %+v, accounts add up to %+v, journal entries to %d",
				wire.ErrDamaged, t.Currency, s.stored[i].Total, t.Total, t.entriesMinor)
		}
	}
	return nil
}
