package sim

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// disk is a node's disk: what was written and not yet synced is lost with a crash, from some write on. Like the disk
// of package node it syncs everything that has gathered since the last sync, and lets messages out after it.
type disk struct {
	h       *host
	rng     *rand.Rand
	groups  map[lane.GroupID]*stored
	order   []*stored                      // the same, as they were first written or restored
	pending []lane.GroupWrite              // handed over by the lane
	syncing []lane.GroupWrite              // the disk is busy with these
	spare   []lane.GroupWrite              // the room of the next pending
	sums    []uint64                       // of syncing and pending, taken when they were handed over
	keeping []*keeping                     // checkpoints (checkpoint.go)
	latency time.Duration                  // of an ordinary sync
	slow    time.Duration                  // until then each sync takes a hundred times as long
	stalled time.Duration                  // until then no sync ends
	full    time.Duration                  // until then there is no room: no sync ends, and no process starts
	low     bool                           // there is little room
	failing bool                           // the next sync fails
	views   map[receiver]*replica.Outgoing // snapshots that this node sends
}

// stored is what is durable of one group.
type stored struct {
	disk      *disk
	group     lane.GroupID
	hard      raft.HardState
	compacted raft.EntryID
	entries   []raft.Entry
	applied   raft.Index
	members   []byte
	kv        *shelf
	staged    *shelf    // of a snapshot that isn't complete; nil: none was begun
	lost      raft.Term // promises up to this term are lost
	rotten    bool      // checksums don't match until it is mended
	retired   bool
}

func newDisk(h *host, rng *rand.Rand) *disk {
	return &disk{h: h, rng: rng, groups: map[lane.GroupID]*stored{}, views: map[receiver]*replica.Outgoing{}, latency: time.Duration(50+rng.IntN(3000)) * time.Microsecond}
}

func (d *disk) of(id lane.GroupID) *stored {
	s := d.groups[id]
	if s == nil {
		s = &stored{disk: d, group: id, kv: newShelf()}
		d.groups[id] = s
		d.order = append(d.order, s)
	}
	return s
}

// setLow says whether there is little room, and tells the node.
func (d *disk) setLow(low bool) {
	if d.low == low {
		return
	}
	d.low = low
	d.h.w.trace.note(d.h.w.now, "space", d.h.id, 0, low, 0)
	d.tellSpace()
}

func (d *disk) tellSpace() {
	if d.h.lane != nil {
		d.h.inbox = append(d.h.inbox, lane.SpaceChanged{Low: d.low})
		d.h.poke()
	}
}

// mend ends everything that ails the disk.
func (d *disk) mend() {
	d.slow, d.stalled, d.full, d.failing = 0, d.h.w.now, 0, false
	d.setLow(false)
	for _, s := range d.order {
		s.rotten = false
	}
}

// errRotten is what a checksum says of damaged bytes.
var errRotten = errors.New("the checksum doesn't match")

// sound says whether a group can be read. Judges see through the damage.
func (s *stored) sound() error {
	if s.rotten && !s.disk.h.w.judging {
		return fmt.Errorf("%w: group %s", errRotten, s.group)
	}
	return nil
}

// restore is what a starting lane finds.
func (d *disk) restore(id lane.GroupID) (raft.State, lane.Reader, error) {
	d.h.restoring = id
	s := d.of(id)
	if s.retired {
		return raft.State{}, nil, lane.ErrRetired
	}
	if err := s.sound(); err != nil {
		return raft.State{}, nil, err
	}
	state := raft.State{HardState: s.hard, Compacted: s.compacted, Entries: cloneEntries(s.entries), Applied: s.applied, Membership: slices.Clone(s.members), Lost: s.lost}
	return state, s, nil
}

// write takes what a step wants written, in order.
func (d *disk) write(writes []lane.GroupWrite) {
	for i := range writes {
		d.pending = append(d.pending, writes[i])
		d.sums = append(d.sums, sumOf(&writes[i].Write))
		d.h.w.judge.versions.onWrite(d.h, &writes[i])
		d.h.w.trace.note(d.h.w.now, "writes", d.h.id, 0, &writes[i], d.sums[len(d.sums)-1])
	}
	d.start()
}

// start begins a sync if there is something to sync and the disk is free.
func (d *disk) start() {
	if len(d.syncing) > 0 || len(d.pending) == 0 {
		return
	}
	d.syncing, d.pending, d.spare = d.pending, d.spare, nil
	took := d.latency + time.Duration(d.rng.Int64N(int64(d.latency)))
	now := d.h.w.now
	if now < d.slow {
		took *= 100
	}
	d.h.later(max(now+took, d.stalled), d.h.doFinish)
}

// finish ends a sync: first durable, then the messages that waited, then the news for the lane.
func (d *disk) finish() {
	if d.h.w.now < d.stalled {
		d.h.later(d.stalled, d.h.doFinish)
		return
	}
	if d.failing {
		d.failing = false
		d.h.stop("at a sync that fails")
		return
	}
	writes := d.syncing
	if installs(writes) && d.h.installCrashPoint("while a snapshot is written") {
		return
	}
	d.makeDurable(len(writes))
	d.syncing = nil
	d.h.applied = d.h.applied || installs(writes) // the lane takes over a state with its next step
	if installs(writes) && d.h.installCrashPoint("after a part of a snapshot was written") {
		return
	}
	if d.h.crashPoint("after the sync, before its messages") {
		return
	}
	for i := range writes {
		d.h.w.net.send(d.h.id, writes[i].Durable)
		d.h.inbox = append(d.h.inbox, lane.Persisted{Group: writes[i].Group, Seq: writes[i].Write.Seq})
	}
	if d.h.crashPoint("after the messages of a sync") {
		return
	}
	d.h.poke()
	clear(writes)
	d.spare = writes[:0]
	d.start()
}

// makeDurable applies the first of the writes that are being synced.
func (d *disk) makeDurable(count int) {
	for i := range d.syncing[:count] {
		w := &d.syncing[i]
		if sumOf(&w.Write) != d.sums[i] {
			invariant.Fail("write %d of group %s has changed after it was handed over", w.Write.Seq, w.Group)
		}
		d.of(w.Group).apply(d.lie(w.Group, &w.Write))
	}
	d.sums = append(d.sums[:0], d.sums[len(d.syncing):]...)
}

// lie is what the disk really keeps of a write: all of it, unless a fault is planted.
func (d *disk) lie(group lane.GroupID, w *replica.Write) *replica.Write {
	switch plant := d.h.w.cfg.plant; {
	case plant == forgetVotes && w.HardState != nil && d.rng.IntN(10) == 0:
		kept := *w
		kept.HardState = &raft.HardState{Term: w.HardState.Term, Commit: w.HardState.Commit, Accepted: w.HardState.Accepted}
		return &kept
	case plant == forgetTail && len(w.Entries) > 0 && d.rng.IntN(50) == 0:
		kept := *w
		kept.Entries = w.Entries[:len(w.Entries)-1]
		return &kept
	case plant == halfInstall && w.Install:
		s := d.of(group)
		for _, i := range s.staged.items() {
			if hashString(i.key)%2 == 0 {
				s.staged.put([]replica.KV{{Key: []byte(i.key), Value: s.kv.get([]byte(i.key))}})
			}
		}
	}
	return w
}

// crash loses what wasn't synced. Of a sync under way, any number of writes may have made it, in order.
func (d *disk) crash() {
	if len(d.syncing) > 0 {
		d.makeDurable(d.rng.IntN(len(d.syncing) + 1))
	}
	d.loseKeeping()
	d.syncing, d.pending, d.sums = nil, nil, nil
	clear(d.views)
	for _, s := range d.groups {
		if s.staged != nil && s.staged.len() > 0 {
			d.h.w.counts.SnapshotsCut++
		}
	}
}

// lose damages what is stored of one group, so that all but its term is given up. One member of a group may be so at a
// time: a majority must be healthy.
func (d *disk) lose(places map[lane.GroupID][]raft.NodeID) {
	var groups []lane.GroupID
	for _, id := range slices.Sorted(maps.Keys(d.groups)) {
		whole := func(n raft.NodeID) bool { s := d.h.w.host(n).disk.groups[id]; return s == nil || !s.incomplete() }
		if members := places[id]; len(members) >= 3 && d.groups[id].hard.Term > 0 && !slices.ContainsFunc(members, func(n raft.NodeID) bool { return !whole(n) }) {
			groups = append(groups, id)
		}
	}
	if len(groups) == 0 {
		return
	}
	s := d.groups[groups[d.rng.IntN(len(groups))]]
	d.h.w.counts.DisksLost++
	d.h.w.trace.note(d.h.w.now, "loses its data", d.h.id, 0, s.group, uint64(s.hard.Term))
	*s = stored{disk: d, group: s.group, kv: newShelf(), lost: s.hard.Term, hard: raft.HardState{Term: s.hard.Term + 1}}
	if d.h.w.cfg.plant == votesBlindly {
		s.lost = 0
	}
}

// incomplete says whether the log still lacks what was lost.
func (s *stored) incomplete() bool {
	last := s.compacted.Term
	if n := len(s.entries); n > 0 {
		last = s.entries[n-1].Term
	}
	return s.lost != 0 && last <= s.lost
}

func (s *stored) last() raft.Index { return s.compacted.Index + raft.Index(len(s.entries)) }

// apply makes one write durable, as package storage does.
func (s *stored) apply(w *replica.Write) {
	if s.retired { // not Holds: its arguments would cost an allocation each, at every write
		invariant.Fail("%s: something is written after it was retired", s.group)
	}
	if w.Retire {
		*s = stored{disk: s.disk, group: s.group, kv: newShelf(), retired: true}
		return
	}
	if w.HardState != nil {
		s.checkHard(w.HardState)
		s.hard = *w.HardState
	}
	s.stage(w)
	if len(w.Entries) > 0 {
		first := w.Entries[0].Index
		switch {
		case first <= s.compacted.Index || first > s.last()+1:
			invariant.Fail("%s: entries from %d are written behind a log of %d to %d", s.group, first, s.compacted.Index+1, s.last())
		case first <= s.hard.Commit && first <= s.applied:
			invariant.Fail("%s: entries from %d replace what is applied up to %d", s.group, first, s.applied)
		}
		keep := first - s.compacted.Index - 1
		s.entries = appendEntries(s.entries[:keep], w.Entries) // nobody else has this array
	}
	if w.Compact.Index > s.compacted.Index {
		invariant.Holds(w.Compact.Index <= s.applied, "%s: the log is dropped up to %d, the checkpoint has %d", s.group, w.Compact.Index, s.applied)
		s.entries = slices.Clone(s.entries[w.Compact.Index-s.compacted.Index:])
		s.compacted = w.Compact
	}
}

func (s *stored) checkHard(h *raft.HardState) {
	switch {
	case h.Term < s.hard.Term:
		invariant.Fail("%s: term %d is written over %d", s.group, h.Term, s.hard.Term)
	case h.Term == s.hard.Term && s.hard.Vote != 0 && h.Vote != s.hard.Vote:
		invariant.Fail("%s: in term %d the vote for %d becomes one for %d", s.group, s.hard.Term, s.hard.Vote, h.Vote)
	case h.Commit < s.hard.Commit:
		invariant.Fail("%s: commit goes back from %d to %d", s.group, s.hard.Commit, h.Commit)
	}
}

// stage keeps a piece of a snapshot aside, or makes the whole of it the state.
func (s *stored) stage(w *replica.Write) {
	if w.StageAnew {
		s.staged = newShelf()
	}
	if len(w.Stage) > 0 {
		s.staged.put(w.Stage)
	}
	if !w.Install {
		return
	}
	invariant.Holds(w.Compact.Index > s.applied, "%s: a snapshot of %d after a checkpoint of %d", s.group, w.Compact.Index, s.applied)
	s.kv, s.staged = s.staged, nil
	s.compacted, s.entries, s.applied, s.members = w.Compact, nil, w.Compact.Index, slices.Clone(w.Members)
}

// shown is the checkpoint that the reader may show early: the production store shows one a moment before the disk has confirmed it.
func (s *stored) shown() []replica.KV {
	if s.disk.h.w.faults.EagerReaders {
		for _, k := range s.disk.keeping {
			if k.Group == s.group && k.Checkpoint.Applied > s.applied {
				return slices.Concat(k.Checkpoint.State...)
			}
		}
	}
	return nil
}

// Get looks one key up.
func (s *stored) Get(key []byte) (value []byte, ok bool, err error) {
	if err := s.sound(); err != nil {
		return nil, false, err
	}
	early := s.shown()
	for i := len(early) - 1; i >= 0; i-- {
		if string(early[i].Key) == string(key) {
			return slices.Clone(early[i].Value), early[i].Value != nil, nil
		}
	}
	value = s.kv.get(key)
	return slices.Clone(value), value != nil, nil
}

// Scan calls fn for from ≤ key < to, in order.
func (s *stored) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	if err := s.sound(); err != nil {
		return err
	}
	s.kv.scan(from, to, s.shown(), fn)
	return nil
}

// covers says whether an acknowledgement of everything up to index is true of what is durable.
func (s *stored) covers(term raft.Term, index raft.Index) error {
	if term == s.hard.Term && index > s.last() {
		return fmt.Errorf("acknowledges entry %d of %s in term %d, durable is %d", index, s.group, term, s.last())
	}
	if term > s.hard.Term {
		return fmt.Errorf("acknowledges entry %d of %s in term %d, durable is term %d", index, s.group, term, s.hard.Term)
	}
	return nil
}

func sumOf(w *replica.Write) uint64 {
	h := mix(w.Seq, uint64(w.Compact.Index)<<20)
	if w.HardState != nil {
		h = mix(h, uint64(w.HardState.Term)<<32^uint64(w.HardState.Vote)<<24^uint64(w.HardState.Commit)^uint64(w.HardState.Accepted)<<16)
	}
	h = mix(h, hashBytes(w.Members))
	for i := range w.Stage {
		h = mix(mix(h, hashBytes(w.Stage[i].Key)), hashBytes(w.Stage[i].Value))
	}
	for i := range w.Entries {
		e := &w.Entries[i]
		h = mix(mix(h, uint64(e.Index)^uint64(e.Term)<<32), hashBytes(e.Data))
	}
	return h
}
