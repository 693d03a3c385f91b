package node_test

import (
	"flag"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/transfer"
)

// snapshotWindow is how long the throughput without a snapshot is measured, before and after each.
const snapshotWindow = 2 * time.Second

var snapshotAccounts = flag.Int("snapshot-accounts", 20_000, "accounts of each of the three banks that BenchmarkSnapshot sends")

// BenchmarkSnapshot measures what sending snapshots costs a busy cluster: three nodes, every group on all of them. One operation is one node that is away until the others have
// dropped the log that it misses, comes back, and is sent the state of all groups. The throughput of that time is held against that of the time right before it was away and
// right after it has everything, on the same nodes. The state grows with every transfer. The figures are medians over the operations.
func BenchmarkSnapshot(b *testing.B) {
	c := newCluster(b, 3, "quorate")
	c.limits = lane.DefaultLimits()
	c.limits.CheckpointBytes, c.limits.LogBytesMax = 256<<10, 512<<10 // so that it needn't be away for long
	for i := range c.configs {
		c.configs[i].Banks = []node.BankConfig{{ID: "A", Nodes: []uint64{1, 2, 3}}, {ID: "B", Nodes: []uint64{1, 2, 3}}, {ID: "C", Nodes: []uint64{1, 2, 3}}}
		c.start(i)
	}
	for _, id := range []transfer.BankID{"A", "B", "C"} {
		c.openMany(id, *snapshotAccounts)
	}
	load := c.startLoad(8, 32)
	defer load.end()
	var with, without, dip, cpuWith, cpuWithout, seconds []float64
	for b.Loop() {
		var before, sent, after rate
		before.measure(b, load, func() { <-time.After(snapshotWindow) })
		last := map[lane.GroupID]raft.Index{}
		for id, s := range c.groups(2) {
			last[id] = s.Last
		}
		c.kill(2)
		eventually(b, sizePatience, "the others keep the log", func() bool { return c.dropped(last, 0, 1) })
		c.start(2)
		eventually(b, sizePatience, "nobody sends a snapshot", func() bool { return c.sendsTo(3, 0, 1) })
		sent.measure(b, load, func() {
			eventually(b, sizePatience, "the snapshots don't arrive", func() bool { return c.dropped(last, 2) })
		})
		after.measure(b, load, func() { <-time.After(snapshotWindow) })
		b.Logf("%.0f/s before, %.0f/s for %v while it is sent, %.0f/s after", before.perSecond(), sent.perSecond(), sent.took.Round(time.Millisecond), after.perSecond())
		beside := (before.perSecond() + after.perSecond()) / 2
		with, without = append(with, sent.perSecond()), append(without, beside)
		cpuWith, cpuWithout = append(cpuWith, sent.cpuEach()), append(cpuWithout, (before.cpuEach()+after.cpuEach())/2)
		dip, seconds = append(dip, 100*(1-sent.perSecond()/beside)), append(seconds, sent.took.Seconds())
	}
	b.ReportMetric(median(without), "transfers/s-without")
	b.ReportMetric(median(with), "transfers/s-while-sent")
	b.ReportMetric(median(dip), "%-dip")
	b.ReportMetric(median(cpuWithout), "µs-CPU/transfer-without")
	b.ReportMetric(median(cpuWith), "µs-CPU/transfer-while-sent")
	b.ReportMetric(median(seconds), "s-to-send")
	b.ReportMetric(0, "ns/op")
}

// rate is a throughput over some time, and what it took of the processors.
type rate struct {
	took, cpu time.Duration
	count     int64
}

func (r *rate) measure(b *testing.B, l *load, during func()) {
	began, used, count := time.Now(), cpuTime(b), l.committed.Load()
	during()
	r.took, r.cpu, r.count = time.Since(began), cpuTime(b)-used, l.committed.Load()-count
}

func (r *rate) perSecond() float64 { return float64(r.count) / r.took.Seconds() }

func (r *rate) cpuEach() float64 { return float64(r.cpu.Microseconds()) / float64(r.count) }

// load is clients that pay through nodes 1 and 2 until it ends.
type load struct {
	committed atomic.Int64
	ended     atomic.Bool
	clients   sync.WaitGroup
}

func (c *cluster) startLoad(clients, batch int) *load {
	cfg := workload.Config{Seed: 1, Banks: []transfer.BankID{"A", "B", "C"}, AccountsPerBank: 1000, Currency: "EUR", AmountMaxMinor: 5}
	c.openPlaces(workload.New(cfg).Places(1 << 40))
	l := &load{}
	for worker := range clients {
		cfg.Seed = uint64(worker + 2)
		g, n := workload.New(cfg), c.nodes[worker%2]
		l.clients.Go(func() {
			for !l.ended.Load() {
				asks := make([]lane.Ask, batch)
				for i := range asks {
					t := g.Next()
					t.Deadline = time.Now().Add(10 * time.Second)
					asks[i] = lane.Submit{Transfer: &t}
				}
				for _, a := range n.Do(c.t.Context(), asks...) {
					if a.Err == nil && a.Transfer.State == transfer.Committed {
						l.committed.Add(1)
					}
				}
			}
		})
	}
	return l
}

func (l *load) end() {
	l.ended.Store(true)
	l.clients.Wait()
}
