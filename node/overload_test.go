package node_test

import (
	"errors"
	"runtime"
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

// How BenchmarkOverload loads: for so long in each phase, in groups of so many transfers.
const (
	overloadPhase = 8 * time.Second
	overloadGroup = 64
)

// BenchmarkOverload finds out how many transfers a second three nodes of this process carry out, and then sends twice as many, at fixed times and whatever comes
// back. goodput-% is how many of them commit within the phase, against the first one: a system that wastes its time on what it
// can't finish falls far below 100. heap-MiB is the most that the heap had.
func BenchmarkOverload(b *testing.B) {
	for range b.N {
		c := startCluster(b, 3, "quorate")
		banks := []transfer.BankID{"A", "B", "C"}
		c.openPlaces(workload.New(workload.Config{Seed: 1, Banks: banks, AccountsPerBank: 1000, Currency: "EUR", AmountMaxMinor: 5}).Places(1 << 40))
		leader := c.nodes[c.leaderOf(lane.CoordinatorGroup(0))]
		sustained := c.closedLoop(leader, banks)
		good, busy, heap := c.openLoop(leader, banks, 2*sustained)
		b.ReportMetric(sustained, "transfers/s")
		b.ReportMetric(100*good/sustained, "goodput-%")
		b.ReportMetric(100*busy/(2*sustained), "refused-%")
		b.ReportMetric(heap, "heap-MiB")
		c.settled()
	}
	b.ReportMetric(0, "ns/op")
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
	end := time.Now().Add(overloadPhase)
	var clients sync.WaitGroup
	for worker := range 64 {
		clients.Go(func() {
			g := workload.New(workload.Config{Seed: uint64(worker + 2), Banks: banks, AccountsPerBank: 1000, Currency: "EUR", AmountMaxMinor: 5})
			for time.Now().Before(end) {
				var answers sync.WaitGroup
				group := c.group(g)
				answers.Add(len(group))
				n.DoEach(group, func(int, lane.Answer) {
					if time.Now().Before(end) {
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

// openLoop sends at a rate and says, per second, how many committed and how many were refused.
func (c *cluster) openLoop(n *node.Node, banks []transfer.BankID, rate float64) (good, busy, heap float64) {
	g := workload.New(workload.Config{Seed: 1000, Banks: banks, AccountsPerBank: 1000, Currency: "EUR", AmountMaxMinor: 5})
	var committed, refused atomic.Int64
	var answers sync.WaitGroup
	var memory runtime.MemStats
	begin := time.Now()
	last := begin
	for sent := 0; ; sent += overloadGroup {
		due := begin.Add(time.Duration(float64(sent) / rate * float64(time.Second)))
		if due.Sub(begin) >= overloadPhase {
			break
		}
		<-time.After(time.Until(due))
		if time.Since(last) > time.Second {
			last = time.Now()
			runtime.ReadMemStats(&memory)
			heap = max(heap, float64(memory.HeapAlloc)/(1<<20))
		}
		group := c.group(g)
		answers.Add(len(group))
		n.DoEach(group, func(_ int, a lane.Answer) {
			defer answers.Done()
			switch {
			case errors.Is(a.Err, transfer.ErrBusy):
				refused.Add(1)
			case a.Err == nil && a.Transfer.State == transfer.Committed && time.Since(begin) < overloadPhase:
				committed.Add(1)
			}
		})
	}
	answers.Wait()
	return float64(committed.Load()) / overloadPhase.Seconds(), float64(refused.Load()) / overloadPhase.Seconds(), heap
}
