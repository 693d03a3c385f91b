package node_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/transfer"
)

var (
	manyAccounts = flag.Int("accounts", 200_000, "accounts of the larger bank of BenchmarkManyAccounts; 100,000 of them are used")
	finished     = flag.Int("finished", 200_000, "transfers that BenchmarkRestart finishes before it restarts the node, and BenchmarkFinished before it measures again")
)

const hotAccounts = 100_000

// sizePatience is how long a call may take on a machine that does much else.
const sizePatience = 10 * time.Minute

// sizeBatch is how many requests one call of these benchmarks has.
const sizeBatch = 2048

// BenchmarkManyAccounts pays from one of 100,000 accounts of a bank that has as many, or many more, to one of another bank. One operation is one call with 2,048
// transfers. One node holds everything.
func BenchmarkManyAccounts(b *testing.B) {
	for _, accounts := range []int{hotAccounts, *manyAccounts} {
		b.Run(fmt.Sprintf("accounts=%d", accounts), func(b *testing.B) {
			c := startOne(b)
			c.openMany("A", accounts)
			c.openMany("B", 1000)
			rng := rand.New(rand.NewPCG(1, uint64(accounts)))
			pay := func(transfers int) {
				for ; transfers > 0; transfers -= sizeBatch {
					c.mustPay(rng, accounts, sizeBatch)
				}
			}
			pay(hotAccounts) // until what is hot has been used, and the rest is cold
			used, transfers := cpuTime(b), 0
			for b.Loop() {
				c.mustPay(rng, accounts, sizeBatch)
				transfers += sizeBatch
			}
			b.ReportMetric(float64((cpuTime(b)-used).Microseconds())/float64(transfers), "µs-CPU/transfer")
			b.ReportMetric(float64(transfers)/b.Elapsed().Seconds(), "transfers/s")
			c.reportSize(b)
		})
	}
}

// BenchmarkRestart restarts a node that has finished many transfers, and waits until it carries out another one. One operation is one restart as after
// a crash.
func BenchmarkRestart(b *testing.B) {
	c := startOne(b)
	c.openMany("A", hotAccounts)
	c.openMany("B", 1000)
	var payers sync.WaitGroup
	const parallel = 4
	first := make([]transfer.ID, parallel)
	for i := range parallel {
		payers.Go(func() {
			rng := rand.New(rand.NewPCG(2, uint64(i)))
			first[i] = c.mustPay(rng, hotAccounts, sizeBatch)
			for left := *finished/parallel - sizeBatch; left > 0; left -= sizeBatch {
				c.mustPay(rng, hotAccounts, sizeBatch)
			}
		})
	}
	payers.Wait()
	c.reportSize(b)
	rng := rand.New(rand.NewPCG(3, 0))
	var serving, working time.Duration
	restarts := 0.0
	for b.Loop() {
		if err := c.nodes[0].Kill(); err != nil {
			b.Fatal(err)
		}
		began, used := time.Now(), cpuTime(b)
		c.start(0)
		c.mustPay(rng, hotAccounts, 1)
		serving += time.Since(began)
		working += cpuTime(b) - used
		restarts++
	}
	b.ReportMetric(serving.Seconds()/restarts, "s-to-serving")
	b.ReportMetric(working.Seconds()/restarts, "s-CPU")
	for _, id := range first { // the oldest are as known as the newest
		if a := c.mustAsk(0, lane.GetTransfer{ID: id}); a.Transfer.State != transfer.Committed {
			b.Errorf("transfer %s: %v", id, a.Transfer.State)
		}
	}
}

// startOne starts one node that holds a coordinator and the banks A and B alone.
func startOne(b *testing.B) *cluster {
	b.Helper()
	c := newCluster(b, 1, "quorate")
	c.onlyBanks(0)
	for _, id := range []string{"A", "B"} {
		c.configs[0].Banks = append(c.configs[0].Banks, bankOn(id, 1))
	}
	c.start(0)
	return c
}

func accountNumber(i int) transfer.AccountID { return transfer.AccountID(fmt.Sprintf("%010d", i)) }

func (c *cluster) openMany(at transfer.BankID, accounts int) {
	c.t.Helper()
	for from := 0; from < accounts; from += sizeBatch {
		asks := make([]lane.Ask, 0, sizeBatch)
		for i := from; i < min(from+sizeBatch, accounts); i++ {
			asks = append(asks, lane.OpenAccount{Bank: at, Terms: bank.Terms{ID: accountNumber(i), Currency: "EUR", Unlimited: true}})
		}
		for _, a := range c.nodes[0].Do(c.t.Context(), asks...) {
			if a.Err != nil {
				c.t.Fatal(a.Err)
			}
		}
	}
}

// mustPay has transfers carried out by one call, each from one of the hot accounts, which lie scattered over all of bank A's. It returns the id of one.
func (c *cluster) mustPay(rng *rand.Rand, accounts, transfers int) (id transfer.ID) {
	return c.mustPayAs(rng, accounts, transfers, func() (id transfer.ID) {
		binary.BigEndian.PutUint64(id[:8], rng.Uint64())
		binary.BigEndian.PutUint64(id[8:], rng.Uint64())
		return id
	})
}

// mustPayInOrder does the same with ids that grow.
func (c *cluster) mustPayInOrder(rng *rand.Rand, next *uint64) {
	c.mustPayAs(rng, hotAccounts, sizeBatch, func() (id transfer.ID) {
		*next++
		binary.BigEndian.PutUint64(id[:8], *next)
		return id
	})
}

func (c *cluster) mustPayAs(rng *rand.Rand, accounts, transfers int, newID func() transfer.ID) (id transfer.ID) {
	asks := make([]lane.Ask, transfers)
	for i := range asks {
		id = newID()
		t := payment(id, "A", "B", 1)
		t.Deadline = time.Now().Add(sizePatience)
		t.Legs[0].Account, t.Legs[1].Account = accountNumber(rng.IntN(hotAccounts)*(accounts/hotAccounts)), accountNumber(rng.IntN(1000))
		asks[i] = lane.Submit{Transfer: t}
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), sizePatience)
	defer cancel()
	for len(asks) > 0 {
		var busy []lane.Ask
		for i, a := range c.nodes[0].Do(ctx, asks...) {
			switch {
			case errors.Is(a.Err, transfer.ErrBusy):
				busy = append(busy, asks[i])
			case a.Err != nil || a.Transfer.State != transfer.Committed:
				c.t.Fatalf("%v %+v", a.Err, a.Transfer)
			}
		}
		if asks = busy; len(asks) > 0 {
			time.Sleep(5 * time.Millisecond) // as a client would
		}
	}
	return id
}

func (c *cluster) reportSize(b *testing.B) {
	b.Helper()
	b.ReportMetric(residentMiB(b), "rss-MiB")
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "heap-MiB")
	metrics, err := c.nodes[0].StorageMetrics()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(metrics.DiskBytes)/(1<<20), "disk-MiB")
}

func bankOn(id string, nodes ...uint64) node.BankConfig {
	return node.BankConfig{ID: id, Nodes: nodes}
}

// BenchmarkInFlight has 8,000 transfers in flight at one node, about as many as a bank may owe answers to, which holds the coordinator and the first bank; the node of the second bank is away. One
// operation is all of them. heap-B/transfer is what each keeps, with what its caller keeps.
func BenchmarkInFlight(b *testing.B) {
	const transfers = 8_000
	var kept, runs float64
	for b.Loop() {
		c := newCluster(b, 2, "quorate")
		for i := range c.configs {
			c.configs[i].CoordinatorNodes = []uint64{1}
		}
		c.start(0)
		c.openMany("A", 1000)
		before := heapBytes()
		asks := make([]node.Timed, transfers)
		for i := range asks {
			t := payment(newID(b), "A", "B", 1)
			t.Deadline = time.Now().Add(sizePatience)
			t.Legs[0].Account, t.Legs[1].Account = accountNumber(i%1000), accountNumber(0)
			asks[i] = node.Timed{Ask: lane.Submit{Transfer: t}, Until: t.Deadline}
		}
		answered := make(chan lane.Answer, transfers)
		forget := c.nodes[0].DoEach(asks, func(_ int, a lane.Answer) { answered <- a })
		eventually(b, sizePatience, "all are staged, and their holds made", func() bool {
			if len(answered) > 0 {
				b.Fatalf("answered: %+v", <-answered)
			}
			s := c.mustAsk(0, lane.GetStatus{}).Status
			return s.Counts.InDoubt == transfers && c.mustAsk(0, lane.AuditBank{Bank: "A"}).Audit.OpenHolds == transfers
		})
		kept += float64(heapBytes()-before) / transfers
		runs++
		forget()
		c.stop(0)
	}
	b.ReportMetric(kept/runs, "heap-B/transfer")
}

// heapBytes is what is alive.
func heapBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first has put aside in pools
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkFinished finishes many transfers, and tells what one costs at the beginning and at the end: of an empty node, and of one that knows a million
// ids. Ids are in the order of time, as the SDK has them. One operation is all of it.
func BenchmarkFinished(b *testing.B) {
	const sample = 100 // calls
	for b.Loop() {
		c := startOne(b)
		c.openMany("A", hotAccounts)
		c.openMany("B", 1000)
		rng, next := rand.New(rand.NewPCG(4, 0)), uint64(0)
		pay := func(calls int) float64 {
			used := cpuTime(b)
			for range calls {
				c.mustPayInOrder(rng, &next)
			}
			return float64((cpuTime(b) - used).Microseconds()) / float64(calls*sizeBatch)
		}
		pay(sample) // every account has been used, and checkpoints are under way
		empty := pay(sample)
		for int(next) < *finished {
			pay(1)
		}
		full := pay(sample)
		b.ReportMetric(empty, "µs-CPU-at-first")
		b.ReportMetric(full, "µs-CPU-at-last")
		b.ReportMetric(full/empty, "ratio")
		c.reportSize(b)
		c.stop(0)
	}
}
