package node_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/transfer"
)

var (
	idleGroups = flag.Int("groups", 200, "groups of BenchmarkIdleGroups, each with a replica on all three nodes")
	idleFor    = flag.Duration("idle", 5*time.Second, "how long one operation of BenchmarkIdleGroups looks on")
)

// BenchmarkIdleGroups looks at what three nodes of one process cost that hold many groups and have next to nothing to do. One
// operation is -idle of time: use -benchtime 1x.
func BenchmarkIdleGroups(b *testing.B) {
	for _, perSecond := range []int{0, 10} {
		b.Run(fmt.Sprintf("transfers/s=%d", perSecond), func(b *testing.B) {
			c := newCluster(b, 3, "quorate")
			c.onlyBanks(*idleGroups - 1) // and the coordinator
			for i := range c.nodes {
				c.start(i)
			}
			for i := range *idleGroups - 1 {
				c.mustAsk(0, lane.OpenAccount{Bank: bankNumber(i), Terms: bank.Terms{ID: "a", Currency: "EUR", Unlimited: true}})
			}
			c.mustRest() // what the opening has stirred, and the spreading of leaders
			c.mustTrickle(20*min(1, perSecond), 200*time.Millisecond)
			before := cpuTime(b)
			b.ResetTimer()
			for range b.N {
				c.mustTrickle(max(1, perSecond*int(*idleFor/time.Second)), *idleFor/time.Duration(max(1, perSecond*int(*idleFor/time.Second))))
			}
			b.StopTimer()
			const nodes = 3
			b.ReportMetric(100*float64(cpuTime(b)-before)/float64(b.Elapsed())/nodes, "%core/node")
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapAlloc)/nodes/(1<<20), "heap-MiB/node")
			b.ReportMetric(residentMiB(b)/nodes, "rss-MiB/node")
			b.ReportMetric(float64(runtime.NumGoroutine())/nodes, "goroutines/node")
		})
	}
}

// mustRest waits until every replica of every group is quiesced.
func (c *cluster) mustRest() {
	c.t.Helper()
	eventually(c.t, time.Minute, "not every group comes to rest", func() bool {
		for i := range c.nodes {
			for _, g := range c.mustAsk(i, lane.GetStatus{}).Status.Groups {
				if !g.Quiesced && g.Group != lane.ClusterGroup {
					return false
				}
			}
		}
		return true
	})
}

func bankNumber(i int) transfer.BankID { return transfer.BankID(fmt.Sprintf("b%03d", i)) }

// onlyBanks replaces the banks of a cluster that hasn't started by count banks with a replica on every node.
func (c *cluster) onlyBanks(count int) {
	for i := range c.configs {
		c.configs[i].Banks = nil
		for b := range count {
			c.configs[i].Banks = append(c.configs[i].Banks, node.BankConfig{ID: string(bankNumber(b)), Nodes: []uint64{1, 2, 3}})
		}
	}
}

// mustTrickle lets the given number of intervals pass, and after each a transfer between two banks, every time others.
func (c *cluster) mustTrickle(count int, every time.Duration) {
	c.t.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	banks := len(c.configs[0].Banks)
	for i := range count {
		<-tick.C
		if count == 1 {
			return // nothing but time
		}
		t := payment(newID(c.t), bankNumber(2*i%banks), bankNumber((2*i+1)%banks), 1)
		t.Legs[0].Account, t.Legs[1].Account = "a", "a"
		ctx, cancel := context.WithTimeout(c.t.Context(), 15*time.Second)
		if a := c.nodes[i%len(c.nodes)].Do(ctx, lane.Submit{Transfer: t})[0]; a.Err != nil || a.Transfer.State != transfer.Committed {
			c.t.Fatalf("%v %+v", a.Err, a.Transfer)
		}
		cancel()
	}
}

// cpuTime is what this process has used.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// residentMiB is the memory of this process that is really there.
func residentMiB(t testing.TB) float64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err == nil {
			return kib / 1024
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
