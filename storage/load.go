package storage

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/raft"
)

// Load gives back what is remembered of a group; the zero State for one that was never written. It
// reads and checks the whole log. An error that wraps ErrDamaged names the group and the index: the group must
// neither vote nor acknowledge. The entries' data is the caller's.
func (s *Store) Load(name string) (raft.State, error) {
	if err := s.enter(); err != nil {
		return raft.State{}, err
	}
	defer s.leave()
	if err := s.takeTurn(); err != nil {
		return raft.State{}, err
	}
	defer s.endTurn()
	return s.loadGroup(name)
}

// group finds what is known of a group. One that nobody has loaded is loaded here, for its log must be sound
// before anything is added to it. The caller has the turn.
func (s *Store) group(name string) (*group, error) {
	if g, ok := s.groups[name]; ok {
		return g, nil
	}
	_, err := s.loadGroup(name)
	return s.groups[name], err
}

// loadGroup notes a group that nobody has loaded. What is known of another may be ahead of what is read here: a checkpoint may be being taken in.
func (s *Store) loadGroup(name string) (raft.State, error) {
	state, err := s.loadState(name)
	if err == nil && s.groups[name] == nil {
		err = s.addGroup(name, &state)
	}
	if err != nil {
		return raft.State{}, err
	}
	return state, nil
}

// loadState adds what the store itself can't remember: which promises and retirements went with the one before it. From now on the term is a later one.
func (s *Store) loadState(name string) (raft.State, error) {
	state, err := loadState(s.db, name)
	if err != nil {
		return raft.State{}, err
	}
	if state.HardState == (raft.HardState{}) && s.terms.isRetired(name) {
		return raft.State{}, retiredError(name)
	}
	if state.Lost = s.terms.lostIn(name); state.Lost != 0 && state.HardState.Term <= state.Lost {
		state.HardState.Term, state.HardState.Vote = state.Lost+1, 0
	}
	return state, nil
}

// addGroup notes a group as it was loaded. A snapshot that was being gathered is of no use after a restart: it goes
// when the next one begins.
func (s *Store) addGroup(name string, state *raft.State) error {
	prefix := groupPrefix(name)
	slot, err := loadSlot(s.db, name, prefix)
	if err != nil {
		return err
	}
	live := &s.Reader(name).live
	live.Store(int32(slot))
	staged := s.mayHold(prefix, otherSlot(slot))
	s.groups[name] = &group{
		prefix:    prefix,
		slot:      slot,
		staged:    staged,
		givenUp:   staged,
		live:      live,
		hard:      state.HardState,
		compacted: state.Compacted,
		last:      state.Compacted.Index + raft.Index(len(state.Entries)),
		asOf:      asOf{state.Applied, state.Membership},
	}
	return nil
}

// mayHold says whether a slot has a record, or can't be read.
func (s *Store) mayHold(prefix []byte, slot byte) bool {
	it, err := s.db.NewIter(kindRange(prefix, slot))
	if err != nil {
		return true
	}
	held := it.First()
	return errors.Join(it.Error(), it.Close()) != nil || held
}

// loadSlot says where a group's state is.
func loadSlot(r pebble.Reader, name string, prefix []byte) (byte, error) {
	slot, err := record(r, name, appendKind(nil, prefix, kindSlot), "slot", decodeSlot)
	if slot == 0 {
		slot = kindState
	}
	return slot, err
}

func loadState(r pebble.Reader, name string) (raft.State, error) {
	if len(name) == 0 || len(name) > groupNameBytesMax {
		return raft.State{}, fmt.Errorf("a group's name has 1 to %d bytes, got %d", groupNameBytesMax, len(name))
	}
	if err := checkRetired(r, name); err != nil {
		return raft.State{}, err
	}
	state, err := loadRecords(r, name)
	if err != nil {
		return raft.State{}, err
	}
	err = eachEntry(r, name, state.Compacted.Index, func(e raft.Entry) { state.Entries = append(state.Entries, e) })
	if err != nil {
		return raft.State{}, err
	}
	last := state.Compacted.Index + raft.Index(len(state.Entries))
	return state, checkLoaded(name, &state, last)
}

// checkRetired returns ErrRetired if the group's replica was ended here.
func checkRetired(r pebble.Reader, name string) error {
	retired, err := record(r, name, retiredGroup(name), "retirement", func(key, value []byte) (bool, error) {
		_, err := unseal(key, value)
		return true, err
	})
	if err == nil && retired {
		err = retiredError(name)
	}
	return err
}

func retiredError(name string) error { return fmt.Errorf("%w: group %s", ErrRetired, name) }

// loadRecords reads all but the entries.
func loadRecords(r pebble.Reader, name string) (state raft.State, err error) {
	prefix := groupPrefix(name)
	if state.HardState, err = record(r, name, appendKind(nil, prefix, kindHardState), "hard state", decodeHardState); err != nil {
		return state, err
	}
	at, err := loadAsOf(r, name, prefix)
	if err != nil {
		return state, err
	}
	state.Applied, state.Membership = at.applied, at.members
	state.Compacted, err = record(r, name, appendKind(nil, prefix, kindCompacted), "compacted entry", decodeCompacted)
	return state, err
}

// loadAsOf says of which entry the live state is. In a directory that no version of today has opened yet, two records beside it say so (Store.migrate).
func loadAsOf(r pebble.Reader, name string, prefix []byte) (asOf, error) {
	slot, err := loadSlot(r, name, prefix)
	if err != nil {
		return asOf{}, err
	}
	at, err := record(r, name, appendKind(nil, prefix, slot), "as-of record", decodeAsOf)
	if err != nil || at.applied != 0 {
		return at, err
	}
	if at.applied, err = record(r, name, appendKind(nil, prefix, kindApplied), "applied index", decodeApplied); err != nil {
		return asOf{}, err
	}
	at.members, err = record(r, name, appendKind(nil, prefix, kindMembers), "membership", decodeMembers)
	return at, err
}

// record reads one record of a group; one that was never written is its zero value.
func record[T any](r pebble.Reader, name string, key []byte, place string, decode func(key, value []byte) (T, error)) (T, error) {
	var zero T
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return zero, nil
	}
	if err != nil {
		return zero, damagedRecord(name, place, err)
	}
	defer closer.Close()
	t, err := decode(key, value)
	if err != nil {
		return zero, damagedRecord(name, place, err)
	}
	return t, nil
}

// eachEntry hands out the log after the compacted entry, in order, and stops at the first entry that isn't sound or isn't there.
func eachEntry(r pebble.Reader, name string, compacted raft.Index, fn func(raft.Entry)) (err error) {
	prefix := groupPrefix(name)
	it, err := r.NewIter(kindRange(prefix, kindEntry))
	if err != nil {
		return damagedRecord(name, "log", err)
	}
	next := compacted + 1
	for it.First(); it.Valid() && err == nil; it.Next() {
		var e raft.Entry
		if e, err = entryAt(it, name, prefix, next); err == nil {
			fn(e)
			next++
		}
	}
	if ierr := it.Error(); err == nil && ierr != nil {
		err = damagedRecord(name, place(next), ierr)
	}
	return errors.Join(err, it.Close())
}

func entryAt(it *pebble.Iterator, name string, prefix []byte, want raft.Index) (raft.Entry, error) {
	index, ok := entryIndex(it.Key(), prefix)
	if !ok {
		return raft.Entry{}, damagedRecord(name, place(want), errShape)
	}
	if index != want {
		return raft.Entry{}, fmt.Errorf("%w: group %s, %s is missing, the next is %d; %s", ErrDamaged, name, place(want), index, toRepair)
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return raft.Entry{}, damagedRecord(name, place(want), err)
	}
	e, err := decodeEntry(it.Key(), value)
	if err != nil {
		return raft.Entry{}, damagedRecord(name, place(want), err)
	}
	e.Index = index
	return e, nil
}

func place(i raft.Index) string { return fmt.Sprintf("log entry %d", i) }

// checkLoaded is the reading side of group.check: a log that is shorter than what was acknowledged
// must not come back as a shorter, healthy one (raft-scenarios 40).
func checkLoaded(name string, state *raft.State, last raft.Index) error {
	wrong := ""
	switch {
	case state.HardState.Commit > last:
		wrong = fmt.Sprintf("entries up to %d were committed and the log ends at %d", state.HardState.Commit, last)
	case state.Applied > last:
		wrong = fmt.Sprintf("entries up to %d were applied and the log ends at %d", state.Applied, last)
	case state.Applied < state.Compacted.Index:
		wrong = fmt.Sprintf("the log begins after %d and the state is of %d", state.Compacted.Index, state.Applied)
	default:
		return nil
	}
	return fmt.Errorf("%w: group %s: %s; %s", ErrDamaged, name, wrong, toRepair)
}

// Groups lists the groups that have anything stored, sorted by name.
func (s *Store) Groups() ([]string, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	return listGroups(s.dir, s.db)
}

// listGroups jumps from group to group: one seek each, however much they hold.
func listGroups(dir string, r pebble.Reader) ([]string, error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{groupsFrom}, UpperBound: []byte{groupsTo}})
	if err != nil {
		return nil, damagedFile(dir, err)
	}
	var names []string
	for ok := it.First(); ok; {
		name, _, cut := cutGroup(it.Key())
		if !cut {
			return nil, errors.Join(fmt.Errorf("%w: %s holds a key %x of no group; %s", ErrDamaged, dir, it.Key(), toRepair), it.Close())
		}
		names = append(names, name)
		ok = it.SeekGE(appendKind(nil, groupPrefix(name), kindEnd))
	}
	if err := it.Close(); err != nil {
		return nil, damagedFile(dir, err)
	}
	slices.Sort(names)
	return names, nil
}
