package ledger_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/ledger"
	"github.com/quorate/quorate/transfer"
)

// One transfer is a prepare and a commit of one leg at this bank: what a transfer between two banks costs each of them.
// In memory: what a reader would add is its own.
func BenchmarkTransfer(b *testing.B) {
	for _, batch := range []int{1, 64, 1024} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) { benchmarkTransfer(b, batch, false) })
		b.Run(fmt.Sprintf("batch=%d/checkpoints", batch), func(b *testing.B) { benchmarkTransfer(b, batch, true) })
	}
}

const (
	benchAccounts         = 100_000
	benchTransfersPerSave = 64 << 10
)

func benchmarkTransfer(b *testing.B, batch int, checkpoints bool) {
	work := newBenchWork(batch)
	var l *ledger.Ledger
	index, transfers, records := uint64(0), 0, 0
	b.ReportAllocs()
	for transfers < b.N {
		b.StopTimer()
		if l == nil || !checkpoints {
			l, index = benchBank(b), benchAccounts // a fresh one, lest memory grow with b.N
		}
		var log [][]byte
		for made := 0; made < benchTransfersPerSave && transfers < b.N; made += batch {
			prepares, commits := work.next(transfers)
			log = append(log, prepares, commits)
			transfers += batch
		}
		b.StartTimer()
		for _, data := range log {
			index++
			if _, err := l.Apply(index, data); err != nil {
				b.Fatal(err)
			}
		}
		if checkpoints {
			records += len(l.Checkpoint()) + len(l.Sealed(math.MaxInt32))
			l.Checkpointed()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(transfers), "ns/transfer")
	if checkpoints {
		b.ReportMetric(float64(records)/float64(transfers), "records/transfer")
	}
}

// nowhere is a reader for which nothing is ever stored: enough for a bank whose accounts stay in memory.
type nowhere struct{}

func (nowhere) Get([]byte) ([]byte, bool, error)                       { return nil, false, nil }
func (nowhere) Scan(_, _ []byte, _ func(key, value []byte) bool) error { return nil }

func benchBank(b *testing.B) *ledger.Ledger {
	l, err := ledger.New(nowhere{})
	if err != nil {
		b.Fatal(err)
	}
	for i := range benchAccounts {
		terms := bank.Terms{ID: benchAccount(i), Currency: "CZK", OverdraftMinor: 1 << 50}
		if _, err := l.Apply(uint64(i)+1, ledger.Encode(epoch, []ledger.Command{{Open: &terms}})); err != nil {
			b.Fatal(err)
		}
	}
	return l
}

func benchAccount(i int) transfer.AccountID {
	return transfer.AccountID(fmt.Sprintf("CZ65080000%06d", i))
}

// benchWork makes log entries that have the shape of real ones and ids that never come back.
type benchWork struct {
	prepares, commits []ledger.Command
}

func newBenchWork(batch int) *benchWork {
	w := &benchWork{}
	for range batch {
		w.prepares = append(w.prepares, ledger.Command{Request: &bank.Request{Op: bank.Prepare, Legs: make([]transfer.Leg, 1)}})
		w.commits = append(w.commits, ledger.Command{Request: &bank.Request{Op: bank.Commit}})
	}
	return w
}

func (w *benchWork) next(from int) (prepares, commits []byte) {
	for i := range w.prepares {
		n := uint64(from + i)
		mixed := n * 0x9E3779B97F4A7C15
		p := w.prepares[i].Request
		binary.BigEndian.PutUint64(p.ID[:], n)
		binary.BigEndian.PutUint64(p.ID[8:], mixed)
		p.Fingerprint = transfer.Fingerprint(p.ID)
		p.Legs[0] = debit(benchAccount(int(mixed%benchAccounts)), 100)
		if n%2 == 0 {
			p.Legs[0].Direction = transfer.Credit
		}
		w.commits[i].Request.ID = p.ID
	}
	return ledger.Encode(epoch, w.prepares), ledger.Encode(epoch, w.commits)
}

// BenchmarkEncode is the other half of a log entry's life, paid by the leader alone.
func BenchmarkEncode(b *testing.B) {
	work := newBenchWork(1024)
	work.next(0)
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += 1024 {
		ledger.Encode(epoch, work.prepares)
		ledger.Encode(epoch, work.commits)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/transfer")
}
