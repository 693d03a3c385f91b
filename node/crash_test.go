package node_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/transfer"
)

// traffic keeps submitting transfers through some nodes and remembers what it was told.
type traffic struct {
	mu     sync.Mutex // guards told
	told   map[transfer.ID]transfer.Record
	asked  map[transfer.ID]transfer.Transfer
	stop   context.CancelFunc
	wait   sync.WaitGroup
	latest time.Time // of a commit
}

func (c *cluster) startTraffic(seed uint64, through ...int) *traffic {
	ctx, stop := context.WithCancel(c.t.Context())
	tr := &traffic{told: map[transfer.ID]transfer.Record{}, asked: map[transfer.ID]transfer.Transfer{}, stop: stop}
	for worker, at := range through {
		n := c.nodes[at]
		g := workload.New(workload.Config{Seed: seed<<8 + uint64(worker), Banks: []transfer.BankID{"A", "B", "C"}, AccountsPerBank: 5, Currency: "EUR", AmountMaxMinor: 50})
		tr.wait.Go(func() {
			for ctx.Err() == nil {
				tr.submit(ctx, n, g)
			}
		})
	}
	return tr
}

func (tr *traffic) submit(ctx context.Context, n *node.Node, g *workload.Generator) {
	asks := make([]lane.Ask, 16)
	batch := make([]transfer.Transfer, len(asks))
	for i := range asks {
		batch[i] = g.Next()
		batch[i].Deadline = time.Now().Add(3 * time.Second)
		asks[i] = lane.Submit{Transfer: &batch[i]}
	}
	waiting, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	answers := n.Do(waiting, asks...)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for i, a := range answers {
		tr.asked[batch[i].ID] = batch[i]
		if a.Err == nil {
			tr.told[batch[i].ID] = a.Transfer
			tr.latest = time.Now()
		}
	}
}

func (tr *traffic) count() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.told)
}

// eventually polls until the condition holds; it fails the test after a bounded time.
func eventually(t testing.TB, within time.Duration, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("after %v: %s", within, what)
		}
	}
}

// openWorkload opens the accounts of the traffic, each with an overdraft that some transfers will meet.
func (c *cluster) openWorkload() {
	c.t.Helper()
	g := workload.New(workload.Config{Banks: []transfer.BankID{"A", "B", "C"}, AccountsPerBank: 5, Currency: "EUR", AmountMaxMinor: 1})
	for _, p := range g.Places(2_000) {
		c.mustAsk(0, lane.OpenAccount{Bank: p.Bank, Terms: p.Terms})
	}
}

// inFlight counts the transfers that are not settled.
func (c *cluster) inFlight() (sum int) {
	c.t.Helper()
	for i, n := range c.nodes {
		if n != nil {
			sum += c.mustAsk(i, lane.GetStatus{}).Status.Counts.InFlight
		}
	}
	return sum
}

// mustSettle waits until no bank holds anything, then checks the books against what the clients were told.
func (c *cluster) mustSettle(tr *traffic, at int) {
	c.t.Helper()
	banks := []transfer.BankID{"A", "B", "C"}
	eventually(c.t, time.Minute, "holds are left", func() bool {
		if c.inFlight() > 0 { // what one bank has yet to prepare, another may have ended already
			return false
		}
		for _, b := range banks {
			if a := c.ask(at, lane.AuditBank{Bank: b}); a.Err != nil || a.Audit.OpenHolds > 0 {
				return false
			}
		}
		return true
	})
	var sum int64
	applied := map[transfer.ID]int{}
	for _, b := range banks {
		audit := c.mustAsk(at, lane.AuditBank{Bank: b}).Audit
		for _, total := range audit.Totals {
			sum += total.PostedMinor
		}
		for after := uint64(0); ; {
			entries := c.mustAsk(at, lane.ListEntries{Bank: b, AfterSeq: after, Limit: 1000}).Entries
			if len(entries) == 0 {
				break
			}
			for _, e := range entries {
				applied[e.Transfer]++
			}
			after = entries[len(entries)-1].Seq
		}
	}
	if sum != 0 {
		c.t.Errorf("money was made or lost: the banks hold %d in sum", sum)
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for id, r := range tr.told {
		want := 0
		if r.State == transfer.Committed {
			want = 2
		}
		if applied[id] != want {
			c.t.Fatalf("transfer %s was told to be %s and has %d entries, want %d", id, r.State, applied[id], want)
		}
	}
	for id, t := range tr.asked {
		if n := applied[id]; n != 0 && n != 2 {
			c.t.Fatalf("transfer %s is applied at %d of its 2 banks: %+v", id, n, t)
		}
	}
}

func TestKillingOneNodeUnderLoadLosesNothing(t *testing.T) {
	for victim, name := range []string{"node 1", "node 2 of a mixed cluster", "node 3 on etcd's engine"} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t, 3, []string{"quorate", "mixed", "etcd"}[victim])
			c.openWorkload()
			survivors := []int{(victim + 1) % 3, (victim + 2) % 3}
			tr := c.startTraffic(uint64(victim), survivors...)
			eventually(t, time.Minute, "no traffic", func() bool { return tr.count() > 500 })
			if err := c.nodes[victim].Kill(); err != nil {
				t.Fatal(err)
			}
			c.nodes[victim] = nil
			before := tr.count()
			eventually(t, time.Minute, "the others don't go on", func() bool { return tr.count() > before+32 })
			c.start(victim)
			before = tr.count()
			eventually(t, time.Minute, "no traffic after the restart", func() bool { return tr.count() > before+500 })
			tr.stop()
			tr.wait.Wait()
			c.mustSettle(tr, survivors[0])
		})
	}
}

func TestEverythingAcknowledgedIsThereAfterAllNodesRestart(t *testing.T) {
	onEachEngine(t, mustKeepWhatItAcknowledged)
}

func mustKeepWhatItAcknowledged(t *testing.T, engine string) {
	t.Helper()
	c := startCluster(t, 3, engine)
	c.openWorkload()
	tr := c.startTraffic(9, 0, 1, 2)
	eventually(t, time.Minute, "no traffic", func() bool { return tr.count() > 1000 })
	for i := range c.nodes {
		if err := c.nodes[i].Kill(); err != nil {
			t.Fatal(err)
		}
		c.nodes[i] = nil
	}
	tr.stop()
	tr.wait.Wait()
	for i := range c.nodes {
		c.start(i)
	}
	c.mustSettle(tr, 0)
	var asks []lane.Ask
	var want []transfer.State
	for id, told := range tr.told {
		asks, want = append(asks, lane.GetTransfer{ID: id}), append(want, told.State)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, a := range c.nodes[1].Do(ctx, asks...) {
		if a.Err != nil || a.Transfer.State != want[i] {
			t.Fatalf("%+v: told %s, and now %s, %v", asks[i], want[i], a.Transfer.State, a.Err)
		}
	}
}
