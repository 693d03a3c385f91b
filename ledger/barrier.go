package ledger

import (
	"bytes"
	"fmt"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// finishedState is how a transfer ended here. The numbers are stored.
type finishedState uint8

const (
	committed  finishedState = 1
	refused    finishedState = 2 // a No: final, and counted as rolled back
	rolledBack finishedState = 3
)

// finished is what stays of a transfer for ever. It is what turns a request away that comes late or twice.
type finished struct {
	id          transfer.ID
	state       finishedState
	prepared    bool // a prepare came, so the fingerprint is known
	fingerprint transfer.Fingerprint
	index       uint64           // the log entry that finished it
	reason      *transfer.Reason // of a refusal, else nil
}

// code is the reason's code; none without a reason.
func (f *finished) code() transfer.Code {
	if f.reason == nil {
		return ""
	}
	return f.reason.Code
}

// barrier is the finished transfers: those since the last durable checkpoint in memory, all older
// ones behind the reader.
type barrier struct {
	fresh  generation // since the last Checkpoint; its records replace older ones
	sealed generation // in the last Checkpoint, which isn't durable yet
	handed int        // of its records, to whoever makes it
	// newest: the reader alone knows of none with a higher id. Clients number in the order of time, so most new ids needn't be looked for.
	newest transfer.ID
}

// generation is records in the order in which they came, each id once.
type generation struct {
	records tape[finished]
	at      map[transfer.ID]int32 // of the first records: the others get in when an id is looked for that may be theirs, which is seldom
	newest  transfer.ID           // no other has a higher id: most new ones needn't be looked for
}

func newGeneration() generation { return generation{at: map[transfer.ID]int32{}} }

func (g *generation) find(id transfer.ID) (finished, bool) {
	if at, ok := g.place(id); ok {
		return *g.records.at(int(at)), true
	}
	return finished{}, false
}

func (g *generation) place(id transfer.ID) (int32, bool) {
	if bytes.Compare(id[:], g.newest[:]) > 0 {
		return 0, false
	}
	for i := len(g.at); i < g.records.length; i++ {
		g.at[g.records.at(i).id] = int32(i)
	}
	at, ok := g.at[id]
	return at, ok
}

// put takes the place of a record with the same id.
func (g *generation) put(f finished) {
	if at, ok := g.place(f.id); ok {
		*g.records.at(int(at)) = f
		return
	}
	g.add(f)
}

// add is for an id that isn't there.
func (g *generation) add(f finished) {
	g.records.add(f)
	if bytes.Compare(f.id[:], g.newest[:]) > 0 {
		g.newest = f.id
	}
}

// empty costs the same however much there was: nobody waits for the end of a checkpoint.
func (g *generation) empty() {
	*g = newGeneration()
}

func (b *barrier) find(reader Reader, id transfer.ID) (finished, bool, error) {
	if f, ok := b.fresh.find(id); ok {
		return f, true, nil
	}
	if f, ok := b.sealed.find(id); ok || reader == nil || bytes.Compare(id[:], b.newest[:]) > 0 {
		return f, ok, nil
	}
	value, ok, err := reader.Get(finishedKey(id))
	if err != nil {
		return finished{}, false, fmt.Errorf("read finished transfer %s: %w", id, err)
	}
	if !ok {
		return finished{}, false, nil
	}
	f, err := decodeFinished(id, value)
	return f, err == nil, err
}

func (b *barrier) seal() {
	b.sealed, b.fresh = b.fresh, b.sealed
}

func (b *barrier) drop() {
	if bytes.Compare(b.sealed.newest[:], b.newest[:]) > 0 {
		b.newest = b.sealed.newest
	}
	b.sealed.empty()
	b.handed = 0
}

// findNewest looks for the highest finished id bit by bit: a reader only reads forwards.
func (b *barrier) findNewest(reader Reader) error {
	for bit := range 8 * len(b.newest) {
		at, mask := bit/8, byte(0x80)>>(bit%8)
		from := b.newest
		if from[at]&mask != 0 {
			continue
		}
		from[at] = from[at]&-mask | mask
		clear(from[at+1:])
		err := reader.Scan(finishedKey(from), []byte{keyFinished + 1}, func(key, _ []byte) bool {
			copy(b.newest[:], key[1:])
			return false
		})
		if err != nil {
			return fmt.Errorf("read the newest finished transfer: %w", err)
		}
	}
	return nil
}

// finish remembers the end of a transfer that hadn't ended before, or had by a refusal, which becomes a rollback.
func (l *Ledger) finish(f finished) {
	f.index = l.index
	l.hash += digestOfFinished(&f)
	if f.state == rolledBack {
		l.finished.fresh.put(f)
	} else {
		l.finished.fresh.add(f)
	}
}

// repeat answers a prepare that comes after the end.
func (f *finished) repeat(q *bank.Request) bank.Answer {
	if f.prepared && f.fingerprint != q.Fingerprint {
		return no(q, conflictReason(q.ID))
	}
	switch f.state {
	case committed:
		return answer(q, bank.Yes)
	case refused:
		return no(q, *f.reason)
	default:
		return no(q, reasonOf(transfer.ErrRolledBack, "transfer %s was rolled back here in log entry %d", q.ID, f.index))
	}
}
