package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	"github.com/quorate/quorate/transfer"
)

// paid is a sight of one transfer of 5.00 from bank A to bank B, in which each bank is where the test says.
func paid(state transfer.State, a, b adminv1.BankKnowledge) *sight {
	id, fingerprint := transfer.ID{1}, transfer.Fingerprint{7}
	s := &sight{
		open: map[transfer.ID]*openTransfer{id: {
			coordinator: "coordinator/0", fingerprint: fingerprint, state: state,
			amounts: map[transfer.BankID]amounts{"A": {"EUR": -500}, "B": {"EUR": +500}},
		}},
		banks: map[transfer.BankID]*bankSight{},
	}
	for bank, c := range map[transfer.BankID]struct {
		knows adminv1.BankKnowledge
		minor int64
	}{"A": {a, -500}, "B": {b, +500}} {
		sight := &bankSight{posted: amounts{"EUR": 0}, holds: map[transfer.ID]heldTransfer{}, known: map[transfer.ID]adminv1.BankKnowledge{}}
		switch c.knows {
		case adminv1.BankKnowledge_BANK_KNOWLEDGE_PREPARED:
			sight.holds[id] = heldTransfer{fingerprint, time.Unix(1, 0)}
		case adminv1.BankKnowledge_BANK_KNOWLEDGE_COMMITTED:
			sight.posted["EUR"] = c.minor
		}
		if c.knows != adminv1.BankKnowledge_BANK_KNOWLEDGE_PREPARED {
			sight.known[id] = c.knows
		}
		s.banks[bank] = sight
	}
	return s
}

func TestWhatMayStandSideBySide(t *testing.T) {
	const (
		nothing    = adminv1.BankKnowledge_BANK_KNOWLEDGE_NOTHING
		prepared   = adminv1.BankKnowledge_BANK_KNOWLEDGE_PREPARED
		committed  = adminv1.BankKnowledge_BANK_KNOWLEDGE_COMMITTED
		rolledBack = adminv1.BankKnowledge_BANK_KNOWLEDGE_ROLLED_BACK
		refused    = adminv1.BankKnowledge_BANK_KNOWLEDGE_REFUSED
	)
	for name, c := range map[string]struct {
		sight *sight
		want  string // kinds of what is found
		onWay int64
	}{
		"staged, nobody has heard of it":           {paid(transfer.Pending, nothing, nothing), "", 0},
		"staged, one has prepared":                 {paid(transfer.Pending, prepared, nothing), "", 0},
		"staged, one has refused":                  {paid(transfer.Pending, prepared, refused), "", 0},
		"staged, and both have it committed":       {paid(transfer.Pending, committed, committed), "", 0},
		"staged, one committed, the other holds":   {paid(transfer.Pending, committed, prepared), "", 500},
		"committed, both hold":                     {paid(transfer.Committed, prepared, prepared), "", 0},
		"committed, the debit still held":          {paid(transfer.Committed, prepared, committed), "", -500},
		"aborted, one still holds":                 {paid(transfer.Aborted, prepared, rolledBack), "", 0},
		"aborted, and nobody has heard of it":      {paid(transfer.Aborted, nothing, nothing), "", 0},
		"staged, one committed, the other nothing": {paid(transfer.Pending, committed, nothing), "lost_hold total", 0},
		"committed, one has lost its hold":         {paid(transfer.Committed, prepared, nothing), "lost_hold total", -500},
		"committed, one has rolled it back":        {paid(transfer.Committed, committed, rolledBack), "lost_hold total", 0},
		"committed, one has refused it":            {paid(transfer.Committed, refused, committed), "lost_hold total", 0},
		"committed, both have lost it":             {paid(transfer.Committed, nothing, nothing), "lost_hold lost_hold", 0},
		"held, both hold it":                       {paid(transfer.Held, prepared, prepared), "", 0},
		"held, one has lost its hold":              {paid(transfer.Held, prepared, nothing), "lost_hold", 0},
		"held, one has rolled it back":             {paid(transfer.Held, rolledBack, prepared), "lost_hold", 0},
		"held, and one has committed it":           {paid(transfer.Held, prepared, committed), "outcome total", 0},
		"aborted, and one has committed it":        {paid(transfer.Aborted, rolledBack, committed), "outcome total", 0},
	} {
		got := c.sight.judge()
		var kinds []string
		for _, f := range got.findings {
			kinds = append(kinds, f.Kind)
		}
		if strings.Join(kinds, " ") != c.want || len(got.totals) != 1 || got.totals[0].OnItsWay != c.onWay || len(got.stray) != 0 {
			t.Errorf("%s: found %+v, totals %+v, stray %v", name, got.findings, got.totals, got.stray)
		}
	}
}

func TestMoneyThatComesFromNowhereIsFound(t *testing.T) {
	s := paid(transfer.Committed, adminv1.BankKnowledge_BANK_KNOWLEDGE_COMMITTED, adminv1.BankKnowledge_BANK_KNOWLEDGE_PREPARED)
	s.banks["A"].posted["EUR"]++
	s.banks["B"].posted["CZK"] = 0
	got := s.judge()
	if len(got.findings) != 1 || got.findings[0].Kind != "total" || !strings.Contains(got.findings[0].Detail, "0.01 EUR") {
		t.Errorf("found %+v", got.findings)
	}
	want := []currencyTotal{{Currency: "CZK"}, {Currency: "EUR", PostedMinor: -499, OnItsWay: 500, TotalMinor: 1}}
	if !slices.Equal(got.totals, want) {
		t.Errorf("totals %+v", got.totals)
	}
}

func TestAHoldWithoutATransferCountsOnlyWhileItStays(t *testing.T) {
	s := paid(transfer.Pending, adminv1.BankKnowledge_BANK_KNOWLEDGE_PREPARED, adminv1.BankKnowledge_BANK_KNOWLEDGE_NOTHING)
	unknown, other := transfer.ID{2}, transfer.ID{1} // the second is held under an open id, with other content
	s.banks["A"].holds[unknown] = heldTransfer{transfer.Fingerprint{8}, time.Unix(2, 0)}
	s.banks["B"].holds[other] = heldTransfer{transfer.Fingerprint{9}, time.Unix(3, 0)}
	first := s.judge()
	if len(first.stray) != 2 || len(first.findings) != 0 {
		t.Fatalf("stray %v, found %v", first.stray, first.findings)
	}
	delete(s.banks["B"].holds, other)
	s.banks["A"].holds[transfer.ID{3}] = heldTransfer{transfer.Fingerprint{8}, time.Unix(4, 0)}
	next := s.judge()
	still := next.stillStray(first.stray)
	if len(still) != 1 {
		t.Fatalf("still stray: %v", still)
	}
	found := strayFindings(still)
	if len(found) != 1 || found[0].Kind != "stray_hold" || found[0].Group != "bank/A" || found[0].Transfer != unknown.String() {
		t.Errorf("found %+v", found)
	}
	again := s.banks["A"].holds[unknown]
	again.preparedAt = time.Unix(9, 0) // another hold under the same id
	s.banks["A"].holds[unknown] = again
	last := s.judge()
	if still := last.stillStray(still); len(still) != 0 {
		t.Errorf("a hold that is new is taken for the old one: %v", still)
	}
}

func TestReplicasAreJudgedByTheMajority(t *testing.T) {
	for name, c := range map[string]struct {
		replicas []verifiedReplica
		want     string
	}{
		"all the same":          {[]verifiedReplica{{asked: true, Index: 5, hash: 1}, {asked: true, Index: 5, hash: 1}, {asked: true, Index: 5, hash: 1}}, "same same same"},
		"one of three differs":  {[]verifiedReplica{{asked: true, Index: 5, hash: 1}, {asked: true, Index: 5, hash: 2}, {asked: true, Index: 5, hash: 1}}, "same differs same"},
		"all three differ":      {[]verifiedReplica{{asked: true, Index: 5, hash: 1}, {asked: true, Index: 5, hash: 2}, {asked: true, Index: 5, hash: 3}}, "differs differs differs"},
		"two differ, who knows": {[]verifiedReplica{{asked: true, Index: 5, hash: 1}, {asked: true, Index: 5, hash: 2}, {}}, "differs differs missing"},
		"one is behind":         {[]verifiedReplica{{asked: true, Index: 5, hash: 1}, {asked: true, Index: 4, hash: 2}, {asked: true, Index: 5, hash: 1}}, "same behind same"},
		"one alone":             {[]verifiedReplica{{asked: true, Index: 5, hash: 1}}, "same"},
	} {
		g := verifiedGroup{Group: "bank/A", Index: 5, Replicas: c.replicas}
		g.judge()
		var got []string
		for _, r := range g.Replicas {
			got = append(got, r.Result)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
