package storage

import (
	"bytes"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
)

// KV is one change of a group's state. A nil Value deletes the key; an empty one that isn't nil is stored.
type KV = struct{ Key, Value []byte }

// GroupUpdate is what one group wants to become durable. Commit keeps none of its slices.
type GroupUpdate struct {
	Group     string          // 1 to 255 bytes, e.g. "bank/HOME" or "coordinator/0"
	HardState *raft.HardState // nil: unchanged
	Entries   []raft.Entry    // consecutive; they replace whatever the log held from Entries[0].Index on
	State     []KV            // the machine's write-back, together with
	Applied   raft.Index      // the applied index that State then reflects; zero: no checkpoint
	Compact   raft.EntryID    // drop the entries up to and including this one; zero, or already dropped: nothing

	// Membership is who counts as of Applied, as raft encodes it; nil: unchanged.
	Membership []byte

	// Stage is a piece of a snapshot from another member: kept aside, out of every reader's sight, until Install. StageAnew drops what was
	// kept aside before.
	Stage     []KV
	StageAnew bool

	// Install makes what was kept aside the state, in the same commit as the rest of the update: the log and the state
	// that the group had are dropped. Compact is the snapshot's last entry, and Applied its index. Entries and State come after it.
	Install bool

	// Retire drops everything that the group has here, for ever, and is alone in its update: Load returns ErrRetired from then on. What a
	// replica has promised is gone with its data, so an empty one must never take its place.
	Retire bool
}

// group is what Commit must know of a group to write its log: kept in step with what was handed to Pebble.
type group struct {
	prefix    []byte
	hard      raft.HardState
	compacted raft.EntryID
	last      raft.Index    // ≥ compacted.Index
	asOf      asOf          // of the state; its index ≥ compacted.Index
	slot      byte          // where the state is
	staged    bool          // the other slot may hold something
	givenUp   bool          // and that is of before the group was loaded
	live      *atomic.Int32 // slot, as readers see it: changed once an installation is durable
	retired   bool
	ingesting chan struct{} // closed when the checkpoint that Pebble is taking in is durable; nil: there is none
}

// What a batch keeps of its buffer between two commits: a step's usual output fits; a large checkpoint gives its memory back.
const (
	batchBytesFirst = 64 << 10
	batchBytesKept  = 8 << 20
)

// Commit makes all the updates durable in one synced atomic batch: after a crash either all of them are there or none.
// It returns once the disk has confirmed. Readers may see the new state a moment earlier.
//
// Any error wraps ErrFatal: whether the updates will be there after a restart is unknown, nothing that depends on them may be
// said, and the store refuses every later call. Updates that contradict the log are a broken invariant.
// The updates of one commit must stay below 4 GiB.
func (s *Store) Commit(updates []GroupUpdate) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.commit(updates, nil)
}

// commit leaves out an update whose group is not wanted any more when it has the turn.
func (s *Store) commit(updates []GroupUpdate, wanted func(*group) bool) error {
	began := time.Now()
	if err := s.takeTurnFor(updates); err != nil {
		return err
	}
	c, err := s.prepare(updates, wanted)
	if err != nil {
		s.endTurn()
		return s.fuse.blow("commit", err)
	}
	if err := s.terms.raise(s.fuse, updates); err != nil {
		s.endTurn()
		return s.fuse.blow("commit", err)
	}
	bytes := c.batch.Len() // before Pebble keeps a large batch for itself
	if c.batch.Empty() {
		s.endTurn()
		s.keepFree(c)
		return nil
	}
	go s.write(c)
	select {
	case err = <-c.done:
	case <-s.fuse.blown: // also by another file: nothing is answered any more
	}
	if err = errors.Join(err, s.fuse.err()); err != nil {
		return s.fuse.blow("commit", err)
	}
	for _, f := range c.flips {
		f.live.Store(int32(f.slot))
	}
	s.committed()
	s.meter.committed(updates, bytes, time.Since(began))
	return s.reuse(c)
}

// takeTurn waits until the commit before has been handed to Pebble: the order of turns is the order of the log. A turn that
// never ends, because the disk failed in it, ends the waiting too.
func (s *Store) takeTurn() error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-s.fuse.blown:
		return s.fuse.err()
	}
}

func (s *Store) endTurn() { <-s.turn }

// takeTurnFor also waits for a checkpoint that is being taken in where an update replaces or ends what it is a part of.
func (s *Store) takeTurnFor(updates []GroupUpdate) error {
	for {
		if err := s.takeTurn(); err != nil {
			return err
		}
		ingesting := s.ingestingUnder(updates)
		if ingesting == nil {
			return nil
		}
		s.endTurn()
		select {
		case <-ingesting:
		case <-s.fuse.blown:
			return s.fuse.err()
		}
	}
}

func (s *Store) ingestingUnder(updates []GroupUpdate) chan struct{} {
	for i := range updates {
		u := &updates[i]
		if g := s.groups[u.Group]; g != nil && g.ingesting != nil && (u.Install || u.Retire) {
			return g.ingesting
		}
	}
	return nil
}

// unlessBroken is deferred where an invariant may break in a turn: what is known of a group is half changed then, and its turn may never end, so that nobody may write,
// or wait for a turn, any more.
func (s *Store) unlessBroken() {
	if cause := recover(); cause != nil {
		if broken, ok := cause.(invariant.Broken); ok {
			_ = s.fuse.blow("commit", broken)
		}
		panic(cause)
	}
}

// inFlight is one commit on its way, and what is kept of it for the next.
type inFlight struct {
	batch *pebble.Batch
	room  int        // bytes that the batch holds without growing, about
	done  chan error // one place: the writer never waits for us
	flips []flip     // what readers learn when the commit is durable
}

// flip is a group's state that moves to the other slot.
type flip struct {
	live *atomic.Int32
	slot byte
}

// prepare fills a batch. The caller has the turn.
func (s *Store) prepare(updates []GroupUpdate, wanted func(*group) bool) (*inFlight, error) {
	defer s.unlessBroken()
	c := s.takeFree(bytesOf(updates))
	for i := range updates {
		g, err := s.group(updates[i].Group)
		if err != nil {
			return nil, err
		}
		if wanted != nil && !wanted(g) {
			continue
		}
		g.check(&updates[i])
		s.fill(c.batch, g, &updates[i])
		if updates[i].Install {
			c.flips = append(c.flips, flip{g.live, g.slot})
		}
	}
	return c, nil
}

// write hands the batch to Pebble, ends the turn, so that the next commit can queue behind it and share its sync, and waits for
// the disk. It has a goroutine of its own because it doesn't return after a failure (guardFS).
func (s *Store) write(c *inFlight) {
	err := s.db.ApplyNoSyncWait(c.batch, pebble.Sync)
	s.endTurn()
	if err == nil {
		err = c.batch.SyncWait()
	}
	c.done <- err
}

// bytesOf is about how long a batch of the updates gets: one that grows as it is filled copies its largest checkpoint several times over.
func bytesOf(updates []GroupUpdate) int {
	const overhead = 32 // of a record: kind, lengths, what its key has beside the group's name, checksum
	total := 0
	for i := range updates {
		u := &updates[i]
		each := overhead + len(u.Group)
		total += (len(u.State) + len(u.Stage) + len(u.Entries) + 8) * each
		for _, state := range [][]KV{u.State, u.Stage} {
			for k := range state {
				total += len(state[k].Key) + len(state[k].Value)
			}
		}
		for k := range u.Entries {
			total += len(u.Entries[k].Data)
		}
	}
	return total
}

func (s *Store) takeFree(bytes int) *inFlight {
	s.freeing.Lock()
	defer s.freeing.Unlock()
	if n := len(s.free); n > 0 && s.free[n-1].room >= bytes {
		c := s.free[n-1]
		s.free = s.free[:n-1]
		return c
	}
	room := max(bytes, batchBytesFirst)
	batch := s.db.NewBatch(pebble.WithInitialSizeBytes(room), pebble.WithMaxRetainedSizeBytes(batchBytesKept))
	return &inFlight{batch: batch, room: room, done: make(chan error, 1)}
}

func (s *Store) reuse(c *inFlight) error {
	if c.room > batchBytesKept {
		return c.batch.Close() // once in a checkpoint, and Pebble wouldn't keep the room either
	}
	c.batch.Reset()
	c.flips = c.flips[:0]
	s.keepFree(c)
	return nil
}

func (s *Store) keepFree(c *inFlight) {
	s.freeing.Lock()
	defer s.freeing.Unlock()
	s.free = append(s.free, c)
}

// fill writes the update into the batch. Later operations of a batch win over earlier ones, so the order here matters.
func (s *Store) fill(b *pebble.Batch, g *group, u *GroupUpdate) {
	if u.Retire {
		s.fillRetire(b, g, u.Group)
		return
	}
	s.fillStage(b, g, u)
	if u.Install {
		s.install(b, g)
		g.last = u.Compact.Index
	}
	s.fillEntries(b, g, u.Entries)
	if u.HardState != nil && *u.HardState != g.hard {
		g.hard = *u.HardState
		s.key = appendKind(s.key[:0], g.prefix, kindHardState)
		s.value = appendHardState(s.value[:0], s.key, u.HardState)
		s.set(b, s.key, s.value)
	}
	s.fillState(b, g, g.slot, u.State)
	if u.Install || u.Applied > g.asOf.applied || u.Membership != nil && !bytes.Equal(u.Membership, g.asOf.members) {
		g.advance(u.Applied, u.Membership)
		s.key = appendKind(s.key[:0], g.prefix, g.slot)
		s.value = appendAsOf(s.value[:0], s.key, &g.asOf)
		s.set(b, s.key, s.value)
	}
	if u.Compact.Index > g.compacted.Index {
		s.fillCompact(b, g, u.Compact, !u.Install)
	}
}

// advance takes note of a checkpoint. No membership: it is as before.
func (g *group) advance(applied raft.Index, members []byte) {
	g.asOf.applied = max(g.asOf.applied, applied)
	if members != nil {
		g.asOf.members = bytes.Clone(members)
	}
}

func (s *Store) fillRetire(b *pebble.Batch, g *group, name string) {
	g.retired = true
	for _, kind := range []byte{kindHardState, kindApplied, kindCompacted, kindMembers, kindSlot} {
		s.key = appendKind(s.key[:0], g.prefix, kind)
		_ = b.Delete(s.key, nil) // as in set
	}
	s.dropKind(b, g, kindEntry)
	s.dropState(b, g)
	s.dropStaged(b, g)
	key := retiredGroup(name)
	s.set(b, key, seal(key, nil))
}

// fillEntries truncates, if there is anything to truncate, by a deletion of its own: nothing of the old tail may
// come back after a shorter new one (raft-scenarios 47).
func (s *Store) fillEntries(b *pebble.Batch, g *group, entries []raft.Entry) {
	if len(entries) == 0 {
		return
	}
	if first := entries[0].Index; first <= g.last {
		s.deleteRange(b, appendEntryKey(s.key[:0], g.prefix, first), appendEntryKey(s.end[:0], g.prefix, g.last+1))
	}
	for i := range entries {
		e := &entries[i]
		op := b.SetDeferred(len(g.prefix)+1+indexBytes, entryBytes(e))
		appendEntryKey(op.Key[:0], g.prefix, e.Index)
		putEntry(op.Value, op.Key, e)
		_ = op.Finish() // fails only in indexed batches
	}
	g.last = entries[len(entries)-1].Index
}

// fillStage keeps a piece of a snapshot aside. What an installation that was given up has left goes first.
func (s *Store) fillStage(b *pebble.Batch, g *group, u *GroupUpdate) {
	if u.StageAnew {
		s.dropStaged(b, g)
	}
	if len(u.Stage) > 0 {
		s.fillState(b, g, otherSlot(g.slot), u.Stage)
		g.staged = true
	}
}

// install makes the slot with the snapshot the live one. The old state and the log go in the same batch.
func (s *Store) install(b *pebble.Batch, g *group) {
	s.dropKind(b, g, kindEntry)
	s.dropState(b, g)
	g.slot, g.staged = otherSlot(g.slot), false
	s.key = appendKind(s.key[:0], g.prefix, kindSlot)
	s.value = appendSlot(s.value[:0], s.key, g.slot)
	s.set(b, s.key, s.value)
}

// dropState and dropStaged delete nothing where there is nothing: a range deletion costs a table for each kind that it lies over.
func (s *Store) dropState(b *pebble.Batch, g *group) {
	if g.asOf.applied > 0 { // state has an applied index (checkCheckpoint)
		s.dropKind(b, g, g.slot)
	}
}

func (s *Store) dropStaged(b *pebble.Batch, g *group) {
	if g.staged {
		s.dropKind(b, g, otherSlot(g.slot))
		g.staged, g.givenUp = false, false
	}
}

func (s *Store) dropKind(b *pebble.Batch, g *group, kind byte) {
	s.deleteRange(b, appendKind(s.key[:0], g.prefix, kind), appendKind(s.end[:0], g.prefix, kind+1))
}

func (s *Store) fillState(b *pebble.Batch, g *group, slot byte, state []KV) {
	for i := range state {
		if len(state[i].Key) == 0 {
			invariant.Fail("a machine's state has an empty key")
		}
		s.key = appendStateKey(s.key[:0], g.prefix, slot, state[i].Key)
		if state[i].Value == nil {
			_ = b.Delete(s.key, nil) // as in set
		} else {
			s.set(b, s.key, state[i].Value)
		}
	}
}

// fillCompact deletes only what the last compaction left: tombstones that don't overlap stay cheap to read past.
func (s *Store) fillCompact(b *pebble.Batch, g *group, to raft.EntryID, deleteEntries bool) {
	if deleteEntries {
		s.deleteRange(b, appendEntryKey(s.key[:0], g.prefix, g.compacted.Index+1), appendEntryKey(s.end[:0], g.prefix, to.Index+1))
	}
	g.compacted = to
	s.key = appendKind(s.key[:0], g.prefix, kindCompacted)
	s.value = appendCompacted(s.value[:0], s.key, to)
	s.set(b, s.key, s.value)
}

// set and deleteRange copy into the batch. They fail only in indexed batches, which ours are not.
func (s *Store) set(b *pebble.Batch, key, value []byte) { _ = b.Set(key, value, nil) }

func (s *Store) deleteRange(b *pebble.Batch, from, to []byte) {
	s.key, s.end = from, to // keep what they have grown to
	_ = b.DeleteRange(from, to, nil)
}
