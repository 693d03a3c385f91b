package coordinator

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/transfer"
)

// Filter says which transfers a list has. A field that isn't set lets all through.
type Filter struct {
	State     transfer.State
	Bank      transfer.BankID    // a leg is there …
	Account   transfer.AccountID // … and, if both are set, the same leg is of this account
	Reference string             // the whole of it
	// The period, by when the group took note of the transfer: from Since up to, but without, Until.
	Since, Until time.Time
}

func (f *Filter) matches(r *transfer.Record) bool {
	if (f.State != 0 && r.State != f.State) || (f.Reference != "" && r.Transfer.Reference != f.Reference) {
		return false
	}
	if f.Bank == "" && f.Account == "" {
		return true
	}
	for i := range r.Transfer.Legs {
		leg := &r.Transfer.Legs[i]
		if (f.Bank == "" || leg.Bank == f.Bank) && (f.Account == "" || leg.Account == f.Account) {
			return true
		}
	}
	return false
}

// pageLegsMax bounds how much is on one page: it has to travel in one message.
const pageLegsMax = 8192

// Listed is a transfer with its place in the order.
type Listed struct {
	Record    transfer.Record
	Number    uint64
	ReachedAt time.Time
}

// Page is a part of a list, newest first. With More, it goes on below the place with number Last, which had reached ReachedAt: every
// transfer that is missing is no newer than that.
type Page struct {
	Listed    []Listed
	Last      uint64
	ReachedAt time.Time
	More      bool
}

// List goes through the transfers below a number (zero: from the newest on) from new to old, until limit of them match, scanMax were
// looked at, or the page is too large. view is how a record is to be seen. The records' legs are shared: read only. An error means damaged bytes or a failing reader.
func (m *Machine) List(f *Filter, below uint64, limit, scanMax int, view func(*Record) transfer.Record) (Page, error) {
	number := m.noted.last
	if below > 0 {
		number = min(number, below-1)
	}
	if !f.Until.IsZero() {
		last, err := m.reachedBefore(&m.noted, f.Until)
		if err != nil {
			return Page{}, err
		}
		number = min(number, last)
	}
	l := listing{machine: m, filter: f, limit: limit, view: view}
	for ; number > 0 && scanMax > 0 && !l.over; number, scanMax = number-1, scanMax-1 {
		if number <= m.noted.stored() {
			break
		}
		if err := l.look(number, m.noted.inMemory(number)); err != nil {
			return Page{}, err
		}
	}
	if err := l.scan(number, scanMax); err != nil {
		return Page{}, err
	}
	return l.page, nil
}

// listing is one page under way.
type listing struct {
	machine *Machine
	filter  *Filter
	limit   int
	view    func(*Record) transfer.Record
	page    Page
	legs    int
	over    bool // the page is full, or the period has ended
}

// look takes the next place.
func (l *listing) look(number uint64, p place) error {
	reached := timeOf(p.reachedNanos)
	if !l.filter.Since.IsZero() && reached.Before(l.filter.Since) {
		l.over, l.page.More = true, false
		return nil
	}
	r, err := l.machine.Lookup(p.id)
	if err != nil {
		return err
	}
	if r == nil {
		return fmt.Errorf("%w: place %d is of transfer %s, which isn't there", ErrDamaged, number, p.id)
	}
	if seen := l.view(r); l.filter.matches(&seen) {
		l.page.Listed = append(l.page.Listed, Listed{Record: seen, Number: number, ReachedAt: reached})
		l.legs += len(seen.Transfer.Legs)
	}
	l.page.Last, l.page.ReachedAt, l.page.More = number, reached, number > 1
	l.over = len(l.page.Listed) == l.limit || l.legs >= pageLegsMax
	return nil
}

// scan goes on with what has left memory.
func (l *listing) scan(number uint64, scanMax int) error {
	if number == 0 || scanMax == 0 || l.over || l.machine.reader == nil {
		return nil
	}
	places := make([]place, 0, min(scanMax, 1024))
	var damage error
	var run []place
	err := l.machine.reader.Scan(l.machine.noted.key(number), []byte{keyPlace + 1}, func(key, value []byte) bool {
		var first uint64
		if first, run, damage = decodePlaces(run[:0], key, value); damage != nil {
			return false
		}
		next := number - uint64(len(places))
		if len(places) == 0 && next >= first && next-first < uint64(len(run)) {
			run = run[:next-first+1] // what is newer was asked for before, or isn't
		}
		if last := first + uint64(len(run)) - 1; last != next {
			damage = fmt.Errorf("%w: place %d comes where %d should be", ErrDamaged, last, next)
			return false
		}
		for i := len(run) - 1; i >= 0 && len(places) < scanMax; i-- {
			places = append(places, run[i])
		}
		return len(places) < scanMax
	})
	if err == nil {
		err = damage
	}
	if err != nil {
		return fmt.Errorf("list transfers below %d: %w", number+1, err)
	}
	for i := range places {
		if err := l.look(number-uint64(i), places[i]); err != nil || l.over {
			return err
		}
	}
	return nil
}
