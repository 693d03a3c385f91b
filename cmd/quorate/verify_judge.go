package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/quorate/quorate/lane"
	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	"github.com/quorate/quorate/transfer"
)

// sight is what a cluster's coordinators, and then its banks, had open while no bank executed a commit. What may stand in it side by side
// is said in docs/decisions/0004-a-backup-is-one-cut.md: it is the same cut.
type sight struct {
	open  map[transfer.ID]*openTransfer
	banks map[transfer.BankID]*bankSight
}

// openTransfer is one that its coordinator hasn't settled.
type openTransfer struct {
	coordinator string
	fingerprint transfer.Fingerprint
	state       transfer.State
	amounts     map[transfer.BankID]amounts // of every bank that takes part
}

// amounts are in minor units; debits are negative.
type amounts map[transfer.Currency]int64

// bankSight is what one bank had.
type bankSight struct {
	posted amounts
	holds  map[transfer.ID]heldTransfer
	known  map[transfer.ID]adminv1.BankKnowledge // of open transfers that it doesn't hold
}

type heldTransfer struct {
	fingerprint transfer.Fingerprint
	preparedAt  time.Time
}

// finding is something that can't be.
type finding struct {
	Kind     string `json:"kind"` // state_hash, stored_state, lost_hold, stray_hold, outcome, total
	Group    string `json:"group,omitempty"`
	Node     uint64 `json:"node,omitempty"`
	Index    uint64 `json:"index,omitempty"`
	Transfer string `json:"transfer,omitempty"`
	Detail   string `json:"detail"`
}

// strayHold is a hold whose transfer no coordinator has open. One that was prepared a moment ago is no fault: the transfer may have been staged after its
// coordinator was looked at, or its staging may be lost, and then the bank asks what became of it.
type strayHold struct {
	bank transfer.BankID
	id   transfer.ID
}

// lookResult is what a sight comes to.
type lookResult struct {
	findings []finding
	stray    map[strayHold]heldTransfer
	totals   []currencyTotal
}

// currencyTotal is one currency over all banks.
type currencyTotal struct {
	Currency    string `json:"currency"`
	PostedMinor int64  `json:"posted_minor"`
	OnItsWay    int64  `json:"on_its_way_minor"` // committed, and at some banks still a hold
	TotalMinor  int64  `json:"total_minor"`
}

// judge compares what coordinators and banks say of each transfer, and adds up the money.
func (s *sight) judge() lookResult {
	v := lookResult{stray: map[strayHold]heldTransfer{}}
	posted, onItsWay := amounts{}, amounts{}
	for _, b := range s.banks {
		for currency, minor := range b.posted {
			posted[currency] += minor
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.open), func(a, b transfer.ID) int { return bytes.Compare(a[:], b[:]) }) {
		v.findings = append(v.findings, s.judgeTransfer(id, onItsWay)...)
	}
	for bank, b := range s.banks {
		for id, h := range b.holds {
			if t := s.open[id]; t == nil || t.fingerprint != h.fingerprint {
				v.stray[strayHold{bank, id}] = h
			}
		}
	}
	for _, currency := range slices.Sorted(maps.Keys(posted)) {
		t := currencyTotal{Currency: string(currency), PostedMinor: posted[currency], OnItsWay: onItsWay[currency], TotalMinor: posted[currency] + onItsWay[currency]}
		v.totals = append(v.totals, t)
		if t.TotalMinor != 0 {
			v.findings = append(v.findings, finding{Kind: "total", Detail: fmt.Sprintf("all banks together have %s %s instead of nothing", transfer.FormatMinor(t.TotalMinor, currency), currency)})
		}
	}
	return v
}

// judgeTransfer says what can't be about one transfer. If it is committed anywhere, every bank must have it committed or still hold it, and what is held
// counts as posted.
func (s *sight) judgeTransfer(id transfer.ID, onItsWay amounts) (findings []finding) {
	t := s.open[id]
	banks := slices.Sorted(maps.Keys(t.amounts))
	committedBy := ""
	if t.state == transfer.Committed {
		committedBy = t.coordinator
	}
	if t.state == transfer.Held {
		return s.judgeHeld(id, t, banks)
	}
	for _, bank := range banks {
		if s.knows(bank, id) == adminv1.BankKnowledge_BANK_KNOWLEDGE_COMMITTED {
			committedBy = cmp.Or(committedBy, "bank "+string(bank))
			if t.state == transfer.Aborted {
				findings = append(findings, finding{
					Kind: "outcome", Group: string(lane.BankGroup(bank)), Transfer: id.String(),
					Detail: fmt.Sprintf("bank %s has committed it, and %s says it is aborted", bank, t.coordinator),
				})
			}
		}
	}
	if committedBy == "" || t.state == transfer.Aborted {
		return findings
	}
	for _, bank := range banks {
		switch known := s.knows(bank, id); known {
		case adminv1.BankKnowledge_BANK_KNOWLEDGE_COMMITTED:
		case adminv1.BankKnowledge_BANK_KNOWLEDGE_PREPARED:
			for currency, minor := range t.amounts[bank] {
				onItsWay[currency] += minor
			}
		default:
			findings = append(findings, finding{
				Kind: "lost_hold", Group: string(lane.BankGroup(bank)), Transfer: id.String(),
				Detail: fmt.Sprintf("%s has committed it, and bank %s %s", committedBy, bank, insteadOfAHold[known]),
			})
		}
	}
	return findings
}

// judgeHeld: what is held for a client every bank holds, and none has moved.
func (s *sight) judgeHeld(id transfer.ID, t *openTransfer, banks []transfer.BankID) (findings []finding) {
	for _, bank := range banks {
		switch known := s.knows(bank, id); known {
		case adminv1.BankKnowledge_BANK_KNOWLEDGE_PREPARED:
		case adminv1.BankKnowledge_BANK_KNOWLEDGE_COMMITTED:
			findings = append(findings, finding{
				Kind: "outcome", Group: string(lane.BankGroup(bank)), Transfer: id.String(),
				Detail: fmt.Sprintf("bank %s has committed it, and %s says it is still held", bank, t.coordinator),
			})
		default:
			findings = append(findings, finding{
				Kind: "lost_hold", Group: string(lane.BankGroup(bank)), Transfer: id.String(),
				Detail: fmt.Sprintf("%s holds it for its client, and bank %s %s", t.coordinator, bank, insteadOfAHold[known]),
			})
		}
	}
	return findings
}

var insteadOfAHold = map[adminv1.BankKnowledge]string{
	adminv1.BankKnowledge_BANK_KNOWLEDGE_NOTHING:     "has no hold for it",
	adminv1.BankKnowledge_BANK_KNOWLEDGE_ROLLED_BACK: "has rolled it back",
	adminv1.BankKnowledge_BANK_KNOWLEDGE_REFUSED:     "has refused it",
	adminv1.BankKnowledge_BANK_KNOWLEDGE_UNSPECIFIED: "says what this version doesn't understand",
}

// knows is what a bank knows of an open transfer.
func (s *sight) knows(at transfer.BankID, id transfer.ID) adminv1.BankKnowledge {
	b := s.banks[at]
	if b == nil {
		return adminv1.BankKnowledge_BANK_KNOWLEDGE_NOTHING
	}
	if s.holds(b, id) {
		return adminv1.BankKnowledge_BANK_KNOWLEDGE_PREPARED
	}
	return b.known[id]
}

// holds says whether a bank has a hold for an open transfer, with its content.
func (s *sight) holds(b *bankSight, id transfer.ID) bool {
	h, held := b.holds[id]
	return held && h.fingerprint == s.open[id].fingerprint
}

// stillStray is what was stray before and is so now.
func (v *lookResult) stillStray(before map[strayHold]heldTransfer) map[strayHold]heldTransfer {
	still := map[strayHold]heldTransfer{}
	for key, h := range v.stray {
		if was, known := before[key]; known && was == h {
			still[key] = h
		}
	}
	return still
}

// strayFindings are holds that nobody will ever end.
func strayFindings(stray map[strayHold]heldTransfer) (findings []finding) {
	for key, h := range stray {
		findings = append(findings, finding{
			Kind: "stray_hold", Group: string(lane.BankGroup(key.bank)), Transfer: key.id.String(),
			Detail: fmt.Sprintf("bank %s has held it since %s, and no coordinator has such a transfer open", key.bank, timeText(h.preparedAt)),
		})
	}
	slices.SortFunc(findings, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Transfer, b.Transfer))
	})
	return findings
}
