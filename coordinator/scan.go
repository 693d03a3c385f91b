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
// can't be right; any other is a reader that failed.
func Scan(reader Reader) (s Scanned, err error) {
	if s.Recorded, _, err = storedHash(reader); err != nil {
		return s, err
	}
	for _, prefix := range []byte{keySettled, keyUnsettled} {
		if err := s.read(reader, prefix); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *Scanned) read(reader Reader, prefix byte) error {
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
