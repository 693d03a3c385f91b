package driver_test

import (
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/coordinator/driver"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/transfer"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "explore this seed only, and print what happened")
	seedsFlag = flag.Uint64("seeds", 2000, "how many seeds to explore, from 1")
)

// TestExplorer plays many seeded worlds in which everything goes wrong, heals them and
// looks at what is left. The judge watches every step.
func TestExplorer(t *testing.T) {
	if *seedFlag != 0 {
		e := explore(*seedFlag, true)
		t.Logf("%s", strings.Join(e.world.trace, "\n"))
		e.report(t)
		return
	}
	var told, aborted, inDoubt, early, captured, inPart int
	seeds := *seedsFlag
	if testing.Short() {
		seeds = min(seeds, 200)
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		e := explore(seed, false)
		if len(e.world.judge.objections) > 0 {
			e.report(t)
			t.FailNow()
		}
		for _, state := range e.world.judge.heard {
			told++
			if state == transfer.Aborted {
				aborted++
			}
		}
		for _, f := range e.world.judge.committed {
			if e.world.judge.contents[f].IsHold() {
				captured++
			}
		}
		for _, amounts := range e.world.judge.captured {
			if amounts != nil {
				inPart++
			}
		}
		inDoubt += e.resolved
		early += e.early
	}
	t.Logf("%d seeds: %d transfers told, %d of them aborted, %d before the world healed; %d requests to resolve; %d holds captured, %d of them in part", seeds, told, aborted, early, inDoubt, captured, inPart)
	if seeds >= 100 && (aborted*10 < told || aborted*10 > told*9 || inDoubt == 0 || inPart == 0 || captured == inPart) {
		t.Error("the explorer doesn't see enough of both outcomes, or no recovery, or no holds")
	}
}

// explorer is one seeded run.
type explorer struct {
	seed  uint64
	rng   *rand.Rand
	world *world

	loss, twice int        // percent of messages
	unrest      int        // elections and restarts per 1,000 steps
	contents    int        // how many contents share an id
	newest      int        // the newest id that is asked for
	cut         *node      // cut off from the other nodes, but not from clients and banks…
	cutFrom     *modelBank // … except that this bank is hard to reach for it
	resolved    int
	early       int   // told before the world heals
	start       int64 // money in the world at the start
}

// New transfers begin all the time: at each moment a window of ids is asked for.
const (
	explorerIDs   = 16
	stepsPerID    = 60
	idsInWindow   = 4
	explorerSteps = explorerIDs * stepsPerID
)

func explore(seed uint64, trace bool) *explorer {
	rng := rand.New(rand.NewPCG(seed, 1))
	funds := int64(30 + rng.IntN(300)) // often too little at first, and enough when a credit has arrived
	banks := []*modelBank{newModelBank("A", funds), newModelBank("B", funds), newModelBank("C", funds)}
	limits := driver.Limits{
		FlightsMax:         6 + rng.IntN(30),
		HeldMax:            2 + rng.IntN(6),
		BankOutstandingMax: 1 + rng.IntN(8),
		RetryAfter:         200 * time.Millisecond,
		RetryAfterMax:      2 * time.Second,
		BreakerSilences:    1,
	}
	e := &explorer{seed: seed, rng: rng, world: newWorld(3, banks, limits), start: 3 * funds}
	e.world.tracing = trace
	e.loss, e.twice = 10*rng.IntN(4), 10*rng.IntN(4)
	e.unrest = 2 + rng.IntN(25)
	e.contents = 1 + rng.IntN(2)
	for _, n := range e.world.nodes {
		n.skew = time.Duration(rng.IntN(5)) * time.Second / 2
	}
	e.run()
	return e
}

func (e *explorer) run() {
	defer func() {
		if broken, ok := recover().(invariant.Broken); ok {
			e.world.judge.object("%v", broken)
		}
	}()
	for step := range explorerSteps {
		e.newest = 1 + step/stepsPerID
		e.step()
		if e.failed() {
			return
		}
	}
	e.heal()
}

func (e *explorer) failed() bool {
	for _, v := range e.world.judge.violations {
		e.world.judge.object("bank %s keeps the law and is said to have broken it: %s of %s", v.Bank, v.Op, name(v.ID))
	}
	return len(e.world.judge.objections) > 0
}

func (e *explorer) report(t *testing.T) {
	t.Helper()
	for _, o := range e.world.judge.objections {
		t.Errorf("seed %d: %s", e.seed, o)
	}
	if t.Failed() {
		t.Errorf("repeat with: go test ./coordinator/driver -run TestExplorer -v -seed %d", e.seed)
	}
}

// step lets one thing happen.
func (e *explorer) step() {
	w, n := e.world, e.node()
	switch dice := e.rng.IntN(1000); {
	case dice < 90:
		w.submit(n, e.transfer(e.id(), e.rng.IntN(e.contents)))
	case dice < 110:
		e.get(n)
	case dice < 118:
		w.cancel(n, idOf(e.id()))
	case dice < 135:
		e.conclude(n)
	case dice < 330:
		e.deliverRequest()
	case dice < 560:
		e.deliverAnswer()
	case dice < 650:
		e.pulse(n)
	case dice < 690:
		e.replicate(n)
	case dice < 730:
		e.advance(n)
	case dice < 790:
		w.applyNext(n)
	case dice < 850:
		e.deposit()
	case dice < 890:
		w.now = w.now.Add(time.Duration(e.rng.IntN(800)) * time.Millisecond)
	case dice < 925:
		e.tick(n)
	case dice < 945:
		e.inquire(n)
	case dice < 955:
		e.cutOrJoin(n)
	case dice < 962:
		w.beginCheckpoint(n)
	case dice < 969:
		w.endCheckpoint(n)
	case dice < 969+e.unrest:
		e.elect(n)
	case dice < 969+e.unrest*5/4:
		w.say("%s restarts", n.name)
		n.reign = 0
		w.boot(n)
	}
	if e.cut != nil && e.cut.leads && e.rng.IntN(20) == 0 {
		e.elect(e.node()) // a leader that isn't heard of is replaced
	}
	e.noticeDefeat()
	if e.rng.IntN(4) > 0 { // else the node is in the middle of a bigger step
		w.carryOut(n)
	}
}

// noticeDefeat tells drivers that they lead no more, sooner or later: until then what they propose is lost.
func (e *explorer) noticeDefeat() {
	if e.rng.IntN(3) == 0 {
		e.world.noticeDefeat()
	}
}

// node is any node, more often one that believes it leads.
func (e *explorer) node() *node {
	nodes := e.world.nodes
	n := nodes[e.rng.IntN(len(nodes))]
	for range 2 {
		if !n.leads {
			n = nodes[e.rng.IntN(len(nodes))]
		}
	}
	return n
}

// transfer is always the same for an id and a content. Another content touches other banks.
func (e *explorer) transfer(n, content int) *transfer.Transfer {
	banks := []transfer.BankID{"A", "B", "C"}
	from, to := banks[(n+content)%3], banks[(n+content+1)%3]
	t := payment(n, from, to, int64(10+30*(n%3)))
	if n%7 == 3 { // some touch all banks
		t.Legs = append(t.Legs, payment(n, to, banks[(n+content+2)%3], 5).Legs...)
	}
	t.Deadline = e.world.now.Add(time.Duration(500+e.rng.IntN(4000)) * time.Millisecond)
	if n%4 == 1 { // and some are holds
		t.HoldUntil = t.Deadline.Add(time.Duration(1+e.rng.IntN(20000)) * time.Millisecond)
	}
	return t
}

// conclude captures or voids what may be a hold, and held.
func (e *explorer) conclude(n *node) {
	id := max(1, e.id()-e.rng.IntN(2*idsInWindow))
	switch e.rng.IntN(4) {
	case 0:
		e.world.void(n, idOf(id))
	case 1:
		e.world.capture(n, idOf(id), int64(1+e.rng.IntN(20)))
	default:
		e.world.capture(n, idOf(id))
	}
}

func payment(n int, from, to transfer.BankID, amountMinor int64) *transfer.Transfer {
	return &transfer.Transfer{ID: idOf(n), Legs: []transfer.Leg{
		{Bank: from, Account: "alice", Direction: transfer.Debit, AmountMinor: amountMinor, Currency: "CZK"},
		{Bank: to, Account: "bob", Direction: transfer.Credit, AmountMinor: amountMinor, Currency: "CZK"},
	}}
}

// id is one of the window: the newest ones, more often the newer.
func (e *explorer) id() int {
	return max(1, e.newest-min(e.rng.IntN(idsInWindow), e.rng.IntN(idsInWindow)))
}

// get asks only a leader that a quorum would confirm (ReadIndex), as the host does.
func (e *explorer) get(n *node) {
	if n.leads && n.term == e.world.group.terms && n.reign == n.term {
		e.world.get(n, idOf(e.id()))
	}
}

func (e *explorer) lost() bool { return e.rng.IntN(100) < e.loss }

func (e *explorer) again() bool { return e.rng.IntN(100) < e.twice }

func (e *explorer) deliverRequest() {
	w := e.world
	if len(w.requests) == 0 {
		return
	}
	i := e.rng.IntN(len(w.requests))
	r := w.requests[i]
	if r.from == e.cut && r.to == e.cutFrom && e.slow(r.from) {
		return
	}
	if !e.again() || len(w.requests) > 100 {
		w.requests = swapRemove(w.requests, i)
	}
	if e.lost() {
		return
	}
	if r.Op.String() == "resolve" {
		e.resolved++
	}
	w.arrive(r)
}

func (e *explorer) deliverAnswer() {
	w := e.world
	if len(w.answers) == 0 {
		return
	}
	i := e.rng.IntN(len(w.answers))
	a := w.answers[i]
	if !e.again() || len(w.answers) > 100 {
		w.answers = swapRemove(w.answers, i)
	}
	if e.lost() {
		return
	}
	w.hearBank(a)
	w.carryOut(a.to)
}

func swapRemove[T any](list []T, i int) []T {
	last := len(list) - 1
	list[i] = list[last]
	return list[:last]
}

func (e *explorer) replicate(n *node) {
	if n.leads {
		to := e.node()
		if to != n && n != e.cut && to != e.cut {
			upTo := len(n.log) - e.rng.IntN(2)
			e.world.say("%s brings %s its log up to %d", n.name, to.name, upTo)
			n.replicate(to.member, upTo)
		}
	}
}

// cutOrJoin cuts a node off, or ends that. A leader who is cut off lives on beside its successor.
func (e *explorer) cutOrJoin(n *node) {
	if e.cut == nil {
		e.cut, e.cutFrom = n, e.world.banks[e.rng.IntN(len(e.world.banks))]
		e.world.say("%s is cut off", n.name)
		return
	}
	if e.rng.IntN(3) > 0 {
		return
	}
	e.world.say("%s is back", e.cut.name)
	e.cut = nil
}

// pulse is what a healthy leader does all the time: its log reaches whom it can, commits and is applied.
func (e *explorer) pulse(n *node) {
	for _, to := range e.world.nodes {
		if n.leads && to != n && n != e.cut && to != e.cut {
			n.replicate(to.member, len(n.log))
		}
	}
	e.advance(n)
	for e.world.applyNext(n) {
		continue
	}
}

func (e *explorer) advance(n *node) {
	if n.leads {
		if wrong := e.world.group.advance(n.member); wrong != "" {
			e.world.judge.object("%s", wrong)
		}
	}
}

func (e *explorer) elect(n *node) {
	other := e.node()
	if other == n || n == e.cut || other == e.cut {
		return
	}
	if e.world.group.elect(n.member, []*member{n.member, other.member}) {
		e.world.say("%s is elected by %s in term %d", n.name, other.name, n.term)
	}
}

// slow: the clock of a node that is cut off tends to lag behind, and what it sends to one bank. This is how an old
// leader's prepare meets what its successor has done since.
func (e *explorer) slow(n *node) bool { return n == e.cut && e.rng.IntN(8) > 0 }

func (e *explorer) tick(n *node) {
	if !e.slow(n) {
		n.driver.Tick(e.world.clock(n))
	}
}

// inquire lets a bank ask about what it holds; now and then a client comes back with one of these ids at the same moment.
func (e *explorer) inquire(n *node) {
	b := e.world.banks[e.rng.IntN(len(e.world.banks))]
	e.world.inquire(b, n)
	for _, id := range sortedIDs(b.known) {
		if b.known[id].state == held && e.rng.IntN(2) == 0 {
			e.world.submit(n, e.transfer(int(id[15]), 0))
		}
	}
}

// deposit brings money to a bank from outside, or takes it away: what was too little is enough a moment later.
func (e *explorer) deposit() {
	b := e.world.banks[e.rng.IntN(len(e.world.banks))]
	if e.cut != nil && e.rng.IntN(2) == 0 {
		b = e.cutFrom
	}
	amount := int64(150)
	if b.funds > amount {
		amount = -b.funds
	}
	b.funds += amount
	e.start += amount
}

// heal ends all trouble: one leader, no loss, clients that ask until they know, and time.
func (e *explorer) heal() {
	w := e.world
	w.say("everything heals")
	e.early = len(w.judge.heard)
	e.cut = nil
	leader := e.healedLeader()
	for round := 0; round < 200 && !e.atRest(leader); round++ {
		w.now = w.now.Add(time.Second)
		for n := 1; n <= explorerIDs; n++ {
			if r, _ := leader.machine.Lookup(idOf(n)); r == nil {
				t := e.transfer(n, 0)
				t.Deadline = w.now.Add(10 * time.Second)
				if t.IsHold() {
					t.HoldUntil = w.now.Add(15 * time.Second)
				}
				w.submit(leader, t)
			}
		}
		for _, b := range w.banks {
			w.inquire(b, leader)
		}
		leader.driver.Tick(w.clock(leader))
		for range 3 {
			e.exchange(leader)
		}
		if e.failed() {
			return
		}
	}
	w.judge.atRest(w, leader)
	if len(w.waiting) > 0 {
		for who := range w.waiting {
			if who.Node == leader.id && who.Request > w.lostBefore {
				w.judge.object("%s waits for an answer at the end", w.waiting[who])
			}
		}
	}
	e.countMoney()
	for n := 1; n <= explorerIDs; n++ {
		if r, _ := leader.machine.Lookup(idOf(n)); r == nil || !r.State.Decided() {
			w.judge.object("t%d was asked for again and again and is not decided", n)
		}
	}
	e.failed()
}

// atRest says that nothing is left to do.
func (e *explorer) atRest(leader *node) bool {
	for n := 1; n <= explorerIDs; n++ {
		if r, _ := leader.machine.Lookup(idOf(n)); r == nil || !r.Settled {
			return false
		}
	}
	for _, b := range e.world.banks {
		for _, h := range b.known {
			if h.state == held {
				return false
			}
		}
	}
	return len(e.world.requests) == 0 && len(e.world.answers) == 0
}

func (e *explorer) healedLeader() *node {
	w := e.world
	w.lostBefore = w.asked // who asked before may have asked a node that restarted
	for _, n := range w.nodes {
		if w.group.elect(n.member, w.group.members) {
			w.say("%s is elected by all in term %d", n.name, n.term)
			w.noticeDefeat()
			e.exchange(n)
			return n
		}
	}
	w.judge.object("nobody can be elected")
	return w.nodes[0]
}

// exchange delivers everything that is under way, once.
func (e *explorer) exchange(leader *node) {
	w := e.world
	w.carryOut(leader)
	requests := w.requests
	w.requests = nil
	for _, r := range requests {
		w.arrive(r)
	}
	answers := w.answers
	w.answers = nil
	for _, a := range answers {
		w.hearBank(a)
	}
	for range 2 {
		w.carryOut(leader)
		for _, n := range w.nodes {
			if n != leader {
				leader.replicate(n.member, len(leader.log))
			}
		}
		w.noticeDefeat()
		e.advance(leader)
		for _, n := range w.nodes {
			for w.applyNext(n) {
				continue
			}
		}
	}
	w.carryOut(leader)
}

// countMoney: no money is made or lost.
func (e *explorer) countMoney() {
	total := int64(0)
	for _, b := range e.world.banks {
		total += b.funds
	}
	if total != e.start {
		e.world.judge.object("%d minor units are in the world at the end, %d were at the start", total, e.start)
	}
}
