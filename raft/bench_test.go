package raft_test

import (
	"fmt"
	"runtime"
	"testing"
)

// trio is three nodes in memory: a network without delay, disks that are done at once. Both
// implementations run under it with the same limits and the same payloads.
type trio interface {
	elect() // the first node
	propose(data []byte)
	settle() // until nobody has anything to say
	committed() uint64
	compact() // all drop what all have applied
	messages() int
}

// makers make a trio.
var makers = []struct {
	name string
	make func(logs [3]history) trio
}{
	{"ours", newOurTrio},
	{"etcd", newEtcdTrio},
}

// history is the terms of a log's entries, from index 1.
type history []uint64

const payloadBytes = 128

func BenchmarkPropose(b *testing.B) {
	for _, batch := range []int{1, 64, 64 << 10 / payloadBytes} {
		for _, m := range makers {
			b.Run(fmt.Sprintf("batch=%d/%s", batch, m.name), func(b *testing.B) {
				g := m.make([3]history{})
				g.elect()
				payload := make([]byte, payloadBytes)
				before := g.committed()
				b.ReportAllocs()
				b.ResetTimer()
				for i := 0; i < b.N; {
					for range min(batch, b.N-i) {
						g.propose(payload)
						i++
					}
					g.settle()
					if i%(1<<14) < batch {
						g.compact()
					}
				}
				if got := g.committed() - before; got != uint64(b.N) {
					b.Fatalf("committed %d of %d", got, b.N)
				}
			})
		}
	}
}

// conflicting returns a leader's and a follower's log that share one entry and then go on for n
// entries, a new term every run entries, in terms that the other one never has.
func conflicting(n, run int) (leader, follower history) {
	leader, follower = history{1}, history{1}
	for i := range n {
		leader = append(leader, uint64(3+2*(i/run)))
		follower = append(follower, uint64(2+2*(i/run)))
	}
	return leader, follower
}

func BenchmarkCatchUp100kConflicts(b *testing.B) {
	for _, run := range []int{100_000, 1_000, 1} {
		for _, m := range makers {
			b.Run(fmt.Sprintf("entriesPerTerm=%d/%s", run, m.name), func(b *testing.B) {
				if run == 1 && m.name == "etcd" {
					b.Skip("not done after 100 s: a round trip for every other entry, each with a full message")
				}
				sent := 0
				for b.Loop() {
					b.StopTimer()
					l, f := conflicting(100_000, run)
					g := m.make([3]history{l, l, f})
					runtime.GC() // what making it left behind isn't theirs
					b.StartTimer()
					g.elect()
					if got := g.committed(); got != 100_002 {
						b.Fatalf("committed %d", got)
					}
					sent = g.messages()
				}
				b.ReportMetric(float64(sent), "messages/op")
			})
		}
	}
}
