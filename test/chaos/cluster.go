package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// The cluster of every run: three nodes, three coordinator shards, two banks with a replica on each node and two with one.
const (
	nodes        = 3
	coordinators = 3
	smallDisks   = 2 // of the nodes; the others keep their data where --dir is, with syncs that cost something
)

// banks are all banks, and where they live.
var banks = []struct {
	id    transfer.BankID
	nodes string
}{{"north", "[1, 2, 3]"}, {"south", "[1, 2, 3]"}, {"lone-one", "[1]"}, {"lone-three", "[3]"}}

func bankIDs() (ids []transfer.BankID) {
	for _, b := range banks {
		ids = append(ids, b.id)
	}
	return ids
}

// place is where one node listens.
type place struct {
	id               uint64
	peer, grpc, http string
}

// cluster is everything that runs: the servers, the network between them, their disks, and the clients' ways in.
type cluster struct {
	j        *journal
	o        *options
	programs binaries
	places   []place
	net      *network
	servers  []*server
	direct   []*client.Client // to one node each
}

// Servers listen below the ports that the kernel hands out for outgoing connections: one of those could
// take the port of a server that is down.
const (
	portMin = 12_000
	portMax = 32_000
)

// freePlaces finds ports that nobody uses.
func freePlaces() ([]place, error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close() // a port more in use
		}
	}()
	free := func() (string, error) {
		var last error
		for range 1000 {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", portMin+rand.IntN(portMax-portMin)))
			if err == nil {
				held = append(held, l)
				return l.Addr().String(), nil
			}
			last = err
		}
		return "", fmt.Errorf("find a free port: %w", last)
	}
	places := make([]place, nodes)
	for i := range places {
		places[i].id = uint64(i + 1)
		for _, address := range []*string{&places[i].peer, &places[i].grpc, &places[i].http} {
			var err error
			if *address, err = free(); err != nil {
				return nil, err
			}
		}
	}
	return places, nil
}

// startCluster starts every node on a disk of its own.
func startCluster(ctx context.Context, o *options, j *journal, dir string) (c *cluster, err error) {
	started := &cluster{j: j, o: o}
	c = started
	defer func() {
		if err != nil {
			started.stop()
		}
	}()
	j.note("building quorate, twice")
	if c.programs, err = buildBinaries(ctx, o, dir); err != nil {
		return nil, err
	}
	if c.places, err = freePlaces(); err != nil {
		return nil, err
	}
	if c.net, err = openNetwork(c.places); err != nil {
		return nil, err
	}
	for i, p := range c.places {
		base := filepath.Join(dir, fmt.Sprintf("node%d", p.id))
		d, err := openDisk(base, i < smallDisks)
		if err != nil {
			return nil, err
		}
		s := &server{j: j, id: p.id, config: base + ".yaml", data: filepath.Join(d.dir, "data"), log: base + ".log", disk: d, program: c.programs.first, rssMax: o.rssMax}
		c.servers = append(c.servers, s)
		if err := os.WriteFile(s.config, []byte(c.configOf(i, s.data)), 0o600); err != nil {
			return nil, fmt.Errorf("configure node %d: %w", p.id, err)
		}
		if err := s.start(); err != nil {
			return nil, err
		}
		only, err := client.Dial([]string{c.net.clients[p.id].address()})
		if err != nil {
			return nil, err
		}
		c.direct = append(c.direct, only)
	}
	return c, nil
}

// configOf is a node's configuration. To reach the others, it is told the address of its own link to each.
func (c *cluster) configOf(i int, data string) string {
	self := c.places[i]
	engine := c.o.engine
	if engine == "mixed" {
		engine = []string{"quorate", "etcd", "quorate"}[i]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "cluster: chaos\ninsecure: true\nnode: %d\ndata: %q\ncoordinators: %d\nconsensus: %s\nlog_bytes_max: %d\nnodes:\n", self.id, data, coordinators, engine, 1<<20)
	for _, p := range c.places {
		peer := p.peer
		if p.id != self.id {
			peer = c.net.ways[way{self.id, p.id}].address()
		}
		fmt.Fprintf(&b, "  - {id: %d, peer: %q, grpc: %q, http: %q}\n", p.id, peer, p.grpc, p.http)
	}
	fmt.Fprintln(&b, "banks:")
	for _, bank := range banks {
		fmt.Fprintf(&b, "  - {id: %s, nodes: %s}\n", bank.id, bank.nodes)
	}
	return b.String()
}

// dial makes a client that begins with one node and goes on to the others.
func (c *cluster) dial(first int) (*client.Client, error) {
	var addresses []string
	for i := range c.places {
		addresses = append(addresses, c.net.clients[c.places[(first+i)%nodes].id].address())
	}
	return client.Dial(addresses)
}

// awaitReady waits until every node answers for itself.
func (c *cluster) awaitReady(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for i, direct := range c.direct {
		if _, err := direct.Status(ctx); err != nil {
			return fmt.Errorf("node %d doesn't answer within %v: %w", c.places[i].id, within, err)
		}
	}
	return nil
}

// answers waits until a node answers for itself; the error says that it doesn't.
func (c *cluster) answers(id uint64, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	_, err := c.direct[id-1].Status(ctx)
	return err
}

// leaderOf is the index of the node that leads a group; -1: nobody says so.
func (c *cluster) leaderOf(ctx context.Context, group string) int {
	for i, direct := range c.direct {
		ask, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		status, err := direct.Status(ask)
		cancel()
		if err != nil {
			continue
		}
		for _, g := range status.Groups {
			if g.Group == group && g.Role == "leader" {
				return i
			}
		}
	}
	return -1
}

// stop ends everything that was started.
func (c *cluster) stop() {
	var errs []error
	for _, direct := range c.direct {
		errs = append(errs, direct.Close())
	}
	for _, s := range c.servers {
		s.end()
	}
	if c.net != nil {
		c.net.close()
	}
	if err := errors.Join(errs...); err != nil {
		c.j.note("stopping: %v", err)
	}
}
