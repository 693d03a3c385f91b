package driver_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// TestADeadlineNeverUndoesWhatWasAcknowledged has the deadline pass at every point of a transfer's life, in every order of its stage and its votes, and
// another node become leader at every point, or none. What a client has heard stands: at the log, at the banks, and for whoever asks again.
// Elsewhere a timeout that raced a commit rolled back what had been committed: apache/incubator-seata, issue 3619.
func TestADeadlineNeverUndoesWhatWasAcknowledged(t *testing.T) {
	early, runs := map[transfer.State]int{}, 0
	for _, order := range [][]string{
		{"log", "A", "B"}, {"log", "B", "A"}, {"A", "log", "B"}, {"B", "log", "A"}, {"A", "B", "log"}, {"B", "A", "log"},
	} {
		steps := slices.Concat(order, []string{"log", "A", "log", "B", "log"}) // the outcome, its confirmations, the settlement
		for deadline := 0; deadline <= len(steps); deadline++ {
			for change := 0; change <= len(steps)+1; change++ { // the last: never
				r := newRace()
				for i := 0; i <= len(steps); i++ {
					if i == deadline {
						r.passDeadline()
					}
					if i == change {
						r.change()
					}
					if i < len(steps) {
						r.step(steps[i])
					}
				}
				early[r.world.judge.heard[idOf(1)]]++
				runs++
				r.end()
				for _, o := range r.world.judge.objections {
					t.Errorf("%v, deadline before step %d, leader change before step %d: %s", steps, deadline, change, o)
				}
			}
		}
	}
	if early[transfer.Committed] == 0 || early[transfer.Aborted] == 0 || early[0] == 0 {
		t.Errorf("of %d races, clients heard %v before the end: this shows nothing", runs, early)
	}
}

// race is a transfer between A and B that node 1 leads at first, and node 2 after a change that node 1 doesn't notice by itself.
type race struct {
	world  *world
	leader *node
	p      *transfer.Transfer
}

func newRace() *race {
	w := newWorld(3, []*modelBank{newModelBank("A", 1000), newModelBank("B", 1000)}, amplePlace)
	r := &race{world: w, leader: w.nodes[0], p: payment(1, "A", "B", 100)}
	r.p.Deadline = epoch.Add(10 * time.Second)
	w.group.elect(r.leader.member, w.group.members)
	r.log()
	w.submit(r.leader, r.p)
	w.carryOut(r.leader)
	return r
}

// step lets the log go on, or a bank: it carries out what is under way to it, and its answers arrive.
func (r *race) step(what string) {
	if what == "log" {
		r.log()
		return
	}
	w := r.world
	requests := w.requests
	w.requests = nil
	for _, q := range requests {
		if q.to.name == transfer.BankID(what) {
			w.arrive(q)
		} else {
			w.requests = append(w.requests, q)
		}
	}
	answers := w.answers
	w.answers = nil
	for _, a := range answers {
		w.hearBank(a)
	}
	r.carryOut()
}

func (r *race) log() {
	w := r.world
	for _, n := range w.nodes {
		if n != r.leader {
			r.leader.replicate(n.member, len(r.leader.log))
		}
	}
	w.noticeDefeat()
	if wrong := w.group.advance(r.leader.member); wrong != "" {
		w.judge.object("%s", wrong)
	}
	for _, n := range w.nodes {
		for w.applyNext(n) {
			continue
		}
	}
	r.carryOut()
}

func (r *race) carryOut() {
	for _, n := range r.world.nodes {
		r.world.carryOut(n)
	}
}

// passDeadline: every clock shows the deadline, and whoever leads, or believes it, acts on it.
func (r *race) passDeadline() {
	if r.world.now.Before(r.p.Deadline) {
		r.world.now = r.p.Deadline
	}
	for _, n := range r.world.nodes {
		if n.driver.Leading() {
			n.driver.Tick(r.world.now)
		}
	}
	r.carryOut()
}

// change has node 3 elect node 2. Node 1 still has what is under way, and believes that it leads until the log tells it better.
func (r *race) change() {
	w := r.world
	next := w.nodes[1]
	if !w.group.elect(next.member, []*member{next.member, w.nodes[2].member}) {
		w.judge.object("node 2 isn't elected") // what a quorum has is on node 2 in every order
		return
	}
	r.leader = next
	for range 2 { // node 2 and 3 go on among themselves
		next.replicate(w.nodes[2].member, len(next.log))
		if wrong := w.group.advance(next.member); wrong != "" {
			w.judge.object("%s", wrong)
		}
	}
	for w.applyNext(next) {
		continue
	}
	r.carryOut()
}

// end lets time pass and everything arrive, and asks again: get, submit and the banks all know one outcome, and what was heard is it.
func (r *race) end() {
	w := r.world
	for range 10 {
		w.now = w.now.Add(time.Second)
		r.passDeadline()
		for _, b := range w.banks {
			w.inquire(b, r.leader)
		}
		for _, what := range []string{"A", "B", "log", "log"} {
			r.step(what)
		}
	}
	again := *r.p
	again.Deadline = w.now.Add(10 * time.Second)
	w.submit(r.leader, &again) // a stage that was lost with its leader may be done anew, or be refused
	for range 4 {
		for _, what := range []string{"A", "B", "log", "log"} {
			r.step(what)
		}
	}
	w.get(r.leader, again.ID)
	r.carryOut()
	w.judge.atRest(w, r.leader)
	outcome := w.judge.heard[again.ID]
	want := map[transfer.State]holdingState{transfer.Committed: applied, transfer.Aborted: rolledBack}[outcome]
	for _, b := range w.banks {
		if h := b.known[again.ID]; h == nil || h.state != want {
			w.judge.object("it is %s, and bank %s knows %s", outcome, b.name, fmt.Sprint(h))
		}
	}
}

// A prepare that arrives after its rollback is a no, and never looks like success, at a leader that still votes as at one that has aborted. Elsewhere an
// empty compensation was followed by its late action, which then took effect: dtm-labs/dtm, issue 453.
func TestAPrepareAfterItsRollbackIsANo(t *testing.T) {
	r := newRace()
	w := r.world
	late := slices.Clone(w.requests) // what is on its way for long
	w.requests = nil
	r.log()
	r.passDeadline()
	r.log() // aborted
	w.requests = slices.DeleteFunc(w.requests, func(q request) bool { return q.Op == bank.Prepare })
	r.step("A")
	r.step("B") // nothing is there to roll back
	for range 2 {
		w.requests = append(w.requests, late...)
		for _, q := range late {
			if a := q.to.answer(q.Request); a.Result != bank.No {
				t.Errorf("bank %s answers a prepare after the rollback with %s", q.to.name, a.Result)
			}
		}
		r.step("A")
		r.step("B")
	}
	r.end()
	if outcome := w.judge.heard[r.p.ID]; outcome != transfer.Aborted {
		t.Errorf("the outcome is %s", outcome)
	}
	for _, o := range w.judge.objections {
		t.Error(o)
	}
}
