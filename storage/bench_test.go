package storage_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

func openReal(b *testing.B) *storage.Store {
	b.Helper()
	s, err := storage.Open(b.TempDir(), node1, storage.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { mustClose(b, s) })
	return s
}

// noise is what a log entry looks like to a compressor: ids and numbers.
func noise(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 1))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return data
}

// One entry a group and commit; checkpoint and compaction every 16 MiB of a group's log, as a replica does it. written/op counts all
// that went to the disk in the end, flushes and compactions included.
func BenchmarkCommit(b *testing.B) {
	for _, groups := range []int{1, 3} {
		for _, bytes := range []int{256, 4 << 10, 64 << 10} {
			b.Run(fmt.Sprintf("groups=%d/bytes=%d", groups, bytes), func(b *testing.B) { benchmarkCommit(b, groups, bytes, 16<<20) })
		}
	}
}

// How much log is kept decides how much of it is written twice.
func BenchmarkRetention(b *testing.B) {
	for _, mib := range []int{4, 16, 64, 256} {
		b.Run(fmt.Sprintf("MiB=%d", mib), func(b *testing.B) { benchmarkCommit(b, 3, 64<<10, mib<<20) })
	}
}

func benchmarkCommit(b *testing.B, groups, bytes, retained int) {
	s := openReal(b)
	data := noise(bytes)
	updates := make([]storage.GroupUpdate, groups)
	hard := raft.HardState{Term: 1, Vote: 1}
	for g := range updates {
		updates[g] = storage.GroupUpdate{Group: fmt.Sprintf("bank/%d", g), HardState: &hard, Entries: make([]raft.Entry, 1)}
	}
	if err := s.Commit(nil); err != nil {
		b.Fatal(err)
	}
	keep := max(retained/bytes, 1)
	b.ReportAllocs()
	b.SetBytes(int64(groups * bytes))
	i := 0
	for b.Loop() {
		i++
		hard.Commit = index(i - 1)
		for g := range updates {
			u := &updates[g]
			u.Entries[0] = raft.Entry{Index: index(i), Term: 1, Data: data}
			u.Applied, u.Compact, u.State = 0, raft.EntryID{}, nil
			if i%keep == g*keep/groups && i > keep { // not all groups at once
				u.Applied = index(i - 1)
				u.Compact = raft.EntryID{Index: index(i - 1), Term: 1}
			}
		}
		if err := s.Commit(updates); err != nil {
			b.Fatal(err)
		}
	}
	m, err := s.Metrics()
	if err != nil {
		b.Fatal(err)
	}
	written := m.WALBytes + m.FlushBytes + m.IngestBytes + m.CompactBytes
	b.ReportMetric(float64(written)/float64(i), "written/op")
	b.ReportMetric(float64(written)/float64(i*groups*bytes), "amplification")
	b.ReportMetric(float64(m.CommitTime.Quantile(0.99).Microseconds()), "p99-µs")
}

// The bank's most frequent question: an id that it has never seen, among a million that it has.
func BenchmarkGet(b *testing.B) {
	s := openReal(b)
	rng := rand.New(rand.NewPCG(2, 2))
	id := func() []byte { return fmt.Appendf(nil, "t%016x", rng.Uint64()) }
	var some [][]byte
	for i := 1; i <= 100; i++ {
		state := make([]storage.KV, 10_000)
		for j := range state {
			state[j] = storage.KV{Key: id(), Value: make([]byte, 64)}
		}
		some = append(some, state[0].Key)
		if err := s.Commit([]storage.GroupUpdate{{Group: "bank/HOME", Entries: entries(1, index(i), index(i)), Applied: index(i), State: state}}); err != nil {
			b.Fatal(err)
		}
	}
	v, err := s.View("bank/HOME") // what a scan of a whole group asks for each of its records
	if err != nil {
		b.Fatal(err)
	}
	miss, hit := func(int) []byte { return id() }, func(i int) []byte { return some[i%len(some)] }
	for _, ask := range []struct {
		name string
		get  func([]byte) ([]byte, bool, error)
		next func(int) []byte
	}{{"miss", s.Reader("bank/HOME").Get, miss}, {"hit", s.Reader("bank/HOME").Get, hit}, {"view", v.Get, hit}} {
		b.Run(ask.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok, err := ask.get(ask.next(i)); err != nil || ok != (ask.name != "miss") {
					b.Fatal(ok, err)
				}
			}
		})
	}
	if err := v.Close(); err != nil {
		b.Fatal(err)
	}
}

// A start after a crash at the worst moment: a memtable's worth of write-ahead log is read twice, once to look whose it is.
func BenchmarkOpen(b *testing.B) {
	const mib = 56
	dir := b.TempDir()
	s, err := storage.Open(dir, node1, storage.Options{})
	if err != nil {
		b.Fatal(err)
	}
	data := noise(1 << 20)
	for i := 1; i <= mib; i++ {
		if err := s.Commit([]storage.GroupUpdate{{Group: "g", Entries: []raft.Entry{{Index: index(i), Term: 1, Data: data}}}}); err != nil {
			b.Fatal(err)
		}
	}
	mustClose(b, s)
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		copied := fmt.Sprintf("%s/%d", b.TempDir(), n)
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		s, err := storage.Open(copied, node1, storage.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		mustClose(b, s)
		if err := os.RemoveAll(copied); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// A checkpoint of 100,000 small records in one commit, as a busy bank makes one every few seconds.
func BenchmarkCheckpoint(b *testing.B) {
	s := openReal(b)
	u := storage.GroupUpdate{Group: "bank/A", State: make([]storage.KV, 100_000)}
	data := noise(64)
	for i := range u.State {
		u.State[i] = storage.KV{Key: fmt.Appendf(nil, "e%015d", i), Value: data}
	}
	if err := s.Commit(nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		u.Applied++
		u.Entries = []raft.Entry{{Index: u.Applied, Term: 1, Data: data}}
		if err := s.Commit([]storage.GroupUpdate{u}); err != nil {
			b.Fatal(err)
		}
	}
}

// The records of a busy bank's checkpoint are put in order: what has finished, by ids that come nearly so, a journal, and its lines by account.
func BenchmarkOrder(b *testing.B) {
	const n = 40_000
	rng := rand.New(rand.NewPCG(1, 2))
	state := make([]storage.KV, 3*n)
	data := noise(8)
	for i := range n {
		id := binary.BigEndian.AppendUint64([]byte{'f'}, uint64(i/50+rng.IntN(20))<<16|0x7000)
		state[i] = storage.KV{Key: binary.BigEndian.AppendUint64(id, rng.Uint64()), Value: data}
		state[n+i] = storage.KV{Key: binary.BigEndian.AppendUint64([]byte{'e'}, uint64(i)), Value: data}
		state[2*n+i] = storage.KV{Key: binary.BigEndian.AppendUint64(fmt.Appendf(nil, "sDE891000000001%08d\x00", rng.IntN(1000)), uint64(i)), Value: data}
	}
	b.ReportAllocs()
	for b.Loop() {
		storage.Order(state)
	}
}
