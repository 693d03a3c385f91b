package coordinator_test

import (
	"bytes"
	"errors"
	"maps"
	"testing"

	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/transfer"
)

// followed reads all decisions above a number, a page at a time, and wants their numbers to go up.
func followed(t interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}, m *coordinator.Machine, after uint64, limit, scanMax int) (ids []byte) {
	t.Helper()
	for more := true; more; {
		page, err := m.DecidedAfter(&coordinator.Filter{}, after, limit, scanMax)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Decided {
			if d.Number <= after || d.Number > page.Last || d.Record.State == transfer.Pending {
				t.Fatalf("after %d: %+v", after, d)
			}
			ids, after = append(ids, d.Record.Transfer.ID[15]), d.Number
		}
		after, more = page.Last, page.More
	}
	if after != m.LastDecision() {
		t.Fatalf("the end is at %d, the last decision is %d", after, m.LastDecision())
	}
	return ids
}

func TestDecisionsAreInTheOrderOfTheLog(t *testing.T) {
	m, _ := listed(t) // 3 and 5 are undecided
	if got := followed(t, m, 0, 100, 100); !bytes.Equal(got, []byte{1, 2, 4, 6}) {
		t.Fatalf("got %v", got)
	}
	last := m.LastDecision()
	apply(t, m, 7, commit(5), abort(9, transfer.ErrCancelled), commit(3), commit(5), settle(5)) // what is repeated decides nothing
	for limit := 1; limit <= 4; limit++ {
		if got := followed(t, m, last, limit, 2); !bytes.Equal(got, []byte{5, 9, 3}) {
			t.Errorf("%d on a page: %v", limit, got)
		}
	}
	if got := followed(t, m, 0, 3, 2); !bytes.Equal(got, []byte{1, 2, 4, 6, 5, 9, 3}) {
		t.Errorf("from the beginning: %v", got)
	}
	for name, row := range map[string]struct {
		filter coordinator.Filter
		want   int
	}{
		"by state":     {coordinator.Filter{State: transfer.Aborted}, 2},
		"by account":   {coordinator.Filter{Account: "carol"}, 1},
		"by reference": {coordinator.Filter{Reference: "salary"}, 1},
		"nothing":      {coordinator.Filter{State: transfer.Pending}, 0},
	} {
		if page, err := m.DecidedAfter(&row.filter, 0, 10, 10); err != nil || len(page.Decided) != row.want || page.Last != 7 || page.More {
			t.Errorf("%s: %+v, %v", name, page, err)
		}
	}
	if page, err := m.DecidedAfter(&coordinator.Filter{}, 99, 10, 10); err != nil || len(page.Decided) != 0 || page.Last != 99 || page.More {
		t.Errorf("behind the newest: %+v, %v", page, err)
	}
}

func TestADamagedDecisionIsFound(t *testing.T) {
	_, disk := listed(t)
	for key, value := range map[string][]byte{"d\xff\xff\xff\xff\xff\xff\xff\xfe": nil, "d\xff\xff\xff\xff\xff\xff\xff\xfd": {8, 1}} {
		d := memory(maps.Clone(disk))
		d[key] = value
		if value == nil {
			delete(d, key)
		}
		if _, err := newMachine(t, d).DecidedAfter(&coordinator.Filter{}, 0, 10, 10); !errors.Is(err, coordinator.ErrDamaged) {
			t.Errorf("%x: %v", key, err)
		}
	}
	pending := memory(maps.Clone(disk))
	pending["d\xff\xff\xff\xff\xff\xff\xff\xfe"] = pending["p\xff\xff\xff\xff\xff\xff\xff\xfc"] // of the third, which is undecided
	if _, err := newMachine(t, pending).DecidedAfter(&coordinator.Filter{}, 0, 10, 10); !errors.Is(err, coordinator.ErrDamaged) {
		t.Errorf("an undecided one: %v", err)
	}
}
