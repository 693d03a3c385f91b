package node_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/node"
)

func banksOn(nodes int, banks ...node.BankConfig) node.Config {
	c := node.Config{Cluster: "test", Node: 1, DataDir: "data", Banks: banks}
	for i := range nodes {
		at := func(port int) string { return fmt.Sprintf("10.0.0.%d:%d", i+1, port) }
		c.Nodes = append(c.Nodes, node.NodeConfig{ID: uint64(i + 1), Peer: at(1), GRPC: at(2), HTTP: at(3)})
	}
	return c
}

// TestReplicasArePlacedInTurn: each bank of the list begins with another node.
func TestReplicasArePlacedInTurn(t *testing.T) {
	c := banksOn(4, node.BankConfig{ID: "A", Replicas: 3}, node.BankConfig{ID: "B", Replicas: 3}, node.BankConfig{ID: "C", Nodes: []uint64{2}}, node.BankConfig{ID: "D", Replicas: 1})
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range c.Directory().Banks {
		got = append(got, fmt.Sprint(b.Bank, b.Members))
	}
	if want := "A[1 2 3] B[2 3 4] C[2] D[4]"; strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReplicasThatCantBeAreRefused(t *testing.T) {
	for want, bank := range map[string]node.BankConfig{
		"has nodes and replicas":                        {ID: "A", Nodes: []uint64{1}, Replicas: 3},
		"replicas of bank A: 4. why: ":                  {ID: "A", Replicas: 4},
		"replicas of bank A: -1. why: ":                 {ID: "A", Replicas: -1},
		"nodes of bank A: there are 0. why: a bank has": {ID: "A"},
	} {
		c := banksOn(3, bank)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", bank, err, want)
		}
	}
}

// TestPeersOfANewcomer: a file names who came since the cluster began, and nobody twice.
func TestPeersOfANewcomer(t *testing.T) {
	newcomer := func(peers ...node.PeerConfig) error {
		c := banksOn(3, node.BankConfig{ID: "A", Nodes: []uint64{1}})
		c.Node, c.Join = 5, &node.JoinConfig{Peer: "10.0.0.5:1", GRPC: "10.0.0.5:2", HTTP: "10.0.0.5:3", Peers: peers}
		return c.Validate()
	}
	if err := newcomer(node.PeerConfig{ID: 4, Peer: "10.0.0.4:1"}); err != nil {
		t.Error(err)
	}
	c := banksOn(3, node.BankConfig{ID: "A", Nodes: []uint64{1}})
	c.Node, c.Join = 5, &node.JoinConfig{Peer: c.Nodes[0].Peer, GRPC: c.Nodes[0].GRPC, HTTP: c.Nodes[0].HTTP}
	if err := c.Validate(); err != nil {
		t.Errorf("at the address of a node that is gone: %v", err)
	}
	for want, p := range map[string]node.PeerConfig{
		"join, peers, entry 1: id: 0 is":   {Peer: "10.0.0.4:1"},
		"id: 3 is zero, this node's, or":   {ID: 3, Peer: "10.0.0.3:1"},
		"id: 5 is zero, this node's, or":   {ID: 5, Peer: "10.0.0.5:1"},
		"peer: \"10.0.0.4\" is no address": {ID: 4, Peer: "10.0.0.4"},
	} {
		if err := newcomer(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", p, err, want)
		}
	}
}
