package driver_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/coordinator/driver"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/transfer"
)

// desk is one coordinator, alone with everything that can be said to it. It keeps count of what the log and the banks have said, and
// holds each word of the driver against that.
type desk struct {
	now      time.Time
	machine  *coordinator.Machine
	driver   *driver.Driver
	index    uint64
	proposed []coordinator.Fact // by this reign, and not yet applied

	asked      uint64
	inputs     bool // what is asked now is the input of a cell
	names      map[driver.Waiter]string
	prepared   map[transfer.BankID]bool // has said so, of the transfer
	confirmed  map[transfer.BankID]bool
	refusable  bool // a no, a deadline or a cancellation has come: there is a reason to abort
	told       transfer.State
	said       []string
	objections []string
}

const cellDeadline = 10 * time.Second

// The transfer of every cell, and the other content that somebody may submit under its id.
func theTransfer() *transfer.Transfer {
	t := payment(1, "A", "B", 100)
	t.Deadline = epoch.Add(cellDeadline)
	return t
}

func theOther() *transfer.Transfer {
	t := payment(1, "B", "C", 7)
	t.Deadline = epoch.Add(cellDeadline)
	return t
}

func newDesk(retryAfter time.Duration) *desk {
	machine, err := coordinator.New(nil)
	invariant.Holds(err == nil, "a new machine: %v", err)
	limits := driver.Limits{FlightsMax: 100, BankOutstandingMax: 8, RetryAfter: retryAfter, RetryAfterMax: 8 * retryAfter}
	return &desk{
		now: epoch, machine: machine, names: map[driver.Waiter]string{}, prepared: map[transfer.BankID]bool{}, confirmed: map[transfer.BankID]bool{},
		driver: driver.New(driver.Config{Banks: []transfer.BankID{"A", "B", "C"}, Limits: limits}, machine),
	}
}

func (d *desk) waiter() driver.Waiter {
	d.asked++
	w := driver.Waiter{Node: 1, Request: d.asked}
	d.names[w] = "who waits"
	if d.inputs {
		d.names[w] = "who asks"
	}
	return w
}

func (d *desk) lead()   { d.driver.Lead(d.now); d.take() }
func (d *desk) depose() { d.driver.Depose(); d.proposed = nil; d.take() }

func (d *desk) submit(t *transfer.Transfer) { d.driver.Submit(d.now, d.waiter(), t); d.take() }
func (d *desk) cancel() {
	d.refusable = true
	d.driver.Cancel(d.now, d.waiter(), idOf(1))
	d.take()
}
func (d *desk) get() { d.driver.Get(d.waiter(), idOf(1)); d.take() }

// log applies a fact; if this reign has proposed it, that is no longer under way.
func (d *desk) log(f coordinator.Fact) {
	if d.mayCome(f) && len(d.proposed) > 0 {
		f = d.proposed[0]
		d.proposed = d.proposed[1:]
	}
	d.index++
	results, err := d.machine.Apply(d.index, coordinator.Encode(d.now, []coordinator.Fact{f}))
	invariant.Holds(err == nil, "apply: %v", err)
	d.driver.Applied(d.now, results)
	d.take()
}

// mayCome: what is applied in a reign is what it has proposed, oldest first. A follower applies what others have.
func (d *desk) mayCome(f coordinator.Fact) bool {
	return !d.driver.Leading() || (len(d.proposed) > 0 && wordOf(d.proposed[0]) == wordOf(f))
}

// agree applies everything that is proposed.
func (d *desk) agree() {
	for len(d.proposed) > 0 {
		d.log(d.proposed[0])
	}
}

func (d *desk) hear(from transfer.BankID, op bank.Op, result bank.Result, about *transfer.Transfer) {
	a := bank.Answer{Op: op, ID: about.ID, Fingerprint: about.Fingerprint(), Result: result}
	if result == bank.No {
		a.Reason = transfer.Reason{Code: transfer.ErrInsufficientFunds.Code}
	}
	same := a.Fingerprint == theTransfer().Fingerprint()
	switch {
	case same && (result == bank.Yes || result == bank.Prepared || result == bank.Committed):
		d.prepared[from] = true
	case same && (result == bank.No || result == bank.RolledBack):
		d.refusable = true
	case result == bank.Done:
		d.confirmed[from] = true
	}
	d.driver.Answers(d.now, from, []bank.Answer{a})
	d.take()
}

func (d *desk) yes(from transfer.BankID)              { d.hear(from, bank.Prepare, bank.Yes, theTransfer()) }
func (d *desk) no(from transfer.BankID)               { d.hear(from, bank.Prepare, bank.No, theTransfer()) }
func (d *desk) done(from transfer.BankID, op bank.Op) { d.hear(from, op, bank.Done, theTransfer()) }

func (d *desk) inquire(from transfer.BankID) {
	_, err := d.driver.Inquired(d.now, from, []transfer.ID{idOf(1)})
	invariant.Holds(err == nil, "inquire: %v", err)
	d.take()
}

func (d *desk) tick(now time.Time) {
	d.now = now
	d.refusable = d.refusable || !now.Before(epoch.Add(cellDeadline))
	d.driver.Tick(now)
	d.take()
}

// take notes what the driver wants done, and judges it.
func (d *desk) take() {
	e := d.driver.Take(d.now)
	for _, f := range e.Facts {
		d.say("propose %s", wordOf(f))
		d.judgeFact(f)
	}
	d.proposed = append(d.proposed, e.Facts...)
	byOp := map[bank.Op][]string{}
	for _, c := range e.Calls {
		for _, r := range c.Requests {
			byOp[r.Op] = append(byOp[r.Op], string(c.Bank))
			d.judgeRequest(c.Bank, r)
		}
	}
	for op := bank.Prepare; op <= bank.Resolve; op++ {
		if len(byOp[op]) > 0 {
			d.say("ask %s to %s", strings.Join(byOp[op], " and "), op)
		}
	}
	for _, r := range e.Replies {
		d.judgeReply(r)
		switch {
		case r.Lost:
			d.say("send %s to the next leader", d.names[r.Waiter])
		case r.Err != nil:
			code, _, _ := strings.Cut(r.Err.Error(), ":")
			d.say("refuse %s: %s", d.names[r.Waiter], code)
		default:
			d.say("tell %s: %s", d.names[r.Waiter], r.Record.State)
		}
	}
	for _, v := range e.Violations {
		d.say("raise the alarm: %s can't %s", v.Bank, v.Op)
	}
}

func (d *desk) say(format string, args ...any) { d.said = append(d.said, fmt.Sprintf(format, args...)) }

func (d *desk) object(format string, args ...any) {
	d.objections = append(d.objections, fmt.Sprintf(format, args...))
}

// record is what the log says of the transfer, and whether it is this one.
func (d *desk) record() (state transfer.State, same bool) {
	r, err := d.machine.Lookup(idOf(1))
	invariant.Holds(err == nil, "look up: %v", err)
	if r == nil {
		return 0, false
	}
	return r.State, !r.IsTombstone() && r.SameContent(theTransfer().Fingerprint())
}

// isCommitted is the commit condition, from what the log and the banks have said.
func (d *desk) isCommitted() bool {
	state, same := d.record()
	return same && (state == transfer.Committed || (state == transfer.Pending && d.prepared["A"] && d.prepared["B"]))
}

// judgeFact: only what is staged is decided, never against what somebody was told, an abort has a reason, and what settles is done.
func (d *desk) judgeFact(f coordinator.Fact) {
	state, _ := d.record()
	switch wordOf(f) {
	case "decide commit":
		if !d.isCommitted() {
			d.object("commit is proposed, and the transfer isn't committed")
		}
	case "decide abort":
		if state != transfer.Pending || d.told == transfer.Committed || !d.refusable {
			d.object("abort is proposed of what is %s and was told to be %s; reason to abort: %t", state, d.told, d.refusable)
		}
	case "tombstone":
		if state != 0 {
			d.object("a tombstone is proposed for what is %s", state)
		}
	case "settle":
		if (state != transfer.Committed && state != transfer.Aborted) || !d.confirmed["A"] || !d.confirmed["B"] {
			d.object("settle is proposed of what is %s, confirmed %v", state, d.confirmed)
		}
	}
}

// judgeRequest: a bank hears Commit only of what is committed and touches it, and Rollback only of what is aborted or can't concern it.
func (d *desk) judgeRequest(to transfer.BankID, r bank.Request) {
	state, same := d.record()
	concerned := same && to != "C"
	switch {
	case r.Op == bank.Commit && (!d.isCommitted() || !concerned):
		d.object("bank %s is asked to commit what is %s", to, state)
	case r.Op == bank.Rollback && state != transfer.Aborted && concerned:
		d.object("bank %s is asked to roll back what is %s", to, state)
	}
}

// judgeReply: nobody hears an outcome that isn't certain, or two of them.
func (d *desk) judgeReply(r driver.Reply) {
	if r.Lost || r.Err != nil || r.Record.State == transfer.Pending {
		return
	}
	state, _ := d.record()
	if r.Record.State == transfer.Committed && !d.isCommitted() {
		d.object("committed is told of what is %s, prepared at %v", state, d.prepared)
	}
	if r.Record.State == transfer.Aborted && state != transfer.Aborted {
		d.object("aborted is told of what is %s", state)
	}
	if d.told != 0 && d.told != r.Record.State {
		d.object("%s is told after %s", r.Record.State, d.told)
	}
	d.told = r.Record.State
}

// wordOf says which fact it is.
func wordOf(f coordinator.Fact) string {
	switch {
	case f.Stage != nil && f.Stage.Fingerprint() != theTransfer().Fingerprint():
		return "stage, other content"
	case f.Stage != nil:
		return "stage"
	case f.Decide != nil && f.Decide.State == transfer.Committed:
		return "decide commit"
	case f.Decide != nil && f.Decide.Tombstone:
		return "tombstone"
	case f.Decide != nil:
		return "decide abort"
	default:
		return "settle"
	}
}

// outcome is what came of one cell.
type outcome struct {
	unasked bool   // a fact that this reign hasn't proposed: it can't come
	stopped string // by an invariant
	effects string
	after   string // "" if as before
	class   string // the state after, without what stands beside it
	again   string // what the same input does when it comes once more; "" if nothing
	objects []string
}

// meet brings a desk into the state and has the input arrive there; and again, if it is one that may.
func meet(s *standing, in *input) (o outcome) {
	d := newDesk(in.retryAfter())
	s.reach(d)
	before := d.standing()
	d.said, d.inputs = nil, true
	o.unasked = in.fact != nil && !d.mayCome(*in.fact)
	o.stopped = stoppedBy(func() { in.arrive(d) })
	o.effects = d.words()
	o.class, _ = d.driver.Standing(idOf(1))
	after := d.standing()
	if after != before {
		o.after = after
	}
	if in.fact == nil && !in.once && o.stopped == "" {
		o.again = stoppedBy(func() { in.arrive(d) }) + d.words()
		if then := d.standing(); then != after {
			o.again += " ⇒ " + then
		}
	}
	o.objects = d.objections
	return o
}

func stoppedBy(f func()) (invariantBroken string) {
	defer func() {
		if broken, ok := recover().(invariant.Broken); ok {
			invariantBroken = strings.NewReplacer(idOf(1).String(), "t",
				fmt.Sprintf("%x", theTransfer().Fingerprint()), "1", fmt.Sprintf("%x", theOther().Fingerprint()), "2").Replace(broken.Message)
		}
	}()
	f()
	return ""
}

func (d *desk) standing() string {
	state, beside := d.driver.Standing(idOf(1))
	return strings.TrimSuffix(state+"; "+beside, "; ")
}

// words is what was said since the last call.
func (d *desk) words() string {
	words := strings.Join(d.said, " · ")
	d.said = nil
	return words
}
