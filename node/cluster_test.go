package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofrs/uuid/v5"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transfer"
)

// cluster is three nodes of one process, with real disks and loopback sockets. Node i has id i+1.
type cluster struct {
	t       testing.TB
	configs []node.Config
	nodes   []*node.Node // nil: down
	limits  lane.Limits  // zero: the usual ones
	logger  *slog.Logger // nil: silent
	storage storage.Options
}

// engines are what a cluster may run on: one for all nodes, or each node another than its neighbour, as when a cluster changes over.
var engines = map[string][]string{
	"quorate": {node.ConsensusQuorate},
	"etcd":    {node.ConsensusEtcd},
	"mixed":   {node.ConsensusQuorate, node.ConsensusEtcd},
}

// onEachEngine runs a test on all of them.
func onEachEngine(t *testing.T, test func(t *testing.T, engine string)) {
	t.Helper()
	for _, engine := range slices.Sorted(maps.Keys(engines)) {
		t.Run(engine, func(t *testing.T) { test(t, engine) })
	}
}

// startCluster starts nodes whose bank A lives on node 1, B on node 2 and C on node 3.
func startCluster(t testing.TB, size int, engine string) *cluster {
	t.Helper()
	c := newCluster(t, size, engine)
	for i := range c.nodes {
		c.start(i)
	}
	return c
}

// newCluster lays out what startCluster starts.
func newCluster(t testing.TB, size int, engine string) *cluster {
	t.Helper()
	c := &cluster{t: t, nodes: make([]*node.Node, size)}
	var places []node.NodeConfig
	var banks []node.BankConfig
	free := freeAddresses(t, 3*size)
	for i := range size {
		id := uint64(i + 1)
		places = append(places, node.NodeConfig{ID: id, Peer: free[3*i], GRPC: free[3*i+1], HTTP: free[3*i+2]})
		banks = append(banks, node.BankConfig{ID: string(rune('A' + i)), Nodes: []uint64{id}})
	}
	dir := t.TempDir()
	for i := range size {
		c.configs = append(c.configs, node.Config{
			Cluster: "test", Node: uint64(i + 1), DataDir: filepath.Join(dir, fmt.Sprint(i+1)), Nodes: places, Banks: banks,
			Consensus: engines[engine][i%len(engines[engine])],
		})
	}
	t.Cleanup(func() {
		for i := range c.nodes {
			c.stop(i)
		}
	})
	return c
}

// freeAddresses finds loopback ports that nobody uses at the moment. None is found twice: many of the addresses found are never listened on,
// and a stopped node wants its own back, until all have been tried.
func freeAddresses(t testing.TB, n int) []string {
	t.Helper()
	addresses := make([]string, 0, n)
	for range portsBehind - portsFirst {
		if len(addresses) == n {
			return addresses
		}
		address := fmt.Sprintf("127.0.0.1:%d", portsFirst+portsTried.Add(1)%(portsBehind-portsFirst))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue // somebody else's
		}
		defer l.Close()
		addresses = append(addresses, address)
	}
	t.Fatalf("fewer than %d free ports", n)
	return nil
}

// The ports are below those that connections get, which could take that of a node that is down for a moment, and above those that the tests of commands begin with.
const (
	portsFirst  = 29_000
	portsBehind = 32_700
)

var portsTried atomic.Int64

func (c *cluster) start(i int) {
	c.t.Helper()
	n, err := node.Start(c.configs[i], node.Options{Limits: c.limits, Logger: c.logger, Storage: c.storage})
	if err != nil {
		c.t.Fatalf("start node %d: %v", i+1, err)
	}
	c.nodes[i] = n
}

func (c *cluster) stop(i int) {
	c.t.Helper()
	if c.nodes[i] == nil {
		return
	}
	if err := c.nodes[i].Stop(); err != nil {
		c.t.Errorf("stop node %d: %v", i+1, err)
	}
	if err := c.nodes[i].Err(); err != nil {
		c.t.Errorf("node %d failed: %v", i+1, err)
	}
	c.nodes[i] = nil
}

func (c *cluster) ask(i int, ask lane.Ask) lane.Answer {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	return c.nodes[i].Do(ctx, ask)[0]
}

func (c *cluster) mustAsk(i int, ask lane.Ask) lane.Answer {
	c.t.Helper()
	a := c.ask(i, ask)
	if a.Err != nil {
		c.t.Fatalf("node %d, %T: %v", i+1, ask, a.Err)
	}
	return a
}

func newID(t testing.TB) transfer.ID {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return transfer.ID(id)
}

func payment(id transfer.ID, from, to transfer.BankID, minor int64) *transfer.Transfer {
	return &transfer.Transfer{
		ID: id,
		Legs: []transfer.Leg{
			{Bank: from, Account: "alice", Direction: transfer.Debit, AmountMinor: minor, Currency: "EUR"},
			{Bank: to, Account: "bob", Direction: transfer.Credit, AmountMinor: minor, Currency: "EUR"},
		},
		Deadline: time.Now().Add(10 * time.Second),
	}
}

func (c *cluster) openAccounts(at int) {
	c.t.Helper()
	for _, b := range c.configs[0].Banks {
		for _, id := range []transfer.AccountID{"alice", "bob"} {
			c.mustAsk(at, lane.OpenAccount{Bank: transfer.BankID(b.ID), Terms: bank.Terms{ID: id, Currency: "EUR", OverdraftMinor: 1000}})
		}
	}
}

func TestTransferCommitsAcrossBanksFromAnyNode(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine string) {
		c := startCluster(t, 3, engine)
		c.openAccounts(0)
		for i := range c.nodes {
			r := c.mustAsk(i, lane.Submit{Transfer: payment(newID(t), "A", "B", 100)}).Transfer
			if r.State != transfer.Committed {
				t.Fatalf("through node %d: %v %v", i+1, r.State, r.Reason)
			}
		}
		r := c.mustAsk(0, lane.Submit{Transfer: payment(newID(t), "A", "B", 10_000)}).Transfer
		if r.State != transfer.Aborted || r.Reason.Code != transfer.ErrInsufficientFunds.Code {
			t.Fatalf("got %v %v", r.State, r.Reason)
		}
		a := c.mustAsk(2, lane.GetAccount{Bank: "A", ID: "alice"}).Accounts[0]
		if a.PostedMinor != -300 || a.HeldMinor != 0 {
			t.Fatalf("got %+v", a)
		}
	})
}

// A cluster may change its engine between two lives: the data directories are the same.
func TestClusterComesBackOnTheOtherEngine(t *testing.T) {
	c := startCluster(t, 3, "quorate")
	c.openAccounts(0)
	paid := int64(0)
	for _, engine := range []string{node.ConsensusEtcd, node.ConsensusQuorate} {
		if r := c.mustAsk(0, lane.Submit{Transfer: payment(newID(t), "A", "B", 100)}).Transfer; r.State != transfer.Committed {
			t.Fatalf("before %s: %v %v", engine, r.State, r.Reason)
		}
		paid += 100
		for i := range c.nodes {
			c.stop(i)
			c.configs[i].Consensus = engine
		}
		for i := range c.nodes {
			c.start(i)
		}
		eventually(t, time.Minute, fmt.Sprintf("alice has paid %d on %s", paid, engine), func() bool { // the last commit may have been on its way to the bank
			return c.mustAsk(1, lane.GetAccount{Bank: "A", ID: "alice"}).Accounts[0].PostedMinor == -paid
		})
	}
}

func TestUnknownEngineIsRefused(t *testing.T) {
	c := newCluster(t, 1, "quorate")
	c.configs[0].Consensus = "paxos"
	if err := c.configs[0].Validate(); err == nil || !strings.Contains(err.Error(), `consensus: "paxos"`) {
		t.Fatalf("got %v", err)
	}
}
