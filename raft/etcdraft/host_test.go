package etcdraft_test

import (
	"encoding/binary"
	"hash/fnv"
	"slices"

	"github.com/quorate/quorate/raft"
)

// host runs one node: its disk, its machine. It does what a Ready says and nothing else.
type host struct {
	w    *world
	id   raft.NodeID
	core core
	r    engine // nil: crashed

	disk    raft.State
	saved   machine // the checkpoint on disk, at disk.Applied
	queue   []job   // Persists not synced yet, with what waits for them
	m       machine
	chunks  []byte
	toApply []raft.Entry
	led     raft.Term // the last term it was seen to lead
	begun   map[raft.NodeID]snapshot
}

// snapshot is what is being sent to a peer.
type snapshot struct {
	m          machine
	membership []byte
}

// job is one record for the disk.
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
	b := binary.BigEndian.AppendUint64(nil, m.sum)
	b = binary.BigEndian.AppendUint64(b, print64(e))
	_, _ = h.Write(b)
	m.sum, m.applied = h.Sum64(), e.ID()
}

// print64 is a fingerprint of all that an entry says.
func print64(e raft.Entry) uint64 {
	h := fnv.New64a()
	b := binary.BigEndian.AppendUint64(nil, uint64(e.Index))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Term))
	_, _ = h.Write(append(append(b, byte(e.Kind)), e.Data...))
	return h.Sum64()
}

func (h *host) start() {
	w := h.w
	h.core = w.drawCore(h.id)
	cfg := raft.Config{
		ID: h.id, Voters: w.voters, Seed: uint64(w.seed)*31 + uint64(h.id), LeaseTicks: w.leaseTicks,
		MaxAppendBytes: w.tight(200), MaxInflightMessages: int(w.tight(4)), MaxInflightBytes: w.tight(600), MaxUncommittedBytes: w.tight(2000),
	}
	cfg.State = h.disk
	cfg.State.Entries = slices.Clone(h.disk.Entries)
	r, err := h.core.start(cfg)
	if err != nil {
		w.fail("node %d (%v) doesn't start: %v", h.id, h.core, err)
	}
	h.r, h.m, h.queue, h.toApply, h.chunks, h.begun = r, h.saved, nil, nil, nil, map[raft.NodeID]snapshot{}
}

// crash forgets everything but what was synced; some of the writes under way may have made it, in order.
func (h *host) crash() {
	for h.w.rng.IntN(2) > 0 && len(h.queue) > 0 {
		h.write(h.queue[0])
		h.queue = h.queue[1:]
	}
	h.r, h.queue = nil, nil
}

// write makes one record durable.
func (h *host) write(j job) {
	if j.p == nil {
		return
	}
	d := &h.disk
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

// sync makes the first n records durable and reports them.
func (h *host) sync(n int) {
	var seq uint64
	for _, j := range h.queue[:n] {
		h.write(j)
		h.w.post(j.after)
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
	h.w.post(rd.Messages)
	h.keepChunks(rd.Chunks)
	j := job{p: rd.Persist, after: rd.Durable}
	if j.p != nil {
		h.w.judgeLog(h, j.p)
		if j.p.Install != nil {
			j.install = machine{j.p.Install.Last, binary.BigEndian.Uint64(h.chunks)}
			h.m, h.toApply = j.install, nil
		}
	}
	if j.p != nil || len(j.after) > 0 {
		h.queue = append(h.queue, j)
	}
	h.toApply = append(h.toApply, rd.Committed...)
	for _, rr := range rd.Reads {
		h.w.judgeRead(h, rr)
	}
	for _, id := range rd.ReadsLost {
		delete(h.w.reads, id)
	}
	for _, o := range rd.Offer {
		h.sendChunk(o)
	}
	if rd.Compact > h.r.Commit() {
		h.w.fail("node %d (%v) may compact %d, commit is %d", h.id, h.core, rd.Compact, h.r.Commit())
	}
}

func (h *host) keepChunks(chunks []raft.SnapshotChunk) {
	for _, c := range chunks {
		if c.Offset == 0 {
			h.chunks = nil
		}
		if uint64(len(h.chunks)) != c.Offset {
			h.w.fail("node %d (%v) was handed the chunk at %d, has %d", h.id, h.core, c.Offset, len(h.chunks))
		}
		h.chunks = append(h.chunks, c.Data...)
	}
}

// sendChunk gives the saved checkpoint, three bytes at a time; the one that was begun with, until it is through.
func (h *host) sendChunk(o raft.Offer) {
	s := snapshot{h.saved, h.disk.Membership}
	if o.Last != (raft.EntryID{}) {
		s = h.begun[o.To]
	}
	if s.m.applied.Index == 0 || o.Last != (raft.EntryID{}) && o.Last != s.m.applied {
		h.r.SnapshotFailed(o.To)
		return
	}
	h.begun[o.To] = s
	data := binary.BigEndian.AppendUint64(nil, s.m.sum)
	end := min(o.Offset+3, uint64(len(data)))
	h.w.chunks++
	_ = h.r.SendChunk(o.To, raft.SnapshotChunk{
		Last: s.m.applied, Membership: s.membership, Offset: o.Offset, Data: data[o.Offset:end], Done: end == uint64(len(data)),
	})
}

func (h *host) apply(n int) {
	for _, e := range h.toApply[:n] {
		h.w.judgeApply(h, e)
		h.m.apply(e)
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
	to := at - raft.Index(h.w.rng.IntN(4))
	if to <= h.disk.Compacted.Index || h.r.Compact(to) != nil {
		return
	}
	id := h.durableEntry(to)
	h.disk.Entries = h.disk.Entries[to-h.disk.Compacted.Index:]
	h.disk.Compacted = id
}
