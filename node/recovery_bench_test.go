package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/transfer"
)

// inFlight is how many transfers a leader leaves behind.
const inFlight = 10_000

// BenchmarkLeaderKilled kills the leader of the coordinators when 10,000 transfers are staged and the banks have heard of none, so that the next leader
// has everything before it, and measures until the last of them is answered through the other two. The banks live on two nodes of
// their own. One operation is one kill.
func BenchmarkLeaderKilled(b *testing.B) {
	var election, answered, worst, cpu time.Duration
	for range b.N {
		r := killLeader(b)
		election += r.election
		answered += r.answered
		worst = max(worst, r.answered)
		cpu += r.cpu
	}
	mean := func(sum time.Duration) float64 { return float64(sum.Milliseconds()) / float64(b.N) }
	b.ReportMetric(mean(election), "ms-kill-to-election")
	b.ReportMetric(mean(answered), "ms-election-to-last-answer")
	b.ReportMetric(float64(worst.Milliseconds()), "ms-worst")
	b.ReportMetric(mean(cpu), "CPU-ms")
	b.ReportMetric(0, "ns/op")
}

// recovery is one kill: how long until another leader was elected, from then until the last answer, and what CPU time all nodes used from the kill on.
type recovery struct{ election, answered, cpu time.Duration }

func killLeader(b *testing.B) recovery {
	watch := &electionWatch{}
	c := newCluster(b, 5, "quorate")
	c.logger = slog.New(watch)
	for i := range c.nodes {
		c.configs[i].CoordinatorNodes = []uint64{1, 2, 3}
		c.configs[i].Banks = []node.BankConfig{{ID: "A", Nodes: []uint64{4}}, {ID: "B", Nodes: []uint64{5}}, {ID: "C", Nodes: []uint64{4}}, {ID: "D", Nodes: []uint64{5}}}
	}
	for i := range c.nodes {
		c.start(i)
	}
	g := workload.New(workload.Config{Seed: 1, Banks: []transfer.BankID{"A", "B", "C", "D"}, AccountsPerBank: 1000, Currency: "EUR", AmountMaxMinor: 5})
	c.openPlaces(g.Places(1 << 40))
	c.mustLead(0, "coordinator/0")

	c.nodes[3].Isolate(true)
	c.nodes[4].Isolate(true)
	var clients sync.WaitGroup
	for i := range inFlight {
		t := g.Next()
		clients.Go(func() { c.payUntilCommitted(1+i%2, t) })
	}
	eventually(b, time.Minute, "not all is staged", func() bool {
		s := c.mustAsk(0, lane.GetStatus{}).Status
		return s.Counts.InFlight == inFlight && s.Groups[0].Raft.Commit == s.Groups[0].Raft.Last
	})
	c.nodes[3].Isolate(false)
	c.nodes[4].Isolate(false)
	killed, used := time.Now(), cpuTime(b)
	if err := c.nodes[0].Kill(); err != nil {
		b.Fatal(err)
	}
	c.nodes[0] = nil
	clients.Wait()
	done, usedThen := time.Now(), cpuTime(b)
	elected := watch.firstAfter(killed, 1)
	if elected.IsZero() {
		b.Fatal("everything was answered without another leader")
	}
	for i := range c.nodes {
		c.stop(i)
	}
	return recovery{election: elected.Sub(killed), answered: done.Sub(elected), cpu: usedThen - used}
}

// payUntilCommitted sees one transfer through: as a client, it asks again when it hears of no outcome.
func (c *cluster) payUntilCommitted(at int, t transfer.Transfer) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	t.Deadline = time.Now().Add(time.Minute)
	for {
		a := c.nodes[at].Do(ctx, lane.Submit{Transfer: &t})[0]
		switch {
		case a.Err == nil && a.Transfer.State == transfer.Committed:
			return
		case a.Err == nil || ctx.Err() != nil:
			c.t.Errorf("transfer %s: %v %+v %v", t.ID, a.Transfer.State, a.Transfer.Reason, a.Err)
			return
		}
	}
}

// mustLead waits until a node leads a group: at a calm time its preferred member does.
func (c *cluster) mustLead(i int, group lane.GroupID) {
	c.t.Helper()
	eventually(c.t, time.Minute, fmt.Sprintf("node %d doesn't lead %s", i+1, group), func() bool {
		return slices.ContainsFunc(c.mustAsk(i, lane.GetStatus{}).Status.Groups, func(g lane.GroupStatus) bool { return g.Group == group && g.Leading })
	})
}

// electionWatch is the log of all nodes, of which it keeps the elections of coordinators.
type electionWatch struct {
	mu        sync.Mutex // guards the rest
	elections []election
}

type election struct {
	at     time.Time
	leader raft.NodeID
}

func (w *electionWatch) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}
func (w *electionWatch) WithAttrs([]slog.Attr) slog.Handler { return w }
func (w *electionWatch) WithGroup(string) slog.Handler      { return w }

func (w *electionWatch) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "leader elected" {
		return nil
	}
	e, ours := election{at: r.Time}, false
	r.Attrs(func(a slog.Attr) bool {
		switch v := a.Value.Any().(type) {
		case lane.GroupID:
			ours = v == lane.CoordinatorGroup(0)
		case raft.NodeID:
			e.leader = v
		}
		return true
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if ours {
		w.elections = append(w.elections, e)
	}
	return nil
}

// firstAfter is the first election of another after a moment; zero if there was none.
func (w *electionWatch) firstAfter(moment time.Time, than int) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.elections {
		if e.at.After(moment) && e.leader != raft.NodeID(than) {
			return e.at
		}
	}
	return time.Time{}
}
