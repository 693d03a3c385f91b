package etcdraft_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
)

// world is a group under a seed: a network that loses, repeats, reorders and cuts; disks that are slow and lose
// what was not synced; nodes that crash at any point and may come back with the other core. It judges after every step.
type world struct {
	t      *testing.T
	seed   int64
	rng    *rand.Rand
	mix    mix
	hosts  []*host // by id−1
	voters []raft.NodeID
	net    []raft.Message
	cut    map[[2]raft.NodeID]bool

	calm                   bool
	odds                   [kinds]int
	total                  int
	lossOneIn, repeatOneIn int
	wide                   bool // limits at their defaults
	leaseTicks             int  // with leases, all clocks tick at once: none drifts
	newcomers              bool // members come and go

	made     map[raft.EntryID]made
	decided  []decision // by index; the first stands for nothing
	leaders  map[raft.Term]raft.NodeID
	reads    map[uint64]raft.Index // what a read must see at least
	nextRead uint64
	answered int
	chunks   int
}

// mix says which core a node starts with.
type mix uint8

const (
	allOurs mix = iota
	allEtcd
	mixed
)

func (w *world) drawCore(id raft.NodeID) core {
	switch w.mix {
	case allOurs:
		return ours
	case allEtcd:
		return etcds
	}
	if h := w.hosts[id-1]; h.r == nil && h.led == 0 && w.rng.IntN(4) > 0 {
		return core(id % 2) // a good mix at the start
	}
	return core(w.rng.IntN(2))
}

// tight gives a limit that is soon reached, or the default.
func (w *world) tight(limit uint64) uint64 {
	if w.wide {
		return 0
	}
	return limit
}

func newWorld(t *testing.T, seed int64, m mix) *world {
	w := &world{
		t: t, seed: seed, mix: m, rng: rand.New(rand.NewPCG(uint64(seed), uint64(m))),
		cut: map[[2]raft.NodeID]bool{}, made: map[raft.EntryID]made{}, decided: make([]decision, 1),
		leaders: map[raft.Term]raft.NodeID{}, reads: map[uint64]raft.Index{},
	}
	size := []int{3, 3, 3, 5, 2, 1}[w.rng.IntN(6)]
	w.wide = w.rng.IntN(4) == 0
	if w.rng.IntN(4) == 0 {
		w.leaseTicks = 8
	}
	for i := range size {
		w.voters = append(w.voters, raft.NodeID(i+1))
	}
	if w.newcomers = w.rng.IntN(3) == 0; w.newcomers {
		size += 3
	}
	for i := range size {
		h := &host{w: w, id: raft.NodeID(i + 1)}
		w.hosts = append(w.hosts, h)
		h.start()
	}
	return w
}

// post puts messages on the network, unless the line is cut.
func (w *world) post(messages []raft.Message) { w.net = append(w.net, messages...) }

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

// usual is how often each thing happens. Under chaos many eras bend it in their own way: most bugs need something rare to be frequent.
var usual = [kinds]int{
	deliver: 400, tick: 110, ready: 230, syncDisk: 150, applySome: 80, propose: 50, readIndex: 20, checkpoint: 16,
	restart: 20, crash: 4, cutNet: 2, transfer: 3, change: 12,
}

func (w *world) bendOdds() {
	w.odds = usual
	if w.rng.IntN(3) > 0 {
		for k := range w.odds {
			w.odds[k] = 1 + usual[k]*[]int{1, 1, 2, 5, 15}[w.rng.IntN(5)]/[]int{1, 1, 1, 4}[w.rng.IntN(4)]
		}
	}
	w.lossOneIn = []int{5, 12, 40, 1000}[w.rng.IntN(4)]
	w.repeatOneIn = []int{3, 20, 1000}[w.rng.IntN(3)]
	w.slowClock()
}

func (w *world) healOdds() {
	w.odds = usual
	w.odds[restart], w.odds[crash], w.odds[cutNet], w.odds[transfer], w.odds[change] = 100, 0, 0, 0, 0
	w.slowClock()
}

// slowClock keeps heartbeats from filling the network where one tick is a tick of all.
func (w *world) slowClock() {
	if w.leaseTicks > 0 {
		w.odds[tick] = 1 + w.odds[tick]/3
	}
	w.total = 0
	for _, o := range w.odds {
		w.total += o
	}
}

func (w *world) draw() int {
	at := w.rng.IntN(w.total)
	for k, o := range w.odds {
		if at -= o; at < 0 {
			return k
		}
	}
	return deliver
}

// step does one random thing and judges whom it happened to.
func (w *world) step(thoroughly bool) {
	h := w.hosts[w.rng.IntN(len(w.hosts))]
	switch k := w.draw(); {
	case k == deliver:
		h = w.deliver()
	case k == cutNet:
		w.cutSome()
	case k == tick && w.leaseTicks > 0:
		for _, o := range w.hosts {
			o.do(tick)
			w.judgeNode(o, false)
		}
	default:
		h.do(k)
	}
	if h != nil {
		w.judgeNode(h, thoroughly)
	}
}

// do is one thing that happens to one node.
func (h *host) do(k int) {
	w := h.w
	if h.r == nil {
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
			h.sync(1 + w.rng.IntN(n))
		}
	case applySome:
		if n := len(h.toApply); n > 0 {
			h.apply(1 + w.rng.IntN(n))
		}
	case propose:
		_, _ = h.r.Propose(0, make([]byte, w.rng.IntN(3)))
	case readIndex:
		w.nextRead++
		w.reads[w.nextRead] = w.maxKnown()
		if h.r.ReadIndex(w.nextRead) != nil {
			delete(w.reads, w.nextRead)
		}
	case checkpoint:
		h.checkpoint()
	case crash:
		h.crash()
	case transfer:
		_ = h.r.TransferLeadership(raft.NodeID(1 + w.rng.IntN(len(w.hosts))))
	case change:
		if w.newcomers {
			w.changeMembers(h)
		}
	}
}

// changeMembers proposes, mostly, to replace voters by newcomers, several at once.
func (w *world) changeMembers(h *host) {
	var changes []membership.Change
	members := h.r.Members()
	for range 1 + w.rng.IntN(3) {
		node, kind := w.someone(), membership.AddVoter
		switch {
		case !members.IsVoter(node):
			if w.rng.IntN(4) == 0 {
				kind = membership.AddLearner
			}
		default:
			kind = membership.Remove
			if w.rng.IntN(3) > 0 {
				kind = membership.AddLearner // it may come back
			}
		}
		changes = append(changes, membership.Change{Kind: kind, Node: node})
	}
	_, _ = h.r.ProposeMembership(changes...)
}

func (w *world) cutSome() {
	clear(w.cut)
	for range w.rng.IntN(4) {
		a, b := w.someone(), w.someone()
		w.cut[[2]raft.NodeID{a, b}] = true
		if w.rng.IntN(2) == 0 {
			w.cut[[2]raft.NodeID{b, a}] = true
		}
	}
}

func (w *world) someone() raft.NodeID { return raft.NodeID(1 + w.rng.IntN(len(w.hosts))) }

// deliver carries a message, loses it, or carries it and keeps it to come again. It returns whom it reached.
func (w *world) deliver() *host {
	if len(w.net) == 0 {
		return nil
	}
	at := 0
	if !w.calm || w.rng.IntN(4) == 0 {
		at = w.rng.IntN(len(w.net))
	}
	m := w.net[at]
	if w.calm || w.rng.IntN(w.repeatOneIn) > 0 {
		w.net = slices.Delete(w.net, at, at+1)
	}
	if !w.calm && (w.rng.IntN(w.lossOneIn) == 0 || w.cut[[2]raft.NodeID{m.From, m.To}]) {
		return nil
	}
	h := w.hosts[m.To-1]
	if h.r == nil {
		return nil
	}
	if err := h.r.Step(m); err != nil {
		w.fail("node %d (%v) refuses %+v: %v", h.id, h.core, m, err)
	}
	return h
}

// run lets chaos reign, then heals and demands progress.
func (w *world) run(steps int) {
	for i := range steps {
		if i%500 == 0 {
			w.bendOdds()
		}
		w.step(i%16 == 0)
		if len(w.net) > 300 {
			w.net = w.net[150:]
		}
	}
	w.heal()
}

// heal ends all trouble, and everybody must get on.
func (w *world) heal() {
	w.calm = true
	w.healOdds()
	clear(w.cut)
	goal := w.maxKnown() + 5
	for i := range 100_000 {
		for len(w.net) > 200 {
			w.deliver() // a network that works doesn't fall behind for ever
		}
		w.step(i%64 == 0)
		if i%64 == 0 && w.converged(goal) {
			return
		}
	}
	w.fail("no progress to %d after healing", goal)
}

// activeMembers is the membership of whoever has applied most.
func (w *world) activeMembers() []raft.NodeID {
	var most *host
	for _, h := range w.hosts {
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

// converged says whether all members have applied everything up to the goal, and the same.
func (w *world) converged(goal raft.Index) bool {
	sums := map[raft.EntryID]uint64{}
	members := w.activeMembers()
	for _, h := range w.hosts {
		if h.r == nil {
			return false
		}
		if sum, ok := sums[h.m.applied]; ok && sum != h.m.sum {
			w.fail("node %d (%v) differs from another after %v", h.id, h.core, h.m.applied)
		}
		sums[h.m.applied] = h.m.sum
		if slices.Contains(members, h.id) && h.m.applied.Index < goal {
			return false
		}
	}
	return true
}
