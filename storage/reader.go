package storage

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// Reader reads one group's state. It is safe for use by several goroutines, beside Commit. It may see what a
// Commit in progress has written and not yet synced: checkpoints hold only what the log has made durable before.
type Reader struct {
	store  *Store
	group  string
	prefix []byte
	live   atomic.Int32 // the slot; zero: the group isn't loaded

	mu      sync.Mutex       // guards the rest
	it      *pebble.Iterator // for the next Get or Scan, if nothing was committed since; nil: none
	commits uint64           // as of its creation
	lookups int              // since
}

// lookupsMax is how many lookups share an iterator while nothing is committed: it keeps the files it was made for.
const lookupsMax = 1024

// Reader returns the reader of the group's state. It needs no closing. After the Commit of an Install it shows the new
// state; what it shows while that is under way is neither.
func (s *Store) Reader(group string) *Reader {
	s.reading.Lock()
	defer s.reading.Unlock()
	r := s.readers[group]
	if r == nil {
		r = &Reader{store: s, group: group, prefix: groupPrefix(group)}
		s.readers[group] = r
	}
	return r
}

// slot says where the group's state is.
func (r *Reader) slot() (byte, error) {
	if slot := r.live.Load(); slot != 0 {
		return byte(slot), nil
	}
	return loadSlot(r.store.db, r.group, r.prefix)
}

// Get looks one key up. value is the caller's own copy, not nil if ok.
func (r *Reader) Get(key []byte) (value []byte, ok bool, err error) {
	if len(key) == 0 {
		return nil, false, nil // where the as-of record is
	}
	if err := r.store.enter(); err != nil {
		return nil, false, err
	}
	defer r.store.leave()
	slot, err := r.slot()
	if err != nil {
		return nil, false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(); err != nil {
		return nil, false, r.failed(err)
	}
	value, ok, err = lookUp(r.it, appendStateKey(make([]byte, 0, len(r.prefix)+1+len(key)), r.prefix, slot, key))
	if err != nil {
		return nil, false, r.failed(errors.Join(err, r.drop()))
	}
	return value, ok, nil
}

// lookUp copies what is stored under a whole key.
func lookUp(it *pebble.Iterator, key []byte) (value []byte, ok bool, err error) {
	if it.SeekPrefixGE(key) {
		value, err = it.ValueAndErr()
		value, ok = append(make([]byte, 0, len(value)), value...), true
	}
	return value, ok, errors.Join(err, it.Error())
}

// lookupOptions are an iterator's that looks keys up. An iterator and not Pebble's Get: that reads no filters in the last level, where nearly all
// keys are, and most lookups here are of ids that don't exist.
var lookupOptions = pebble.IterOptions{UseL6Filters: true}

// refresh has an iterator that shows every finished commit. To make one costs as much as to look a key up, and lookups come by the hundred
// between two commits.
func (r *Reader) refresh() (err error) {
	commits := r.store.commits.Load()
	if r.lookups++; r.it != nil && r.commits == commits && r.lookups <= lookupsMax {
		return nil
	}
	if err := r.drop(); err != nil {
		return err
	}
	r.it, err = r.store.db.NewIter(&lookupOptions)
	r.commits, r.lookups = commits, 1
	return err
}

func (r *Reader) drop() error {
	if r.it == nil {
		return nil
	}
	it := r.it
	r.it = nil
	return it.Close()
}

// committed has the readers open their eyes: what they held before is old, and keeps memory and files from being freed. One that is
// at work sees to it itself.
func (s *Store) committed() {
	s.commits.Add(1)
	s.reading.Lock()
	defer s.reading.Unlock()
	for _, r := range s.readers {
		if r.mu.TryLock() {
			_ = r.drop() // nothing was asked of it any more; the next Get makes a new one and meets the same error
			r.mu.Unlock()
		}
	}
}

// Scan calls fn for from ≤ key < to in order, as of one moment, until fn returns false; to nil: to the end. The
// slices are valid during the call only, and fn must not use the store.
func (r *Reader) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	if err := r.store.enter(); err != nil {
		return err
	}
	defer r.store.leave()
	slot, err := r.slot()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(); err != nil {
		return r.failed(err)
	}
	if err := scanState(r.it, r.prefix, slot, from, to, fn); err != nil {
		return r.failed(errors.Join(err, r.drop()))
	}
	return nil
}

// scanState reads a range of a group's state.
func scanState(it *pebble.Iterator, prefix []byte, slot byte, from, to []byte, fn func(key, value []byte) bool) error {
	if len(from) == 0 {
		from = []byte{0} // past the as-of record
	}
	below := appendKind(nil, prefix, slot+1)
	if to != nil {
		below = appendStateKey(nil, prefix, slot, to)
	}
	strip := len(prefix) + 1
	for more := it.SeekGE(appendStateKey(nil, prefix, slot, from)); more && bytes.Compare(it.Key(), below) < 0; more = it.Next() {
		if value, err := it.ValueAndErr(); err != nil || !fn(it.Key()[strip:], value) {
			return err
		}
	}
	return it.Error()
}

func (r *Reader) failed(err error) error {
	if pebble.IsCorruptionError(err) {
		err = fmt.Errorf("%w: state of group %s: %w; %s", ErrDamaged, r.group, err, toRepair)
		r.store.terms.condemn(r.store.fuse, err)
		return err
	}
	return fmt.Errorf("read state of group %s: %w", r.group, err)
}
