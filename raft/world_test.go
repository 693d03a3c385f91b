package raft_test

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
)

// world is a group under a seed: a network that loses, repeats, reorders and cuts; disks that are slow and lose
// what was not synced; nodes that crash at any point. It judges after every step.
type world struct {
	t                      *testing.T
	seed                   int64
	rng                    *rand.Rand
	nodes                  []*host // by id−1
	net                    []raft.Message
	cut                    map[[2]raft.NodeID]bool
	calm                   bool
	odds                   [kinds]int
	lossOneIn, repeatOneIn int
	tune                   func(*raft.Config)
	voters                 []raft.NodeID
	members                bool // membership changes happen
	together               bool // all clocks tick at once

	leaders  map[raft.Term]raft.NodeID
	decided  map[raft.Index]raft.EntryID // what some machine applied there
	maxKnown raft.Index                  // the highest index that some machine applied
	reads    map[uint64]raft.Index       // what a read must see at least
	nextRead uint64
	answered int
	lost     int
}

func newWorld(t *testing.T, seed int64, n int, tune func(*raft.Config)) *world {
	w := &world{
		t: t, seed: seed, rng: rand.New(rand.NewSource(seed)), cut: map[[2]raft.NodeID]bool{},
		tune: tune, leaders: map[raft.Term]raft.NodeID{}, decided: map[raft.Index]raft.EntryID{}, reads: map[uint64]raft.Index{},
	}
	for i := range n {
		w.voters = append(w.voters, raft.NodeID(i+1))
	}
	for i := range n {
		w.addNode(raft.NodeID(i + 1))
	}
	return w
}

func (w *world) addNode(id raft.NodeID) *host {
	h := &host{w: w, id: id}
	w.nodes = append(w.nodes, h)
	h.start()
	return h
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d: %s\nrepeat: go test ./raft -run '%s' -raft.seed %d -raft.seeds 1", w.seed, fmt.Sprintf(format, args...), w.t.Name(), w.seed)
}

func (w *world) answerRead(h *host, rr raft.ReadReady) {
	need, ok := w.reads[rr.ID]
	if !ok {
		w.fail("node %d answers read %d, which nobody waits for", h.id, rr.ID)
	}
	if rr.Index < need {
		w.fail("node %d answers read %d at %d, %d was applied before it came", h.id, rr.ID, rr.Index, need)
	}
	delete(w.reads, rr.ID)
	w.answered++
}

// judge checks what must hold at every moment.
func (w *world) judge() {
	for _, h := range w.nodes {
		if h.r == nil {
			continue
		}
		if err := h.r.Verify(); err != nil {
			w.fail("node %d: %v", h.id, err)
		}
		if h.r.Role() == raft.Leader {
			if l, ok := w.leaders[h.r.Term()]; ok && l != h.id {
				w.fail("nodes %d and %d lead term %d", l, h.id, h.r.Term())
			}
			w.leaders[h.r.Term()] = h.id
		}
	}
}

// The things that may happen in a step.
const (
	deliver = iota
	tick
	ready
	syncDisk
	applySome
	propose
	readIndex
	checkpoint
	restart
	crash
	cutNet
	transfer
	change
	kinds
)

// usual is how often each thing happens. Under chaos every seed bends it in its own way: most bugs need something rare to be frequent.
var usual = [kinds]int{
	deliver: 450, tick: 100, ready: 150, syncDisk: 100, applySome: 80, propose: 50, readIndex: 20, checkpoint: 10,
	restart: 10, crash: 3, cutNet: 10, transfer: 5, change: 8,
}

func (w *world) bendOdds() {
	for k := range w.odds {
		w.odds[k] = 1 + usual[k]*[]int{1, 1, 3, 10, 30}[w.rng.Intn(5)]/[]int{1, 1, 3, 10}[w.rng.Intn(4)]
	}
	w.lossOneIn = []int{5, 12, 40, 1000}[w.rng.Intn(4)]
	w.repeatOneIn = []int{3, 20, 1000}[w.rng.Intn(3)]
}

func (w *world) healOdds() {
	w.odds = usual
	if w.together {
		w.odds[tick] /= 3 // or the heartbeats alone would fill the network
	}
	w.odds[restart], w.odds[crash], w.odds[cutNet], w.odds[transfer], w.odds[change] = 100, 0, 0, 0, 0
}

func (w *world) draw() int {
	total := 0
	for _, o := range w.odds {
		total += o
	}
	at := w.rng.Intn(total)
	for k, o := range w.odds {
		if at -= o; at < 0 {
			return k
		}
	}
	return deliver
}

// step does one random thing.
func (w *world) step() {
	h := w.nodes[w.rng.Intn(len(w.nodes))]
	k := w.draw()
	switch {
	case k == deliver:
		w.deliver()
		return
	case k == tick && w.together:
		for _, o := range w.nodes {
			if o.r != nil {
				o.r.Tick()
			}
		}
		return
	case k == cutNet:
		w.cutSome()
		return
	case h.r == nil:
		if k == restart {
			h.start()
		}
		return
	}
	switch k {
	case tick:
		h.r.Tick()
	case ready:
		if h.r.HasReady() {
			h.takeReady()
		}
	case syncDisk:
		if n := len(h.queue); n > 0 {
			h.sync(1 + w.rng.Intn(n))
		}
	case applySome:
		if n := len(h.toApply); n > 0 {
			h.apply(1 + w.rng.Intn(n))
		}
	case propose:
		_, _ = h.r.Propose(0, []byte{byte(w.rng.Intn(256)), byte(w.rng.Intn(256))})
	case readIndex:
		w.nextRead++
		w.reads[w.nextRead] = w.maxKnown
		if h.r.ReadIndex(w.nextRead) != nil {
			delete(w.reads, w.nextRead)
		}
	case checkpoint:
		h.checkpoint()
	case crash:
		h.crash()
	case transfer:
		_ = h.r.TransferLeadership(raft.NodeID(1 + w.rng.Intn(len(w.nodes))))
	case change:
		if w.members {
			w.changeMembers(h)
		}
	}
}

// changeMembers proposes, mostly, to replace voters by newcomers, several at once.
func (w *world) changeMembers(h *host) {
	var changes []membership.Change
	for range 1 + w.rng.Intn(3) {
		node := raft.NodeID(1 + w.rng.Intn(len(w.nodes)))
		kind := membership.AddVoter
		if m := h.r.Members(); m.IsVoter(node) {
			kind = membership.Remove
			if w.rng.Intn(3) > 0 {
				kind = membership.AddLearner // it may come back
			}
		} else if w.rng.Intn(4) == 0 {
			kind = membership.AddLearner
		}
		changes = append(changes, membership.Change{Kind: kind, Node: node})
	}
	_, _ = h.r.ProposeMembership(changes...)
}

func (w *world) cutSome() {
	clear(w.cut)
	for range w.rng.Intn(4) {
		a, b := raft.NodeID(1+w.rng.Intn(len(w.nodes))), raft.NodeID(1+w.rng.Intn(len(w.nodes)))
		w.cut[[2]raft.NodeID{a, b}] = true
		if w.rng.Intn(2) == 0 {
			w.cut[[2]raft.NodeID{b, a}] = true
		}
	}
}

func (w *world) deliver() {
	if len(w.net) == 0 {
		return
	}
	at := 0
	if !w.calm || w.rng.Intn(4) == 0 {
		at = w.rng.Intn(len(w.net))
	}
	m := w.net[at]
	if w.calm || w.rng.Intn(w.repeatOneIn) > 0 { // else it stays, and comes again
		w.net = slices.Delete(w.net, at, at+1)
	}
	if !w.calm && (w.rng.Intn(w.lossOneIn) == 0 || w.cut[[2]raft.NodeID{m.From, m.To}]) {
		return
	}
	h := w.nodes[m.To-1]
	if h.r == nil {
		return
	}
	if err := h.r.Step(m); err != nil {
		w.fail("node %d refuses %+v: %v", h.id, m, err)
	}
}

// run lets chaos reign, then heals and demands progress.
func (w *world) run(steps int) {
	for i := range steps {
		if i%1000 == 0 {
			w.bendOdds()
		}
		w.step()
		w.judge()
		if len(w.net) > 400 {
			w.net = w.net[200:]
		}
	}
	w.heal()
}

func (w *world) heal() {
	w.calm = true
	w.healOdds()
	clear(w.cut)
	goal := w.maxKnown + 5
	for i := range 60000 {
		w.step()
		if i%50 == 0 {
			w.judge()
		}
		if w.converged(goal) {
			return
		}
	}
	for _, h := range w.nodes {
		if h.r != nil {
			w.t.Logf("node %d: %+v", h.id, h.r.Status())
		}
	}
	w.fail("no progress to %d after healing", goal)
}

// activeMembers is the membership of whoever has applied most.
func (w *world) activeMembers() []raft.NodeID {
	var most *host
	for _, h := range w.nodes {
		if h.r != nil && (most == nil || h.m.applied.Index > most.m.applied.Index) {
			most = h
		}
	}
	if most == nil {
		return nil
	}
	m := most.r.Members()
	return m.Members()
}

func (w *world) converged(goal raft.Index) bool {
	var first *host
	members := w.activeMembers()
	for _, h := range w.nodes {
		if h.r == nil {
			return false
		}
		if !slices.Contains(members, h.id) {
			continue // left, or not in yet
		}
		if h.m.applied.Index < goal {
			return false
		}
		if first != nil && h.m.applied == first.m.applied && h.m.sum != first.m.sum {
			w.fail("nodes %d and %d differ after %v", first.id, h.id, h.m.applied)
		}
		first = h
	}
	return true
}
