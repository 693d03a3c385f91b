package raft_test

import "github.com/quorate/quorate/raft"

type ourTrio struct {
	nodes   [3]*raft.Raft
	queue   []raft.Message
	applied [3]raft.Index
	sent    int
}

func newOurTrio(logs [3]history) trio {
	g := &ourTrio{}
	for i := range g.nodes {
		state := raft.State{Entries: make([]raft.Entry, 0, len(logs[i]))}
		for j, term := range logs[i] {
			state.Entries = append(state.Entries, raft.Entry{Index: raft.Index(j + 1), Term: raft.Term(term)})
			state.HardState.Term = raft.Term(term)
		}
		r, err := raft.New(raft.Config{ID: raft.NodeID(i + 1), Voters: []raft.NodeID{1, 2, 3}, ElectionTicks: 1 << 10, Seed: 1, State: state})
		if err != nil {
			panic(err)
		}
		g.nodes[i] = r
	}
	return g
}

func (g *ourTrio) elect() {
	for g.nodes[0].Role() == raft.Follower {
		g.nodes[0].Tick()
	}
	g.settle()
}

func (g *ourTrio) propose(data []byte) {
	if _, err := g.nodes[0].Propose(0, data); err != nil {
		panic(err)
	}
}

func (g *ourTrio) settle() {
	for busy := true; busy; {
		busy = false
		for i, r := range g.nodes {
			for r.HasReady() {
				busy = true
				rd := r.Ready()
				g.queue = append(g.queue, rd.Messages...)
				if rd.Persist != nil {
					r.Persisted(rd.Persist.Seq)
				}
				g.queue = append(g.queue, rd.Durable...)
				if n := len(rd.Committed); n > 0 {
					g.applied[i] = rd.Committed[n-1].Index
					r.Applied(g.applied[i])
				}
			}
		}
		for i := range g.queue {
			if err := g.nodes[g.queue[i].To-1].Step(g.queue[i]); err != nil {
				panic(err)
			}
		}
		g.sent += len(g.queue)
		g.queue = g.queue[:0]
	}
}

func (g *ourTrio) committed() uint64 { return uint64(g.nodes[0].Commit()) }
func (g *ourTrio) messages() int     { return g.sent }

func (g *ourTrio) compact() {
	for i, r := range g.nodes {
		if err := r.Compact(min(g.applied[0], g.applied[1], g.applied[2], g.applied[i])); err != nil {
			panic(err)
		}
	}
}
