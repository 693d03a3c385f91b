package coordinator_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/transfer"
)

func TestCheckpointWritesOnlyWhatChanged(t *testing.T) {
	disk := memory{}
	m := newMachine(t, disk)
	steps := []struct {
		name  string
		facts []coordinator.Fact
		want  []string
	}{
		{"nothing happened", nil, []string{"put h"}},
		{"two are staged", []coordinator.Fact{number, stage(payment(1, 1)), stage(payment(2, 1))}, []string{"put h", "put u1", "put u2", "put p254", "put p253"}},
		{"one is decided", []coordinator.Fact{commit(2)}, []string{"put h", "put u2", "put d254"}},
		{"it is settled", []coordinator.Fact{settle(2)}, []string{"put h", "delete u2", "put r2"}},
		{"one lives its whole life between two checkpoints", []coordinator.Fact{stage(payment(3, 1)), commit(3), settle(3)}, []string{"put h", "put r3", "put p252", "put d253"}},
		{"a tombstone", []coordinator.Fact{abort(4, transfer.ErrOrphaned)}, []string{"put h", "put r4", "put p251", "put d252"}},
		{"duplicates", []coordinator.Fact{stage(payment(1, 1)), stage(payment(3, 1)), settle(2)}, []string{"put h"}},
	}
	for i, step := range steps {
		apply(t, m, uint64(i+1), step.facts...)
		var got []string
		writes := whole(m)
		for _, w := range writes {
			line := "put " + string(w.Key[:1])
			if w.Value == nil {
				line = "delete " + string(w.Key[:1])
			}
			if len(w.Key) > 1 {
				line += fmt.Sprint(w.Key[len(w.Key)-1])
			}
			got = append(got, line)
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
		disk.store(writes)
		m.Checkpointed()
	}
}

// whole is all of a checkpoint at once.
func whole(m *coordinator.Machine) []coordinator.KV {
	return append(m.Checkpoint(), m.Sealed(math.MaxInt32)...)
}

// twin is a machine that checkpoints, forgets and restarts while another, plain one doesn't.
type twin struct {
	machine   *coordinator.Machine
	disk      memory
	underWay  []coordinator.KV // nil: no checkpoint is under way
	durable   int              // entries that the disk contains
	checkedAt int              // entries that the checkpoint under way contains
}

func (w *twin) beginCheckpoint(applied int) {
	if w.underWay == nil {
		w.underWay, w.checkedAt = w.machine.Checkpoint(), applied
	}
	w.underWay = append(w.underWay, w.machine.Sealed(1)...) // and one more each time that another can't begin
}

func (w *twin) makeDurable() {
	if w.underWay != nil && w.durable != w.checkedAt {
		w.underWay = append(w.underWay, w.machine.Sealed(math.MaxInt32)...)
		w.disk.store(w.underWay)
		w.durable = w.checkedAt
	}
}

func (w *twin) endCheckpoint() {
	if w.underWay != nil {
		w.makeDurable()
		w.machine.Checkpointed()
		w.underWay = nil
	}
}

// TestResultsNeverDependOnCheckpoints: what Apply answers, what is looked up and the hash are the same, whenever checkpoints
// begin, become durable and end, and wherever the process dies in between.
func TestResultsNeverDependOnCheckpoints(t *testing.T) {
	const ids = 5
	rapid.Check(t, func(t *rapid.T) {
		plain, err := coordinator.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		w := &twin{disk: memory{}}
		if w.machine, err = coordinator.New(w.disk); err != nil {
			t.Fatal(err)
		}
		var log [][]byte
		steps := rapid.IntRange(1, 60).Draw(t, "steps")
		for range steps {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				w.beginCheckpoint(len(log))
			case 1:
				w.makeDurable()
			case 2:
				w.endCheckpoint()
			case 3:
				restart(t, w, log)
				w.machine.WriteRunsOf(rapid.IntRange(1, 4).Draw(t, "run")) // an older release stored what is there, or this one
			default:
				entry := coordinator.Encode(at(len(log)), drawFacts(t, plain, ids))
				log = append(log, entry)
				want := applyPublic(t, plain, len(log), entry)
				got := applyPublic(t, w.machine, len(log), entry)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("entry %d (-plain +checkpointed):\n%s", len(log), diff)
				}
			}
			compare(t, plain, w.machine, ids)
		}
		w.endCheckpoint()
		if s, err := coordinator.Scan(w.disk, nil); err != nil || s.Recorded != s.Computed {
			t.Fatalf("a scan of what is stored: %+v, %v", s, err)
		}
	})
}

func restart(t *rapid.T, w *twin, log [][]byte) {
	machine, err := coordinator.New(w.disk)
	if err != nil {
		t.Fatalf("restart: %v", err)
	}
	w.machine, w.underWay = machine, nil
	for i := w.durable; i < len(log); i++ {
		applyPublic(t, w.machine, i+1, log[i])
	}
}

// drawFacts makes facts that a correct driver may propose, by looking at the state they meet.
func drawFacts(t *rapid.T, m *coordinator.Machine, ids int) []coordinator.Fact {
	var facts []coordinator.Fact
	n := rapid.IntRange(1, ids).Draw(t, "id")
	r, err := m.Lookup(id(n))
	if err != nil {
		t.Fatal(err)
	}
	choices := []coordinator.Fact{stage(payment(n, 100)), stage(payment(n, 200)), stage(holdOf(n, 100)), abort(n, transfer.ErrOrphaned)}
	switch {
	case r == nil:
	case r.State == transfer.Pending && r.Transfer.IsHold():
		choices = append(choices, hold(n), hold(n), abort(n, transfer.ErrInsufficientFunds))
	case r.State == transfer.Held:
		choices = append(choices, hold(n), commit(n), capture(n, 60, 60), abort(n, transfer.ErrVoided))
	case r.State == transfer.Pending:
		choices = append(choices, commit(n), commit(n), abort(n, transfer.ErrInsufficientFunds))
	default:
		choices = append(choices, settle(n), settle(n), settle(n, n))
	}
	facts = append(facts, rapid.SampledFrom(choices).Draw(t, "fact"))
	if rapid.IntRange(0, 9).Draw(t, "number") == 0 {
		facts = append(facts, number)
	}
	if rapid.Bool().Draw(t, "two in one entry") {
		facts = append(facts, stage(payment(rapid.IntRange(1, ids).Draw(t, "second id"), 100)))
	}
	return facts
}

// outcome is an Applied as values, taken before the shared record changes again.
type outcome struct {
	Kind   string
	Record transfer.Record
	Print  transfer.Fingerprint
}

func applyPublic(t *rapid.T, m *coordinator.Machine, index int, entry []byte) []outcome {
	results, err := m.Apply(uint64(index), entry)
	if err != nil {
		t.Fatalf("entry %d: %v", index, err)
	}
	var outcomes []outcome
	for _, r := range results {
		outcomes = append(outcomes, outcome{r.Kind.String(), r.Record.Public(), r.Record.Fingerprint})
	}
	return outcomes
}

func compare(t *rapid.T, plain, checkpointed *coordinator.Machine, ids int) {
	if plain.Hash() != checkpointed.Hash() {
		t.Fatalf("hash %x, want %x", checkpointed.Hash(), plain.Hash())
	}
	if plain.StagedCount() != checkpointed.StagedCount() || plain.UnsettledCount() != checkpointed.UnsettledCount() {
		t.Fatalf("%d staged and %d unsettled, want %d and %d", checkpointed.StagedCount(), checkpointed.UnsettledCount(), plain.StagedCount(), plain.UnsettledCount())
	}
	for n := 1; n <= ids; n++ {
		want, _ := plain.Lookup(id(n))
		got, err := checkpointed.Lookup(id(n))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(public(want), public(got)); diff != "" {
			t.Fatalf("transfer %d (-plain +checkpointed):\n%s", n, diff)
		}
	}
	want, _, err := numbersOf(plain, coordinator.Filter{}, 100, 100)
	got, _, err2 := numbersOf(checkpointed, coordinator.Filter{}, 2, 3)
	if diff := cmp.Diff(want, got); diff != "" || err != nil || err2 != nil {
		t.Fatalf("listed (-plain +checkpointed), %v, %v:\n%s", err, err2, diff)
	}
	middle := coordinator.Filter{Since: at(ids), Until: at(3 * ids)}
	want, _, err = numbersOf(plain, middle, 100, 100)
	got, _, err2 = numbersOf(checkpointed, middle, 2, 3)
	if diff := cmp.Diff(want, got); diff != "" || err != nil || err2 != nil {
		t.Fatalf("listed of a period (-plain +checkpointed), %v, %v:\n%s", err, err2, diff)
	}
	if diff := cmp.Diff(followed(t, plain, 0, 100, 100), followed(t, checkpointed, 0, 2, 3)); diff != "" {
		t.Fatalf("decided (-plain +checkpointed):\n%s", diff)
	}
	if diff := cmp.Diff(publicAll(plain), publicAll(checkpointed)); diff != "" {
		t.Fatalf("unsettled (-plain +checkpointed):\n%s", diff)
	}
}

func public(r *coordinator.Record) *outcome {
	if r == nil {
		return nil
	}
	return &outcome{Record: r.Public(), Print: r.Fingerprint}
}

func publicAll(m *coordinator.Machine) []*outcome {
	var all []*outcome
	for _, r := range m.Unsettled() {
		all = append(all, public(r))
	}
	return all
}

func TestOneCheckpointAtATime(t *testing.T) {
	m := newMachine(t, nil)
	m.Checkpoint()
	mustBreak(t, func() { m.Checkpoint() })
}

func TestACheckpointIsConfirmedAsAWhole(t *testing.T) {
	m := newMachine(t, nil)
	apply(t, m, 1, number, stage(payment(1, 1)), commit(1), settle(1))
	writes := m.Checkpoint()
	for range 3 { // the record and its two places
		mustBreak(t, m.Checkpointed)
		writes = append(writes, m.Sealed(1)...)
	}
	m.Checkpointed()
	if len(writes) != 4 { // with the hash
		t.Errorf("%d records were handed out", len(writes))
	}
}

func TestWhatChangedDuringACheckpointIsKept(t *testing.T) {
	disk := memory{}
	m := newMachine(t, disk)
	apply(t, m, 1, stage(payment(1, 1)), commit(1))
	writes := m.Checkpoint()
	apply(t, m, 2, settle(1)) // after the checkpoint was begun, before it is whole and durable
	disk.store(append(writes, m.Sealed(math.MaxInt32)...))
	m.Checkpointed()
	if got := stateOf(lookup(t, m, 1)); got != "committed settled" {
		t.Errorf("in memory: %s, want committed settled", got)
	}
	if got := stateOf(lookup(t, newMachine(t, disk), 1)); got != "committed" {
		t.Errorf("after a restart: %s, want committed, as the checkpoint had it", got)
	}
	disk.store(whole(m))
	if got := newMachine(t, disk); stateOf(lookup(t, got, 1)) != "committed settled" || got.UnsettledCount() != 0 {
		t.Errorf("after the next checkpoint and a restart: %s, %d unsettled", stateOf(lookup(t, got, 1)), got.UnsettledCount())
	}
}

func TestDamagedStateIsRefusedAtTheStart(t *testing.T) {
	m := newMachine(t, nil)
	apply(t, m, 1, stage(payment(1, 1)))
	sound := memory{}
	sound.store(whole(m))
	record := sound[string(unsettledKey(1))]

	tests := []struct {
		name string
		key  string
		with []byte
		want error
	}{
		{"a hash of 7 bytes", "h", make([]byte, 7), coordinator.ErrDamaged},
		{"an empty record", string(unsettledKey(1)), []byte{}, coordinator.ErrDamaged},
		{"half a record", string(unsettledKey(1)), record[:len(record)/2], coordinator.ErrDamaged},
		{"a record of version 3", string(unsettledKey(1)), append([]byte{0x08, 3}, record[2:]...), coordinator.ErrNewerFormat},
		{"a record of version 0", string(unsettledKey(1)), record[2:], coordinator.ErrDamaged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			disk := memory{}
			for k, v := range sound {
				disk[k] = v
			}
			disk[tt.key] = tt.with
			if _, err := coordinator.New(disk); !errors.Is(err, tt.want) {
				t.Errorf("New: %v, want %v", err, tt.want)
			}
		})
	}
}

func unsettledKey(n int) []byte { k := id(n); return append([]byte{'u'}, k[:]...) }

func settledKey(n int) []byte { k := id(n); return append([]byte{'r'}, k[:]...) }

// What a lookup missed is found once it is there, also after it has left the memory.
func TestLookupRemembersNoAbsenceTooLong(t *testing.T) {
	disk := memory{}
	m := newMachine(t, disk)
	lookUp := func() *coordinator.Record {
		t.Helper()
		r, err := m.Lookup(id(1))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := lookUp(); r != nil {
		t.Fatalf("found %+v", r)
	}
	apply(t, m, 1, stage(payment(1, 100)), commit(1), settle(1))
	disk.store(whole(m))
	m.Checkpointed()
	if r := lookUp(); r == nil || r.State != transfer.Committed {
		t.Fatalf("found %+v, want the committed transfer", r)
	}
	for _, a := range apply(t, m, 2, stage(payment(1, 100))) {
		if a.Kind != coordinator.StageRefused {
			t.Fatalf("staged again: %+v", a)
		}
	}
}

// counting is a disk that counts how often it was asked for one key.
type counting struct {
	memory
	gets int
}

func (c *counting) Get(key []byte) ([]byte, bool, error) {
	c.gets++
	return c.memory.Get(key)
}

func TestAnIDAboveAllOthersIsNotLookedFor(t *testing.T) {
	disk := &counting{memory: memory{}}
	m := newMachine(t, disk)
	apply(t, m, 1, abort(7, transfer.ErrOrphaned), abort(3, transfer.ErrOrphaned))
	disk.store(whole(m))
	m.Checkpointed()
	for _, m := range []*coordinator.Machine{m, newMachine(t, disk)} {
		for n, want := range map[int]int{8: 0, 5: 1, 7: 1, 3: 1} {
			disk.gets = 0
			if r := lookup(t, m, n); (r != nil) != (n == 7 || n == 3) || disk.gets != want {
				t.Errorf("transfer %d: found %t with %d reads, want %d", n, r != nil, disk.gets, want)
			}
		}
	}
}

func TestWhatIsSettledIsKnownWhateverItsID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		disk, index := memory{}, uint64(0)
		m, err := coordinator.New(disk)
		if err != nil {
			t.Fatal(err)
		}
		ids := rapid.SliceOfN(rapid.SliceOfN(rapid.ByteRange(0, 255), 16, 16), 1, 12).Draw(t, "ids")
		for i, raw := range ids {
			id := transfer.ID(raw)
			id[15] |= 1 // not zero
			ids[i] = id[:]
			index++
			if _, err := m.Apply(index, coordinator.Encode(at(1), []coordinator.Fact{{Decide: &coordinator.Decision{ID: id, State: transfer.Aborted, At: at(2), Tombstone: true}}})); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "checkpoint") {
				disk.store(whole(m))
				m.Checkpointed()
				if rapid.Bool().Draw(t, "restart") {
					if m, err = coordinator.New(disk); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, known := range ids[:i+1] {
				if r, err := m.Lookup(transfer.ID(known)); r == nil || err != nil {
					t.Fatalf("%x is forgotten: %v", known, err)
				}
			}
		}
	})
}

// TestTheListOfChangesKeepsWhatIsUnsettled when those that have settled leave it, and lets go of what is stored.
func TestTheListOfChangesKeepsWhatIsUnsettled(t *testing.T) {
	const open, passing = 40, 200
	disk := memory{}
	m := newMachine(t, disk)
	index := uint64(0)
	do := func(facts ...coordinator.Fact) {
		index++
		apply(t, m, index, facts...)
	}
	for i := range open {
		do(stage(payment(i+1, 1)))
	}
	for i := range passing {
		do(stage(payment(i+open+1, 1)), commit(i+open+1), settle(i+open+1))
	}
	disk.store(whole(m))
	m.Checkpointed()
	again := newMachine(t, disk)
	if again.UnsettledCount() != open || again.Hash() != m.Hash() {
		t.Errorf("%d transfers are unsettled after a restart, hash %x; before it %d and %x", again.UnsettledCount(), again.Hash(), open, m.Hash())
	}
	for i := range open + passing {
		want := "pending"
		if i >= open {
			want = "committed settled"
		}
		if got := stateOf(lookup(t, again, i+1)); got != want {
			t.Errorf("transfer %d is %s, want %s", i+1, got, want)
		}
	}
}
