package storage

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/raft"
)

// View is a group's last checkpoint as of the moment it was opened: later commits don't change it. While it is open
// the disk keeps what it shows.
type View struct {
	last       raft.EntryID
	membership []byte

	store  *Store
	group  string
	prefix []byte
	slot   byte
	pinned *pebble.Snapshot
	it     *pebble.Iterator // for Get; nil: nothing was looked up yet
}

// View opens a view. It may be used by one goroutine at a time, beside Commit, and must be closed before the store is.
func (s *Store) View(group string) (*View, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	v := &View{store: s, group: group, prefix: groupPrefix(group), pinned: s.db.NewSnapshot()}
	if err := v.load(); err != nil {
		_ = v.pinned.Close() // it has nothing to lose
		return nil, err
	}
	return v, nil
}

// load reads which entry the checkpoint ends with: the log reaches back to it, or ends its dropped part with it.
func (v *View) load() error {
	records, err := loadRecords(v.pinned, v.group)
	if err != nil {
		return err
	}
	if v.slot, err = loadSlot(v.pinned, v.group, v.prefix); err != nil {
		return err
	}
	v.membership = records.Membership
	v.last = records.Compacted
	if records.Applied > records.Compacted.Index {
		key := appendEntryKey(nil, v.prefix, records.Applied)
		value, closer, err := v.pinned.Get(key)
		if err != nil {
			return damagedRecord(v.group, place(records.Applied), err)
		}
		defer closer.Close()
		e, err := decodeEntry(key, value)
		if err != nil {
			return damagedRecord(v.group, place(records.Applied), err)
		}
		v.last = raft.EntryID{Index: records.Applied, Term: e.Term}
	}
	return nil
}

// Last is the last entry that the checkpoint contains; zero: there was none yet.
func (v *View) Last() raft.EntryID { return v.last }

// Membership is who counted then, as raft encodes it; nil: the first members of the group.
func (v *View) Membership() []byte { return v.membership }

// Scan calls fn for every key from on, in order, until fn returns false. The slices are valid during the call only.
func (v *View) Scan(from []byte, fn func(key, value []byte) bool) error {
	if err := v.store.enter(); err != nil {
		return err
	}
	defer v.store.leave()
	it, err := v.pinned.NewIter(nil)
	if err == nil {
		err = errors.Join(scanState(it, v.prefix, v.slot, from, nil, fn), it.Close())
	}
	if err != nil {
		return v.store.Reader(v.group).failed(err)
	}
	return nil
}

// Get looks one key up, also while Scan calls. value is the caller's own copy, not nil if ok.
func (v *View) Get(key []byte) (value []byte, ok bool, err error) {
	if len(key) == 0 {
		return nil, false, nil // where the as-of record is
	}
	if err := v.store.enter(); err != nil {
		return nil, false, err
	}
	defer v.store.leave()
	if v.it == nil {
		if v.it, err = v.pinned.NewIter(&lookupOptions); err != nil {
			return nil, false, v.store.Reader(v.group).failed(err)
		}
	}
	if value, ok, err = lookUp(v.it, appendStateKey(nil, v.prefix, v.slot, key)); err != nil {
		return nil, false, v.store.Reader(v.group).failed(err)
	}
	return value, ok, nil
}

// Close lets the disk forget.
func (v *View) Close() error {
	var err error
	if v.it != nil {
		err = v.it.Close()
	}
	return errors.Join(err, v.pinned.Close())
}
