package node

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// Config is a node's place in its cluster, as its configuration file says it. Cluster, Nodes, Coordinators, CoordinatorNodes and
// Banks say how the cluster began: they are the same on every node, for ever. What has changed since is in the cluster's directory.
type Config struct {
	Cluster      string       `koanf:"cluster"`      // name of the cluster
	Node         uint64       `koanf:"node"`         // this node's id, one of Nodes unless there is a Join
	DataDir      string       `koanf:"data"`         // directory of this node's data, and of no other's
	Nodes        []NodeConfig `koanf:"nodes"`        // the nodes that the cluster began with, and where they listen
	Coordinators int          `koanf:"coordinators"` // coordinator groups; 0: one
	// CoordinatorNodes hold a replica of every coordinator group; empty: all Nodes. An odd number: a majority must be up.
	CoordinatorNodes []uint64     `koanf:"coordinator_nodes"`
	Banks            []BankConfig `koanf:"banks"` // the built-in banks
	// Join is where this node listens if it isn't one of Nodes: it was added to the cluster later.
	Join *JoinConfig `koanf:"join"`
	// Consensus is the engine of every group: ConsensusQuorate (or empty) or ConsensusEtcd. They speak the same protocol and keep the same
	// data, so a cluster may change it node by node.
	Consensus string `koanf:"consensus"`
	// Transfers bounds how long a transfer may take. The faces of the node keep to it.
	Transfers TransferLimits `koanf:"transfers"`
	// LogBytesMax is how much log each group keeps for a member that is away. One that misses more gets a snapshot. 0: 64 MiB.
	LogBytesMax uint64 `koanf:"log_bytes_max"`
	// Limits bounds what clients may ask. The faces of the node keep to it.
	Limits ClientLimits `koanf:"limits"`
	// TLS names the files with which this node proves itself and knows others. Whoever starts the node reads them into Options.Keys.
	TLS TLSFiles `koanf:"tls"`
	// Insecure wants plain TCP without any credentials. The program allows it on loopback addresses only.
	Insecure bool `koanf:"insecure"`
}

// TLSFiles are PEM files: the authority of the cluster, this node's certificate and its key.
type TLSFiles struct {
	CA   string `koanf:"ca"`
	Cert string `koanf:"cert"`
	Key  string `koanf:"key"`
}

// The engines that can run a group: our own, and the one of etcd.
const (
	ConsensusQuorate = "quorate"
	ConsensusEtcd    = "etcd"
)

// TransferLimits are times; zero ones stand for 10 seconds, 1 millisecond and 1 hour.
type TransferLimits struct {
	TimeoutDefault time.Duration `koanf:"timeout_default"` // if the client names none
	TimeoutMin     time.Duration `koanf:"timeout_min"`
	TimeoutMax     time.Duration `koanf:"timeout_max"`
}

// ClientLimits bound what clients may ask of one node.
type ClientLimits struct {
	RequestsPerSecond int `koanf:"requests_per_second"` // of each client; 0: as many as it likes
	Connections       int `koanf:"connections"`         // of each face; 0: 4096
}

// NodeConfig says where a node listens.
type NodeConfig struct {
	ID   uint64 `koanf:"id"`
	Peer string `koanf:"peer"` // host:port for the other nodes
	GRPC string `koanf:"grpc"` // host:port for clients that speak gRPC
	HTTP string `koanf:"http"` // host:port for clients that speak HTTP
}

// JoinConfig is a NodeConfig without an id.
type JoinConfig struct {
	Peer string `koanf:"peer"`
	GRPC string `koanf:"grpc"`
	HTTP string `koanf:"http"`
	// Peers are some of the cluster now that it didn't begin with. It is enough that one node of the file is still there: it introduces the others.
	Peers []PeerConfig `koanf:"peers"`
}

// PeerConfig is where another node listens for its peers.
type PeerConfig struct {
	ID   uint64 `koanf:"id"`
	Peer string `koanf:"peer"`
}

// BankConfig says which nodes hold a bank, or how many: one, or several of which a majority must be up.
type BankConfig struct {
	ID       string   `koanf:"id"`
	Nodes    []uint64 `koanf:"nodes"`
	Replicas int      `koanf:"replicas"` // instead of Nodes: on so many of them, each bank of the list beginning with another one
}

// Bounds of a cluster for now.
const (
	nodesMax        = 7
	coordinatorsMax = 64
	replicasMax     = 5
	logBytesMost    = 1 << 40
)

// Validate says what is wrong with a configuration, naming the key and what to do.
func (c *Config) Validate() error {
	if err := transfer.ValidateName(c.Cluster); err != nil {
		return fmt.Errorf("cluster: %q is no name. why: it must be 1 to 64 characters of A-Z a-z 0-9 . _ - :. try: cluster: my-cluster", c.Cluster)
	}
	if c.DataDir == "" {
		return fmt.Errorf("data: it is missing. try: data: /var/lib/quorate")
	}
	if len(c.Nodes) == 0 || len(c.Nodes) > nodesMax {
		return fmt.Errorf("nodes: there are %d. why: a cluster has 1 to %d nodes", len(c.Nodes), nodesMax)
	}
	for i, n := range c.Nodes {
		if err := n.validate(c.Nodes[:i]); err != nil {
			return fmt.Errorf("nodes, entry %d: %w", i+1, err)
		}
	}
	self, err := c.Self()
	if err != nil {
		return err
	}
	if c.Join != nil {
		if err := self.validate(nil); err != nil { // its address may be that of a node of nodes which is gone: the cluster knows
			return fmt.Errorf("join: %w", err)
		}
		for i, p := range c.Join.Peers {
			if err := c.validateJoinPeer(p); err != nil {
				return fmt.Errorf("join, peers, entry %d: %w", i+1, err)
			}
		}
	}
	if c.Coordinators < 0 || c.Coordinators > coordinatorsMax {
		return fmt.Errorf("coordinators: %d. why: it must be 1 to %d", c.Coordinators, coordinatorsMax)
	}
	if c.Consensus != "" && c.Consensus != ConsensusQuorate && c.Consensus != ConsensusEtcd {
		return fmt.Errorf("consensus: %q is no engine. why: it must be %s or %s. try: consensus: %s", c.Consensus, ConsensusQuorate, ConsensusEtcd, ConsensusQuorate)
	}
	if c.LogBytesMax > logBytesMost {
		return fmt.Errorf("log_bytes_max: %d. why: it must be 0 to %d", c.LogBytesMax, uint64(logBytesMost))
	}
	if err := c.TLS.validate(); err != nil {
		return err
	}
	if c.Insecure && c.TLS != (TLSFiles{}) {
		return fmt.Errorf("insecure: true, and tls names files. why: it is one or the other. try: leave insecure out")
	}
	for _, id := range c.CoordinatorNodes {
		if !c.hasNode(id) {
			return fmt.Errorf("coordinator_nodes: the cluster has no node %d", id)
		}
	}
	for i, b := range c.Banks {
		if err := b.validate(c); err != nil {
			return fmt.Errorf("banks, entry %d: %w", i+1, err)
		}
	}
	directory := c.Directory()
	return directory.Validate()
}

func (f *TLSFiles) validate() error {
	if *f == (TLSFiles{}) {
		return nil
	}
	for _, file := range []struct{ key, name string }{{"ca", f.CA}, {"cert", f.Cert}, {"key", f.Key}} {
		if file.name == "" {
			return fmt.Errorf("tls.%s: it is missing. try: tls: { ca: ca.pem, cert: node1.pem, key: node1.key }", file.key)
		}
	}
	return nil
}

// aloneHere names a group that began on this node and on too few others for them to give it back; "": there is none. What was retired here has moved to others;
// what has moved here since stands in the store, and isn't known while that is damaged.
func (c *Config) aloneHere(retired map[string]bool) lane.GroupID {
	d := c.Directory()
	groups := map[lane.GroupID][]raft.NodeID{}
	for shard, members := range d.Coordinators {
		groups[lane.CoordinatorGroup(shard)] = members
	}
	for _, b := range d.Banks {
		groups[lane.BankGroup(b.Bank)] = b.Members
	}
	for _, id := range slices.Sorted(maps.Keys(groups)) {
		if members := groups[id]; len(members) < 3 && slices.Contains(members, raft.NodeID(c.Node)) && !retired[string(id)] {
			return id
		}
	}
	return ""
}

func (n *NodeConfig) validate(earlier []NodeConfig) error {
	if n.ID == 0 {
		return fmt.Errorf("id: it is missing or zero. why: node ids start at 1")
	}
	for _, e := range earlier {
		if e.ID == n.ID {
			return fmt.Errorf("id: %d is named twice", n.ID)
		}
		for _, address := range []string{n.Peer, n.GRPC, n.HTTP} {
			if address == e.Peer || address == e.GRPC || address == e.HTTP {
				return fmt.Errorf("address %s is also node %d's. why: every listener needs its own host:port", address, e.ID)
			}
		}
	}
	for _, a := range []struct{ key, address string }{{"peer", n.Peer}, {"grpc", n.GRPC}, {"http", n.HTTP}} {
		if _, _, err := net.SplitHostPort(a.address); err != nil {
			return fmt.Errorf("%s: %q is no address. try: %s: 127.0.0.1:7101", a.key, a.address, a.key)
		}
	}
	return nil
}

func (c *Config) validateJoinPeer(p PeerConfig) error {
	if p.ID == 0 || p.ID == c.Node || slices.ContainsFunc(c.Nodes, func(n NodeConfig) bool { return n.ID == p.ID }) {
		return fmt.Errorf("id: %d is zero, this node's, or one of nodes. why: those are named elsewhere. try: name only who came later", p.ID)
	}
	if _, _, err := net.SplitHostPort(p.Peer); err != nil {
		return fmt.Errorf("peer: %q is no address. try: peer: 127.0.0.1:7101", p.Peer)
	}
	return nil
}

func (b *BankConfig) validate(c *Config) error {
	if err := transfer.ValidateName(b.ID); err != nil {
		return fmt.Errorf("id: %w", err)
	}
	if b.Replicas != 0 {
		if len(b.Nodes) > 0 {
			return fmt.Errorf("bank %s has nodes and replicas. why: one says which nodes, the other how many. try: leave one of them out", b.ID)
		}
		if most := min(replicasMax, len(c.Nodes)); b.Replicas < 0 || b.Replicas > most {
			return fmt.Errorf("replicas of bank %s: %d. why: each is on a node of its own, and a bank has 1 to %d. try: replicas: %d", b.ID, b.Replicas, most, most)
		}
		return nil
	}
	if len(b.Nodes) == 0 || len(b.Nodes) > replicasMax {
		return fmt.Errorf("nodes of bank %s: there are %d. why: a bank has 1 to %d replicas", b.ID, len(b.Nodes), replicasMax)
	}
	for _, id := range b.Nodes {
		if !c.hasNode(id) {
			return fmt.Errorf("nodes of bank %s: the cluster has no node %d", b.ID, id)
		}
	}
	return nil
}

func (c *Config) hasNode(id uint64) bool {
	return slices.ContainsFunc(c.Nodes, func(n NodeConfig) bool { return n.ID == id })
}

// Self is this node's entry of Nodes, or its Join.
func (c *Config) Self() (NodeConfig, error) {
	if c.Join != nil {
		return NodeConfig{ID: c.Node, Peer: c.Join.Peer, GRPC: c.Join.GRPC, HTTP: c.Join.HTTP}, nil
	}
	for _, n := range c.Nodes {
		if n.ID == c.Node {
			return n, nil
		}
	}
	return NodeConfig{}, fmt.Errorf("node: %d is not one of the cluster's nodes. try: one of the ids under nodes, or a join with its addresses if it was added later", c.Node)
}

// Directory derives where every group lives: each coordinator shard on every coordinator node, each bank where it is configured.
func (c *Config) Directory() lane.Directory {
	coordinators := c.CoordinatorNodes
	if len(coordinators) == 0 {
		for _, n := range c.Nodes {
			coordinators = append(coordinators, n.ID)
		}
	}
	var d lane.Directory
	for _, n := range c.Nodes {
		d.Nodes = append(d.Nodes, raft.NodeID(n.ID))
	}
	slices.Sort(d.Nodes)
	for range max(1, c.Coordinators) {
		d.Coordinators = append(d.Coordinators, nodeIDs(coordinators))
	}
	all := make([]uint64, len(c.Nodes))
	for i, n := range c.Nodes {
		all[i] = n.ID
	}
	sorted := nodeIDs(all)
	for i, b := range c.Banks {
		members := nodeIDs(b.Nodes)
		for k := range b.Replicas {
			members = append(members, sorted[(i+k)%len(sorted)])
		}
		slices.Sort(members)
		d.Banks = append(d.Banks, lane.BankPlace{Bank: transfer.BankID(b.ID), Members: members})
	}
	slices.SortFunc(d.Banks, func(a, b lane.BankPlace) int { return strings.Compare(string(a.Bank), string(b.Bank)) })
	return d
}

func nodeIDs(ids []uint64) []raft.NodeID {
	sorted := make([]raft.NodeID, len(ids))
	for i, id := range ids {
		sorted[i] = raft.NodeID(id)
	}
	slices.Sort(sorted)
	return sorted
}
