package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/transfer"
)

// The load of BenchmarkOneBankHangs: transfers a second between the seven, and between the eighth and one of them, for so long in each state.
const (
	hangRate    = 700
	hangRateOne = 100
	hangWindow  = 4 * time.Second
)

// BenchmarkOneBankHangs measures the latency of transfers between seven banks while the eighth, which gets an eighth of the traffic, works, and while it
// says nothing at all. Requests leave at fixed times and latency counts from when they were due. One operation is a window of each kind, in turns
// the one and the other first; -benchtime 20x makes twenty pairs. The figures are medians: of the windows' latencies, and of what each pair has
// more with seven than with eight. So a stall of the machine spoils one window and not the result.
func BenchmarkOneBankHangs(b *testing.B) {
	c, banks := startEightBanks(b)
	quantiles := []float64{50, 99}
	var windows [2][][]float64 // of eight banks at work, and of seven; of each quantile; milliseconds
	for state := range windows {
		windows[state] = make([][]float64, len(quantiles))
	}
	for i := range b.N {
		for turn := range 2 {
			state := (i + turn) % 2
			c.nodes[3].Isolate(state == 1)
			latency := c.payFor(hangWindow, banks)
			c.nodes[3].Isolate(false)
			c.settled()
			for q := range quantiles {
				windows[state][q] = append(windows[state][q], float64(latency.ValueAtQuantile(quantiles[q]))/1000)
			}
		}
	}
	for q := range quantiles {
		more := make([]float64, b.N)
		for pair := range more {
			more[pair] = 100 * (windows[1][q][pair]/windows[0][q][pair] - 1)
		}
		b.ReportMetric(median(more), fmt.Sprintf("%%-more-p%g", quantiles[q]))
		b.ReportMetric(median(windows[0][q]), fmt.Sprintf("ms-p%g-eight", quantiles[q]))
		b.ReportMetric(median(windows[1][q]), fmt.Sprintf("ms-p%g-seven", quantiles[q]))
	}
	b.ReportMetric(0, "ns/op")
}

func median(values []float64) float64 {
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// startEightBanks has coordinators and seven banks on three nodes, and the eighth bank alone on the fourth.
func startEightBanks(b *testing.B) (*cluster, []transfer.BankID) {
	c := newCluster(b, 4, "quorate")
	var banks []transfer.BankID
	var places []node.BankConfig
	for i := range 8 {
		id := transfer.BankID("bank" + string(rune('1'+i)))
		home := uint64(i%3 + 1)
		if i == 7 {
			home = 4
		}
		banks = append(banks, id)
		places = append(places, node.BankConfig{ID: string(id), Nodes: []uint64{home}})
	}
	for i := range c.nodes {
		c.configs[i].Banks, c.configs[i].CoordinatorNodes = places, []uint64{1, 2, 3}
	}
	for i := range c.nodes {
		c.start(i)
	}
	c.openPlaces(workload.New(workload.Config{Seed: 1, Banks: banks, AccountsPerBank: 100, Currency: "EUR", AmountMaxMinor: 5}).Places(1 << 40))
	return c, banks
}

// payFor sends transfers between all banks and notes, in microseconds, how long those took that don't touch the last one. It returns when they are
// all answered.
func (c *cluster) payFor(window time.Duration, banks []transfer.BankID) *hdrhistogram.Histogram {
	latency := hdrhistogram.New(1, 600_000_000, 3)
	ctx, end := context.WithTimeout(c.t.Context(), window+time.Minute)
	defer end()
	last := len(banks) - 1
	seven := workload.New(workload.Config{Seed: rand.Uint64(), Banks: banks[:last], AccountsPerBank: 100, Currency: "EUR", AmountMaxMinor: 5})
	var mu sync.Mutex // guards latency
	var measured, others sync.WaitGroup
	measured.Go(func() {
		c.due(window, hangRate, func(i int, at time.Time) {
			t := seven.Next()
			measured.Go(func() {
				a := c.payAt(ctx, i, t)
				took := time.Since(at)
				if a.Err != nil || a.Transfer.State != transfer.Committed {
					c.t.Errorf("a transfer between healthy banks: %v %+v", a.Err, a.Transfer.Reason)
				}
				mu.Lock()
				defer mu.Unlock()
				_ = latency.RecordValue(took.Microseconds())
			})
		})
	})
	begun, give := context.WithTimeout(ctx, window)
	defer give()
	others.Go(func() {
		c.due(window, hangRateOne, func(i int, _ time.Time) {
			t := workload.New(workload.Config{Seed: rand.Uint64(), Banks: []transfer.BankID{banks[i%last], banks[last]}, AccountsPerBank: 100, Currency: "EUR", AmountMaxMinor: 5}).Next()
			others.Go(func() { c.payAt(begun, i, t) })
		})
	})
	measured.Wait()
	others.Wait()
	return latency
}

// due calls start so many times a second, each time when it is due or, if that has passed, at once.
func (c *cluster) due(window time.Duration, rate int, start func(i int, at time.Time)) {
	begin := time.Now()
	for i := range int(window.Seconds() * float64(rate)) {
		at := begin.Add(time.Duration(i) * time.Second / time.Duration(rate))
		<-time.After(time.Until(at))
		start(i, at)
	}
}

func (c *cluster) payAt(ctx context.Context, i int, t transfer.Transfer) lane.Answer {
	t.Deadline = time.Now().Add(10 * time.Second)
	return c.nodes[i%3].Do(ctx, lane.Submit{Transfer: &t})[0]
}

// settled waits until no transfer is in flight any more.
func (c *cluster) settled() {
	eventually(c.t, time.Minute, "transfers are in flight", func() bool {
		for i := range 3 {
			if c.mustAsk(i, lane.GetStatus{}).Status.Counts.InFlight > 0 {
				return false
			}
		}
		return true
	})
}
