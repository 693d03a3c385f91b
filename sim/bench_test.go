//go:build unix

package sim_test

import (
	"fmt"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/sim"
)

// BenchmarkCluster is three nodes without faults, one coordinator shard and two banks of one node each: what a simulated second
// costs at a given load. The load is what it reports as transfers/simulated-s; clients also read and cancel. Ten seeds are run again and
// again, each for 30 simulated seconds.
//
// simulated-s/cpu-s counts all the CPU time of the process, the garbage collector's too: on a machine with other work it says
// more than the clock on the wall.
func BenchmarkCluster(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(sim.GCPercent))
	for _, load := range []struct {
		clients int
		think   time.Duration
	}{{1, time.Minute}, {4, 240 * time.Millisecond}, {12, 70 * time.Millisecond}} {
		b.Run(fmt.Sprintf("clients=%d/think=%v", load.clients, load.think), func(b *testing.B) {
			cluster := sim.Cluster{Nodes: 3, Shards: 1, Banks: 2, BankMembers: 1, Clients: load.clients, Think: load.think}
			benchmark(b, sim.Config{Cluster: cluster, Faults: sim.NoFaults(), Duration: 30 * time.Second}, 10)
		})
	}
}

// BenchmarkSeeds is seeds as a campaign runs them: everything drawn, a hundred of them again and again.
func BenchmarkSeeds(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(sim.GCPercent))
	benchmark(b, sim.Config{}, 100)
}

func benchmark(b *testing.B, cfg sim.Config, seeds int) {
	var sum sim.Counts
	began := cpuTime(b)
	runs := 0
	for b.Loop() {
		cfg.Seed = uint64(runs%seeds + 1)
		runs++
		r := sim.Run(cfg)
		if r.Failure != nil {
			b.Fatal(r.Failure)
		}
		sum.Add(&r.Counts)
	}
	took := cpuTime(b) - began
	b.ReportMetric(sum.Simulated.Seconds()/took.Seconds(), "simulated-s/cpu-s")
	b.ReportMetric(float64(runs)/took.Seconds(), "seeds/cpu-s")
	b.ReportMetric(float64(sum.Committed+sum.Aborted)/sum.Simulated.Seconds(), "transfers/simulated-s")
	b.ReportMetric(float64(sum.Steps)/sum.Simulated.Seconds(), "steps/simulated-s")
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
