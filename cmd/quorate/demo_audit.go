package main

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// books is what an auditor reads: ledgers through their journals and totals, transfers through the coordinators.
type books interface {
	Transfer(ctx context.Context, id transfer.ID) (transfer.Record, error)
	Entries(ctx context.Context, bank transfer.BankID, afterSeq uint64, limit int) ([]bank.Entry, error)
	Audit(ctx context.Context, bank transfer.BankID) (bank.Audit, error)
}

// auditor holds the banks against each other while money moves. It reads every journal from its first entry. A transfer whose
// legs have all been read nets to zero; for one that is applied at some banks and not yet at others, it asks the
// coordinators what the missing legs are. What the banks' accounts add up to, plus those missing legs, must be zero.
type auditor struct {
	banks  []transfer.BankID
	after  map[transfer.BankID]uint64 // the last entry read of each journal
	open   map[transfer.ID]*seen      // applied at some of its banks, as far as was read
	recent map[transfer.ID]*seen      // every transfer that the journals mention, of late …
	older  map[transfer.ID]*seen      // … and before that; what was before that again is forgotten
}

// seenMax bounds recent and older: a demo may run for days.
const seenMax = 2_000_000

// seen is what the journals have shown of one transfer.
type seen struct {
	net   map[transfer.Currency]int64 // nil: all legs that were read cancel out
	banks []transfer.BankID
}

// delta is the result of one audit.
type delta struct {
	Minor     map[transfer.Currency]int64 // must be zero
	OpenHolds uint64
}

func newAuditor(banks []transfer.BankID) *auditor {
	return &auditor{banks: banks, after: map[transfer.BankID]uint64{}, open: map[transfer.ID]*seen{}, recent: map[transfer.ID]*seen{}}
}

// audit reads on from where the last one ended. An error means that a bank or the coordinators couldn't
// be read, and says nothing about the money.
func (a *auditor) audit(ctx context.Context, b books) (delta, error) {
	d := delta{Minor: map[transfer.Currency]int64{}}
	for _, id := range a.banks {
		now, err := b.Audit(ctx, id)
		if err != nil {
			return delta{}, fmt.Errorf("audit bank %s: %w", id, err)
		}
		for _, t := range now.Totals {
			d.Minor[t.Currency] += t.PostedMinor
		}
		d.OpenHolds += now.OpenHolds
		if err := a.readJournal(ctx, b, id, now.LastEntry); err != nil {
			return delta{}, err
		}
	}
	records, err := a.lookUpOpen(ctx, b)
	if err != nil {
		return delta{}, err
	}
	for id, s := range a.open {
		addMissingLegs(d.Minor, records[id], s)
	}
	a.forget()
	return d, nil
}

// lookUpOpen asks the coordinators about every transfer that is applied at some of its banks, many at a time.
func (a *auditor) lookUpOpen(ctx context.Context, b books) (map[transfer.ID]transfer.Record, error) {
	const atATime = 64
	var mu sync.Mutex // guards records and failed
	records := make(map[transfer.ID]transfer.Record, len(a.open))
	var failed error
	var asking sync.WaitGroup
	room := make(chan struct{}, atATime)
	for id := range a.open {
		room <- struct{}{}
		asking.Go(func() {
			defer func() { <-room }()
			record, err := b.Transfer(ctx, id)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = fmt.Errorf("look up transfer %s: %w", id, err)
			}
			records[id] = record
		})
	}
	asking.Wait()
	return records, failed
}

// readJournal reads a bank's entries up to the one that its totals contain.
func (a *auditor) readJournal(ctx context.Context, b books, id transfer.BankID, upTo uint64) error {
	const page = 1000
	for a.after[id] < upTo {
		entries, err := b.Entries(ctx, id, a.after[id], int(min(page, upTo-a.after[id])))
		if err != nil {
			return fmt.Errorf("read the journal of bank %s after %d: %w", id, a.after[id], err)
		}
		if len(entries) == 0 {
			return fmt.Errorf("the journal of bank %s ends at %d, its totals contain %d", id, a.after[id], upTo)
		}
		for i := range entries {
			a.note(id, &entries[i])
		}
		a.after[id] = entries[len(entries)-1].Seq
	}
	return nil
}

func (a *auditor) note(from transfer.BankID, e *bank.Entry) {
	s := a.find(e.Transfer)
	if s == nil {
		s = &seen{}
		a.recent[e.Transfer] = s
	}
	if s.net == nil {
		s.net = map[transfer.Currency]int64{}
	}
	a.open[e.Transfer] = s
	if !slices.Contains(s.banks, from) {
		s.banks = append(s.banks, from)
	}
	s.net[e.Currency] += e.AmountMinor
	if s.net[e.Currency] == 0 {
		delete(s.net, e.Currency)
	}
	if len(s.net) == 0 {
		s.net = nil
		delete(a.open, e.Transfer)
	}
}

func (a *auditor) find(id transfer.ID) *seen {
	if s := a.recent[id]; s != nil {
		return s
	}
	return a.older[id]
}

// forget keeps memory bounded: complete transfers of long ago go.
func (a *auditor) forget() {
	if len(a.recent) < seenMax {
		return
	}
	a.older, a.recent = a.recent, map[transfer.ID]*seen{}
	for id, s := range a.open {
		a.recent[id] = s
	}
}

// judgement is what the journals say about what a client was told.
type judgement int

const (
	fits judgement = iota + 1
	notYet
	contradicts
)

// judge holds an acknowledged outcome against the journals. A committed transfer may not have reached every journal yet; an
// aborted one must never show in any.
func (a *auditor) judge(id transfer.ID, told transfer.State) judgement {
	s := a.find(id)
	switch {
	case told == transfer.Aborted && s != nil:
		return contradicts
	case told == transfer.Committed && (s == nil || a.open[id] != nil):
		return notYet
	}
	return fits
}

// addMissingLegs accounts for the legs that are decided and that the journals have not shown yet.
func addMissingLegs(minor map[transfer.Currency]int64, record transfer.Record, s *seen) {
	if record.State != transfer.Committed {
		return // money moved without a decision: the sum will show it
	}
	for _, leg := range record.Transfer.Legs {
		if !slices.Contains(s.banks, leg.Bank) {
			minor[leg.Currency] += leg.SignedMinor()
		}
	}
}

// zero says that no money was made or lost.
func (d *delta) zero() bool {
	for _, minor := range d.Minor {
		if minor != 0 {
			return false
		}
	}
	return true
}
