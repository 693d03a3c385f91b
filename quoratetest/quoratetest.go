// Package quoratetest starts a real cluster within a test.
//
// Nothing in it is a fake: three nodes with disks that are synced and loopback sockets between them, built-in banks, elections, the same code as in
// `quorate server`. A test of a program that moves money can so meet what production has in store: a server that dies, and one that
// comes back. It takes about a second to start.
package quoratetest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/backend"
	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/transfer"
)

// TB is the part of testing.TB that a cluster needs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Cleanup(func())
	TempDir() string
}

// Cluster is a running cluster. Its methods are for one goroutine at a time; its client is for any number.
type Cluster struct {
	t       TB
	servers []*server
	client  *client.Client
	log     *slog.Logger
}

// server is one node with its faces. A node that is down is nil.
type server struct {
	config node.Config
	node   *node.Node
	faces  *api.Server
}

type settings struct {
	servers int
	banks   []transfer.BankID
	log     io.Writer
}

// Option changes what Start starts.
type Option func(*settings)

// Servers says how many there are: 1, 3 or 5. Three if nothing is said.
func Servers(n int) Option { return func(s *settings) { s.servers = n } }

// Banks names the built-in banks, each replicated on up to three servers. HOME and CITY if nothing is said.
func Banks(ids ...transfer.BankID) Option { return func(s *settings) { s.banks = ids } }

// LogTo has the servers write their logs there. They are silent otherwise.
func LogTo(w io.Writer) Option { return func(s *settings) { s.log = w } }

const (
	startTimeout = time.Minute
	stopTimeout  = 10 * time.Second
)

// Start starts a cluster that ends with the test, and waits until it carries out transfers.
func Start(t TB, options ...Option) *Cluster {
	t.Helper()
	s := settings{servers: 3, banks: []transfer.BankID{"HOME", "CITY"}, log: io.Discard}
	for _, change := range options {
		change(&s)
	}
	c := &Cluster{t: t, log: slog.New(slog.NewTextHandler(s.log, nil))}
	doors := c.plan(s)
	t.Cleanup(c.stop)
	for i := range c.servers {
		if err := c.start(i, doors[i]); err != nil {
			t.Fatalf("quoratetest: start server %d: %v", i+1, err)
		}
	}
	var err error
	if c.client, err = client.Dial(c.Addresses()); err != nil {
		t.Fatalf("quoratetest: %v", err)
	}
	if err := c.ready(); err != nil {
		t.Fatalf("quoratetest: the cluster isn't ready after %v: %v", startTimeout, err)
	}
	return c
}

// doors are a server's listeners.
type doors struct{ peer, grpc, http net.Listener }

func listen(t TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("quoratetest: %v", err)
	}
	return l
}

// plan finds ports and writes each server's configuration.
func (c *Cluster) plan(s settings) []doors {
	c.t.Helper()
	var all []doors
	shared := node.Config{Cluster: "test"}
	for i := range s.servers {
		d := doors{listen(c.t, "127.0.0.1:0"), listen(c.t, "127.0.0.1:0"), listen(c.t, "127.0.0.1:0")}
		all = append(all, d)
		shared.Nodes = append(shared.Nodes, node.NodeConfig{
			ID: uint64(i + 1), Peer: d.peer.Addr().String(), GRPC: d.grpc.Addr().String(), HTTP: d.http.Addr().String(),
		})
	}
	for _, id := range s.banks {
		at := node.BankConfig{ID: string(id)}
		for i := range min(s.servers, 3) {
			at.Nodes = append(at.Nodes, uint64(i+1))
		}
		shared.Banks = append(shared.Banks, at)
	}
	dir := c.t.TempDir()
	for i := range s.servers {
		config := shared
		config.Node, config.DataDir = uint64(i+1), filepath.Join(dir, fmt.Sprintf("node%d", i+1))
		c.servers = append(c.servers, &server{config: config})
	}
	return all
}

func (c *Cluster) start(i int, d doors) error {
	s := c.servers[i]
	n, err := node.Start(s.config, node.Options{Listener: d.peer, Logger: c.log})
	if err != nil {
		return err
	}
	s.node = n
	s.faces, err = api.Serve(api.Config{GRPC: d.grpc, HTTP: d.http, Version: "quoratetest", Reflection: true, Log: c.log}, backend.New(n, "quoratetest"))
	return err
}

// ready waits until every group has a leader.
func (c *Cluster) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		status, err := c.client.Status(ctx)
		if err == nil && led(&status) {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("%+v, %w", status, ctx.Err())
		}
	}
}

func led(s *client.Status) bool {
	for _, g := range s.Groups {
		if g.Leader == 0 {
			return false
		}
	}
	return len(s.Groups) > 0
}

// Client is connected to all servers. The cluster closes it.
func (c *Cluster) Client() *client.Client { return c.client }

// Addresses are where the servers listen for gRPC, for client.Dial; those that are down, too.
func (c *Cluster) Addresses() []string {
	var out []string
	for _, s := range c.servers {
		self, err := s.config.Self()
		if err != nil {
			c.t.Fatalf("quoratetest: %v", err)
		}
		out = append(out, self.GRPC)
	}
	return out
}

// OpenAccount opens an account, or fails the test.
func (c *Cluster) OpenAccount(bank transfer.BankID, terms client.Terms) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if _, err := c.client.OpenAccount(ctx, bank, terms); err != nil {
		c.t.Fatalf("quoratetest: open account %s/%s: %v", bank, terms.ID, err)
	}
}

// Kill ends a server, counted from 0, as a crash would: what it hadn't synced is lost. A majority of three goes on.
func (c *Cluster) Kill(i int) {
	c.t.Helper()
	s := c.servers[i]
	if s.node == nil {
		return
	}
	_ = s.node.Kill() // it says that it was killed
	c.closeFaces(s)
	s.node = nil
}

// Restart brings a killed server back with the data that it had.
func (c *Cluster) Restart(i int) {
	c.t.Helper()
	s := c.servers[i]
	if s.node != nil {
		return
	}
	self, err := s.config.Self()
	if err != nil {
		c.t.Fatalf("quoratetest: %v", err)
	}
	if err := c.start(i, doors{listen(c.t, self.Peer), listen(c.t, self.GRPC), listen(c.t, self.HTTP)}); err != nil {
		c.t.Fatalf("quoratetest: restart server %d: %v", i+1, err)
	}
}

func (c *Cluster) closeFaces(s *server) {
	if s.faces == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	_ = s.faces.Stop(ctx) // whoever is cut off has been told what that means
	s.faces = nil
}

// stop ends everything. A node that has failed by itself fails the test.
func (c *Cluster) stop() {
	if c.client != nil {
		_ = c.client.Close() // of connections that nobody uses any more
	}
	for i, s := range c.servers {
		c.closeFaces(s)
		if s.node == nil {
			continue
		}
		if err := s.node.Stop(); err != nil {
			c.t.Errorf("quoratetest: stop server %d: %v", i+1, err)
		}
		if err := s.node.Err(); err != nil {
			c.t.Errorf("quoratetest: server %d: %v", i+1, err)
		}
	}
}
