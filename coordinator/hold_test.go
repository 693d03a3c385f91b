package coordinator_test

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/transfer"
)

// What holds need has a version of its own, so that a build that knows none refuses it.
func TestHoldsVersion2IsReadForEver(t *testing.T) {
	facts := []coordinator.Fact{stage(holdOf(1, 100)), hold(1), capture(1, 60, 60), stage(holdOf(2, 7)), hold(2)}
	want := golden(t, "entry_hold_v2.hex")
	if got := coordinator.Encode(at(1), facts); !bytes.Equal(got, want) {
		t.Errorf("Encode writes other bytes than version 2 did\n got %x\nwant %x", got, want)
	}
	_, read, err := coordinator.Decode(want)
	if diff := cmp.Diff(facts, read); diff != "" || err != nil {
		t.Errorf("error %v, facts (-want +got):\n%s", err, diff)
	}
	m := newMachine(t, nil)
	apply(t, m, 1, append(facts, settle(1))...)
	written := memory{}
	written.store(whole(m))
	old := memory{"h": written["h"]}
	for file, key := range map[string][]byte{"record_captured_v2.hex": settledKey(1), "record_held_v2.hex": unsettledKey(2)} {
		want := golden(t, file)
		if got := written[string(key)]; !bytes.Equal(got, want) {
			t.Errorf("%s: a checkpoint writes other bytes than version 2 did\n got %x\nwant %x", file, got, want)
		}
		old[string(key)] = want
	}
	reloaded := newMachine(t, old)
	for n := 1; n <= 2; n++ {
		if diff := cmp.Diff(public(lookup(t, m, n)), public(lookup(t, reloaded, n))); diff != "" {
			t.Errorf("transfer %d from the golden files (-want +got):\n%s", n, diff)
		}
	}
	if staged, unsettled := reloaded.StagedCount(), reloaded.UnsettledCount(); staged != 0 || unsettled != 1 {
		t.Errorf("%d staged and %d unsettled, want 0 and 1", staged, unsettled)
	}
}

func TestAHoldEndsOnce(t *testing.T) {
	for _, tt := range []struct {
		name       string
		end, again coordinator.Fact
		state      string
		captured   []int64
	}{
		{"captured", commit(1), commit(1), "committed", nil},
		{"captured in part", capture(1, 60, 60), capture(1, 60, 60), "committed", []int64{60, 60}},
		{"voided", abort(1, transfer.ErrVoided), abort(1, transfer.ErrHoldExpired), "aborted(voided)", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, nil)
			apply(t, m, 1, stage(holdOf(1, 100)))
			apply(t, m, 2, hold(1))
			for index := range uint64(2) {
				results := apply(t, m, 3+index, []coordinator.Fact{tt.end, tt.again}[index])
				r := results[0].Record
				if results[0].Kind != coordinator.Decided || stateOf(r) != tt.state || !slices.Equal(r.CapturedMinor, tt.captured) || m.UnsettledCount() != 1 {
					t.Errorf("entry %d: %s, the hold is %s, captured %d", 3+index, results[0].Kind, stateOf(r), r.CapturedMinor)
				}
			}
		})
	}
}

func TestTheHashShowsWhatBecameOfAHold(t *testing.T) {
	hashes := map[uint64]int{}
	for i, facts := range [][]coordinator.Fact{
		{stage(holdOf(1, 100))}, {stage(holdOf(1, 100)), hold(1)}, {stage(holdOf(1, 100)), hold(1), commit(1)},
		{stage(holdOf(1, 100)), hold(1), capture(1, 60, 60)}, {stage(holdOf(1, 100)), hold(1), capture(1, 61, 61)},
		{stage(holdOf(1, 100)), hold(1), abort(1, transfer.ErrVoided)}, {stage(payment(1, 100))},
	} {
		m := newMachine(t, nil)
		apply(t, m, 1, facts...)
		if before, twice := hashes[m.Hash()]; twice {
			t.Errorf("histories %d and %d have one hash", before, i)
		}
		hashes[m.Hash()] = i
	}
}

// A hold may stay for a month. It keeps its own few hundred bytes, and not the entry in which it came with thousands of others.
func TestAHoldDoesNotKeepItsEntry(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	m := newMachine(t, memory{})
	before, size, n := heap(), 0, uint64(0)
	next := func(p *transfer.Transfer) *transfer.Transfer {
		n++
		binary.BigEndian.PutUint64(p.ID[8:], n|1<<63)
		return p
	}
	const entries, others = 50, 2000
	for index := range uint64(entries) {
		held := next(holdOf(1, 100))
		staged, decided, settled := []coordinator.Fact{{Stage: held}}, []coordinator.Fact{{Hold: &held.ID}}, []transfer.ID{}
		for range others {
			p := next(payment(1, 100))
			staged = append(staged, coordinator.Fact{Stage: p})
			decided = append(decided, coordinator.Fact{Decide: &coordinator.Decision{ID: p.ID, State: transfer.Committed, At: at(2)}})
			settled = append(settled, p.ID)
		}
		for step, data := range [][]byte{coordinator.Encode(at(1), staged), coordinator.Encode(at(2), decided), coordinator.Encode(at(3), []coordinator.Fact{{Settle: settled}})} {
			size = max(size, len(data))
			if _, err := m.Apply(3*index+uint64(step)+1, data); err != nil {
				t.Fatal(err)
			}
		}
		whole(m)
		m.Checkpointed()
	}
	kept := heap() - before
	t.Logf("%d holds, from entries of %d bytes, keep %d bytes", m.UnsettledCount(), size, kept)
	if m.UnsettledCount() != entries || kept > entries*int64(size)/4 {
		t.Errorf("%d holds keep %d bytes of %d entries of %d", m.UnsettledCount(), kept, entries, size)
	}
	runtime.KeepAlive(m)
}
