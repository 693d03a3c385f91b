package sim

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
)

// traceLength is how many of the last events a failure prints.
const traceLength = 120

// trace is what happened: all of it as one hash, the last of it as lines that are only made when somebody reads them.
type trace struct {
	hash  uint64
	count uint64
	last  [traceLength]traced
	watch func(string)
}

type traced struct {
	at   time.Duration
	what string
	node raft.NodeID
	to   raft.NodeID
	of   any
}

// note takes an event down. digest stands for of in the hash.
func (t *trace) note(at time.Duration, what string, node, to raft.NodeID, of any, digest uint64) {
	t.hash = mix(mix(mix(t.hash, uint64(at)), hashString(what)^uint64(node)<<32^uint64(to)<<48), digest)
	line := traced{at, what, node, to, of}
	t.last[t.count%traceLength] = line
	t.count++
	if t.watch != nil {
		t.watch(line.String())
	}
}

func (t *trace) lines() []string {
	var lines []string
	for i := max(t.count, traceLength) - traceLength; i < t.count; i++ {
		lines = append(lines, t.last[i%traceLength].String())
	}
	return lines
}

func (e traced) String() string {
	s := fmt.Sprintf("%12.6fs ", e.at.Seconds())
	switch {
	case e.to != 0:
		s += fmt.Sprintf("n%d %s n%d", e.node, e.what, e.to)
	case e.node != 0:
		s += fmt.Sprintf("n%d %s", e.node, e.what)
	default:
		s += e.what
	}
	if e.of != nil {
		s += "  " + describe(e.of)
	}
	return s
}

func describe(of any) string {
	switch m := of.(type) {
	case lane.RaftMessage:
		r := &m.Message
		s := fmt.Sprintf("%s raft kind %d term %d index %d@%d commit %d", m.Group, r.Kind, r.Term, r.Index, r.LogTerm, r.Commit)
		if len(r.Entries) > 0 {
			s += fmt.Sprintf(" entries %d..%d", r.Entries[0].Index, r.Entries[len(r.Entries)-1].Index)
		}
		if r.Reject {
			s += fmt.Sprintf(" reject hint %d@%d", r.Hint, r.HintTerm)
		}
		return s
	case lane.BankRequests:
		s := fmt.Sprintf("%s → bank %s:", m.Coordinator, m.Bank)
		for i := range m.Requests {
			s += fmt.Sprintf(" %s %.8s", m.Requests[i].Op, m.Requests[i].ID)
		}
		return s
	case lane.BankAnswers:
		s := fmt.Sprintf("bank %s → %s: leader %d", m.Bank, m.Coordinator, m.LeaderHint)
		for i := range m.Answers {
			s += fmt.Sprintf(" %s %.8s %s", m.Answers[i].Op, m.Answers[i].ID, m.Answers[i].Result)
		}
		return s
	case lane.Inquiry:
		s := fmt.Sprintf("bank %s asks %s about", m.Bank, m.Coordinator)
		for _, id := range m.IDs {
			s += fmt.Sprintf(" %.8s", id)
		}
		return s
	case lane.Pulse:
		s := "pulse"
		for _, q := range m.Quiesced {
			s += fmt.Sprintf(" quiesces %s in term %d at %d", q.Group, q.Term, q.Last)
		}
		return s
	case lane.WhoIsThere:
		return fmt.Sprintf("at %d, asks who is there", m.Applied)
	case lane.Introduction:
		s := fmt.Sprintf("at %d, introduces", m.Applied)
		for _, n := range m.Nodes {
			s += fmt.Sprintf(" node %d", n.ID)
		}
		return s
	case lane.Forward:
		return fmt.Sprintf("forward %d to %s: %s", m.Request, m.Group, describe(m.Ask))
	case lane.ForwardReply:
		return fmt.Sprintf("reply %d not leader %t hint %d: %s", m.Request, m.NotLeader, m.LeaderHint, describe(&m.Answer))
	case lane.Submit:
		return fmt.Sprintf("submit %.8s", m.Transfer.ID)
	case lane.CaptureTransfer:
		return fmt.Sprintf("capture %d of %.8s", m.AmountsMinor, m.ID)
	case lane.VoidTransfer:
		return fmt.Sprintf("void %.8s", m.ID)
	case lane.CancelTransfer:
		return fmt.Sprintf("cancel %.8s", m.ID)
	case lane.GetTransfer:
		return fmt.Sprintf("get %.8s", m.ID)
	case *lane.Answer:
		if m.Err != nil {
			return m.Err.Error()
		}
		return fmt.Sprintf("%.8s %s %d", m.Transfer.Transfer.ID, m.Transfer.State, m.Transfer.CapturedMinor)
	case *lane.GroupWrite:
		w := &m.Write
		s := fmt.Sprintf("%s seq %d", m.Group, w.Seq)
		if w.HardState != nil {
			s += fmt.Sprintf(" %+v", *w.HardState)
		}
		if len(w.Entries) > 0 {
			s += fmt.Sprintf(" entries %d..%d", w.Entries[0].Index, w.Entries[len(w.Entries)-1].Index)
		}
		return s
	case *lane.GroupCheckpoint:
		return fmt.Sprintf("%s checkpoint %d", m.Group, m.Checkpoint.Applied)
	}
	return fmt.Sprintf("%+v", of)
}

// mix is one round of SplitMix64 over both words.
func mix(h, v uint64) uint64 {
	h = (h ^ v) * 0xbf58476d1ce4e5b9
	h ^= h >> 29
	h *= 0x94d049bb133111eb
	return h ^ h>>32
}

// hashString is FNV-1a.
func hashString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

func hashBytes(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for len(b) >= 8 {
		h = mix(h, uint64(b[0])|uint64(b[1])<<8|uint64(b[2])<<16|uint64(b[3])<<24|uint64(b[4])<<32|uint64(b[5])<<40|uint64(b[6])<<48|uint64(b[7])<<56)
		b = b[8:]
	}
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}
