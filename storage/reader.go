package storage

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Reader reads one group's state. It is safe for use by several goroutines, beside Commit. It may see what a
// Commit in progress has written and not yet synced: checkpoints hold only what the log has made durable before.
type Reader struct {
	store  *Store
	group  string
	prefix []byte
}

// Reader makes a reader of the group's state. It holds nothing and needs no closing.
func (s *Store) Reader(group string) *Reader {
	return &Reader{store: s, group: group, prefix: groupPrefix(group)}
}

// Get looks one key up. value is the caller's own copy, not nil if ok.
func (r *Reader) Get(key []byte) (value []byte, ok bool, err error) {
	if err := r.store.enter(); err != nil {
		return nil, false, err
	}
	defer r.store.leave()
	// An iterator and not Get: Pebble's Get reads no filters in the last level, where nearly all keys are, and most
	// lookups here are of ids that don't exist.
	it, err := r.store.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return nil, false, r.failed(err)
	}
	full := appendStateKey(make([]byte, 0, len(r.prefix)+1+len(key)), r.prefix, key)
	if it.SeekPrefixGE(full) {
		value, err = it.ValueAndErr()
		value, ok = append(make([]byte, 0, len(value)), value...), true
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, false, r.failed(err)
	}
	return value, ok, nil
}

// Scan calls fn for from ≤ key < to in order, as of one moment, until fn returns false; to nil: to the end. The
// slices are valid during the call only, and fn must not use the store.
func (r *Reader) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	if err := r.store.enter(); err != nil {
		return err
	}
	defer r.store.leave()
	bounds := pebble.IterOptions{LowerBound: appendStateKey(nil, r.prefix, from), UpperBound: appendKind(nil, r.prefix, kindEnd)}
	if to != nil {
		bounds.UpperBound = appendStateKey(nil, r.prefix, to)
	}
	it, err := r.store.db.NewIter(&bounds)
	if err != nil {
		return r.failed(err)
	}
	strip := len(r.prefix) + 1
	for it.First(); it.Valid(); it.Next() {
		value, verr := it.ValueAndErr()
		if err = verr; err != nil || !fn(it.Key()[strip:], value) {
			break
		}
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return r.failed(err)
	}
	return nil
}

func (r *Reader) failed(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: state of group %s: %w; %s", ErrDamaged, r.group, err, toRepair)
	}
	return fmt.Errorf("read state of group %s: %w", r.group, err)
}
