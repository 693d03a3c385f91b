package storage

import (
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Disk names a data directory: a number drawn when it is created. A copy has the same one, an empty new directory never has.
type Disk [16]byte

// A store remembers, beside whose it is, its own name and how the cluster began. Directories of versions before that get both when
// they are opened.
//
//	disk         16 bytes, then Identity.Founding

// readDisk gives back zeros if nothing was remembered yet.
func readDisk(db pebble.Reader) (disk Disk, founding string, err error) {
	key := []byte{diskKey}
	value, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return Disk{}, "", nil
	}
	if err != nil {
		return Disk{}, "", err
	}
	defer closer.Close()
	body, err := unseal(key, value)
	if err == nil && copy(disk[:], body) < len(disk) {
		err = errShape
	}
	if err != nil {
		return Disk{}, "", fmt.Errorf("%w: the disk record: %w; %s", ErrDamaged, err, toRepair)
	}
	return disk, string(body[len(disk):]), nil
}

// name gives the directory the name that it has already, or one of its own. A store that takes the place of a damaged one keeps the name:
// the note of terms, which knows what was promised under it, has survived.
func (s *Store) name(id Identity) (err error) {
	if s.disk, _, err = readDisk(s.db); err != nil || s.disk != (Disk{}) {
		s.terms.disk = s.disk
		return err
	}
	if s.disk = s.terms.disk; s.disk == (Disk{}) {
		if _, err := rand.Read(s.disk[:]); err != nil {
			return err
		}
		s.terms.disk = s.disk
	}
	key := []byte{diskKey}
	return s.db.Set(key, seal(key, append(s.disk[:len(s.disk):len(s.disk)], id.Founding...)), pebble.Sync)
}

// Disk is the name of the data directory.
func (s *Store) Disk() Disk { return s.disk }
