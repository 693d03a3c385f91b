package rafttest

import (
	"strings"

	"github.com/quorate/quorate/raft"
)

// settleRounds is more than any play needs: beyond it the group talks for ever.
const settleRounds = 200

// settle lets everybody work and delivers, until nobody has anything to say.
func (e *Env) settle() {
	for range settleRounds {
		busy := false
		for _, n := range e.nodes {
			busy = e.work(n) || busy
		}
		if !e.deliver(link{}, 0, false) && !busy {
			return
		}
	}
	e.say("… and so on, for ever")
}

// work takes what a node has to say and does it, as far as its disk and machine aren't slow.
func (e *Env) work(n *node) bool {
	worked := false
	for n.core != nil {
		took := e.ready(n)
		if !n.slowDisk {
			took = e.sync(n, len(n.writes)) || took
		}
		if !n.slowMachine {
			took = e.apply(n, len(n.committed)) || took
		}
		if !took {
			break
		}
		worked = true
	}
	return worked
}

// ready takes what a node has to say.
func (e *Env) ready(n *node) bool {
	if !n.core.HasReady() {
		e.noteRole(n)
		return false
	}
	rd := n.core.Ready()
	e.noteRole(n)
	e.net = append(e.net, rd.Messages...)
	e.takeChunks(n, rd.Chunks)
	w := write{p: rd.Persist, after: rd.Durable}
	if w.p != nil && w.p.Install != nil {
		w.state = machine{applied: w.p.Install.Last, words: strings.Fields(string(n.incoming))}
		n.machine, n.committed = w.state, nil
	}
	if w.p != nil || len(w.after) > 0 {
		n.writes = append(n.writes, w)
	}
	if w.p != nil {
		e.say("n%d writes %s", n.id, printPersist(w.p))
	}
	n.committed = append(n.committed, rd.Committed...)
	for _, r := range rd.Reads {
		e.say("n%d may answer read %s at %d", n.id, readName(r.ID), r.Index)
	}
	for _, id := range rd.ReadsLost {
		e.say("n%d gives up read %s", n.id, readName(id))
	}
	for _, o := range rd.Offer {
		e.offer(n, o)
	}
	return true
}

func (e *Env) takeChunks(n *node, chunks []raft.SnapshotChunk) {
	for _, c := range chunks {
		if c.Offset == 0 {
			n.incoming = nil
		}
		n.incoming = append(n.incoming, c.Data...)
		e.say("n%d keeps chunk %d of snapshot %s", n.id, c.Offset, printID(c.Last))
	}
}

// offer answers the core's wish for a chunk with one of the checkpoint.
func (e *Env) offer(n *node, o raft.Offer) {
	data := []byte(strings.Join(n.saved.words, " "))
	stale := o.Last != (raft.EntryID{}) && o.Last != n.saved.applied
	if n.noSnapshot || stale || n.saved.applied.Index == 0 {
		e.say("n%d has no snapshot for n%d", n.id, o.To)
		n.core.SnapshotFailed(o.To)
		return
	}
	from := min(int(o.Offset), len(data))
	end := min(from+e.chunk, len(data))
	err := n.core.SendChunk(o.To, raft.SnapshotChunk{
		Last: n.saved.applied, Membership: n.disk.Membership, Offset: o.Offset, Data: data[from:end], Done: end == len(data),
	})
	if err != nil {
		e.say("n%d refuses the chunk: %v", n.id, err)
	}
}

// sync finishes some writes: what waited for them leaves.
func (e *Env) sync(n *node, count int) bool {
	var seq uint64
	count = min(count, len(n.writes))
	for _, w := range n.writes[:count] {
		n.store(w)
		e.net = append(e.net, w.after...)
		if w.p != nil {
			seq = w.p.Seq
		}
	}
	n.writes = n.writes[count:]
	if seq > 0 {
		n.core.Persisted(seq)
		e.noteRole(n)
	}
	return count > 0
}

func (e *Env) apply(n *node, count int) bool {
	count = min(count, len(n.committed))
	for i := range n.committed[:count] {
		en := &n.committed[i]
		e.judge.applied(e, n, en)
		n.machine.apply(en)
		e.say("n%d applies %s", n.id, printEntry(en))
	}
	n.committed = n.committed[count:]
	if count > 0 {
		n.core.Applied(n.machine.applied.Index)
		e.noteRole(n)
	}
	return count > 0
}

// deliver brings the messages that are on the way now, each once; kind zero is any. It says whether there were some.
func (e *Env) deliver(on link, kind raft.MessageKind, held bool) bool {
	now := e.net
	e.net = nil
	any := false
	for _, m := range now {
		if !on.has(&m) || kind != 0 && m.Kind != kind || !held && covers(e.holds, &m) {
			e.net = append(e.net, m)
			continue
		}
		any = true
		e.bring(m)
	}
	return any
}

func (e *Env) bring(m raft.Message) {
	if covers(e.cuts, &m) {
		e.sayMessage(&m, "↛")
		return
	}
	e.hand(m)
}

// hand gives a message to its receiver, whatever the network is like.
func (e *Env) hand(m raft.Message) {
	n := e.node(m.To)
	if n == nil || n.core == nil {
		e.sayMessage(&m, "↛")
		return
	}
	e.sayMessage(&m, "→")
	if err := n.core.Step(m); err != nil {
		e.say("n%d refuses it: %v", n.id, err)
	}
	e.noteRole(n)
	e.judge.look(e)
}

func (e *Env) sayMessage(m *raft.Message, arrow string) {
	if beat := m.Kind == raft.Heartbeat && m.Round > 0 || m.Kind == raft.HeartbeatReply; !beat || !e.living {
		e.say("%s", printMessage(m, arrow))
	}
}

func (l link) has(m *raft.Message) bool {
	return (l.from == 0 || l.from == m.From) && (l.to == 0 || l.to == m.To)
}

func covers(links []link, m *raft.Message) bool {
	for _, l := range links {
		if l.has(m) {
			return true
		}
	}
	return false
}
