package raft_test

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
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

// host runs one node: its disk, its machine.
type host struct {
	w  *world
	id raft.NodeID
	r  *raft.Raft // nil: crashed

	disk    raft.State
	saved   machine // the checkpoint on disk, at disk.Applied
	queue   []job   // Persists not synced yet, with what waits for them
	m       machine
	chunks  []byte
	toApply []raft.Entry
}

type job struct {
	p       *raft.Persist
	after   []raft.Message
	install machine
}

// machine folds all applied entries into one number.
type machine struct {
	applied raft.EntryID
	sum     uint64
}

func (m *machine) apply(e raft.Entry) {
	h := fnv.New64a()
	var b [25]byte
	binary.BigEndian.PutUint64(b[0:], m.sum)
	binary.BigEndian.PutUint64(b[8:], uint64(e.Index))
	binary.BigEndian.PutUint64(b[16:], uint64(e.Term))
	b[24] = byte(e.Kind)
	h.Write(b[:])
	h.Write(e.Data)
	m.sum, m.applied = h.Sum64(), e.ID()
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

func (h *host) start() {
	cfg := raft.Config{
		ID: h.id, Voters: h.w.voters, Seed: uint64(h.w.seed)*31 + uint64(h.id),
		MaxAppendBytes: 200, MaxInflightMessages: 4, MaxInflightBytes: 600, MaxUncommittedBytes: 2000,
	}
	if h.w.tune != nil {
		h.w.tune(&cfg)
	}
	cfg.State = h.disk
	cfg.State.Entries = slices.Clone(h.disk.Entries)
	r, err := raft.New(cfg)
	if err != nil {
		h.w.fail("node %d doesn't start: %v", h.id, err)
	}
	h.r, h.m, h.queue, h.toApply, h.chunks = r, h.saved, nil, nil, nil
}

// crash forgets everything but what was synced; some of the writes under way may have made it, in order.
func (h *host) crash() {
	for lucky := h.w.rng.Intn(2); lucky > 0 && len(h.queue) > 0 && h.w.rng.Intn(3) > 0; {
		h.write(h.queue[0])
		h.queue = h.queue[1:]
	}
	h.r, h.queue = nil, nil
}

// write makes one record durable.
func (h *host) write(j job) {
	d := &h.disk
	if j.p == nil {
		return
	}
	if in := j.p.Install; in != nil {
		d.Compacted, d.Entries, d.Applied, d.Membership = in.Last, nil, in.Last.Index, in.Membership
		h.saved = j.install
	}
	if es := j.p.Entries; len(es) > 0 {
		keep := es[0].Index - d.Compacted.Index - 1
		d.Entries = append(d.Entries[:keep:keep], es...)
	}
	d.HardState = j.p.HardState
}

func (h *host) sync(n int) {
	var seq uint64
	for _, j := range h.queue[:n] {
		h.write(j)
		h.w.net = append(h.w.net, j.after...)
		if j.p != nil {
			seq = j.p.Seq
		}
	}
	h.queue = h.queue[n:]
	if seq > 0 {
		h.r.Persisted(seq)
	}
}

func (h *host) takeReady() {
	rd := h.r.Ready()
	h.w.net = append(h.w.net, rd.Messages...)
	for _, c := range rd.Chunks {
		if c.Offset == 0 {
			h.chunks = nil
		}
		if uint64(len(h.chunks)) != c.Offset {
			h.w.fail("node %d was handed the chunk at %d, has %d", h.id, c.Offset, len(h.chunks))
		}
		h.chunks = append(h.chunks, c.Data...)
	}
	j := job{p: rd.Persist, after: rd.Durable}
	if j.p != nil && j.p.Install != nil {
		j.install = machine{j.p.Install.Last, binary.BigEndian.Uint64(h.chunks)}
		h.m, h.toApply = j.install, nil
	}
	if j.p != nil || len(j.after) > 0 {
		h.queue = append(h.queue, j)
	}
	h.toApply = append(h.toApply, rd.Committed...)
	for _, rr := range rd.Reads {
		h.w.answerRead(h, rr)
	}
	for _, id := range rd.ReadsLost {
		delete(h.w.reads, id)
		h.w.lost++
	}
	for _, o := range rd.Offer {
		h.sendChunk(o)
	}
	if rd.Compact > 0 && rd.Compact > h.r.Commit() {
		h.w.fail("node %d may compact %d, commit is %d", h.id, rd.Compact, h.r.Commit())
	}
}

// sendChunk gives the saved checkpoint, three bytes at a time.
func (h *host) sendChunk(o raft.Offer) {
	if o.Last != (raft.EntryID{}) && o.Last != h.saved.applied || h.saved.applied.Index == 0 {
		h.r.SnapshotFailed(o.To)
		return
	}
	data := binary.BigEndian.AppendUint64(nil, h.saved.sum)
	end := min(o.Offset+3, uint64(len(data)))
	_ = h.r.SendChunk(o.To, raft.SnapshotChunk{
		Last: h.saved.applied, Membership: h.disk.Membership, Offset: o.Offset, Data: data[o.Offset:end], Done: end == uint64(len(data)),
	})
}

func (h *host) apply(n int) {
	for _, e := range h.toApply[:n] {
		if e.Index != h.m.applied.Index+1 {
			h.w.fail("node %d applies %d after %d", h.id, e.Index, h.m.applied.Index)
		}
		if d, ok := h.w.decided[e.Index]; ok && d != e.ID() {
			h.w.fail("node %d applies %v, another applied %v", h.id, e.ID(), d)
		}
		if stored := h.durableEntry(e.Index); stored != e.ID() {
			h.w.fail("node %d applies %v, its disk has %v", h.id, e.ID(), stored)
		}
		h.w.decided[e.Index] = e.ID()
		h.m.apply(e)
		h.w.maxKnown = max(h.w.maxKnown, e.Index)
	}
	h.toApply = h.toApply[n:]
	if h.m.applied.Index > 0 {
		h.r.Applied(h.m.applied.Index)
	}
}

func (h *host) durableEntry(i raft.Index) raft.EntryID {
	at := int(i) - int(h.disk.Compacted.Index) - 1
	if at < 0 || at >= len(h.disk.Entries) {
		return raft.EntryID{}
	}
	return h.disk.Entries[at].ID()
}

// checkpoint saves the machine and drops some of the log before it.
func (h *host) checkpoint() {
	at := h.m.applied.Index
	if at <= h.disk.Applied || at < h.disk.Compacted.Index || h.durableEntry(at) != h.m.applied {
		return
	}
	h.saved, h.disk.Applied, h.disk.Membership = h.m, at, h.r.Membership()
	to := at - raft.Index(h.w.rng.Intn(4))
	if to <= h.disk.Compacted.Index || h.r.Compact(to) != nil {
		return
	}
	id := h.durableEntry(to)
	h.disk.Entries = h.disk.Entries[to-h.disk.Compacted.Index:]
	h.disk.Compacted = id
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
