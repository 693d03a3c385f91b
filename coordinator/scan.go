package coordinator

import (
	"fmt"

	"github.com/quorate/quorate/transfer"
)

// Scanned is what the stored records of a coordinator add up to.
type Scanned struct {
	Records  uint64
	Recorded uint64 // the state hash that was stored with them
	Computed uint64 // from the records themselves; another one: some of them aren't what was written
}

// Scan reads all records as they are stored, in constant memory, and computes the state hash anew. An error that wraps ErrDamaged says which record
// can't be right; any other is a reader that failed. belongs says what is wrong with a transfer's being here at all; nil: nothing is.
func Scan(reader Reader, belongs func(transfer.ID) error) (s Scanned, err error) {
	stored, _, err := storedState(reader)
	if err != nil {
		return s, err
	}
	s.Recorded = stored.hash
	decided := uint64(0)
	for _, prefix := range []byte{keySettled, keyUnsettled} {
		if err := s.read(reader, prefix, belongs, &decided); err != nil {
			return s, err
		}
	}
	noted := s.Records
	if err := s.readOrder(reader, &stored.noted, !stored.numbered, noted); err != nil {
		return s, err
	}
	return s, s.readOrder(reader, &stored.decided, !stored.numbered, decided)
}

// readOrder looks at every place from the newest down: the numbers have no gaps, times don't go back, and each is of a transfer that is there.
func (s *Scanned) readOrder(reader Reader, o *order, unnumbered bool, transfers uint64) error {
	if !unnumbered && o.last != transfers {
		return fmt.Errorf("%w: order %c has %d places for %d transfers", ErrDamaged, o.prefix, o.last, transfers)
	}
	next, reached := o.last, o.reachedNanos
	var damage error
	var places []place
	err := reader.Scan([]byte{o.prefix}, []byte{o.prefix + 1}, func(key, value []byte) bool {
		s.Records++
		var first uint64
		if first, places, damage = decodePlaces(places[:0], key, value); damage != nil {
			return false
		}
		for i := len(places) - 1; i >= 0 && damage == nil; i-- {
			p, number := &places[i], first+uint64(i)
			if unnumbered || number != next || p.reachedNanos > reached || (number == o.last && p.reachedNanos != reached) {
				damage = fmt.Errorf("%w: place %c%d has reached %d; place %d should come, and %d is the latest time", ErrDamaged, o.prefix, number, p.reachedNanos, next, reached)
				break
			}
			damage = mustHave(reader, p.id)
			s.Computed += p.hash(o.prefix, number)
			next, reached = next-1, p.reachedNanos
		}
		return damage == nil
	})
	if err != nil {
		return fmt.Errorf("read places %c: %w", o.prefix, err)
	}
	if damage == nil && next != 0 {
		damage = fmt.Errorf("%w: order %c begins with place %d", ErrDamaged, o.prefix, next+1)
	}
	return damage
}

func mustHave(reader Reader, id transfer.ID) error {
	for _, prefix := range []byte{keySettled, keyUnsettled} {
		if _, ok, err := reader.Get(recordKey(prefix, id)); ok || err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: transfer %s has a place in an order and no record", ErrDamaged, id)
}

func (s *Scanned) read(reader Reader, prefix byte, belongs func(transfer.ID) error, decided *uint64) error {
	var damage error
	err := reader.Scan([]byte{prefix}, []byte{prefix + 1}, func(key, value []byte) bool {
		s.Records++
		var r *Record
		if r, damage = decodeRecord(value); damage != nil {
			return false
		}
		if damage = r.checkStored(prefix, key[1:]); damage != nil {
			return false
		}
		if belongs != nil {
			if damage = belongs(r.Transfer.ID); damage != nil {
				return false
			}
		}
		if r.State.Decided() {
			*decided++
		}
		s.Computed += r.hash()
		return true
	})
	if err != nil {
		return fmt.Errorf("read records %c: %w", prefix, err)
	}
	return damage
}

// checkStored says whether a record belongs under its key, and whether its content is the one that was accepted.
func (r *Record) checkStored(prefix byte, name []byte) error {
	switch {
	case len(name) != len(transfer.ID{}) || transfer.ID(name) != r.Transfer.ID || r.Settled != (prefix == keySettled):
		return fmt.Errorf("%w: the record of transfer %s, settled: %t, lies under %c %x", ErrDamaged, r.Transfer.ID, r.Settled, prefix, name)
	case !r.IsTombstone() && r.Transfer.Fingerprint() != r.Fingerprint:
		return fmt.Errorf("%w: transfer %s isn't what its fingerprint says", ErrDamaged, r.Transfer.ID)
	}
	return nil
}
