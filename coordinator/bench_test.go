package coordinator_test

import (
	"encoding/binary"
	"testing"

	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/transfer"
)

// The batches of a loaded leader: so many transfers share an entry.
const batch = 100

// lives makes entries in which batches of transfers are staged, then decided, then settled.
func lives(from int) [3][]byte {
	var staged, decided []coordinator.Fact
	var settled []transfer.ID
	for n := from; n < from+batch; n++ {
		p := payment(1, 100)
		binary.BigEndian.PutUint64(p.ID[8:], uint64(n)|1<<63)
		staged = append(staged, coordinator.Fact{Stage: p})
		decided = append(decided, coordinator.Fact{Decide: &coordinator.Decision{ID: p.ID, State: transfer.Committed, At: at(2)}})
		settled = append(settled, p.ID)
	}
	return [3][]byte{
		coordinator.Encode(at(1), staged),
		coordinator.Encode(at(2), decided),
		coordinator.Encode(at(3), []coordinator.Fact{{Settle: settled}}),
	}
}

// BenchmarkLife is what a replica pays to apply one transfer's stage, decision and settlement, checkpoints included.
func BenchmarkLife(b *testing.B) {
	disk := memory{}
	m := newMachine(b, disk)
	index := uint64(0)
	b.ReportAllocs()
	transfers := 0
	for b.Loop() {
		b.StopTimer()
		entries := lives(transfers + 1)
		b.StartTimer()
		for _, data := range entries {
			index++
			if _, err := m.Apply(index, data); err != nil {
				b.Fatal(err)
			}
		}
		transfers += batch
		if transfers%(100*batch) == 0 {
			whole(m) // a benchmark of the machine, not of a map: what it writes is dropped
			m.Checkpointed()
		}
	}
	perTransfer(b, transfers)
}

func BenchmarkEncodeStage(b *testing.B) {
	facts := make([]coordinator.Fact, batch)
	for i := range facts {
		facts[i] = stage(payment(i+1, 100))
	}
	b.ReportAllocs()
	size, n := 0, 0
	for b.Loop() {
		size = len(coordinator.Encode(at(1), facts))
		n += batch
	}
	perTransfer(b, n)
	b.ReportMetric(float64(size)/batch, "logB/transfer")
}

func BenchmarkDecodeStage(b *testing.B) {
	data := lives(1)[0]
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, _, err := coordinator.Decode(data); err != nil {
			b.Fatal(err)
		}
		n += batch
	}
	perTransfer(b, n)
}

func perTransfer(b *testing.B, transfers int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(transfers), "ns/transfer")
}
