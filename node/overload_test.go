package node_test

import (
	"errors"
	"fmt"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/transfer"
)

// TestMoreThanFitsIsRefusedAndFitsLater sends fifteen times as much at once as may be in flight: whoever finds no room hears that nothing was changed,
// nobody hears anything else, and asking again with the same ids ends with every transfer paid once.
func TestMoreThanFitsIsRefusedAndFitsLater(t *testing.T) {
	const room, batch, batches = 16, 60, 4
	c := newCluster(t, 3, "quorate")
	c.limits = lane.DefaultLimits()
	c.limits.Driver.FlightsMax = room
	for i := range c.nodes {
		c.start(i)
	}
	c.openAccounts(0)
	leader := c.leaderOf(lane.CoordinatorGroup(0))
	var paid, refused atomic.Int64
	var open sync.WaitGroup
	for range batches {
		open.Go(func() {
			todo := make([]node.Timed, batch)
			for i := range todo {
				p := payment(newID(t), "A", "B", 1)
				p.Deadline = time.Now().Add(2 * time.Minute)
				todo[i] = node.Timed{Ask: lane.Submit{Transfer: p}, Until: p.Deadline}
			}
			for len(todo) > 0 {
				todo = sendAll(t, c.nodes[leader], todo, &paid)
				refused.Add(int64(len(todo)))
			}
		})
	}
	open.Wait()
	const want = batch * batches
	if paid.Load() != want || refused.Load() == 0 {
		t.Errorf("%d transfers were paid and %d refused, want %d and more than none", paid.Load(), refused.Load(), want)
	}
	eventually(t, 30*time.Second, "alice has paid each once", func() bool {
		return c.mustAsk(0, lane.GetAccount{Bank: "A", ID: "alice"}).Accounts[0].PostedMinor == -want
	})
}

// sendAll gives back what was refused.
func sendAll(t *testing.T, n *node.Node, todo []node.Timed, paid *atomic.Int64) (again []node.Timed) {
	var mu sync.Mutex // guards again
	var answers sync.WaitGroup
	answers.Add(len(todo))
	n.DoEach(todo, func(i int, a lane.Answer) {
		defer answers.Done()
		switch {
		case errors.Is(a.Err, transfer.ErrBusy):
			mu.Lock()
			again = append(again, todo[i])
			mu.Unlock()
		case a.Err != nil || a.Transfer.State != transfer.Committed:
			t.Errorf("%v, %v %+v", a.Err, a.Transfer.State, a.Transfer.Reason)
		default:
			paid.Add(1)
		}
	})
	answers.Wait()
	return again
}

// How BenchmarkOverload loads: for so long in each phase, of which the first part isn't counted, in groups of so many transfers.
const (
	overloadWarm  = 2 * time.Second
	overloadPhase = 8 * time.Second
	overloadGroup = 64
)

// BenchmarkOverload finds out how many transfers a second three nodes of this process carry out, and then sends twice as many, at fixed times and whatever comes
// back. goodput-% is how many of them commit within the phase, against the mean of the first one and of another after it: a system that wastes its time on
// what it can't finish falls far below 100. p50-ms and p99-ms are what the committed ones took. heap-MiB is the most that the collector found alive. elections are changes
// of leaders in all phases.
func BenchmarkOverload(b *testing.B) {
	for _, flights := range []int{1 << 16, lane.DefaultLimits().Driver.FlightsMax} {
		b.Run(fmt.Sprintf("flights=%d", flights), func(b *testing.B) {
			for range b.N {
				measureOverload(b, flights)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func measureOverload(b *testing.B, flights int) {
	c := newCluster(b, 3, "quorate")
	c.limits = lane.DefaultLimits()
	c.limits.Driver.FlightsMax = flights
	for i := range c.nodes {
		c.start(i)
	}
	banks := []transfer.BankID{"A", "B", "C"}
	c.openPlaces(workload.New(workload.Config{Seed: 1, Banks: banks, AccountsPerBank: 1000, Currency: "EUR", AmountMaxMinor: 5}).Places(1 << 40))
	leader := func() *node.Node { return c.nodes[c.leaderOf(lane.CoordinatorGroup(0))] }
	sustained := c.closedLoop(leader(), banks)
	o := c.openLoop(leader(), banks, 2*sustained)
	sustained = (sustained + c.closedLoop(leader(), banks)) / 2
	b.ReportMetric(sustained, "transfers/s")
	b.ReportMetric(100*float64(len(o.took))/overloadPhase.Seconds()/sustained, "goodput-%")
	b.ReportMetric(100*float64(o.refused)/float64(max(1, o.sent)), "refused-%")
	b.ReportMetric(float64(o.heap)/(1<<20), "heap-MiB")
	slices.Sort(o.took)
	if n := len(o.took); n > 0 {
		b.ReportMetric(float64(o.took[n/2].Milliseconds()), "p50-ms")
		b.ReportMetric(float64(o.took[n*99/100].Milliseconds()), "p99-ms")
	}
	b.ReportMetric(float64(c.term(lane.CoordinatorGroup(0))), "elections")
	c.settled()
}

// term is how often a leader of a group was elected.
func (c *cluster) term(id lane.GroupID) uint64 {
	for _, g := range c.mustAsk(0, lane.GetStatus{}).Status.Groups {
		if g.Group == id {
			return uint64(g.Raft.Term)
		}
	}
	return 0
}

func (c *cluster) group(g *workload.Generator) []node.Timed {
	group := make([]node.Timed, overloadGroup)
	for i := range group {
		t := g.Next()
		t.ID, t.Deadline = newID(c.t), time.Now().Add(10*time.Second)
		group[i] = node.Timed{Ask: lane.Submit{Transfer: &t}, Until: t.Deadline.Add(time.Second)}
	}
	return group
}

// closedLoop is the rate of 64 clients who each wait for a group before they send the next.
func (c *cluster) closedLoop(n *node.Node, banks []transfer.BankID) (rate float64) {
	var done atomic.Int64
	begin := time.Now().Add(overloadWarm)
	end := begin.Add(overloadPhase)
	var clients sync.WaitGroup
	for worker := range 64 {
		clients.Go(func() {
			g := workload.New(workload.Config{Seed: uint64(worker + 2), Banks: banks, AccountsPerBank: 1000, Currency: "EUR", AmountMaxMinor: 5})
			for time.Now().Before(end) {
				var answers sync.WaitGroup
				group := c.group(g)
				answers.Add(len(group))
				n.DoEach(group, func(_ int, a lane.Answer) {
					if now := time.Now(); a.Err == nil && a.Transfer.State == transfer.Committed && now.After(begin) && now.Before(end) {
						done.Add(1)
					}
					answers.Done()
				})
				answers.Wait()
			}
		})
	}
	clients.Wait()
	return float64(done.Load()) / overloadPhase.Seconds()
}

// overload is what came of a phase of openLoop.
type overload struct {
	sent, refused int
	took          []time.Duration // of those that committed within it
	heap          uint64          // bytes alive, at most
}

// openLoop sends at a rate, whatever comes back.
func (c *cluster) openLoop(n *node.Node, banks []transfer.BankID, rate float64) (o overload) {
	g := workload.New(workload.Config{Seed: 1000, Banks: banks, AccountsPerBank: 1000, Currency: "EUR", AmountMaxMinor: 5})
	var mu sync.Mutex // guards o
	var answers sync.WaitGroup
	start := time.Now()
	begin := start.Add(overloadWarm)
	end := begin.Add(overloadPhase)
	for sent := 0; ; sent += overloadGroup {
		due := start.Add(time.Duration(float64(sent) / rate * float64(time.Second)))
		if !due.Before(end) {
			break
		}
		<-time.After(time.Until(due))
		o.heap = max(o.heap, aliveBytes())
		group := c.group(g)
		answers.Add(len(group))
		counts := !due.Before(begin)
		if counts {
			o.sent += len(group)
		}
		n.DoEach(group, func(_ int, a lane.Answer) {
			defer answers.Done()
			now := time.Now()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(a.Err, transfer.ErrBusy) && counts:
				o.refused++
			case a.Err == nil && a.Transfer.State == transfer.Committed && now.After(begin) && now.Before(end):
				o.took = append(o.took, now.Sub(due))
			}
		})
	}
	answers.Wait()
	return o
}

// aliveBytes is what the last collection left.
func aliveBytes() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
