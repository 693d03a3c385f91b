package coordinator_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/coordinator"
	storev1 "github.com/quorate/quorate/proto/quorate/store/v1"
	"github.com/quorate/quorate/transfer"
)

func asItIs(r *coordinator.Record) transfer.Record { return r.Public() }

// numbersOf reads a whole list in pages.
func numbersOf(m *coordinator.Machine, f coordinator.Filter, limit, scanMax int) (ids []byte, pages int, err error) {
	for below, more := uint64(0), true; more; pages++ {
		page, err := m.List(&f, below, limit, scanMax, asItIs)
		if err != nil {
			return ids, pages, err
		}
		for _, l := range page.Listed {
			ids = append(ids, l.Record.Transfer.ID[15])
		}
		if page.More && below != 0 && page.Last >= below {
			return ids, pages, fmt.Errorf("a page below %d ends at %d", below, page.Last)
		}
		below, more = page.Last, page.More
	}
	return ids, pages, nil
}

func mustList(t testing.TB, m *coordinator.Machine, f coordinator.Filter, limit, scanMax int) []byte {
	t.Helper()
	ids, _, err := numbersOf(m, f, limit, scanMax)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// Six transfers of six moments, the last of a leader whose clock is behind; some are stored, some sealed, some neither.
func listed(t *testing.T) (*coordinator.Machine, memory) {
	t.Helper()
	disk := memory{}
	m := newMachine(t, disk)
	rent := payment(5, 1)
	rent.Reference, rent.Legs[1].Account = "salary", "carol"
	steps := []struct {
		seconds int
		facts   []coordinator.Fact
	}{
		{1, []coordinator.Fact{number, stage(payment(1, 1)), commit(1), settle(1)}},
		{2, []coordinator.Fact{stage(payment(2, 1)), abort(2, transfer.ErrInsufficientFunds), settle(2)}},
		{3, []coordinator.Fact{stage(payment(3, 1))}},
		{9, []coordinator.Fact{stage(payment(4, 1)), commit(4)}},
		{10, []coordinator.Fact{stage(rent)}},
		{5, []coordinator.Fact{stage(payment(6, 1)), commit(6)}},
	}
	for i, s := range steps {
		if _, err := m.Apply(uint64(i+1), coordinator.Encode(at(s.seconds), s.facts)); err != nil {
			t.Fatal(err)
		}
		switch i {
		case 1:
			disk.store(whole(m))
			m.Checkpointed()
		case 3:
			disk.store(whole(m)) // durable, and not yet confirmed
		}
	}
	return m, disk
}

func TestAListGoesFromNewToOld(t *testing.T) {
	m, _ := listed(t)
	for _, row := range []struct {
		name   string
		filter coordinator.Filter
		want   []byte
	}{
		{"everything", coordinator.Filter{}, []byte{6, 5, 4, 3, 2, 1}},
		{"what is pending", coordinator.Filter{State: transfer.Pending}, []byte{5, 3}},
		{"what is committed", coordinator.Filter{State: transfer.Committed}, []byte{6, 4, 1}},
		{"what is aborted", coordinator.Filter{State: transfer.Aborted}, []byte{2}},
		{"of a bank", coordinator.Filter{Bank: "B"}, []byte{6, 5, 4, 3, 2, 1}},
		{"of an account", coordinator.Filter{Account: "carol"}, []byte{5}},
		{"of an account at another bank", coordinator.Filter{Bank: "A", Account: "carol"}, nil},
		{"by reference", coordinator.Filter{Reference: "salary"}, []byte{5}},
		{"from a moment on", coordinator.Filter{Since: at(9)}, []byte{6, 5, 4}},
		{"until a moment", coordinator.Filter{Until: at(9)}, []byte{3, 2, 1}},
		{"a period", coordinator.Filter{Since: at(2), Until: at(4)}, []byte{3, 2}},
		{"an empty period", coordinator.Filter{Since: at(20)}, nil},
		{"before all", coordinator.Filter{Until: at(1)}, nil},
	} {
		for limit := 1; limit <= 7; limit++ {
			for _, scanMax := range []int{1, 2, 5, 100} {
				if got := mustList(t, m, row.filter, limit, scanMax); !bytes.Equal(got, row.want) {
					t.Errorf("%s, %d on a page, %d looked at: %v, want %v", row.name, limit, scanMax, got, row.want)
				}
			}
		}
	}
}

func TestAPageLooksAtNoMoreThanItMay(t *testing.T) {
	m, _ := listed(t)
	page, err := m.List(&coordinator.Filter{State: transfer.Aborted}, 0, 10, 4, asItIs)
	if err != nil || len(page.Listed) != 0 || !page.More || page.Last != 3 || !page.ReachedAt.Equal(at(3)) {
		t.Errorf("%+v, %v", page, err)
	}
}

// New transfers and new states don't move what a reader of pages has still to come.
func TestAListIsntShifted(t *testing.T) {
	m, _ := listed(t)
	first, err := m.List(&coordinator.Filter{}, 0, 2, 100, asItIs)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, m, 7, stage(payment(7, 1)), commit(3), settle(3))
	rest, err := m.List(&coordinator.Filter{}, first.Last, 100, 100, asItIs)
	if err != nil || len(rest.Listed) != 4 || rest.Listed[0].Record.Transfer.ID != id(4) || rest.Listed[1].Record.State != transfer.Committed {
		t.Errorf("%+v, %v", rest, err)
	}
}

// An older release writes no numbers. Replicas that are upgraded one after another, each at a moment of its own, number alike: they begin at one entry of the log. Three
// transfers are created in the same moment, so that their times don't tell the order of the log, and the fourth by a leader whose clock is behind.
func TestReplicasThatAreUpgradedApartNumberAlike(t *testing.T) {
	log := [][]byte{
		coordinator.Encode(at(5), []coordinator.Fact{stage(payment(3, 1)), stage(payment(1, 1)), stage(payment(2, 1))}),
		coordinator.Encode(at(4), []coordinator.Fact{commit(2), settle(2), stage(payment(4, 1))}),
		coordinator.Encode(at(6), []coordinator.Fact{commit(1), abort(4, transfer.ErrInsufficientFunds)}),
		coordinator.Encode(at(7), []coordinator.Fact{number}),
		coordinator.Encode(at(3), []coordinator.Fact{stage(payment(6, 1)), stage(payment(5, 1)), commit(5), settle(1), number}),
	}
	for checkpoint := range len(log) + 1 {
		disk := memory{}
		m := newMachine(t, disk)
		for i, entry := range log {
			if i == checkpoint { // what the older release has stored, or this one since
				disk.store(whole(m))
				if size := len(disk["h"]); (size == 8) != (i < 4) {
					t.Errorf("a checkpoint before entry %d has a state of %d bytes", i+1, size)
				}
				m = newMachine(t, disk)
			}
			if _, err := m.Apply(uint64(i+1), entry); err != nil {
				t.Fatal(err)
			}
			if m.Numbered() != (i >= 3) {
				t.Errorf("after entry %d: numbered is %t", i+1, m.Numbered())
			}
		}
		if got := mustList(t, m, coordinator.Filter{}, 2, 2); !bytes.Equal(got, []byte{5, 6, 3, 2, 1, 4}) {
			t.Errorf("upgraded before entry %d: listed %v", checkpoint+1, got)
		}
		if got := followed(t, m, 0, 1, 1); !bytes.Equal(got, []byte{1, 2, 4, 5}) {
			t.Errorf("upgraded before entry %d: decided %v", checkpoint+1, got)
		}
		if got, want := m.Hash(), uint64(0x2a1282f589469256); got != want {
			t.Errorf("upgraded before entry %d: hash %x, want %x", checkpoint+1, got, want)
		}
		disk.store(whole(m))
		if s, err := coordinator.Scan(disk, nil); err != nil || s.Recorded != s.Computed {
			t.Errorf("upgraded before entry %d: %+v, %v", checkpoint+1, s, err)
		}
	}
}

// The entry that begins to number has a version of its own: a build that would lose count stops at it.
func TestNumbersVersion3IsReadForEver(t *testing.T) {
	facts := []coordinator.Fact{number, stage(payment(1, 12345))}
	want := golden(t, "entry_numbers_v3.hex")
	if got := coordinator.Encode(at(1), facts); !bytes.Equal(got, want) {
		t.Errorf("Encode writes other bytes than version 3 did\n got %x\nwant %x", got, want)
	}
	_, read, err := coordinator.Decode(want)
	if diff := cmp.Diff(facts, read); diff != "" || err != nil {
		t.Errorf("error %v, facts (-want +got):\n%s", err, diff)
	}
}

func TestADamagedOrderIsFound(t *testing.T) {
	_, sound := listed(t)
	key := func(number byte) string { return "p" + string(append(bytes.Repeat([]byte{0xff}, 7), ^number)) }
	other := id(9)
	foreign, err := proto.Marshal(&storev1.CoordinatorPlace{Version: 1, Id: other[:], ReachedUnixNano: at(2).UnixNano()})
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(memory){
		"a place is gone":           func(d memory) { delete(d, key(2)) },
		"the first place is gone":   func(d memory) { delete(d, key(1)) },
		"a transfer that isn't":     func(d memory) { d[key(2)] = foreign },
		"times go back":             func(d memory) { d[key(2)] = d[key(4)] },
		"a value cut off":           func(d memory) { d[key(2)] = d[key(2)][:5] },
		"a number above the newest": func(d memory) { d[key(9)] = d[key(4)] },
		"a decision is gone":        func(d memory) { delete(d, "d"+key(2)[1:]) },
		"a decision too many":       func(d memory) { d["d"+key(9)[1:]] = d["d"+key(2)[1:]] },
	} {
		d := maps.Clone(sound)
		damage(d)
		if _, err := coordinator.Scan(d, nil); !errors.Is(err, coordinator.ErrDamaged) {
			t.Errorf("%s: the scan says %v", name, err)
		}
	}
	for _, value := range [][]byte{nil, {0x08, 1}, foreign, sound[key(2)][:5]} {
		d := maps.Clone(sound)
		d[key(2)] = value
		if _, _, err := numbersOf(newMachine(t, d), coordinator.Filter{}, 10, 10); !errors.Is(err, coordinator.ErrDamaged) {
			t.Errorf("place %x: the list says %v", value, err)
		}
	}
}

func TestGoldenPlaceAndState(t *testing.T) {
	_, disk := listed(t)
	for name, key := range map[string]string{"place_v1.hex": "p" + string(bytes.Repeat([]byte{0xff}, 7)) + "\xfd", "state_decisions_v1.hex": "h"} {
		if diff := cmp.Diff(golden(t, name), disk[key]); diff != "" {
			t.Errorf("%s (-golden +now): %x\n%s", name, disk[key], diff)
		}
	}
	p := &storev1.CoordinatorPlace{}
	if err := proto.Unmarshal(golden(t, "place_v1.hex"), p); err != nil {
		t.Fatal(err)
	}
	if two := id(2); !bytes.Equal(p.GetId(), two[:]) || p.GetVersion() != 1 || !time.Unix(0, p.GetReachedUnixNano()).Equal(at(2)) || len(p.ProtoReflect().GetUnknown()) > 0 {
		t.Errorf("read as %v", p)
	}
}

// A place with those after it is of version 2. One by itself stays as it was.
func TestGoldenRunOfPlaces(t *testing.T) {
	disk := memory{}
	m := newMachine(t, disk)
	m.WriteRuns()
	for i, seconds := range []int{1, 9, 5} { // the last one of a leader whose clock is behind
		facts := []coordinator.Fact{number, stage(payment(i+1, 1))}
		if i == 1 {
			facts = append(facts, commit(2))
		}
		if _, err := m.Apply(uint64(i+1), coordinator.Encode(at(seconds), facts)); err != nil {
			t.Fatal(err)
		}
	}
	disk.store(whole(m))
	m.Checkpointed()
	first := string(bytes.Repeat([]byte{0xff}, 7)) + "\xfe"
	if diff := cmp.Diff(golden(t, "place_v2.hex"), disk["p"+first]); diff != "" {
		t.Errorf("(-golden +now): %x\n%s", disk["p"+first], diff)
	}
	p := &storev1.CoordinatorPlace{}
	if err := proto.Unmarshal(golden(t, "place_v2.hex"), p); err != nil {
		t.Fatal(err)
	}
	one, two, three := id(1), id(2), id(3)
	after := slices.Concat(two[:], binary.AppendUvarint(nil, uint64(8*time.Second)), three[:], []byte{0})
	if !bytes.Equal(p.GetId(), one[:]) || p.GetVersion() != 2 || !bytes.Equal(p.GetAfter(), after) || len(p.ProtoReflect().GetUnknown()) > 0 {
		t.Errorf("read as %v", p)
	}
	if err := proto.Unmarshal(disk["d"+first], p); err != nil || p.GetVersion() != 1 || len(p.GetAfter()) > 0 {
		t.Errorf("a decision by itself is %v, %v", p, err)
	}
	if got := mustList(t, newMachine(t, disk), coordinator.Filter{}, 2, 2); !bytes.Equal(got, []byte{3, 2, 1}) {
		t.Errorf("listed %v", got)
	}
}

// TestManyPlacesTakeFewRecords, and each is found by its number and by its time.
func TestManyPlacesTakeFewRecords(t *testing.T) {
	const places = 100
	disk := memory{}
	m := newMachine(t, disk)
	m.WriteRuns()
	for i := range places {
		if _, err := m.Apply(uint64(i+1), coordinator.Encode(at(i+1), []coordinator.Fact{number, stage(payment(i+1, 1)), commit(i + 1), settle(i + 1)})); err != nil {
			t.Fatal(err)
		}
	}
	disk.store(append(m.Checkpoint(), m.Sealed(places+2)...)) // as many as asked for: there are more
	disk.store(m.Sealed(6))
	disk.store(m.Sealed(1))
	m.Checkpointed()
	if records := len(disk); records != 1+places+2*4 {
		t.Errorf("%d records", records)
	}
	m = newMachine(t, disk)
	for n := range places {
		if got := mustList(t, m, coordinator.Filter{Since: at(n + 1), Until: at(n + 2)}, 10, 10); !bytes.Equal(got, []byte{byte(n + 1)}) {
			t.Fatalf("of second %d: %v", n+1, got)
		}
		if page, err := m.DecidedAfter(&coordinator.Filter{}, uint64(n), 1, 1); err != nil || len(page.Decided) != 1 || page.Decided[0].Number != uint64(n+1) {
			t.Fatalf("after decision %d: %+v, %v", n, page, err)
		}
	}
}

func TestADamagedRunOfPlacesIsFound(t *testing.T) {
	disk := memory{}
	m := newMachine(t, disk)
	m.WriteRuns()
	apply(t, m, 1, number, stage(payment(1, 1)), stage(payment(2, 1)), stage(payment(3, 1)))
	disk.store(whole(m))
	m.Checkpointed()
	key := "p" + string(bytes.Repeat([]byte{0xff}, 7)) + "\xfe"
	sound := disk[key]
	one, two, three := id(1), id(2), id(3)
	place := func(version uint32, after ...[]byte) []byte {
		value, err := proto.Marshal(&storev1.CoordinatorPlace{Version: version, Id: one[:], ReachedUnixNano: at(1).UnixNano(), After: slices.Concat(after...)})
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	if !bytes.Equal(place(2, two[:], []byte{0}, three[:], []byte{0}), sound) {
		t.Fatalf("the sound record is %x", sound)
	}
	nobody := transfer.ID{}
	for name, value := range map[string][]byte{
		"one is gone":              place(2, two[:], []byte{0}),
		"one too many":             place(2, two[:], []byte{0}, three[:], []byte{0}, three[:], []byte{0}),
		"an id cut off":            place(2, two[:], []byte{0}, three[:7]),
		"a time cut off":           place(2, two[:], []byte{0}, three[:]),
		"a time too far":           place(2, two[:], []byte{0}, three[:], binary.AppendUvarint(nil, math.MaxInt64)),
		"a time that goes back":    place(2, two[:], []byte{0}, three[:], binary.AppendUvarint(nil, math.MaxUint64)),
		"of nobody":                place(2, two[:], []byte{0}, nobody[:], []byte{0}),
		"of the first version":     place(1, two[:], []byte{0}, three[:], []byte{0}),
		"none after":               place(2),
		"of a version to come":     place(3, two[:], []byte{0}, three[:], []byte{0}),
		"one twice":                place(2, two[:], []byte{0}, two[:], []byte{0}),
		"another one's":            place(2, three[:], []byte{0}, two[:], []byte{0}),
		"of a transfer that isn't": place(2, two[:], []byte{0}, bytes.Repeat([]byte{9}, 16), []byte{0}),
	} {
		disk[key] = value
		if s, err := coordinator.Scan(disk, nil); err == nil && s.Recorded == s.Computed {
			t.Errorf("%s: the scan finds nothing", name)
		}
		if name == "one twice" || name == "another one's" || name == "one too many" {
			continue // a list looks at what it shows
		}
		if ids, _, err := numbersOf(newMachine(t, disk), coordinator.Filter{}, 10, 10); !errors.Is(err, coordinator.ErrDamaged) && !errors.Is(err, coordinator.ErrNewerFormat) {
			t.Errorf("%s: the list is %v, %v", name, ids, err)
		}
	}
}
