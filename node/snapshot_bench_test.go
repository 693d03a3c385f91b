package node_test

import (
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

// BenchmarkSnapshot measures what sending snapshots costs a busy cluster: three nodes, all groups on all of them, b.N transfers to begin with. One node is
// then away until the others have dropped what it misses, again and again, and the throughput is compared side by side: while it is sent the
// snapshots of all groups, and once it has them. Use -benchtime=300000x: the transfers are what the snapshots hold.
func BenchmarkSnapshot(b *testing.B) {
	if b.N == 1 {
		return // how the testing package finds out how long one takes
	}
	const rounds = 3
	c := newCluster(b, 3, "quorate")
	c.limits = lane.DefaultLimits()
	c.limits.CheckpointBytes, c.limits.LogBytesMax = 1<<20, 4<<20
	for i := range c.configs {
		c.configs[i].Banks = []node.BankConfig{{ID: "A", Nodes: []uint64{1, 2, 3}}, {ID: "B", Nodes: []uint64{1, 2, 3}}, {ID: "C", Nodes: []uint64{1, 2, 3}}}
		c.start(i)
	}
	load := c.startLoad(8, 32)
	defer load.end()
	eventually(b, 10*time.Minute, "the transfers to begin with", func() bool { return load.committed.Load() > int64(b.N) })
	var sent, after, away rate
	for range rounds {
		last := map[lane.GroupID]raft.Index{}
		for id, s := range c.groups(2) {
			last[id] = s.Last
		}
		c.kill(2)
		away.measure(load, func() {
			eventually(b, 10*time.Minute, "the others keep the log", func() bool { return c.dropped(last, 0, 1) })
		})
		c.start(2)
		eventually(b, time.Minute, "nobody sends a snapshot", func() bool { return c.sendsTo(3, 0, 1) })
		sent.measure(load, func() {
			eventually(b, 10*time.Minute, "the snapshots don't arrive", func() bool { return c.dropped(last, 2) })
		})
		after.measure(load, func() { <-time.After(sent.took / time.Duration(max(1, sent.windows))) })
	}
	b.ReportMetric(away.perSecond(), "transfers/s-without-it")
	b.ReportMetric(sent.perSecond(), "transfers/s-while-sent")
	b.ReportMetric(after.perSecond(), "transfers/s-after")
	b.ReportMetric(sent.took.Seconds()/rounds, "s/catch-up")
	b.ReportMetric(100*(1-sent.perSecond()/after.perSecond()), "%-dip")
	b.ReportMetric(0, "ns/op")
}

// rate is a throughput over several windows.
type rate struct {
	took    time.Duration
	count   int64
	windows int
}

func (r *rate) measure(l *load, during func()) {
	began, count := time.Now(), l.committed.Load()
	during()
	r.took += time.Since(began)
	r.count += l.committed.Load() - count
	r.windows++
}

func (r *rate) perSecond() float64 { return float64(r.count) / r.took.Seconds() }

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
