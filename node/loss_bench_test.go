package node_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// BenchmarkMachineLost measures how long transfers pause when the machine that leads a replicated bank is lost without notice: three nodes, three banks on all of them, six clients
// at each that pay one transfer at a time between two of the banks. One operation is one loss; the machine is back before the next. The pause of a pair of banks is the time
// from the loss until a transfer between them is committed that began after it, and that of a loss is its longest pair's.
func BenchmarkMachineLost(b *testing.B) {
	c := newCluster(b, 3, "quorate")
	for i := range c.configs {
		c.configs[i].Banks = []node.BankConfig{{ID: "A", Replicas: 3}, {ID: "B", Replicas: 3}, {ID: "C", Replicas: 3}}
		c.start(i)
	}
	for _, id := range []transfer.BankID{"A", "B", "C"} {
		for _, account := range []transfer.AccountID{"alice", "bob"} {
			c.mustAsk(0, lane.OpenAccount{Bank: id, Terms: bank.Terms{ID: account, Currency: "EUR", Unlimited: true}})
		}
	}
	pairs := [][2]transfer.BankID{{"A", "B"}, {"B", "C"}, {"C", "A"}}
	var pauses []float64
	for b.Loop() {
		victim := c.leaderOf("bank/A")
		w := c.watchPairs(pairs, victim)
		w.mustGoOn(b)
		began := time.Now()
		w.lost.Store(began.UnixNano())
		c.kill(victim)
		pauses = append(pauses, w.longest(b, began).Seconds())
		w.end()
		c.start(victim)
		eventually(b, sizePatience, "the machine isn't back", func() bool { return c.hasCaughtUp(victim) })
	}
	b.ReportMetric(median(pauses), "s-median")
	b.ReportMetric(slices.Max(pauses), "s-longest")
	b.ReportMetric(0, "ns/op")
}

// hasCaughtUp says whether a node has all that the others knew to be committed a moment ago.
func (c *cluster) hasCaughtUp(i int) bool {
	others := []map[lane.GroupID]raft.Status{c.groups((i + 1) % 3), c.groups((i + 2) % 3)}
	for id, s := range c.groups(i) {
		if s.Leader == 0 || s.Applied < others[0][id].Commit || s.Applied < others[1][id].Commit {
			return false
		}
	}
	return true
}

// pairWatch pays between pairs of banks through all nodes but one, and notes when the first transfer was committed that began after the loss.
type pairWatch struct {
	lost    atomic.Int64 // when, in Unix nanoseconds; zero: not yet
	paid    []atomic.Int64
	first   []atomic.Int64 // of each pair, in Unix nanoseconds
	cancel  context.CancelFunc
	clients sync.WaitGroup
}

func (c *cluster) watchPairs(pairs [][2]transfer.BankID, without int) *pairWatch {
	ctx, cancel := context.WithCancel(c.t.Context())
	w := &pairWatch{paid: make([]atomic.Int64, len(pairs)), first: make([]atomic.Int64, len(pairs)), cancel: cancel}
	for i, n := range c.nodes {
		if i == without {
			continue
		}
		for k := range 2 * len(pairs) {
			w.clients.Go(func() {
				for ctx.Err() == nil {
					w.pay(ctx, c, n, k%len(pairs), pairs[k%len(pairs)])
				}
			})
		}
	}
	return w
}

func (w *pairWatch) pay(ctx context.Context, c *cluster, n *node.Node, pair int, banks [2]transfer.BankID) {
	lost := w.lost.Load()
	a := n.Do(ctx, lane.Submit{Transfer: payment(newID(c.t), banks[0], banks[1], 1)})[0]
	if a.Err != nil || a.Transfer.State != transfer.Committed {
		return
	}
	w.paid[pair].Add(1)
	if lost != 0 {
		w.first[pair].CompareAndSwap(0, time.Now().UnixNano())
	}
}

// mustGoOn waits until all pairs pay.
func (w *pairWatch) mustGoOn(b *testing.B) {
	eventually(b, sizePatience, "no traffic", func() bool {
		for i := range w.paid {
			if w.paid[i].Load() < 20 {
				return false
			}
		}
		return true
	})
}

// longest waits until all pairs have paid again, and says how long the last of them took.
func (w *pairWatch) longest(b *testing.B, began time.Time) (pause time.Duration) {
	eventually(b, sizePatience, "a pair of banks pays no more", func() bool {
		for i := range w.first {
			if w.first[i].Load() == 0 {
				return false
			}
			pause = max(pause, time.Unix(0, w.first[i].Load()).Sub(began))
		}
		return true
	})
	return pause
}

func (w *pairWatch) end() {
	w.cancel()
	w.clients.Wait()
}
