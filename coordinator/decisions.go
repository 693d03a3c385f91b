package coordinator

import (
	"fmt"

	"github.com/quorate/quorate/transfer"
)

// Numbered is a transfer that has its outcome, with its place in the order of decisions.
type Numbered struct {
	Record transfer.Record
	Number uint64
}

// Decisions are a part of the order of decisions, oldest first. Up to the place with number Last none is missing that the filter lets through;
// with More, there are newer ones that weren't looked at.
type Decisions struct {
	Decided []Numbered
	Last    uint64
	More    bool
}

// DecidedAfter goes through the decisions above a number from old to new, until limit of them match, scanMax were looked at, or they
// are too many for one message. The filter's State, Bank, Account and Reference count. The records' legs are shared: read only. An error
// means damaged bytes or a failing reader.
func (m *Machine) DecidedAfter(f *Filter, after uint64, limit, scanMax int) (Decisions, error) {
	d := Decisions{Last: after}
	legs := 0
	places := placeReader{reader: m.reader, order: &m.decided}
	for ; d.Last < m.decided.last && scanMax > 0 && len(d.Decided) < limit && legs < pageLegsMax; scanMax-- {
		number := d.Last + 1
		p, err := places.at(number)
		if err != nil {
			return Decisions{}, err
		}
		r, err := m.Lookup(p.id)
		if err == nil && (r == nil || !r.State.Decided()) {
			err = fmt.Errorf("%w: decision %d is of transfer %s, which isn't decided", ErrDamaged, number, p.id)
		}
		if err != nil {
			return Decisions{}, err
		}
		if seen := r.Public(); f.matches(&seen) {
			d.Decided = append(d.Decided, Numbered{seen, number})
			legs += len(seen.Transfer.Legs)
		}
		d.Last = number
	}
	d.More = d.Last < m.decided.last
	return d, nil
}

// LastDecision is the number of the newest one; zero if there is none.
func (m *Machine) LastDecision() uint64 { return m.decided.last }
