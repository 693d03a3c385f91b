package coordinator

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/transfer"
)

// Reader shows the state as of the last durable Checkpoint. Its answers are state.
type Reader interface {
	Get(key []byte) (value []byte, ok bool, err error)
	Scan(from, to []byte, fn func(key, value []byte) bool) error
}

// absentMax bounds how many ids are remembered as unknown.
const absentMax = 1 << 16

// Machine is the replicated state of one coordinator group.
type Machine struct {
	reader  Reader // nil: nothing was ever stored
	decoder decoder

	records map[transfer.ID]*Record // the unsettled ones …
	dirty   []*Record               // … of which these have changed since the last Checkpoint, in the order of the first change, beside some that have settled since
	// Transfers are decided, and settle, much in the order in which they were noted: last is the end of a chain of them, and the others are the next in it.
	last, nextDecided, nextSettled *Record

	gone    []transfer.ID        // settled since the last Checkpoint, and stored as unsettled
	settled generation           // since the last Checkpoint
	sealed  generation           // before it, and not yet reported durable
	sealing bool                 // a Checkpoint is under way
	absent  map[transfer.ID]bool // looked up, and in no record: most are staged next. Not state: forgotten at will
	newest  transfer.ID          // no settled record that only the reader knows has a higher id: clients number in the order of time, so most new ones needn't be looked for

	numbered bool  // a Number fact has come: the two orders have all transfers. Before, they have none
	noted    order // transfers by when the group took note of them …
	decided  order // … and by when it decided them
	run      int   // so many places share a stored record at most
	applied  uint64
	hash     uint64 // sum of the hashes of records and places
	staged   int    // undecided
}

// generation is settled records that the reader can't show yet, in the order in which they settled. None of them changes any more.
type generation struct {
	list   []*Record
	byID   map[transfer.ID]*Record // the first ones of the list: the others get in when an id is looked for that may be theirs, which is seldom
	handed int                     // of the list, to whoever makes the checkpoint
	newest transfer.ID             // no other has a higher id: most new ones needn't be looked for
}

func newGeneration() generation { return generation{byID: map[transfer.ID]*Record{}} }

func (g *generation) add(r *Record) {
	g.list = append(g.list, r)
	if bytes.Compare(r.Transfer.ID[:], g.newest[:]) > 0 {
		g.newest = r.Transfer.ID
	}
}

// New makes a machine from what the reader shows. Only unsettled records are loaded; finished ones are read when asked for.
func New(reader Reader) (*Machine, error) {
	m := &Machine{reader: reader, records: map[transfer.ID]*Record{}, settled: newGeneration(), sealed: newGeneration(), absent: map[transfer.ID]bool{}, noted: newOrder(keyPlace), decided: newOrder(keyDecided), run: 1}
	if reader == nil {
		return m, nil
	}
	if err := m.load(); err != nil {
		return nil, err
	}
	return m, nil
}

// Apply writes down the facts of one committed log entry. Entries come in the order of their index, each once. The
// answers are in the order of the facts, one per id. An error means damaged bytes or a failing reader.
func (m *Machine) Apply(index uint64, data []byte) ([]Applied, error) {
	if index <= m.applied { // not Holds: its arguments would cost an allocation each on the hot path
		invariant.Fail("entry %d applied after %d", index, m.applied)
	}
	at, facts, err := m.decoder.decode(data)
	if err != nil {
		return nil, fmt.Errorf("coordinator entry %d: %w", index, err)
	}
	m.applied = index
	results := make([]Applied, 0, len(facts))
	for i := range facts {
		results, err = m.applyFact(results, at, &facts[i])
		if err != nil {
			return nil, fmt.Errorf("coordinator entry %d: %w", index, err)
		}
	}
	return results, nil
}

func (m *Machine) applyFact(results []Applied, at time.Time, f *Fact) ([]Applied, error) {
	switch {
	case f.Stage != nil:
		r, err := m.stage(at, f.Stage)
		return append(results, r), err
	case f.Hold != nil:
		r, err := m.hold(*f.Hold)
		return append(results, r), err
	case f.Decide != nil:
		r, err := m.decide(f.Decide)
		return append(results, r), err
	case f.Number:
		return results, m.number()
	default:
		for _, id := range f.Settle {
			r, err := m.settle(id)
			if err != nil {
				return nil, err
			}
			results = append(results, r)
		}
		return results, nil
	}
}

// stage accepts a transfer unless its id is decided already or belongs to other content.
// Accepting it again is harmless: the first staging stands.
func (m *Machine) stage(at time.Time, t *transfer.Transfer) (Applied, error) {
	known, err := m.find(t.ID)
	if err != nil {
		return Applied{}, err
	}
	fingerprint := t.Fingerprint()
	if known == nil {
		r := &Record{Transfer: *t, Fingerprint: fingerprint, State: transfer.Pending, CreatedAt: at}
		if t.IsHold() { // it may stay for a month, and the strings of an entry are one
			r.Transfer = t.Clone()
		}
		m.add(r)
		m.staged++
		return Applied{ID: t.ID, Kind: Staged, Record: r}, nil
	}
	if known.State == transfer.Pending && known.SameContent(fingerprint) {
		return Applied{ID: t.ID, Kind: Staged, Record: known}, nil
	}
	return Applied{ID: t.ID, Kind: StageRefused, Record: known}, nil
}

// hold: from here on a client's word decides, and no longer what the banks hold.
func (m *Machine) hold(id transfer.ID) (Applied, error) {
	r, err := m.find(id)
	if err != nil {
		return Applied{}, err
	}
	if r == nil || !r.Transfer.IsHold() || r.State.Decided() {
		invariant.Fail("transfer %s is held but was not staged as a hold, or is decided", id)
	}
	if r.State == transfer.Pending {
		m.change(r, func() { r.State = transfer.Held })
		m.staged--
	}
	return Applied{ID: id, Kind: Held, Record: r}, nil
}

// decide writes the outcome down, once. An abort of an unknown id makes a tombstone; what was proposed
// as one yields to a Stage that came first.
func (m *Machine) decide(d *Decision) (Applied, error) {
	r, err := m.follow(&m.nextDecided, d.ID)
	if err != nil {
		return Applied{}, err
	}
	if r == nil {
		invariant.Holds(d.State == transfer.Aborted, "transfer %s is decided %s but was never staged", d.ID, d.State)
		r = &Record{Transfer: transfer.Transfer{ID: d.ID}, State: transfer.Aborted, Reason: d.Reason, Settled: true, CreatedAt: d.At, DecidedAt: d.At}
		m.add(r)
		m.place(&m.decided, d.ID, d.At)
		return Applied{ID: d.ID, Kind: Decided, Record: r}, nil
	}
	if r.State.Decided() {
		if r.State != d.State && !d.Tombstone {
			invariant.Fail("transfer %s is %s and can't become %s", d.ID, r.State, d.State)
		}
		return Applied{ID: d.ID, Kind: Decided, Record: r}, nil
	}
	if d.Tombstone {
		return Applied{ID: d.ID, Kind: DecideRefused, Record: r}, nil
	}
	if d.State == transfer.Committed && r.Transfer.IsHold() && r.State != transfer.Held {
		invariant.Fail("hold %s is committed before it is held", d.ID)
	}
	if _, err := r.Transfer.Capture(d.CapturedMinor); err != nil {
		invariant.Fail("hold %s is captured as it can't be: %v", d.ID, err)
	}
	if r.State == transfer.Pending {
		m.staged--
	}
	m.change(r, func() { r.State, r.Reason, r.DecidedAt, r.CapturedMinor = d.State, d.Reason, d.At, d.CapturedMinor })
	m.place(&m.decided, d.ID, d.At)
	return Applied{ID: d.ID, Kind: Decided, Record: r}, nil
}

func (m *Machine) settle(id transfer.ID) (Applied, error) {
	r, err := m.follow(&m.nextSettled, id)
	if err != nil {
		return Applied{}, err
	}
	if r == nil || !r.State.Decided() {
		invariant.Fail("transfer %s is settled but was not decided", id)
	}
	if !r.Settled {
		m.change(r, func() { r.Settled = true })
		r.next = nil // else it would keep all later ones in memory for whoever keeps it
		delete(m.records, id)
		if r.storedAlive {
			m.gone = append(m.gone, id)
		}
		m.settled.add(r)
	}
	return Applied{ID: id, Kind: Settled, Record: r}, nil
}

func (m *Machine) add(r *Record) {
	if r.Settled {
		m.settled.add(r)
	} else {
		m.records[r.Transfer.ID] = r
		m.touch(r)
		m.chain(r)
	}
	delete(m.absent, r.Transfer.ID)
	r.digest = r.hash()
	m.hash += r.digest
	m.place(&m.noted, r.Transfer.ID, r.CreatedAt)
}

func (m *Machine) change(r *Record, set func()) {
	m.hash -= r.digest
	set()
	r.digest = r.hash()
	m.hash += r.digest
	m.touch(r)
}

func (g *generation) find(id transfer.ID) (*Record, bool) {
	if bytes.Compare(id[:], g.newest[:]) > 0 {
		return nil, false
	}
	for _, r := range g.list[len(g.byID):] { // each id settles once
		g.byID[r.Transfer.ID] = r
	}
	r, ok := g.byID[id]
	return r, ok
}

// touch takes note of a change. Those that have settled leave the list when they are half of it.
func (m *Machine) touch(r *Record) {
	if r.dirty {
		return
	}
	r.dirty = true
	m.dirty = append(m.dirty, r)
	if len(m.dirty) > 2*len(m.records)+dirtyLeast {
		m.dirty = slices.DeleteFunc(m.dirty, func(r *Record) bool { return r.Settled })
	}
}

// dirtyLeast is so short a list that it isn't worth looking through.
const dirtyLeast = 1 << 4

// find looks a record up in memory, then in what is stored; nil if the id is unknown. What only the reader
// knows is settled and will never change again.
func (m *Machine) find(id transfer.ID) (*Record, error) {
	if r, ok := m.inMemory(id); ok || m.isNew(id) || m.absent[id] || mutant.On(mutant.ForgetFinished) {
		return r, nil
	}
	return m.readFinished(id)
}

// chain puts a new record behind the last one. A hold keeps none in memory: it may stay for a month.
func (m *Machine) chain(r *Record) {
	if m.last != nil && !m.last.Settled && !m.last.Transfer.IsHold() {
		m.last.next = r
	}
	m.last = r
}

// follow is find, for whoever goes through records much in the order of the chain. next is where he expects the record, and then where he will expect another.
func (m *Machine) follow(next **Record, id transfer.ID) (r *Record, err error) {
	if r = *next; r == nil || r.Transfer.ID != id {
		if r, err = m.find(id); err != nil || r == nil {
			return nil, err
		}
	}
	*next = r.next
	return r, nil
}

func (m *Machine) inMemory(id transfer.ID) (*Record, bool) {
	if r, ok := m.records[id]; ok {
		return r, true
	}
	if r, ok := m.settled.find(id); ok {
		return r, true
	}
	return m.sealed.find(id)
}

// isNew says that the reader can't know a settled record of this id.
func (m *Machine) isNew(id transfer.ID) bool {
	return m.reader == nil || bytes.Compare(id[:], m.newest[:]) > 0
}

// Lookup reads one record; nil if the id is unknown. The record is shared: read only, and only until the next Apply.
func (m *Machine) Lookup(id transfer.ID) (*Record, error) {
	r, err := m.find(id)
	if r == nil && err == nil && !m.isNew(id) {
		if len(m.absent) >= absentMax {
			clear(m.absent)
		}
		m.absent[id] = true // its Stage needn't look again
	}
	return r, err
}

// Unsettled lists the records that a new leader has to take care of, by id.
func (m *Machine) Unsettled() []*Record {
	alive := make([]*Record, 0, len(m.records))
	for _, r := range m.records {
		alive = append(alive, r)
	}
	slices.SortFunc(alive, func(a, b *Record) int { return bytes.Compare(a.Transfer.ID[:], b.Transfer.ID[:]) })
	return alive
}

// Hash stands for the whole state: equal histories give equal hashes on every replica.
func (m *Machine) Hash() uint64 { return m.hash }

// StagedCount is how many transfers are staged and undecided.
func (m *Machine) StagedCount() int { return m.staged }

// UnsettledCount is how many transfers are staged or decided and not settled.
func (m *Machine) UnsettledCount() int { return len(m.records) }
