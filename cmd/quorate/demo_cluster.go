package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/backend"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/transfer"
)

// demoCoordinators is how many nodes the demo's coordinators run on; each bank node follows behind them.
const demoCoordinators = 3

// demoCluster is a whole cluster in this process, with real disks and loopback sockets: three coordinator nodes, and
// nodes for the banks.
type demoCluster struct {
	members []*member
}

// member is one node of the demo, up or down.
type member struct {
	config node.Config
	logger *slog.Logger

	mu       sync.Mutex // guards the rest
	node     *node.Node // nil: down
	server   *api.Server
	books    api.Backend
	isolated bool
}

// startDemoCluster starts everything below dir. Banks are spread over bankNodes nodes of their own.
func startDemoCluster(dir string, banks []transfer.BankID, bankNodes int, logger *slog.Logger) (*demoCluster, error) {
	places, err := freePlaces(demoCoordinators + bankNodes)
	if err != nil {
		return nil, err
	}
	shape := node.Config{Cluster: "demo", Nodes: places}
	for i := range demoCoordinators {
		shape.CoordinatorNodes = append(shape.CoordinatorNodes, places[i].ID)
	}
	for i, b := range banks {
		home := places[demoCoordinators+i%bankNodes].ID
		shape.Banks = append(shape.Banks, node.BankConfig{ID: string(b), Nodes: []uint64{home}})
	}
	c := &demoCluster{}
	for _, place := range places {
		config := shape
		config.Node = place.ID
		config.DataDir = filepath.Join(dir, fmt.Sprintf("node%d", place.ID))
		m := &member{config: config, logger: logger}
		c.members = append(c.members, m)
		if err := m.start(); err != nil {
			c.stop()
			return nil, fmt.Errorf("start node %d: %w", place.ID, err)
		}
	}
	return c, nil
}

// freePlaces finds loopback ports that nobody uses at the moment.
func freePlaces(count int) ([]node.NodeConfig, error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	free := func() (string, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		held = append(held, l)
		return l.Addr().String(), nil
	}
	places := make([]node.NodeConfig, count)
	for i := range places {
		places[i].ID = uint64(i + 1)
		for _, address := range []*string{&places[i].Peer, &places[i].GRPC, &places[i].HTTP} {
			var err error
			if *address, err = free(); err != nil {
				return nil, err
			}
		}
	}
	return places, nil
}

func (m *member) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.node != nil {
		return nil
	}
	n, err := node.Start(m.config, node.Options{Logger: m.logger})
	if err != nil {
		return err
	}
	server, err := startAPI(n, m.logger)
	if err != nil {
		n.Stop()
		return err
	}
	m.node, m.server, m.books, m.isolated = n, server, backend.New(n, buildVersion()), false
	return nil
}

// kill ends the node as a crash would; stop lets it finish what it is writing.
func (m *member) kill() error { return m.end((*node.Node).Kill) }
func (m *member) stop() error { return m.end((*node.Node).Stop) }

func (m *member) end(how func(*node.Node) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.node == nil {
		return nil
	}
	err := how(m.node)
	at, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	m.server.Stop(at)
	m.node, m.server, m.books = nil, nil, nil
	return err
}

func (m *member) isolate(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.node != nil {
		m.node.Isolate(on)
		m.isolated = on
	}
}

// up says whether the node runs and can be reached by the others.
func (m *member) up() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.node != nil && !m.isolated
}

// backend is the running node's; nil while it is down.
func (m *member) backend() api.Backend {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.books
}

func (m *member) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.node == nil {
		return nil
	}
	return m.node.Err()
}

// addresses are where clients find the cluster: every coordinator node.
func (c *demoCluster) addresses() []string {
	var addresses []string
	for _, m := range c.members[:demoCoordinators] {
		addresses = append(addresses, m.config.Nodes[m.config.Node-1].GRPC)
	}
	return addresses
}

// leader is the coordinator node that leads, and the term of its reign; nil while there is none.
func (c *demoCluster) leader() (*member, api.GroupStatus, api.Status) {
	for _, m := range c.members[:demoCoordinators] {
		b := m.backend()
		if b == nil || !m.up() {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		status, err := b.Status(ctx)
		cancel()
		if err != nil {
			continue
		}
		for _, g := range status.Groups {
			if g.Group == "coordinator/0" && g.Leader == m.config.Node {
				return m, g, status
			}
		}
	}
	return nil, api.GroupStatus{}, api.Status{}
}

// reader is a node that can answer questions about the whole cluster; nil if every coordinator node is down or cut off.
func (c *demoCluster) reader() api.Backend {
	for _, m := range c.members[:demoCoordinators] {
		if b := m.backend(); b != nil && m.up() {
			return b
		}
	}
	return nil
}

// heal brings every node back and connects it again.
func (c *demoCluster) heal() error {
	for _, m := range c.members {
		m.isolate(false)
		if err := m.start(); err != nil {
			return fmt.Errorf("restart node %d: %w", m.config.Node, err)
		}
	}
	return nil
}

func (c *demoCluster) down() (nodes []uint64) {
	for _, m := range c.members {
		if !m.up() {
			nodes = append(nodes, m.config.Node)
		}
	}
	return nodes
}

// failed is the first node that ended because it had to: a broken invariant or disk.
func (c *demoCluster) failed() error {
	for _, m := range c.members {
		if err := m.failure(); err != nil {
			return fmt.Errorf("node %d: %w", m.config.Node, err)
		}
	}
	return nil
}

func (c *demoCluster) stop() {
	for _, m := range c.members {
		m.stop()
	}
}
