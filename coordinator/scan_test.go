package coordinator_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/transfer"
)

// stored is a coordinator whose disk has every kind of record.
func stored(t *testing.T) (*coordinator.Machine, memory) {
	t.Helper()
	disk := memory{}
	m := newMachine(t, disk)
	for i, facts := range [][]coordinator.Fact{
		{number, stage(payment(1, 1)), stage(payment(2, 1)), stage(payment(3, 1))},
		{commit(2), abort(3, transfer.ErrInsufficientFunds), abort(4, transfer.ErrOrphaned)},
		{settle(2)},
	} {
		apply(t, m, uint64(i+1), facts...)
		disk.store(whole(m))
		m.Checkpointed()
	}
	return m, disk
}

func TestAScanFindsWhatTheCoordinatorRecorded(t *testing.T) {
	m, disk := stored(t)
	s, err := coordinator.Scan(disk, nil)
	if want := (coordinator.Scanned{Records: 11, Recorded: m.Hash(), Computed: m.Hash()}); err != nil || s != want {
		t.Errorf("got %+v, %v, want %+v", s, err, want)
	}
	if s, err := coordinator.Scan(memory{}, nil); err != nil || s != (coordinator.Scanned{}) {
		t.Errorf("of nothing: %+v, %v", s, err)
	}
}

func TestAScanFindsWhatIsGoneOrElsewhere(t *testing.T) {
	_, disk := stored(t)
	for _, key := range slices.Sorted(maps.Keys(disk)) {
		gone := maps.Clone(disk)
		delete(gone, key)
		if s, err := coordinator.Scan(gone, nil); err == nil && s.Recorded == s.Computed {
			t.Errorf("record %q is gone, and nothing is missing: %+v", key, s)
		}
	}
	one, two := id(1), id(2)
	for _, stranger := range []transfer.ID{one, two} {
		elsewhere := fmt.Errorf("%w: %s is another group's", coordinator.ErrDamaged, stranger)
		_, err := coordinator.Scan(disk, func(id transfer.ID) error {
			if id == stranger {
				return elsewhere
			}
			return nil
		})
		if !errors.Is(err, elsewhere) {
			t.Errorf("a transfer that doesn't belong here: %v", err)
		}
	}
	for name, change := range map[string]func(d memory){
		"under another id":         func(d memory) { d["u"+string(one[:])] = d["r"+string(two[:])] },
		"settled, and said not to": func(d memory) { d["u"+string(two[:])] = d["r"+string(two[:])]; delete(d, "r"+string(two[:])) },
		"with bytes missing":       func(d memory) { d["r"+string(two[:])] = d["r"+string(two[:])][:20] },
		"a hash of seven bytes":    func(d memory) { d["h"] = d["h"][:7] },
	} {
		changed := maps.Clone(disk)
		change(changed)
		if _, err := coordinator.Scan(changed, nil); !errors.Is(err, coordinator.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
