package raft_test

import (
	"encoding/binary"
	"hash/fnv"
	"slices"

	"github.com/quorate/quorate/raft"
)

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
