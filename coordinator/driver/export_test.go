package driver

import (
	"strings"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// Standing says what the driver and its machine know of an id: the state, and beside it what each bank of a flight has said, or
// what the records of a driver say that doesn't lead.
func (d *Driver) Standing(id transfer.ID) (state, beside string) {
	f := d.flights.byID[id]
	switch {
	case !d.leading:
		return "not leading", d.standingOfRecord(id)
	case f == nil:
		return d.standingOfRecord(id), ""
	default:
		return d.standingOfFlight(f), standingOfBanks(f)
	}
}

func (d *Driver) standingOfRecord(id transfer.ID) string {
	known, err := d.machine.Lookup(id)
	words := []string{"unknown"}
	switch {
	case err != nil:
		words[0] = err.Error()
	case known != nil && known.IsTombstone():
		words[0] = "closed"
	case known != nil && known.Settled:
		words[0] = known.State.String() + ", settled"
	case known != nil:
		words[0] = known.State.String()
	}
	if d.closings[id] != nil {
		words = append(words, "tombstone proposed")
	}
	return strings.Join(words, ", ")
}

func (d *Driver) standingOfFlight(f *flight) string {
	words := []string{map[phase]string{voting: "voting", resolving: "resolving", holding: "holding", held: "held", capturing: "capturing", aborting: "aborting", committed: "committed", aborted: "aborted"}[f.phase]}
	switch {
	case !f.undecided() && !f.decided:
		words = append(words, "decision not applied")
	case !f.undecided() && f.confirmed():
		words = append(words, "settling")
	case !f.undecided():
		words = append(words, "decided")
	case !f.mine:
		words = append(words, "another reign's")
	case f.staged():
		words = append(words, "staged")
	default:
		words = append(words, "not staged")
	}
	if known, err := d.machine.Lookup(f.transfer.ID); err == nil && known != nil && known.IsTombstone() {
		words = append(words, "its id closed")
	}
	if d.closings[f.transfer.ID] != nil {
		words = append(words, "tombstone proposed")
	}
	if len(f.rivals) > 0 {
		words = append(words, "a rival waits")
	}
	return strings.Join(words, ", ")
}

func (f *flight) confirmed() bool {
	for i := range f.slots {
		if !f.slots[i].done {
			return false
		}
	}
	return true
}

func standingOfBanks(f *flight) string {
	var words []string
	for i := range f.slots {
		s := &f.slots[i]
		word := "owes nothing"
		switch {
		case s.done:
			word = "has confirmed"
		case s.op == bank.Prepare || s.op == bank.Resolve || s.op == bank.Commit || s.op == bank.Rollback:
			word = "is asked to " + s.op.String()
		case s.prepared:
			word = "has prepared"
		}
		words = append(words, string(s.pipeline.bank)+" "+word)
	}
	return strings.Join(words, ", ")
}
