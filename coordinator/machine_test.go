package coordinator_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"weak"

	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/transfer"
)

func TestApply(t *testing.T) {
	tests := []struct {
		name  string
		facts []coordinator.Fact
		want  []string // one per result
		state string   // of transfer 1
		count string   // staged / unsettled
	}{
		{
			name:  "a transfer is staged, decided and settled",
			facts: []coordinator.Fact{stage(payment(1, 100)), commit(1), settle(1)},
			want:  []string{"staged pending", "decided committed", "settled committed"},
			state: "committed settled", count: "0/0",
		},
		{
			name:  "a staged transfer is pending",
			facts: []coordinator.Fact{stage(payment(1, 100))},
			want:  []string{"staged pending"},
			state: "pending", count: "1/1",
		},
		{
			name:  "a decided transfer is unsettled until every bank has confirmed",
			facts: []coordinator.Fact{stage(payment(1, 100)), commit(1)},
			want:  []string{"staged pending", "decided committed"},
			state: "committed", count: "0/1",
		},
		{
			name:  "staging the same content again changes nothing",
			facts: []coordinator.Fact{stage(payment(1, 100)), stage(payment(1, 100))},
			want:  []string{"staged pending", "staged pending"},
			state: "pending", count: "1/1",
		},
		{
			name:  "an id keeps its first content",
			facts: []coordinator.Fact{stage(payment(1, 100)), stage(payment(1, 101))},
			want:  []string{"staged pending", "stage refused pending"},
			state: "pending", count: "1/1",
		},
		{
			name:  "a hold is held until its client captures it",
			facts: []coordinator.Fact{stage(holdOf(1, 100)), hold(1), hold(1), stage(holdOf(1, 100))},
			want:  []string{"staged pending", "held held", "held held", "stage refused held"},
			state: "held", count: "0/1",
		},
		{
			name:  "a tombstone comes too late for what is held",
			facts: []coordinator.Fact{stage(holdOf(1, 100)), hold(1), tombstone(1, transfer.ErrCancelled)},
			want:  []string{"staged pending", "held held", "decide refused held"},
			state: "held", count: "0/1",
		},
		{
			name:  "a hold and a transfer of the same legs are different content",
			facts: []coordinator.Fact{stage(holdOf(1, 100)), stage(payment(1, 100))},
			want:  []string{"staged pending", "stage refused pending"},
			state: "pending", count: "1/1",
		},
		{
			name:  "what is decided isn't staged again",
			facts: []coordinator.Fact{stage(payment(1, 100)), commit(1), stage(payment(1, 100))},
			want:  []string{"staged pending", "decided committed", "stage refused committed"},
			state: "committed", count: "0/1",
		},
		{
			name:  "an aborted transfer carries its reason",
			facts: []coordinator.Fact{stage(payment(1, 100)), abort(1, transfer.ErrInsufficientFunds)},
			want:  []string{"staged pending", "decided aborted(insufficient_funds)"},
			state: "aborted(insufficient_funds)", count: "0/1",
		},
		{
			name:  "deciding the same again changes nothing",
			facts: []coordinator.Fact{stage(payment(1, 100)), abort(1, transfer.ErrInsufficientFunds), abort(1, transfer.ErrDeadlineExceeded)},
			want:  []string{"staged pending", "decided aborted(insufficient_funds)", "decided aborted(insufficient_funds)"},
			state: "aborted(insufficient_funds)", count: "0/1",
		},
		{
			name:  "an abort of an unknown id is a tombstone, and is born settled",
			facts: []coordinator.Fact{abort(1, transfer.ErrOrphaned)},
			want:  []string{"decided aborted(orphaned) settled"},
			state: "aborted(orphaned) settled", count: "0/0",
		},
		{
			name:  "nothing is staged over a tombstone, whatever its content",
			facts: []coordinator.Fact{abort(1, transfer.ErrOrphaned), stage(payment(1, 100))},
			want:  []string{"decided aborted(orphaned) settled", "stage refused aborted(orphaned) settled"},
			state: "aborted(orphaned) settled", count: "0/0",
		},
		{
			name:  "two inquiries make one tombstone",
			facts: []coordinator.Fact{abort(1, transfer.ErrOrphaned), abort(1, transfer.ErrOrphaned)},
			want:  []string{"decided aborted(orphaned) settled", "decided aborted(orphaned) settled"},
			state: "aborted(orphaned) settled", count: "0/0",
		},
		{
			name:  "an inquiry loses against a stage that came first",
			facts: []coordinator.Fact{stage(payment(1, 100)), abort(1, transfer.ErrOrphaned)},
			want:  []string{"staged pending", "decide refused pending"},
			state: "pending", count: "1/1",
		},
		{
			name:  "an inquiry after a commit learns of the commit",
			facts: []coordinator.Fact{stage(payment(1, 100)), commit(1), abort(1, transfer.ErrOrphaned)},
			want:  []string{"staged pending", "decided committed", "decided committed"},
			state: "committed", count: "0/1",
		},
		{
			name:  "a cancel of a staged transfer takes effect",
			facts: []coordinator.Fact{stage(payment(1, 100)), abort(1, transfer.ErrCancelled)},
			want:  []string{"staged pending", "decided aborted(cancelled)"},
			state: "aborted(cancelled)", count: "0/1",
		},
		{
			name:  "a cancel of an unknown id closes it for ever",
			facts: []coordinator.Fact{tombstone(1, transfer.ErrCancelled), stage(payment(1, 100))},
			want:  []string{"decided aborted(cancelled) settled", "stage refused aborted(cancelled) settled"},
			state: "aborted(cancelled) settled", count: "0/0",
		},
		{
			name:  "a cancel of an unknown id loses against a stage that came first",
			facts: []coordinator.Fact{stage(payment(1, 100)), tombstone(1, transfer.ErrCancelled)},
			want:  []string{"staged pending", "decide refused pending"},
			state: "pending", count: "1/1",
		},
		{
			name:  "a cancel of an unknown id after a commit learns of the commit",
			facts: []coordinator.Fact{stage(payment(1, 100)), commit(1), tombstone(1, transfer.ErrCancelled)},
			want:  []string{"staged pending", "decided committed", "decided committed"},
			state: "committed", count: "0/1",
		},
		{
			name:  "settling again changes nothing",
			facts: []coordinator.Fact{stage(payment(1, 100)), commit(1), settle(1, 1)},
			want:  []string{"staged pending", "decided committed", "settled committed", "settled committed"},
			state: "committed settled", count: "0/0",
		},
		{
			name:  "a tombstone may be settled once more",
			facts: []coordinator.Fact{abort(1, transfer.ErrOrphaned), settle(1)},
			want:  []string{"decided aborted(orphaned) settled", "settled aborted(orphaned)"},
			state: "aborted(orphaned) settled", count: "0/0",
		},
		{
			name:  "one entry carries many transfers and answers in their order",
			facts: []coordinator.Fact{stage(payment(2, 7)), stage(payment(1, 100)), commit(2), settle(2)},
			want:  []string{"staged pending", "staged pending", "decided committed", "settled committed"},
			state: "pending", count: "1/1",
		},
		{
			name: "an empty entry does nothing", state: "unknown", count: "0/0",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Whether facts come in one entry or in many, and whether what is finished has left
			// memory in between, makes no difference.
			for _, way := range []string{"one entry", "an entry each", "an entry each, with a checkpoint after it"} {
				disk := memory{}
				m := newMachine(t, disk)
				var got []string
				if way == "one entry" {
					got = describe(apply(t, m, 1, tt.facts...))
				} else {
					for i := range tt.facts {
						got = append(got, describe(apply(t, m, uint64(i+1), tt.facts[i]))...)
						if strings.Contains(way, "checkpoint") {
							disk.store(whole(m))
							m.Checkpointed()
						}
					}
				}
				if way == "one entry" {
					got = withFinalRecords(got, tt.want)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("%s: results %q, want %q", way, got, tt.want)
				}
				if state := stateOf(lookup(t, m, 1)); state != tt.state {
					t.Errorf("%s: transfer 1 is %q, want %q", way, state, tt.state)
				}
				if count := fmt.Sprintf("%d/%d", m.StagedCount(), m.UnsettledCount()); count != tt.count {
					t.Errorf("%s: staged/unsettled %s, want %s", way, count, tt.count)
				}
			}
		})
	}
}

// describe says what became of each fact, with the record as it stands when asked.
func describe(results []coordinator.Applied) []string {
	var lines []string
	for _, r := range results {
		line := r.Kind.String() + " " + stateOf(r.Record)
		if r.Kind == coordinator.Settled {
			line = strings.TrimSuffix(line, " settled")
		}
		lines = append(lines, line)
	}
	return lines
}

// withFinalRecords keeps of got only the kinds: results of one entry share their records, which
// then show the state after the whole entry.
func withFinalRecords(got, want []string) []string {
	if len(got) != len(want) {
		return got
	}
	for i := range got {
		for kind := coordinator.Staged; kind <= coordinator.Settled; kind++ {
			if strings.HasPrefix(got[i], kind.String()+" ") && strings.HasPrefix(want[i], kind.String()+" ") {
				got[i] = want[i]
			}
		}
	}
	return got
}

func stateOf(r *coordinator.Record) string {
	if r == nil {
		return "unknown"
	}
	s := r.State.String()
	if r.Reason.Code != "" {
		s += "(" + string(r.Reason.Code) + ")"
	}
	if r.Settled {
		s += " settled"
	}
	return s
}

func TestBrokenPromisesStopTheMachine(t *testing.T) {
	tests := []struct {
		name  string
		facts []coordinator.Fact
	}{
		{"nothing is committed that was not staged", []coordinator.Fact{commit(1)}},
		{"a commit is never replaced by an abort", []coordinator.Fact{stage(payment(1, 100)), commit(1), abort(1, transfer.ErrDeadlineExceeded)}},
		{"an abort is never replaced by a commit", []coordinator.Fact{stage(payment(1, 100)), abort(1, transfer.ErrDeadlineExceeded), commit(1)}},
		{"a tombstone is never replaced by a commit", []coordinator.Fact{abort(1, transfer.ErrOrphaned), commit(1)}},
		{"a hold isn't committed before it is held", []coordinator.Fact{stage(holdOf(1, 100)), commit(1)}},
		{"a hold isn't captured beyond what it holds", []coordinator.Fact{stage(holdOf(1, 100)), hold(1), capture(1, 101, 101)}},
		{"a hold isn't captured on one side more than on the other", []coordinator.Fact{stage(holdOf(1, 100)), hold(1), capture(1, 50, 60)}},
		{"what is decided isn't held", []coordinator.Fact{stage(holdOf(1, 100)), abort(1, transfer.ErrCancelled), hold(1)}},
		{"what is no hold isn't held", []coordinator.Fact{stage(payment(1, 100)), hold(1)}},
		{"what is held isn't settled", []coordinator.Fact{stage(holdOf(1, 100)), hold(1), settle(1)}},
		{"what is staged isn't settled", []coordinator.Fact{stage(payment(1, 100)), settle(1)}},
		{"what is unknown isn't settled", []coordinator.Fact{settle(1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, nil)
			mustBreak(t, func() { _, _ = m.Apply(1, coordinator.Encode(at(1), tt.facts)) })
		})
	}
	t.Run("an entry is applied once and in order", func(t *testing.T) {
		m := newMachine(t, nil)
		apply(t, m, 5, stage(payment(1, 100)))
		mustBreak(t, func() { _, _ = m.Apply(5, coordinator.Encode(at(1), nil)) })
	})
}

func mustBreak(t *testing.T, fn func()) {
	t.Helper()
	defer func() {
		broken, ok := recover().(invariant.Broken)
		if !ok {
			t.Error("no invariant was broken")
		}
		t.Log(broken.Message)
	}()
	fn()
}

func TestARecordTellsItsTransferAndItsTimes(t *testing.T) {
	m := newMachine(t, nil)
	apply(t, m, 1, stage(payment(1, 100)), stage(payment(2, 100)), commit(1), abort(3, transfer.ErrOrphaned))

	got := lookup(t, m, 1).Public()
	if !got.CreatedAt.Equal(at(1)) || !got.DecidedAt.Equal(at(2)) {
		t.Errorf("created %s and decided %s, want the entry's time %s and the decision's %s", got.CreatedAt, got.DecidedAt, at(1), at(2))
	}
	if got.Transfer.Fingerprint() != payment(1, 100).Fingerprint() || !got.Transfer.Deadline.Equal(at(30)) {
		t.Errorf("the record holds %+v", got.Transfer)
	}
	if pending := lookup(t, m, 2).Public(); !pending.DecidedAt.IsZero() {
		t.Errorf("a pending transfer was decided at %s", pending.DecidedAt)
	}
	if grave := lookup(t, m, 3); !grave.IsTombstone() || !grave.SameContent(payment(3, 1).Fingerprint()) {
		t.Errorf("a tombstone has content: %+v", grave)
	}
}

// The decoder reads each entry into the room of the last one; what a record keeps must not lie there.
func TestRecordsKeepTheirContentWhenMoreEntriesCome(t *testing.T) {
	m := newMachine(t, memory{})
	want := map[int]*transfer.Transfer{}
	n := 0
	for index := uint64(1); index <= 40; index++ {
		var facts []coordinator.Fact
		for range 1 + index%5 {
			n++
			p := payment(n, int64(100+n))
			for range n % 4 {
				p.Legs = append(p.Legs, p.Legs[:2]...)
			}
			p.Reference = fmt.Sprintf("rent %d", n)
			want[n] = p
			facts = append(facts, stage(p))
			if n%3 == 0 {
				facts = append(facts, commit(n), settle(n))
			}
		}
		apply(t, m, index, facts...)
	}
	for n, p := range want {
		if got := lookup(t, m, n); got == nil || got.Transfer.Reference != p.Reference || !slices.Equal(got.Transfer.Legs, p.Legs) {
			t.Errorf("transfer %d has become %v, was %v", n, got, p)
		}
	}
}

func TestUnsettledAreListedById(t *testing.T) {
	m := newMachine(t, nil)
	apply(t, m, 1, stage(payment(3, 1)), stage(payment(1, 1)), stage(payment(2, 1)), stage(payment(4, 1)), commit(4), settle(4), commit(2))
	var got []string
	for _, r := range m.Unsettled() {
		got = append(got, r.Transfer.ID.String()[35:]+" "+stateOf(r))
	}
	if want := []string{"1 pending", "2 committed", "3 pending"}; !slices.Equal(got, want) {
		t.Errorf("unsettled %q, want %q", got, want)
	}
}

func TestTheHashShowsWhatHappened(t *testing.T) {
	seen := map[uint64]string{}
	m := newMachine(t, nil)
	for i, f := range []coordinator.Fact{stage(payment(1, 100)), commit(1), settle(1), stage(payment(2, 100)), abort(2, transfer.ErrCancelled), abort(3, transfer.ErrOrphaned)} {
		apply(t, m, uint64(i+1), f)
		if before, twice := seen[m.Hash()]; twice {
			t.Errorf("entry %d leaves the hash as it was after %s", i+1, before)
		}
		seen[m.Hash()] = fmt.Sprintf("entry %d", i+1)
	}
	apply(t, m, 100, stage(payment(1, 100)), stage(payment(1, 5)), settle(1), abort(3, transfer.ErrOrphaned))
	if seen[m.Hash()] != "entry 6" {
		t.Error("facts that change nothing changed the hash")
	}
}

var errDisk = errors.New("the disk is on fire")

// burning fails every read.
type burning struct{}

func (burning) Get([]byte) ([]byte, bool, error) { return nil, false, errDisk }

func (burning) Scan(_, _ []byte, _ func(key, value []byte) bool) error { return errDisk }

// flaky is a disk that begins to burn after the start.
type flaky struct {
	memory
	burns bool
}

func (f *flaky) Get(key []byte) ([]byte, bool, error) {
	if f.burns {
		return nil, false, errDisk
	}
	return f.memory.Get(key)
}

func TestAFailingReaderIsAnErrorWithItsPlace(t *testing.T) {
	if _, err := coordinator.New(burning{}); !errors.Is(err, errDisk) {
		t.Errorf("New: %v, want %v", err, errDisk)
	}
	disk := &flaky{memory: memory{}}
	late := newMachine(t, disk)
	apply(t, late, 1, abort(2, transfer.ErrOrphaned)) // beyond the ids below: one above all others isn't read for
	disk.store(whole(late))
	facts := map[string]coordinator.Fact{"stage": stage(payment(1, 1)), "decide": abort(1, transfer.ErrOrphaned), "settle": settle(1)}
	for name, f := range facts {
		m := newMachineOn(t, disk)
		if _, err := m.Apply(1, coordinator.Encode(at(1), []coordinator.Fact{f})); !errors.Is(err, errDisk) {
			t.Errorf("%s: %v, want %v", name, err, errDisk)
		}
	}
	if _, err := newMachineOn(t, disk).Lookup(id(1)); !errors.Is(err, errDisk) {
		t.Errorf("Lookup: %v, want %v", err, errDisk)
	}
}

// newMachineOn starts on a healthy disk that burns afterwards.
func newMachineOn(t *testing.T, disk *flaky) *coordinator.Machine {
	t.Helper()
	disk.burns = false
	m := newMachine(t, disk)
	disk.burns = true
	return m
}

// TestRecordsThatStayKeepNoOthersInMemory: a hold may stay for a month, and any transfer for as long as a bank is down.
func TestRecordsThatStayKeepNoOthersInMemory(t *testing.T) {
	for name, stays := range map[string]*transfer.Transfer{"a hold": holdOf(1, 1), "a payment": payment(1, 1)} {
		disk := memory{}
		m := newMachine(t, disk)
		var passing []weak.Pointer[coordinator.Record]
		for n := 2; n <= 11; n++ {
			facts := []coordinator.Fact{stage(payment(n, 1))}
			if n == 2 {
				facts = []coordinator.Fact{stage(stays), facts[0]}
			}
			apply(t, m, uint64(2*n), facts...)
			passing = append(passing, weak.Make(lookup(t, m, n)))
			if n > 6 { // one after the other, and the first five together
				apply(t, m, uint64(2*n+1), commit(n), settle(n))
			}
		}
		apply(t, m, 200, commit(2), commit(3), commit(4), commit(5), commit(6), settle(6, 5, 4, 3, 2))
		for range 2 { // the lists of the one before are used again
			disk.store(whole(m))
			m.Checkpointed()
		}
		runtime.GC()
		kept := 0
		for _, p := range passing {
			if p.Value() != nil {
				kept++
			}
		}
		if most := 4; kept > most { // the one behind it, the end of the chain, and who is expected to be decided and to settle
			t.Errorf("%s: %d records that have settled are in memory, want %d at most", name, kept, most)
		}
		runtime.KeepAlive(m)
	}
}
