package node_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/transfer"
)

// BenchmarkTransfers carries cross-bank transfers through three nodes of one process, with real disks: every coordinator replica
// and every bank syncs. One operation is one transfer.
func BenchmarkTransfers(b *testing.B) {
	for _, shape := range []struct {
		name           string
		clients, batch int
	}{{"clients=1/batch=1", 1, 1}, {"clients=64/batch=1", 64, 1}, {"clients=16/batch=256", 16, 256}, {"clients=64/batch=256", 64, 256}} {
		b.Run(shape.name, func(b *testing.B) {
			c := startCluster(b, 3, "quorate")
			cfg := workload.Config{Seed: 1, Banks: []transfer.BankID{"A", "B", "C"}, AccountsPerBank: 1000, Currency: "EUR", AmountMaxMinor: 5}
			c.openPlaces(workload.New(cfg).Places(1 << 40))
			b.ReportAllocs()
			b.ResetTimer()
			var clients sync.WaitGroup
			for worker := range shape.clients {
				mine := b.N / shape.clients
				if worker < b.N%shape.clients {
					mine++
				}
				cfg.Seed = uint64(worker + 2)
				g := workload.New(cfg)
				clients.Go(func() {
					for done := 0; done < mine; done += shape.batch {
						c.submitBatch(g, min(shape.batch, mine-done))
					}
				})
			}
			clients.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "transfers/s")
		})
	}
}

func (c *cluster) openPlaces(places []workload.Place) {
	c.t.Helper()
	asks := make([]lane.Ask, len(places))
	for i, p := range places {
		asks[i] = lane.OpenAccount{Bank: p.Bank, Terms: p.Terms}
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	for _, a := range c.nodes[0].Do(ctx, asks...) {
		if a.Err != nil {
			c.t.Fatal(a.Err)
		}
	}
}

func (c *cluster) submitBatch(g *workload.Generator, n int) {
	asks := make([]lane.Ask, n)
	for i := range asks {
		t := g.Next()
		t.Deadline = time.Now().Add(10 * time.Second)
		asks[i] = lane.Submit{Transfer: &t}
	}
	for _, a := range c.nodes[0].Do(c.t.Context(), asks...) {
		if a.Err != nil || a.Transfer.State != transfer.Committed {
			c.t.Errorf("%v %+v", a.Err, a.Transfer)
		}
	}
}
