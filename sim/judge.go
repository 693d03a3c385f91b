package sim

import (
	"time"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/ledger"
	"github.com/quorate/quorate/raft"
)

// judge calls the checks, each of which is a file of its own. Judges see everything at once, and touch nothing.
type judge struct {
	w        *world
	money    *moneyJudge
	answers  *answerJudge
	raft     *raftJudge
	banks    *bankJudge
	reads    *readJudge
	queues   *queueJudge
	versions *versionJudge
	order    *orderJudge
	lookedAt time.Duration
	turn     int                       // whose books are gone through next
	checked  map[*ledger.Ledger]uint64 // how long each journal was when its books were last gone through
}

const lookEvery = 150 * time.Millisecond

func newJudge(w *world) *judge {
	return &judge{
		w: w, money: newMoneyJudge(w), answers: newAnswerJudge(w), raft: newRaftJudge(w), banks: newBankJudge(w), reads: &readJudge{w: w}, queues: newQueueJudge(w),
		versions: &versionJudge{w: w}, order: newOrderJudge(w), checked: map[*ledger.Ledger]uint64{},
	}
}

// asked sees every question of a client.
func (j *judge) asked(q *question) {
	j.answers.asked(q)
	j.reads.asked(q)
}

// heard sees every answer, when the node gives it.
func (j *judge) heard(q *question, a *lane.Answer) {
	j.answers.heard(q, a)
	if a.Err == nil {
		j.reads.heard(q, a)
	}
}

// onSend sees every message that leaves a node.
func (j *judge) onSend(from raft.NodeID, s *lane.Send) {
	switch m := s.Message.(type) {
	case lane.RaftMessage:
		j.raft.onSend(from, &m)
	case lane.BankAnswers:
		j.banks.onSend(from, &m)
	}
}

// started sees a node that has come back with what its disk remembered.
func (j *judge) started(h *host) {
	defer j.seeThrough()()
	j.queues.started(h)
	for _, r := range h.replicas() {
		j.goThrough(h, &r)
	}
}

// afterStep sees a node after each step. Its machines have changed only if they have applied something.
func (j *judge) afterStep(h *host) {
	j.queues.afterStep(h)
	if !h.applied {
		return
	}
	h.applied = false
	defer j.seeThrough()()
	j.raft.afterStep(h)
	j.order.afterStep(h)
}

// seeThrough lets judges read damaged disks until the returned function is called.
func (j *judge) seeThrough() (end func()) {
	j.w.judging = true
	return func() { j.w.judging = false }
}

func (j *judge) due() bool { return j.w.now-j.lookedAt >= lookEvery }

// look is the round that judges make now and then.
func (j *judge) look() {
	defer j.seeThrough()()
	j.lookedAt = j.w.now
	j.money.look()
	j.turn++
	for i, h := range j.w.hosts {
		if h.lane == nil {
			continue
		}
		replicas := h.replicas()
		for k := range replicas {
			j.raft.verify(h, &replicas[k])
		}
		if (j.turn/8+i)%len(j.w.hosts) == 0 && len(replicas) > 0 {
			if r := &replicas[j.turn%len(replicas)]; j.haveGrown(r) {
				j.goThrough(h, r)
			}
		}
	}
}

// haveGrown says whether books are worth going through again: it takes as long as they are, so a long journal has to have grown by a part of itself.
func (j *judge) haveGrown(r *lane.Replica) bool {
	return r.Ledger != nil && r.Ledger.LastEntry() >= j.checked[r.Ledger]+j.checked[r.Ledger]/4
}

// goThrough has a bank check its whole books.
func (j *judge) goThrough(h *host, r *lane.Replica) {
	if r.Ledger == nil {
		return
	}
	if betweenBooks(r) {
		return
	}
	j.checked[r.Ledger] = r.Ledger.LastEntry()
	if err := r.Ledger.Check(); err != nil {
		j.w.fail("a bank's books are consistent", "node %d, bank %s: %v", h.id, r.Bank, err)
	}
}

// betweenBooks says whether another's snapshot is on the disk, and the lane hears of it with its next step.
func betweenBooks(r *lane.Replica) bool {
	engine, ok := r.Engine.(*watched)
	return ok && engine.host.disk.of(r.Group).applied > r.Applied
}

// best finds the live replica that has applied most; ok is false if there is none.
func (j *judge) best(id lane.GroupID) (best lane.Replica, ok bool) {
	if s := j.w.stranger; s != nil && id == lane.BankGroup(foreignBank) {
		return s.replica(), true
	}
	for _, h := range j.w.hosts {
		if h.lane == nil {
			continue
		}
		for _, r := range h.replicas() {
			if r.Group == id && (!ok || r.Applied > best.Applied) {
				best, ok = r, true
			}
		}
	}
	return best, ok
}
