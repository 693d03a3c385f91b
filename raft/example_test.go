package raft_test

import (
	"fmt"

	"github.com/quorate/quorate/raft"
)

// A host in thirty lines. This one has a disk that is done at once and a network that is a slice.
func Example() {
	var network []raft.Message
	nodes := map[raft.NodeID]*raft.Raft{}
	for id := range raft.NodeID(3) {
		r, err := raft.New(raft.Config{ID: id + 1, Voters: []raft.NodeID{1, 2, 3}, Seed: uint64(id)})
		if err != nil {
			fmt.Println(err)
			return
		}
		nodes[id+1] = r
	}
	step := func(id raft.NodeID, r *raft.Raft) {
		for r.HasReady() {
			rd := r.Ready()
			network = append(network, rd.Messages...)
			if rd.Persist != nil { // write it and sync; in a real host this takes a while, and the loop goes on
				r.Persisted(rd.Persist.Seq)
			}
			network = append(network, rd.Durable...) // after the sync
			for _, e := range rd.Committed {
				if e.Kind == raft.Normal {
					fmt.Printf("node %d applies %q\n", id, e.Data)
				}
				r.Applied(e.Index)
			}
		}
	}
	for nodes[1].Role() != raft.Leader { // time passes for node 1 only, so it is the one that leads
		nodes[1].Tick()
		converse(nodes, &network, step)
	}
	if _, err := nodes[1].Propose(0, []byte("hello")); err != nil {
		fmt.Println(err)
	}
	converse(nodes, &network, step)
	// Output:
	// node 1 applies "hello"
	// node 2 applies "hello"
	// node 3 applies "hello"
}

// converse steps all nodes until the network is empty.
func converse(nodes map[raft.NodeID]*raft.Raft, network *[]raft.Message, step func(raft.NodeID, *raft.Raft)) {
	for {
		for id := range raft.NodeID(3) {
			step(id+1, nodes[id+1])
		}
		if len(*network) == 0 {
			return
		}
		for _, m := range *network {
			if err := nodes[m.To].Step(m); err != nil {
				fmt.Println(err)
			}
		}
		*network = nil
	}
}
