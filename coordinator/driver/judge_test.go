package driver_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/coordinator/driver"
	"github.com/quorate/quorate/transfer"
)

// judge watches everything that clients hear, machines apply and banks do, and objects to
// what must never be seen.
type judge struct {
	contents   map[transfer.Fingerprint]*transfer.Transfer // everything ever submitted
	asked      map[driver.Waiter]transfer.Fingerprint
	gets       map[driver.Waiter]transfer.ID
	cancels    map[driver.Waiter]transfer.ID
	captures   map[driver.Waiter][]int64
	captured   map[transfer.ID][]int64        // as somebody heard
	heard      map[transfer.ID]transfer.State // an outcome, or that it is held
	decisions  map[transfer.ID]transfer.State
	hashes     map[int]uint64 // of the machine after an entry
	committed  map[transfer.ID]transfer.Fingerprint
	undone     map[transfer.ID]map[transfer.BankID]transfer.Fingerprint // rolled back or refused at a bank
	banks      map[transfer.ID]map[transfer.BankID]bool                 // where it is committed
	violations []driver.Violation
	objections []string
}

func newJudge() *judge {
	return &judge{
		contents:  map[transfer.Fingerprint]*transfer.Transfer{},
		asked:     map[driver.Waiter]transfer.Fingerprint{},
		gets:      map[driver.Waiter]transfer.ID{},
		cancels:   map[driver.Waiter]transfer.ID{},
		captures:  map[driver.Waiter][]int64{},
		captured:  map[transfer.ID][]int64{},
		heard:     map[transfer.ID]transfer.State{},
		decisions: map[transfer.ID]transfer.State{},
		hashes:    map[int]uint64{},
		committed: map[transfer.ID]transfer.Fingerprint{},
		undone:    map[transfer.ID]map[transfer.BankID]transfer.Fingerprint{},
		banks:     map[transfer.ID]map[transfer.BankID]bool{},
	}
}

func (j *judge) object(format string, args ...any) {
	j.objections = append(j.objections, fmt.Sprintf(format, args...))
}

func (j *judge) submitted(w driver.Waiter, t *transfer.Transfer) {
	f := t.Fingerprint()
	j.contents[f] = t
	j.asked[w] = f
}

// told: nobody hears both committed and aborted for one id, or the outcome of a transfer that is not its own.
func (j *judge) told(r driver.Reply) {
	id, state := r.Record.Transfer.ID, r.Record.State
	if asked, cancelled := j.cancels[r.Waiter]; cancelled && (!state.Decided() || asked != id) {
		j.object("a cancel of %s is answered with %s, which is %s", name(asked), name(id), state)
	}
	if state == transfer.Pending {
		return
	}
	if before := j.heard[id]; before.Decided() && before != state {
		j.object("a client hears that %s is %s, another heard %s", name(id), state, before)
	}
	j.heard[id] = state
	fingerprint, submitted := j.asked[r.Waiter]
	if submitted && len(r.Record.Transfer.Legs) > 0 && r.Record.Transfer.Fingerprint() != fingerprint {
		j.object("a client hears the outcome of other content under %s", name(id))
	}
	if state == transfer.Aborted && len(j.banks[id]) > 0 {
		j.object("a client hears that %s is aborted, and %d banks have committed it", name(id), len(j.banks[id]))
	}
	j.toldCaptured(r)
	if state == transfer.Committed {
		j.commit(id, r.Record.Transfer.Fingerprint())
	}
}

// toldCaptured: who captures hears that this much was captured, and everybody hears of the same.
func (j *judge) toldCaptured(r driver.Reply) {
	id := r.Record.Transfer.ID
	if amounts, asked := j.captures[r.Waiter]; asked {
		want, err := r.Record.Transfer.Capture(amounts)
		if !r.Record.State.Decided() || r.Record.State == transfer.Committed && (err != nil || !slices.Equal(want, r.Record.CapturedMinor)) {
			j.object("a capture of %d of %s is answered with %s", amounts, name(id), outcomeOf(&r.Record))
		}
	}
	if r.Record.State != transfer.Committed {
		return
	}
	if before, heard := j.captured[id]; heard && !slices.Equal(before, r.Record.CapturedMinor) {
		j.object("%d is captured of %s, and %d", before, name(id), r.Record.CapturedMinor)
	}
	j.captured[id] = r.Record.CapturedMinor
}

// got: who asks a confirmed leader after somebody has heard an outcome hears it, too.
func (j *judge) got(r driver.Reply) {
	id, asked := j.gets[r.Waiter]
	if !asked || r.Lost || j.heard[id] == 0 {
		return
	}
	if later := j.heard[id] == transfer.Held && r.Record.State.Decided(); r.Err != nil || (r.Record.State != j.heard[id] && !later) {
		j.object("%s is %s, and a get says %s (%v)", name(id), j.heard[id], r.Record.State, r.Err)
	}
}

// commit: from now on no bank of this content may have undone it, ever.
func (j *judge) commit(id transfer.ID, f transfer.Fingerprint) {
	if before, ok := j.committed[id]; ok && before != f {
		j.object("%s is committed with two contents", name(id))
	}
	j.committed[id] = f
	for _, b := range j.contents[f].Banks() {
		if _, undone := j.undone[id][b]; undone {
			j.object("%s is committed, but bank %s has undone it", name(id), b)
		}
	}
}

// bankMoved: what a bank does to its holding must fit what everybody else has seen.
func (j *judge) bankMoved(b *modelBank, id transfer.ID, before holdingState) {
	h := b.known[id]
	if h == nil || h.state == before {
		return
	}
	switch h.state {
	case applied:
		if j.banks[id] == nil {
			j.banks[id] = map[transfer.BankID]bool{}
		}
		j.banks[id][b.name] = true
		if j.heard[id] == transfer.Aborted {
			j.object("bank %s commits %s, which a client heard is aborted", b.name, name(id))
		}
		j.commit(id, h.fingerprint)
	case refused, rolledBack:
		if j.undone[id] == nil {
			j.undone[id] = map[transfer.BankID]transfer.Fingerprint{}
		}
		j.undone[id][b.name] = h.fingerprint
		if f, ok := j.committed[id]; ok && len(j.contents[f].LegsAt(b.name)) > 0 {
			j.object("bank %s has %s %s, which is committed", b.name, h.state, name(id))
		}
	}
}

// applied: every machine comes to the same state, and a decision never changes.
func (j *judge) applied(n *node, results []coordinator.Applied) {
	if hash, ok := j.hashes[n.applied]; ok && hash != n.machine.Hash() {
		j.object("%s has another state than others after entry %d", n.name, n.applied)
	}
	j.hashes[n.applied] = n.machine.Hash()
	for _, r := range results {
		if !r.Record.State.Decided() {
			continue
		}
		if before := j.decisions[r.ID]; before != 0 && before != r.Record.State {
			j.object("%s is decided %s after it was %s", name(r.ID), r.Record.State, before)
		}
		j.decisions[r.ID] = r.Record.State
	}
}

func (j *judge) violation(v driver.Violation) { j.violations = append(j.violations, v) }

// atRest: after healing nothing is undecided or unsettled, every bank has done what was decided, and no hold is left.
func (j *judge) atRest(w *world, leader *node) {
	if n := leader.machine.UnsettledCount(); n != 0 {
		j.object("%d transfers are unsettled at the end", n)
	}
	if n := leader.driver.Counts().InFlight; n != 0 {
		j.object("%d transfers are in flight at the end", n)
	}
	for _, b := range w.banks {
		for _, id := range sortedIDs(b.known) {
			j.bankAtRest(leader, b, id)
		}
	}
	for id, f := range j.committed {
		if j.decisions[id] != transfer.Committed {
			j.object("%s was told to be committed and is decided %s", name(id), j.decisions[id])
		}
		for _, b := range j.contents[f].Banks() {
			if !j.banks[id][b] {
				j.object("%s is committed, but not at bank %s", name(id), b)
			}
		}
	}
}

func (j *judge) bankAtRest(leader *node, b *modelBank, id transfer.ID) {
	h := b.known[id]
	r, err := leader.machine.Lookup(id)
	switch {
	case err != nil:
		j.object("look up %s: %v", name(id), err)
	case h.state == held:
		j.object("bank %s still holds %s at the end", b.name, name(id))
	case h.state == applied && (r == nil || r.State != transfer.Committed || r.Fingerprint != h.fingerprint):
		j.object("bank %s has committed %s, which the machine doesn't know as committed", b.name, name(id))
	}
}

func sortedIDs(known map[transfer.ID]*holding) []transfer.ID {
	return slices.SortedFunc(maps.Keys(known), func(a, b transfer.ID) int { return bytes.Compare(a[:], b[:]) })
}
