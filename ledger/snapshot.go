package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/transfer"
)

// Reader is the state as of the last checkpoint that is durable, and at most one checkpoint more: one that has been
// handed out, but not yet confirmed by Checkpointed, may already show, as a whole. Keys and values
// are those of Checkpoint; slices given to the ledger may be reused when the call or the callback ends.
// An error is a disk that failed, never a key that isn't there.
type Reader interface {
	Get(key []byte) (value []byte, ok bool, err error)
	// Scan calls fn for each key from ≤ key < to, in ascending order, until fn returns false.
	Scan(from, to []byte, fn func(key, value []byte) bool) error
}

// KV is one change of a checkpoint. A nil Value deletes the key; no other value is empty.
type KV = struct{ Key, Value []byte }

// New is the bank that the reader shows. It reads totals and open holds with their accounts, nothing else.
// A nil reader is an empty bank that lives in memory only: it can't make checkpoints.
func New(reader Reader) (*Ledger, error) {
	l := &Ledger{
		written:  stateVersionLines,
		journal:  journal{run: 1},
		reader:   reader,
		holds:    holds{byID: map[transfer.ID]*hold{}},
		finished: barrier{fresh: newGeneration(), sealed: newGeneration()},
		cache:    cache{byID: map[transfer.AccountID]*account{}, bound: cacheAccountsDefault},
		results:  []Result{},
	}
	l.journal.startLines(1)
	if reader == nil {
		return l, nil
	}
	value, ok, err := reader.Get([]byte{keyMeta})
	if err != nil {
		return nil, fmt.Errorf("read meta record: %w", err)
	}
	if !ok {
		if err := l.isEmpty(); err != nil {
			return nil, err
		}
		return l, nil
	}
	if err := l.decodeMeta(value); err != nil {
		return nil, err
	}
	l.stored = l.index
	if err := l.loadTotals(); err != nil {
		return nil, err
	}
	if err := l.loadHolds(); err != nil {
		return nil, err
	}
	return l, l.finished.findNewest(reader)
}

func (l *Ledger) isEmpty() error {
	empty := true
	err := l.reader.Scan([]byte{keyAccount}, []byte{keyTotal + 1}, func(_, _ []byte) bool {
		empty = false
		return false
	})
	if err == nil && !empty {
		err = fmt.Errorf("%w: records without a meta record", wire.ErrDamaged)
	}
	return err
}

func (l *Ledger) loadTotals() error {
	var damage error
	err := l.reader.Scan([]byte{keyTotal}, []byte{keyTotal + 1}, func(key, value []byte) bool {
		t, err := decodeTotal(transfer.Currency(key[1:]), value)
		if damage = err; err == nil {
			l.totals.add(t)
		}
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("read totals: %w", err)
	}
	return damage
}

func (l *Ledger) loadHolds() error {
	type loaded struct {
		hold *hold
		legs []storedLeg
	}
	var all []loaded
	var damage error
	err := l.reader.Scan([]byte{keyHold}, []byte{keyHold + 1}, func(key, value []byte) bool {
		if len(key) != 1+len(transfer.ID{}) {
			damage = fmt.Errorf("read holds: %w: key of %d bytes", wire.ErrDamaged, len(key))
			return false
		}
		var one loaded
		one.hold, one.legs, damage = decodeHold(transfer.ID(key[1:]), value)
		all = append(all, one)
		return damage == nil
	})
	if err != nil {
		return fmt.Errorf("read holds: %w", err)
	}
	if damage != nil {
		return damage
	}
	slices.SortFunc(all, func(a, b loaded) int {
		return cmp.Or(cmp.Compare(a.hold.index, b.hold.index), cmp.Compare(a.hold.ordinal, b.hold.ordinal))
	})
	if mutant.On(mutant.DropCheckpointedHold) && len(all) > 0 {
		all = all[1:]
	}
	for i := range all {
		if err := l.loadLegs(all[i].hold, all[i].legs); err != nil {
			return err
		}
	}
	return l.checkHeld()
}

func (l *Ledger) loadLegs(h *hold, legs []storedLeg) error {
	h.legs = h.inline[:0]
	for _, leg := range legs {
		a := l.cache.byID[leg.account]
		if a == nil {
			stored, ok, err := l.storedAccount(leg.account)
			if err == nil && !ok {
				err = fmt.Errorf("read hold of %s: %w: it names account %.64q, which isn't there", h.id, wire.ErrDamaged, leg.account)
			}
			if err == nil {
				a, err = l.keep(stored)
			}
			if err != nil {
				return err
			}
		}
		a.holds++
		h.legs = append(h.legs, holdLeg{account: a, amountMinor: leg.amountMinor})
	}
	h.digest = digestOfHold(h)
	l.holds.add(h)
	return nil
}

// Checkpoint begins a checkpoint of what has changed since the last one, in no particular order but always the same. It returns what may change again;
// Sealed has the rest. The host writes all of it in one atomic step with the index of the last entry as of now, and then calls
// Checkpointed; Apply may go on in between. The slices belong to the host.
func (l *Ledger) Checkpoint() []KV {
	invariant.Holds(l.reader != nil, "a bank without a reader would never find again what a checkpoint lets it forget")
	invariant.Holds(!l.sealed, "a checkpoint at entry %d before the last one was confirmed", l.index)
	l.sealed = true
	if l.index == l.stored {
		return nil
	}
	l.stored = l.index
	l.cache.seal()
	l.journal.seal(l.cache.sealed)
	l.finished.seal()
	w := kvWriter{kvs: make([]KV, 0, len(l.holds.gone)+len(l.holds.byID)+len(l.cache.sealed)+len(l.totals)+1)}
	l.writeHolds(&w)
	for _, a := range l.cache.sealed {
		w.put(appendAccount(w.key(keyAccount, string(a.ID)), &a.Account))
	}
	for _, t := range l.totals {
		w.put(appendTotal(w.key(keyTotal, string(t.Currency)), &t.Total))
	}
	w.put(appendMeta(w.key(keyMeta, ""), l))
	return w.kvs
}

// unsealed is how many records of the checkpoint under way Sealed has still to return.
func (l *Ledger) unsealed() int {
	return l.finished.sealed.records.length - l.finished.handed + l.journal.unsealed()
}

// Sealed returns the next records of the checkpoint under way, most of them at most; fewer: that was all.
func (l *Ledger) Sealed(most int) []KV {
	w := kvWriter{kvs: make([]KV, 0, min(most, l.unsealed())), size: chunkMost / 2}
	for ; l.finished.handed < l.finished.sealed.records.length && len(w.kvs) < most; l.finished.handed++ {
		f := l.finished.sealed.records.at(l.finished.handed)
		w.put(appendFinished(w.key(keyFinished, string(f.id[:])), f))
	}
	j := &l.journal
	for j.handed < j.sealed.length && len(w.kvs) < most {
		first := j.firstInMemory() + uint64(j.handed)
		entries := min(j.run, j.sealed.length-j.handed)
		key := entryKey(first + uint64(entries) - 1)
		w.put(j.appendEntries(w.key(keyEntry, string(key[1:])), first, entries))
		j.handed += entries
	}
	for j.walked < len(j.tails) && len(w.kvs) < most {
		t := &j.tails[j.walked]
		var lines int
		w.chunk, t.seq, lines = j.appendLines(w.lineKey(t.account.ID, t.seq), t.seq)
		w.put(w.chunk)
		if j.lined += lines; t.seq == 0 {
			j.walked++
		}
	}
	return w.kvs
}

// WriteRuns lets the checkpoints from now on have many entries of the journal, and many lines of a statement, in one record. A build before LevelRuns (room
// directory) can't read them.
func (l *Ledger) WriteRuns() { l.written, l.journal.run = stateVersion, runMost }

// writeHolds writes the holds that are new and deletes those that ended. One that came and went
// since the last checkpoint is neither.
func (l *Ledger) writeHolds(w *kvWriter) {
	for _, id := range l.holds.gone {
		w.key(keyHold, string(id[:]))
		w.delete()
	}
	l.holds.gone = l.holds.gone[:0]
	first := l.holds.newest
	if first == nil || first.stored {
		return
	}
	for first.older != nil && !first.older.stored {
		first = first.older
	}
	for h := first; h != nil; h = h.newer {
		w.put(appendHold(w.key(keyHold, string(h.id[:])), h))
		h.stored = true
	}
}

// Checkpointed says that the last Checkpoint is durable and that the reader shows it. What is stored
// and idle may now leave memory.
func (l *Ledger) Checkpointed() {
	invariant.Holds(l.sealed, "a confirmation at entry %d without a checkpoint", l.index)
	left := l.unsealed()
	invariant.Holds(left == 0, "a checkpoint at entry %d is confirmed without %d of its records", l.stored, left)
	l.sealed = false
	l.cache.drop()
	l.journal.drop()
	l.finished.drop()
}

// kvWriter cuts keys and values from large chunks instead of allocating each.
type kvWriter struct {
	kvs   []KV
	chunk []byte
	size  int // of chunk
	start int // of the key under way
	value int // of its value
}

const (
	chunkLeast   = 8 << 10 // of the first chunk; each further one is twice as large
	chunkMost    = 64 << 10
	chunkReserve = 4 << 10 // few records are longer; those that are let the chunk grow
)

// key begins a record; the value is appended to what it returns.
func (w *kvWriter) key(prefix byte, name string) []byte {
	w.begin()
	w.chunk = append(append(w.chunk, prefix), name...)
	w.value = len(w.chunk)
	return w.chunk
}

func (w *kvWriter) begin() {
	if cap(w.chunk)-len(w.chunk) < chunkReserve {
		w.size = min(max(chunkLeast, 2*w.size), chunkMost)
		w.chunk = make([]byte, 0, w.size)
	}
	w.start = len(w.chunk)
}

// lineKey begins the record of a statement's line, as the function of the same name has its key.
func (w *kvWriter) lineKey(id transfer.AccountID, seq uint64) []byte {
	w.begin()
	w.chunk = appendLineKey(w.chunk, id, seq)
	w.value = len(w.chunk)
	return w.chunk
}

func (w *kvWriter) put(chunk []byte) {
	invariant.Holds(len(chunk) > w.value, "an empty value would read as a deletion")
	w.chunk = chunk
	w.kvs = append(w.kvs, KV{Key: chunk[w.start:w.value:w.value], Value: chunk[w.value:len(chunk):len(chunk)]})
}

func (w *kvWriter) delete() {
	w.kvs = append(w.kvs, KV{Key: w.chunk[w.start:w.value:w.value]})
}
