package storage

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/raft"
)

// Disk names a data directory: a number drawn when it is created. A copy has the same one, an empty new directory never has.
type Disk [16]byte

// OriginUnknown is the origin of a directory whose store was damaged and set aside: what it began with was in there.
const OriginUnknown = "unknown"

// A store remembers, beside whose it is, its own name, how the cluster began, and what the directory began with. Directories of versions before that get all of it when
// they are opened.
//
//	disk         16 bytes, then Identity.Founding; then, unless Origin is empty, a zero byte and Origin

// readDisk gives back zeros if nothing was remembered yet.
func readDisk(dir string, db pebble.Reader) (disk Disk, founding, origin string, err error) {
	key := []byte{diskKey}
	value, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return Disk{}, "", "", nil
	}
	if err != nil {
		return Disk{}, "", "", damagedFile(dir, err)
	}
	defer closer.Close()
	body, err := unseal(key, value)
	if err == nil && copy(disk[:], body) < len(disk) {
		err = errShape
	}
	if err != nil {
		return Disk{}, "", "", fmt.Errorf("%w: the disk record: %w; %s", ErrDamaged, err, toRepair)
	}
	founding, origin, _ = strings.Cut(string(body[len(disk):]), "\x00")
	return disk, founding, origin, nil
}

// name gives the directory the name that it has already, or one of its own. A store that takes the place of a damaged one keeps the name:
// the note of terms, which knows what was promised under it, has survived.
func (s *Store) name(id Identity) (err error) {
	if s.disk, _, s.origin, err = readDisk(s.dir, s.db); err != nil || s.disk != (Disk{}) {
		return err
	}
	s.origin = id.Origin
	if s.disk = s.terms.disk; s.disk != (Disk{}) {
		s.origin = OriginUnknown
	} else if _, err := rand.Read(s.disk[:]); err != nil {
		return err
	}
	key, body := []byte{diskKey}, append(s.disk[:len(s.disk):len(s.disk)], id.Founding...)
	if s.origin != "" {
		body = append(append(body, 0), s.origin...)
	}
	return s.db.Set(key, seal(key, body), pebble.Sync)
}

// Disk is the name of the data directory.
func (s *Store) Disk() Disk { return s.disk }

// Origin is what the directory began with: see Identity.
func (s *Store) Origin() string { return s.origin }

// Meet remembers from which data directory another node speaks; it is durable when Meet returns. Whatever that node promises counts only together with this
// memory: should it come back with another directory, its promises are gone, and who has relied on them must not take new ones.
func (s *Store) Meet(node raft.NodeID, disk Disk) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.terms.meet(s.fuse, node, disk)
}

// Met is what Meet was told last of each node, also in earlier lives of this one.
func (s *Store) Met() map[raft.NodeID]Disk {
	s.terms.mu.Lock()
	defer s.terms.mu.Unlock()
	return maps.Clone(s.terms.met)
}

// parseDisk reads the hexadecimal form.
func parseDisk(text string) (disk Disk, _ error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(disk) {
		return Disk{}, errShape
	}
	return Disk(b), nil
}
