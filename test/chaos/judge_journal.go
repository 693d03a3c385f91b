package main

import (
	"fmt"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

const promiseJournals = "a committed transfer has each of its legs in the journals, once, and an aborted one none"

// journals is what the banks' journals say of each transfer.
type journals struct {
	legs  map[transfer.ID]*legSum
	wrong []string
}

func newJournals() *journals { return &journals{legs: map[transfer.ID]*legSum{}} }

// take reads one entry. Entries of a bank come in its order.
func (j *journals) take(bank transfer.BankID, e client.Entry, before uint64) {
	if e.Seq != before+1 {
		j.wrong = append(j.wrong, fmt.Sprintf("the journal of bank %s goes from entry %d to %d", bank, before, e.Seq))
	}
	s := j.legs[e.Transfer]
	if s == nil {
		s = &legSum{}
		j.legs[e.Transfer] = s
	}
	s.add(account{bank, e.Account}, e.AmountMinor)
}

// judge compares the journals with everything that was acknowledged.
func (j *journals) judge(told map[transfer.ID]summary) []string {
	wrong := j.wrong
	for id, s := range told {
		found := legSum{}
		if legs := j.legs[id]; legs != nil {
			found = *legs
		}
		switch {
		case s.state == transfer.Committed && found != s.legs:
			wrong = append(wrong, fmt.Sprintf("transfer %s was acknowledged as committed with %d legs; the journals have %d entries of it, or others", id, s.legs.count, found.count))
		case s.state != transfer.Committed && found.count > 0:
			wrong = append(wrong, fmt.Sprintf("transfer %s was acknowledged as aborted; the journals have %d entries of it", id, found.count))
		}
	}
	for id := range j.legs {
		if _, known := told[id]; !known {
			wrong = append(wrong, fmt.Sprintf("the journals have transfer %s, which nobody asked for", id))
		}
	}
	return wrong
}
