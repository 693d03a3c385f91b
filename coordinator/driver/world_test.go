package driver_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/coordinator/driver"
	"github.com/quorate/quorate/transfer"
)

var epoch = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// world is several nodes with a machine and a driver each, one replicated log, banks that keep the law, and
// everything that is under way between them. It moves only when told to.
type world struct {
	now        time.Time
	limits     driver.Limits
	group      *consensus
	nodes      []*node
	banks      []*modelBank // sorted by name
	requests   []request    // on their way to banks
	answers    []answer     // on their way back
	waiting    map[driver.Waiter]string
	asked      uint64
	lostBefore uint64                               // requests up to here may have met a node that restarted
	contents   map[transfer.ID]transfer.Fingerprint // what was submitted last under an id
	judge      *judge

	tracing bool
	trace   []string
}

// node is a host as lane is one: it calls Lead when its own first entry is applied, Depose when it leads no more.
type node struct {
	*member
	name    string
	id      uint64
	skew    time.Duration // its clock against the world's
	machine *coordinator.Machine
	driver  *driver.Driver
	applied int
	reign   uint64 // the term in which the driver leads; 0: it doesn't

	disk          map[string][]byte
	durable       int // entries in disk
	checkpoint    []coordinator.KV
	checkpointing int // entries in the checkpoint under way; 0: none is
}

type request struct {
	from *node
	to   *modelBank
	bank.Request
}

type answer struct {
	from *modelBank
	to   *node
	bank.Answer
}

func newWorld(nodes int, banks []*modelBank, limits driver.Limits) *world {
	w := &world{now: epoch, limits: limits, group: &consensus{}, banks: banks, waiting: map[driver.Waiter]string{}, contents: map[transfer.ID]transfer.Fingerprint{}, judge: newJudge()}
	for i := range nodes {
		n := &node{member: &member{}, name: fmt.Sprint("n", i+1), id: uint64(i + 1), disk: map[string][]byte{}}
		w.group.members = append(w.group.members, n.member)
		w.nodes = append(w.nodes, n)
		w.boot(n)
	}
	return w
}

// boot starts a node from what its disk shows; its log survives, its driver remembers nothing.
func (w *world) boot(n *node) {
	m, err := coordinator.New(disk(n.disk))
	if err != nil {
		w.judge.object("%s doesn't start: %v", n.name, err)
		return
	}
	names := make([]transfer.BankID, len(w.banks))
	for i, b := range w.banks {
		names[i] = b.name
	}
	n.machine = m
	n.driver = driver.New(driver.Config{Seed: n.id, Banks: names, Limits: w.limits}, m)
	n.applied, n.reign, n.leads = n.durable, 0, false
	n.checkpoint, n.checkpointing = nil, 0
}

func (w *world) clock(n *node) time.Time { return w.now.Add(n.skew) }

func (w *world) say(format string, args ...any) {
	if w.tracing {
		w.trace = append(w.trace, fmt.Sprintf(format, args...))
	}
}

// client is one more who waits at a node.
func (w *world) client(n *node) driver.Waiter {
	w.asked++
	who := driver.Waiter{Node: n.id, Request: w.asked}
	w.waiting[who] = fmt.Sprint("c", w.asked)
	return who
}

func (w *world) submit(n *node, t *transfer.Transfer) {
	who := w.client(n)
	w.judge.submitted(who, t)
	w.contents[t.ID] = t.Fingerprint()
	n.driver.Submit(w.clock(n), who, t)
}

func (w *world) get(n *node, id transfer.ID) {
	who := w.client(n)
	w.judge.gets[who] = id
	n.driver.Get(who, id)
}

func (w *world) cancel(n *node, id transfer.ID) {
	who := w.client(n)
	w.judge.cancels[who] = id
	n.driver.Cancel(w.clock(n), who, id)
}

func (w *world) capture(n *node, id transfer.ID, amountsMinor ...int64) {
	who := w.client(n)
	w.judge.captures[who] = amountsMinor
	n.driver.Capture(w.clock(n), who, id, amountsMinor)
}

func (w *world) void(n *node, id transfer.ID) {
	who := w.client(n)
	w.judge.cancels[who] = id
	n.driver.Void(w.clock(n), who, id)
}

// carryOut does what the node's driver wants done.
func (w *world) carryOut(n *node) {
	effects := n.driver.Take(w.clock(n))
	if len(effects.Facts) > 0 {
		w.propose(n, effects.Facts)
	}
	for _, r := range effects.Replies {
		w.hear(n, r)
	}
	for _, call := range effects.Calls {
		for _, r := range call.Requests {
			w.say("%s → bank %s: %s %s%s", n.name, call.Bank, r.Op, name(r.ID), amountsOf(r.CapturedMinor))
			w.requests = append(w.requests, request{n, w.bank(call.Bank), r})
		}
	}
	for _, b := range effects.Breakers {
		w.say("%s: the breaker of bank %s is %s", n.name, b.Bank, n.driver.BankBreaker(b.Bank))
	}
	for _, v := range effects.Violations {
		w.say("%s raises the alarm: bank %s can't %s %s", n.name, v.Bank, v.Op, name(v.ID))
		w.judge.violation(v)
	}
}

func (w *world) propose(n *node, facts []coordinator.Fact) {
	if !n.leads || n.term != n.reign {
		w.say("%s leads no more: lost is %s", n.name, describe(facts))
		return
	}
	index := n.propose(coordinator.Encode(w.clock(n), facts))
	w.say("%s proposes %d@%d: %s", n.name, index, n.term, describe(facts))
}

func (w *world) hear(n *node, r driver.Reply) {
	client, ok := w.waiting[r.Waiter]
	if !ok {
		w.judge.object("%s answers %v, which doesn't wait", n.name, r.Waiter)
		return
	}
	delete(w.waiting, r.Waiter)
	w.judge.got(r)
	switch {
	case r.Lost:
		w.say("%s → %s: lost, ask the leader", n.name, client)
	case r.Err != nil:
		w.say("%s → %s: %v", n.name, client, r.Err)
	default:
		w.say("%s → %s: %s is %s", n.name, client, name(r.Record.Transfer.ID), outcomeOf(&r.Record))
		w.judge.told(r)
	}
}

// arrive lets a bank carry out a request; its answer is on the way then.
func (w *world) arrive(r request) {
	before := holding{}
	if h := r.to.known[r.ID]; h != nil {
		before = *h
	}
	a := r.to.answer(r.Request)
	w.say("bank %s → %s: %s %s %s", r.to.name, r.from.name, r.Op, name(r.ID), a.Result)
	w.judge.bankMoved(r.to, r.ID, before.state)
	w.answers = append(w.answers, answer{r.to, r.from, a})
}

// hearBank gives an answer to the driver that asked, however late: in another reign, or to nobody who leads.
func (w *world) hearBank(a answer) {
	a.to.driver.Answers(w.clock(a.to), a.from.name, []bank.Answer{a.Answer})
}

// inquire has a bank ask a node for everything that it holds.
func (w *world) inquire(b *modelBank, n *node) {
	var ids []transfer.ID
	for _, id := range sortedIDs(b.known) {
		if b.known[id].state == held {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return
	}
	w.say("bank %s asks %s about %d that it holds", b.name, n.name, len(ids))
	if _, err := n.driver.Inquired(w.clock(n), b.name, ids); err != nil {
		w.judge.object("%s can't answer bank %s: %v", n.name, b.name, err)
	}
}

// applyNext applies one entry that the node knows to be committed.
func (w *world) applyNext(n *node) bool {
	if n.applied >= n.commit {
		return false
	}
	e := n.log[n.applied]
	if n.reign != 0 && e.term != n.reign {
		w.depose(n) // before the entry: a later reign's Stage must not pass for one of this reign
	}
	n.applied++
	if e.data == nil {
		if n.leads && e.term == n.term {
			n.reign = n.term
			w.say("%s leads in term %d", n.name, n.term)
			n.driver.Lead(w.clock(n))
		}
		return true
	}
	results, err := n.machine.Apply(uint64(n.applied), e.data)
	if err != nil {
		w.judge.object("%s can't apply entry %d: %v", n.name, n.applied, err)
		return false
	}
	w.judge.applied(n, results)
	if n.driver.Leading() {
		for _, r := range results {
			w.say("%s applies %d@%d: %s %s", n.name, n.applied, e.term, name(r.ID), r.Kind)
		}
	}
	n.driver.Applied(w.clock(n), results)
	return true
}

// noticeDefeat deposes the drivers of nodes that have learnt of a newer term.
func (w *world) noticeDefeat() {
	for _, n := range w.nodes {
		if n.reign != 0 && (!n.leads || n.term != n.reign) {
			w.depose(n)
		}
	}
}

func (w *world) depose(n *node) {
	w.say("%s is deposed", n.name)
	n.reign = 0
	n.driver.Depose()
	w.carryOut(n)
}

func (w *world) beginCheckpoint(n *node) {
	if n.checkpointing == 0 && n.applied > n.durable {
		n.checkpoint, n.checkpointing = n.machine.Checkpoint(), n.applied
	}
}

func (w *world) endCheckpoint(n *node) {
	if n.checkpointing == 0 {
		return
	}
	for _, kv := range append(n.checkpoint, n.machine.Sealed(math.MaxInt32)...) {
		if kv.Value == nil {
			delete(n.disk, string(kv.Key))
		} else {
			n.disk[string(kv.Key)] = kv.Value
		}
	}
	n.durable, n.checkpoint, n.checkpointing = n.checkpointing, nil, 0
	n.machine.Checkpointed()
}

func (w *world) bank(id transfer.BankID) *modelBank {
	for _, b := range w.banks {
		if b.name == id {
			return b
		}
	}
	return nil
}

// disk is a node's stored state as its machine reads it.
type disk map[string][]byte

func (d disk) Get(key []byte) ([]byte, bool, error) {
	value, ok := d[string(key)]
	return value, ok, nil
}

func (d disk) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	for _, key := range slices.Sorted(maps.Keys(d)) {
		if key >= string(from) && key < string(to) && !fn([]byte(key), d[key]) {
			return nil
		}
	}
	return nil
}

// idOf is the id of the transfer that plays call t1, t2, …
func idOf(n int) transfer.ID { return transfer.ID{0: 0x01, 6: 0x70, 8: 0x80, 15: byte(n)} }

func name(id transfer.ID) string { return fmt.Sprint("t", id[15]) }

func outcomeOf(r *transfer.Record) string {
	s := r.State.String() + amountsOf(r.CapturedMinor)
	if r.Reason.Code != "" {
		s += " (" + string(r.Reason.Code)
		if r.Reason.Bank != "" {
			s += " at bank " + string(r.Reason.Bank)
		}
		s += ")"
	}
	return s
}

func amountsOf(captured []int64) string {
	if captured == nil {
		return ""
	}
	return fmt.Sprintf(" %d", captured)
}

func describe(facts []coordinator.Fact) string {
	var parts []string
	for _, f := range facts {
		switch {
		case f.Stage != nil:
			parts = append(parts, "stage "+name(f.Stage.ID))
		case f.Hold != nil:
			parts = append(parts, "hold "+name(*f.Hold))
		case f.Decide != nil:
			r := transfer.Record{State: f.Decide.State, Reason: f.Decide.Reason, CapturedMinor: f.Decide.CapturedMinor}
			parts = append(parts, "decide "+name(f.Decide.ID)+" "+outcomeOf(&r))
		default:
			for _, id := range f.Settle {
				parts = append(parts, "settle "+name(id))
			}
		}
	}
	return strings.Join(parts, ", ")
}
