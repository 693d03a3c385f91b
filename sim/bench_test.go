package sim_test

import (
	"testing"
	"time"

	"github.com/quorate/quorate/sim"
)

// BenchmarkBusyCluster: three nodes, two banks, a dozen clients that never stop, with faults as the seeds draw them and without.
func BenchmarkBusyCluster(b *testing.B) {
	cluster := sim.Cluster{Nodes: 3, Shards: 1, Banks: 2, BankMembers: 1, Clients: 12}
	for name, faults := range map[string]*sim.Faults{"faults=drawn": nil, "faults=none": sim.NoFaults()} {
		b.Run(name, func(b *testing.B) {
			var sum sim.Counts
			seed := uint64(0)
			for b.Loop() {
				seed++
				r := sim.Run(sim.Config{Seed: seed, Cluster: cluster, Faults: faults, Duration: 20 * time.Second})
				if r.Failure != nil {
					b.Fatal(r.Failure)
				}
				sum.Add(&r.Counts)
			}
			b.ReportMetric(sum.Simulated.Seconds()/b.Elapsed().Seconds(), "simulated-s/s")
			b.ReportMetric(float64(sum.Committed+sum.Aborted)/float64(b.N), "transfers/op")
		})
	}
}
