package sim

import (
	"cmp"
	"slices"
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
)

// question is one request of one client at one node.
type question struct {
	w       *world
	request uint64
	ask     lane.Ask
	asked   time.Duration
	node    raft.NodeID
	then    func(answer *lane.Answer) // nil answer: the client heard nothing; called once
	closed  bool
	told    *told  // what is noted of it in a transfer's history; nil: it isn't about one
	floor   uint64 // entries that the bank had which it is about
}

// put has a client ask a node. A client that can't reach the node hears nothing, as one whose answer is lost.
func (w *world) put(h *host, patience time.Duration, ask lane.Ask, then func(*lane.Answer)) {
	w.counts.Asked++
	q := &question{w: w, request: w.counts.Asked, ask: ask, asked: w.now, node: h.id, then: then}
	w.judge.asked(q)
	if h.lane == nil {
		w.after(time.Millisecond, q.lost)
		return
	}
	h.asked[q.request] = q
	w.trace.note(w.now, "is asked", h.id, 0, ask, q.request)
	h.inbox = append(h.inbox, lane.Asked{Request: q.request, Until: h.clock.at(w.now).Add(patience), Ask: ask})
	h.poke()
	if w.mischief.dares(impatient, w.traffic.rng, w.faults.Impatience) {
		patience = time.Duration(w.traffic.rng.Int64N(int64(patience)))
	}
	w.after(patience+patience/4, q.lost) // the node may stand still for longer
}

// answered: what the node says is judged, whether or not the client hears it.
func (q *question) answered(a *lane.Answer) {
	q.w.judge.heard(q, a)
	if q.w.mischief.dares(unheard, q.w.traffic.rng, q.w.faults.LostAnswers) {
		q.w.after(time.Second, q.lost)
		return
	}
	q.w.after(500*time.Microsecond, func() { q.close(a) })
}

// lost: the client gives up, and knows nothing. Some nodes notice.
func (q *question) lost() {
	if h := q.w.host(q.node); h.lane != nil && h.asked[q.request] == q && !q.closed && q.request%2 == 0 {
		h.inbox = append(h.inbox, lane.Forgotten{Request: q.request})
		h.forgotten = append(h.forgotten, q.request)
		h.poke()
	}
	q.close(nil)
}

func (q *question) close(a *lane.Answer) {
	if !q.closed {
		q.closed = true
		q.then(a)
	}
}

// openQuestions lists what this life was asked and has not answered, in the order of asking.
func (h *host) openQuestions() []*question {
	open := make([]*question, 0, len(h.asked))
	for _, q := range h.asked {
		open = append(open, q)
	}
	slices.SortFunc(open, func(a, b *question) int { return cmp.Compare(a.request, b.request) })
	return open
}
