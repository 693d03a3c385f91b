package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// network carries messages as values: what arrives shares no memory with what was sent, and each copy is its own.
type network struct {
	w       *world
	rng     *rand.Rand
	cut     [][]bool          // from, to: carries nothing
	arrival [][]time.Duration // of the last undisturbed packet on a link: streams keep their order
	latency [][]time.Duration
	damaged uint64    // pieces of snapshots
	spare   []*packet // that have arrived
}

// packet is what travels together from one node to another. The next one takes its place once it has arrived.
type packet struct {
	n        *network
	from, to raft.NodeID
	messages []lane.Message
	doArrive func() // arrive, bound once
}

func (n *network) packet(from, to raft.NodeID) *packet {
	if last := len(n.spare) - 1; last >= 0 {
		p := n.spare[last]
		n.spare = n.spare[:last]
		p.from, p.to = from, to
		return p
	}
	p := &packet{n: n, from: from, to: to}
	p.doArrive = p.arrive
	return p
}

func newNetwork(w *world) *network {
	const nodes = int(strangerID)
	n := &network{w: w, rng: stream(w.cfg.Seed, streamNetwork)}
	for range nodes + 1 {
		n.cut = append(n.cut, make([]bool, nodes+1))
		n.arrival = append(n.arrival, make([]time.Duration, nodes+1))
		latency := make([]time.Duration, nodes+1)
		for i := range latency {
			latency[i] = time.Duration(100+n.rng.IntN(2000)) * time.Microsecond
		}
		n.latency = append(n.latency, latency)
	}
	return n
}

// send gives every message its fate. What a step sends to one node travels together, as a stream would carry it, unless
// something happens to a message of its own.
func (n *network) send(from raft.NodeID, sends []lane.Send) {
	var packets [strangerID + 1]*packet
	for i := range sends {
		s := &sends[i]
		if from != strangerID {
			n.w.judge.onSend(from, s)
			if !n.w.host(from).known[s.To] {
				continue
			}
		}
		if n.cut[from][s.To] || n.dares(lost, n.w.faults.Loss) {
			n.w.trace.note(n.w.now, "lost →", from, s.To, s.Message, digest(s.Message))
			continue
		}
		if n.dares(damaged, n.w.faults.Damage) { // package transport finds it by its checksum, and drops it
			n.w.trace.note(n.w.now, "damaged →", from, s.To, s.Message, digest(s.Message))
			n.w.counts.Damaged++
			continue
		}
		n.w.trace.note(n.w.now, "→", from, s.To, s.Message, digest(s.Message))
		if n.dares(doubled, n.w.faults.Duplication) {
			n.w.counts.Duplicated++
			n.deliver(n.w.now+n.delay(from, s.To)+n.wandering(), n.alone(from, s.To, clone(s.Message)))
		}
		if n.dares(reordered, n.w.faults.Reordering) {
			n.deliver(n.w.now+n.delay(from, s.To)+n.wandering(), n.alone(from, s.To, clone(s.Message)))
			continue
		}
		if packets[s.To] == nil {
			packets[s.To] = n.packet(from, s.To)
		}
		packets[s.To].messages = append(packets[s.To].messages, clone(s.Message))
	}
	for to, p := range packets {
		if p != nil {
			at := max(n.w.now+n.delay(from, raft.NodeID(to)), n.arrival[from][to])
			n.arrival[from][to] = at
			n.deliver(at, p)
		}
	}
}

// alone is a packet of one message.
func (n *network) alone(from, to raft.NodeID, m lane.Message) *packet {
	p := n.packet(from, to)
	p.messages = append(p.messages, m)
	return p
}

func (n *network) dares(k kind, p float64) bool { return n.w.mischief.dares(k, n.rng, p) }

func (n *network) delay(from, to raft.NodeID) time.Duration {
	return n.latency[from][to] + time.Duration(n.rng.Int64N(int64(300*time.Microsecond)))
}

// wandering is how long a disturbed message takes: mostly a little, now and then longer than any timeout.
func (n *network) wandering() time.Duration {
	if n.rng.IntN(20) == 0 {
		return time.Duration(n.rng.Int64N(int64(6 * time.Second)))
	}
	return time.Duration(n.rng.Int64N(int64(60 * time.Millisecond)))
}

func (n *network) deliver(at time.Duration, p *packet) {
	n.w.counts.Messages += uint64(len(p.messages))
	for _, m := range p.messages {
		n.damage(m)
		n.lie(m)
	}
	n.w.at(at, p.doArrive)
}

func (p *packet) arrive() {
	p.handOver()
	clear(p.messages)
	p.messages = p.messages[:0]
	p.n.spare = append(p.n.spare, p)
}

func (p *packet) handOver() {
	n, from, to := p.n, p.from, p.to
	if to == strangerID && !n.cut[from][to] {
		n.w.stranger.receive(from, p.messages)
		return
	}
	if int(to) > len(n.w.hosts) || n.cut[from][to] {
		return // there is no such machine yet
	}
	h := n.w.host(to)
	switch {
	case h.lane == nil:
		return
	case h.refused[from]:
		n.w.host(from).leave()
		return
	case !h.known[from]:
		return
	}
	for _, m := range p.messages {
		n.w.judge.versions.onReceive(h, from, m)
		h.inbox = append(h.inbox, lane.Received{From: from, Message: m})
	}
	h.poke()
}

// rubbish carries what no bank may say, past the judges.
func (n *network) rubbish(from, to raft.NodeID, m lane.Message) {
	n.w.trace.note(n.w.now, "rubbish →", from, to, m, digest(m))
	n.deliver(n.w.now+n.wandering(), n.alone(from, to, m))
}

// damage turns one bit of a piece of a snapshot: nothing else is bound to be checked by its receiver, streams have checksums of their own.
func (n *network) damage(message lane.Message) {
	if n.w.faults.DamagedChunk == 0 {
		return // before the look inside, which copies the message
	}
	m, ok := message.(lane.RaftMessage)
	if !ok || m.Message.Snapshot == nil || len(m.Message.Snapshot.Data) == 0 || !n.dares(spoiled, n.w.faults.DamagedChunk) {
		return
	}
	data := m.Message.Snapshot.Data
	bit := n.rng.IntN(8 * len(data))
	data[bit/8] ^= 1 << (bit % 8)
	n.damaged++
	n.w.trace.note(n.w.now, "damages a chunk", m.Message.From, m.Message.To, bit, uint64(bit))
}

// lie spoils a message if a fault is planted.
func (n *network) lie(message lane.Message) {
	if n.w.cfg.plant != noIsYes {
		return
	}
	answers, ok := message.(lane.BankAnswers)
	if !ok {
		return
	}
	for i := range answers.Answers {
		if a := &answers.Answers[i]; a.Result == bank.No {
			a.Result = bank.Yes
		}
	}
}

// heal lets every link carry again.
func (n *network) heal() {
	for _, row := range n.cut {
		clear(row)
	}
}

// clone copies a message with everything that a sender could still change. What has no such part is shared: a value in an interface never changes.
func clone(message lane.Message) lane.Message {
	switch m := message.(type) {
	case lane.RaftMessage:
		if len(m.Message.Entries) == 0 && m.Message.Snapshot == nil {
			return message
		}
		m.Message.Entries = cloneEntries(m.Message.Entries)
		if c := m.Message.Snapshot; c != nil {
			copied := *c
			copied.Data = slices.Clone(c.Data)
			m.Message.Snapshot = &copied
		}
		return m
	case lane.BankRequests:
		m.Requests = slices.Clone(m.Requests)
		for i := range m.Requests {
			m.Requests[i].Legs = slices.Clone(m.Requests[i].Legs)
			m.Requests[i].CapturedMinor = slices.Clone(m.Requests[i].CapturedMinor)
		}
		return m
	case lane.BankAnswers:
		m.Answers = slices.Clone(m.Answers)
		return m
	case lane.Inquiry:
		m.IDs = slices.Clone(m.IDs)
		return m
	case lane.Forward:
		if submit, ok := m.Ask.(lane.Submit); ok {
			m.Ask = lane.Submit{Transfer: cloneTransfer(submit.Transfer)}
		}
		return m
	case lane.ForwardReply:
		m.Answer.Transfer.Transfer = *cloneTransfer(&m.Answer.Transfer.Transfer)
		m.Answer.Accounts = slices.Clone(m.Answer.Accounts)
		m.Answer.Entries = slices.Clone(m.Answer.Entries)
		m.Answer.Audit.Totals = slices.Clone(m.Answer.Audit.Totals)
		return m
	}
	return message
}

func cloneTransfer(t *transfer.Transfer) *transfer.Transfer {
	copied := *t
	copied.Legs = slices.Clone(t.Legs)
	return &copied
}

func cloneEntries(entries []raft.Entry) []raft.Entry {
	if len(entries) == 0 {
		return nil
	}
	return appendEntries(make([]raft.Entry, 0, len(entries)), entries)
}

// appendEntries appends copies that share nothing with the entries.
func appendEntries(to, entries []raft.Entry) []raft.Entry {
	bytes := 0
	for i := range entries {
		bytes += len(entries[i].Data)
	}
	data := make([]byte, 0, bytes)
	for _, e := range entries {
		start := len(data)
		data = append(data, e.Data...)
		e.Data = data[start:len(data):len(data)]
		to = append(to, e)
	}
	return to
}

// digest stands for a message in the trace's hash.
func digest(message lane.Message) uint64 {
	h := uint64(0)
	switch m := message.(type) {
	case lane.RaftMessage:
		r := &m.Message
		h = mix(hashString(string(m.Group)), uint64(r.Kind)<<56^uint64(r.From)<<48^uint64(r.To)<<40^uint64(r.Term))
		h = mix(mix(h, uint64(r.Index)<<20^uint64(r.LogTerm)), uint64(r.Commit)<<20^uint64(r.Hint)<<8^uint64(r.Round))
		for i := range r.Entries {
			h = mix(h, hashBytes(r.Entries[i].Data))
		}
		if c := r.Snapshot; c != nil {
			h = mix(mix(h, uint64(c.Last.Index)<<20^uint64(c.Last.Term)), c.Offset^hashBytes(c.Data))
		}
	case lane.BankRequests:
		h = hashString(string(m.Bank) + string(m.Coordinator))
		for i := range m.Requests {
			h = mix(h, uint64(m.Requests[i].Op)^hashBytes(m.Requests[i].ID[:]))
		}
	case lane.BankAnswers:
		h = hashString(string(m.Bank) + string(m.Coordinator))
		for i := range m.Answers {
			h = mix(h, uint64(m.Answers[i].Op)<<8^uint64(m.Answers[i].Result)^hashBytes(m.Answers[i].ID[:]))
		}
	case lane.Inquiry:
		h = hashString(string(m.Bank) + string(m.Coordinator))
		for i := range m.IDs {
			h = mix(h, hashBytes(m.IDs[i][:]))
		}
	case lane.Pulse:
		for _, q := range m.Quiesced {
			h = mix(h, hashString(string(q.Group))^uint64(q.Term)<<32^uint64(q.Last))
		}
	case lane.GroupReport:
		h = mix(hashString(string(m.Group)), uint64(m.Level)<<32^uint64(len(m.Behind))<<16^uint64(len(m.Absent)))
	case lane.WhoIsThere:
		h = mix(h, uint64(m.Applied))
	case lane.Introduction:
		h = mix(h, uint64(m.Applied))
		for i := range m.Nodes {
			h = mix(h, uint64(m.Nodes[i].ID)<<8^uint64(m.Nodes[i].Role)^hashString(m.Nodes[i].Addresses.Peer))
		}
	case lane.Forward:
		h = mix(hashString(string(m.Group)), m.Request)
	case lane.ForwardReply:
		h = mix(digestOfAnswer(&m.Answer), m.Request)
	}
	return h
}

func digestOfAnswer(a *lane.Answer) uint64 {
	if a.Err != nil {
		return hashString(a.Err.Error())
	}
	h := mix(hashBytes(a.Transfer.Transfer.ID[:]), uint64(a.Transfer.State)<<1)
	for i := range a.Accounts {
		h = mix(h, uint64(a.Accounts[i].PostedMinor)^hashString(string(a.Accounts[i].ID)))
	}
	return mix(mix(h, a.Audit.LastEntry), uint64(len(a.Entries)))
}

// legsEqual compares a bank's legs with what its journal says of them.
func legsEqual(legs []transfer.Leg, entries []bank.Entry) bool {
	if len(legs) != len(entries) {
		return false
	}
	for i := range legs {
		if legs[i].Account != entries[i].Account || legs[i].SignedMinor() != entries[i].AmountMinor || legs[i].Currency != entries[i].Currency {
			return false
		}
	}
	return true
}
