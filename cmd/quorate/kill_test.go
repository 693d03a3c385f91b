package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/transfer"
)

// processCluster is three real `quorate server` processes on loopback, each holding a replica of everything.
type processCluster struct {
	t       *testing.T
	places  []node.NodeConfig
	configs []string
	servers []*exec.Cmd
	client  *client.Client
}

var killBanks = []transfer.BankID{"east", "west"}

func startProcesses(t *testing.T) *processCluster {
	t.Helper()
	dir := t.TempDir()
	places, err := freePlaces(3)
	if err != nil {
		t.Fatal(err)
	}
	c := &processCluster{t: t, places: places, servers: make([]*exec.Cmd, len(places))}
	var addresses []string
	for i, p := range places {
		file := filepath.Join(dir, fmt.Sprintf("node%d.yaml", p.ID))
		if err := os.WriteFile(file, []byte(configOf(p.ID, places, filepath.Join(dir, fmt.Sprint(p.ID)))), 0o600); err != nil {
			t.Fatal(err)
		}
		c.configs = append(c.configs, file)
		addresses = append(addresses, p.GRPC)
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.servers {
			c.kill(i)
		}
	})
	if c.client, err = client.Dial(addresses); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.client.Close() })
	return c
}

func configOf(id uint64, places []node.NodeConfig, data string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster: kill\ninsecure: true\nnode: %d\ndata: %s\nnodes:\n", id, data)
	for _, p := range places {
		fmt.Fprintf(&b, "  - {id: %d, peer: %q, grpc: %q, http: %q}\n", p.ID, p.Peer, p.GRPC, p.HTTP)
	}
	fmt.Fprintln(&b, "banks:")
	for _, bank := range killBanks {
		fmt.Fprintf(&b, "  - {id: %s, nodes: [1, 2, 3]}\n", bank)
	}
	fmt.Fprintln(&b, "  - {id: lone, nodes: [3]}")
	return b.String()
}

func (c *processCluster) start(i int) {
	c.t.Helper()
	c.servers[i] = exec.Command("quorate", "server", "--config", c.configs[i])
	if err := c.servers[i].Start(); err != nil {
		c.t.Fatal(err)
	}
}

// kill sends SIGKILL and waits for the process to be gone.
func (c *processCluster) kill(i int) {
	c.t.Helper()
	if err := c.servers[i].Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.t.Error(err)
	}
	_ = c.servers[i].Wait() // it says that it was killed
}

// payments keep flowing until stop; each is one call of the SDK.
type payments struct {
	mu        sync.Mutex // guards the rest
	committed []transfer.ID
	began     map[transfer.ID]time.Time
	unknown   int
}

func (c *processCluster) pay(ctx context.Context, wait *sync.WaitGroup, clients int) *payments {
	p := &payments{began: map[transfer.ID]time.Time{}}
	for worker := range clients {
		g := workload.New(workload.Config{Seed: uint64(worker), Banks: killBanks, AccountsPerBank: 50, Currency: "EUR", AmountMaxMinor: 100})
		wait.Go(func() {
			for ctx.Err() == nil {
				t := g.Next()
				begun := time.Now()
				waiting, cancel := context.WithTimeout(ctx, 15*time.Second)
				r, err := c.client.Transfer(waiting, t)
				cancel()
				p.note(t.ID, begun, r, err)
			}
		})
	}
	return p
}

func (p *payments) note(id transfer.ID, begun time.Time, r transfer.Record, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
		p.unknown++
	case r.State == transfer.Committed:
		p.committed = append(p.committed, id)
		p.began[id] = begun
	}
}

// since counts the committed payments that were begun after a moment.
func (p *payments) since(moment time.Time) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.committed) - 1; i >= 0 && n < 1000; i-- {
		if p.began[p.committed[i]].After(moment) {
			n++
		}
	}
	return n
}

func waitUntil(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}

// TestSIGKILLOfAnyNodeLosesNothing kills each of three server processes in turn, under load.
func TestSIGKILLOfAnyNodeLosesNothing(t *testing.T) {
	c := startProcesses(t)
	g := workload.New(workload.Config{Banks: killBanks, AccountsPerBank: 50, Currency: "EUR", AmountMaxMinor: 1})
	for _, place := range g.Places(1 << 30) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if _, err := c.client.OpenAccount(ctx, place.Bank, client.Terms(place.Terms)); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	var wait sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	begun := time.Now()
	p := c.pay(ctx, &wait, 8)
	waitUntil(t, 2*time.Minute, "payments flow", func() bool { return p.since(begun) > 200 })
	for i := range c.servers {
		c.kill(i)
		killed := time.Now()
		waitUntil(t, 2*time.Minute, fmt.Sprintf("payments go on without node %d", i+1), func() bool { return p.since(killed) > 20 })
		t.Logf("node %d killed: payments begun after it commit %v later", i+1, time.Since(killed).Round(time.Millisecond))
		c.start(i)
		back := time.Now()
		waitUntil(t, 2*time.Minute, "payments flow again", func() bool { return p.since(back) > 200 })
	}
	stop()
	wait.Wait()
	c.mustHoldNothing()
	c.mustKnow(p)
}

// mustHoldNothing waits until no bank holds anything, and adds the money up.
func (c *processCluster) mustHoldNothing() {
	c.t.Helper()
	quiet := time.Now()
	var sum int64
	waitUntil(c.t, 2*time.Minute, "holds are gone", func() bool {
		sum = 0
		for _, bank := range killBanks {
			ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
			a, err := c.client.Audit(ctx, bank)
			cancel()
			if err != nil || a.OpenHolds > 0 {
				return false
			}
			for _, total := range a.Totals {
				sum += total.PostedMinor
			}
		}
		return true
	})
	c.t.Logf("no hold is left %v after the last payment", time.Since(quiet).Round(time.Millisecond))
	if sum != 0 {
		c.t.Errorf("the banks hold %d in sum, want 0", sum)
	}
}

// mustKnow asks for every payment that was acknowledged as committed.
func (c *processCluster) mustKnow(p *payments) {
	c.t.Helper()
	for _, id := range p.committed {
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
		r, err := c.client.Get(ctx, id)
		cancel()
		if err != nil || r.State != transfer.Committed {
			c.t.Fatalf("payment %s was acknowledged as committed and is %s, %v", id, r.State, err)
		}
	}
	c.t.Logf("%d acknowledged payments are there; %d had no answer when the load stopped", len(p.committed), p.unknown)
}
