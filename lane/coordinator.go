package lane

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/coordinator/driver"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/internal/room"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transfer"
)

// coordinatorHost is a coordinator shard on this node: the records, and the driver that works while this node leads.
type coordinatorHost struct {
	lane    *Lane
	group   *group
	reader  coordinator.Reader
	config  driver.Config
	machine *coordinator.Machine
	driver  *driver.Driver
	facts   []coordinator.Fact // wait for the next entry
	riding  riding
	// numbering: in this reign an entry that begins to number transfers was asked for.
	numbering bool
	unlisted  []unlisted // wait for numbers
	young     bool       // it was empty when this replica was opened
}

func (l *Lane) newCoordinator(g *group, cfg Config, reader Reader) (machineHost, error) {
	banks := make([]transfer.BankID, len(cfg.Directory.Banks))
	for i, b := range cfg.Directory.Banks {
		banks[i] = b.Bank
	}
	c := &coordinatorHost{
		lane: l, group: g, reader: reader,
		config: driver.Config{Seed: groupSeed(cfg.Seed, g.id, l.node), Banks: banks, Limits: l.limits.Driver},
	}
	return c, c.Reload()
}

// Reload begins with the records that the reader shows, and with a driver that remembers nothing: its memory may be lost at any moment.
func (c *coordinatorHost) Reload() (err error) {
	invariant.Holds(!c.group.leading, "the leader of %s gets its records from another", c.group.id)
	if c.machine, err = coordinator.New(c.reader); err != nil {
		return err
	}
	c.driver, c.facts, c.riding, c.numbering = driver.New(c.config, c.machine), nil, riding{}, false
	c.young = c.machine.IsEmpty()
	return nil
}

// Apply executes one entry of facts. While this node leads, all of them are its own: what another reign staged must
// never be taken for this one's (coordinator/driver, host duty 1).
func (c *coordinatorHost) Apply(e raft.Entry) error {
	if c.group.leading && e.Term != c.group.term { // not Holds: its arguments would cost an allocation each on the hot path
		invariant.Fail("entry %d of term %d is applied in the reign of term %d", e.Index, e.Term, c.group.term)
	}
	results, err := c.machine.Apply(uint64(e.Index), e.Data)
	if err != nil {
		return err
	}
	c.driver.Applied(c.lane.now, results)
	c.answerUnlisted()
	return nil
}

// Hash stands for the records.
func (c *coordinatorHost) Hash() uint64 { return c.machine.Hash() }

// Checkpoint returns what has changed.
func (c *coordinatorHost) Checkpoint() []replica.KV {
	if c.lane.writesRuns() {
		c.machine.WriteRuns()
	}
	return c.machine.Checkpoint()
}

// Sealed returns more of it.
func (c *coordinatorHost) Sealed(most int) []replica.KV { return c.machine.Sealed(most) }

// Checkpointed lets the machine forget what is stored.
func (c *coordinatorHost) Checkpointed() { c.machine.Checkpointed() }

func (c *coordinatorHost) lead() { c.driver.Lead(c.lane.now) }

func (c *coordinatorHost) depose() {
	c.driver.Depose()
	c.facts, c.riding, c.numbering = nil, riding{}, false
	c.loseUnlisted()
	c.carryOut()
}

func (c *coordinatorHost) tick() {
	c.driver.Tick(c.lane.now)
	if !c.riding.until.IsZero() {
		c.riding.until = c.lane.now // also if the clock was set back
	}
}

func (c *coordinatorHost) idle() bool { return len(c.facts) == 0 && c.driver.Idle() }

// isDue: a hold that nobody captured ends, and there may be nothing else to do.
func (c *coordinatorHost) isDue() bool { return c.driver.Due(c.lane.now) }

func (c *coordinatorHost) afterApply() { c.carryOut() }

func (c *coordinatorHost) nothing() []byte { return coordinator.Encode(c.lane.now, nil) }

// factsKept bounds the room that is kept for the facts of the next entries.
const factsKept = 1 << 13

// propose makes the next entry from what has gathered while the last one was being written. What may ride makes none by itself until
// it has waited long enough: nobody waits for it, and the next transfer would have to wait for its sync.
func (c *coordinatorHost) propose() {
	c.carryOut()
	waited := c.waited()
	if waited {
		c.letGo()
	}
	if len(c.facts) == 0 || !c.group.replica.CanPropose() {
		return
	}
	if !waited && c.mayRide() {
		c.wait()
		return
	}
	if mutant.On(mutant.DropSettle) {
		if c.facts = slices.DeleteFunc(c.facts, func(f coordinator.Fact) bool { return len(f.Settle) > 0 }); len(c.facts) == 0 {
			return
		}
	}
	if c.mayNumber() {
		c.numbering = true
		c.facts = slices.Insert(c.facts, 0, coordinator.Fact{Number: true})
	}
	n := fitting(c.facts, c.lane.limits.EntryFactsMax, c.lane.limits.EntryBytesMax, factBytes)
	c.lane.entry = coordinator.AppendEntry(c.lane.entry[:0], c.lane.now, c.facts[:n])
	if _, err := c.group.replica.Propose(slices.Clone(c.lane.entry)); err != nil {
		return // the bound on uncommitted bytes, or leadership is going: keep the facts for the next try
	}
	c.facts = slices.Delete(c.facts, 0, n)
	if len(c.facts) > 0 {
		return
	}
	c.facts = room.Emptied(c.facts, factsKept)
	if c.riding.count == 0 {
		c.riding.until = time.Time{}
	}
}

// carryOut passes the driver's effects on.
func (c *coordinatorHost) carryOut() {
	effects := c.driver.Take(c.lane.now)
	if len(effects.Facts) > 0 {
		c.facts = append(c.facts, effects.Facts...)
		c.lane.touch(c.group)
	}
	for i := range effects.Calls {
		c.call(&effects.Calls[i])
	}
	for i := range effects.Replies {
		r := &effects.Replies[i]
		w := waiter(r.Waiter)
		if r.Lost {
			c.lane.lost(w, c.group.id)
		} else {
			c.lane.answer(w, Answer{Transfer: r.Record, Err: r.Err})
		}
	}
	for _, b := range effects.Breakers {
		c.lane.report(BankBreakerMoved{Moved: b})
	}
	for _, v := range effects.Violations {
		c.lane.report(BankViolated{Violation: v})
	}
}

// call passes requests on to a bank, together with those that wait for company; commits alone may wait themselves.
func (c *coordinatorHost) call(call *driver.Call) {
	if c.riding.board(call.Bank, call.Requests) {
		c.wait()
		return
	}
	requests := call.Requests
	if company := c.riding.alight(call.Bank); len(company) > 0 {
		requests = append(company, requests...)
	}
	c.pass(call.Bank, requests)
}

// pass sends requests to the node that leads the bank. If none is known they are dropped, and the driver repeats them.
func (c *coordinatorHost) pass(at transfer.BankID, requests []bank.Request) {
	id := c.lane.banks[at]
	leader := c.lane.leaderOf(id)
	if leader == 0 {
		return
	}
	for len(requests) > 0 {
		n := fitting(requests, len(requests), c.lane.limits.EntryBytesMax, requestBytes)
		c.lane.askRemote(id, leader, BankRequests{Bank: at, Coordinator: c.group.id, Requests: requests[:n:n]})
		requests = requests[n:]
	}
}

func (c *coordinatorHost) bankMoved(id GroupID) {
	if bank := BankOf(id); bank != "" {
		c.driver.BankMoved(bank)
	}
}

func (c *coordinatorHost) serve(w waiter, ask Ask) {
	switch a := ask.(type) {
	case Submit:
		c.driver.Submit(c.lane.now, driver.Waiter(w), a.Transfer)
		c.lane.touch(c.group)
	case CaptureTransfer:
		c.driver.Capture(c.lane.now, driver.Waiter(w), a.ID, a.AmountsMinor)
		c.lane.touch(c.group)
	case VoidTransfer:
		c.driver.Void(c.lane.now, driver.Waiter(w), a.ID)
		c.lane.touch(c.group)
	case CancelTransfer:
		c.driver.Cancel(c.lane.now, driver.Waiter(w), a.ID)
		c.lane.touch(c.group)
	case GetTransfer, ListTransfers, ListInDoubt:
		c.lane.read(c.group, w, ask)
	case ReadDecisions: // from another node: what is applied here is committed
		c.answerList(w, a)
	default:
		c.lane.answer(w, Answer{Err: fmt.Errorf("%w: a coordinator doesn't answer %T", transfer.ErrInvalidRequest, ask)})
	}
}

func (c *coordinatorHost) answerRead(w waiter, ask Ask) {
	switch a := ask.(type) {
	case GetTransfer:
		c.driver.Get(driver.Waiter(w), a.ID)
	case ListTransfers:
		c.answerList(w, a)
	case ListInDoubt:
		c.lane.answer(w, c.inDoubt(&a))
	default:
		invariant.Fail("a coordinator reads transfers only, not %T", ask)
	}
}

// answerStale says what this replica has applied, without asking anybody whether that is still so.
func (l *Lane) answerStale(g *group, get GetTransfer) Answer {
	c, ok := g.host.(*coordinatorHost)
	invariant.Holds(ok, "group %s decides about transfer %s and is no coordinator", g.id, get.ID)
	known, err := c.machine.Lookup(get.ID)
	switch {
	case err != nil:
		return Answer{Err: fmt.Errorf("%w: %w", transfer.ErrInternal, err)}
	case known == nil:
		return Answer{Err: fmt.Errorf("%w: %s, as far as node %d knows", transfer.ErrTransferNotFound, get.ID, l.node)}
	}
	return Answer{Transfer: known.Public()}
}

// receiveBankAnswers gives a bank's answers, or its new address, to the driver that asked.
func (l *Lane) receiveBankAnswers(from raft.NodeID, m BankAnswers) {
	l.heardFrom(l.banks[m.Bank], from)
	if len(m.Answers) == 0 {
		l.learnLeader(l.banks[m.Bank], from, m.LeaderHint)
		return
	}
	g := l.groups[m.Coordinator]
	if g == nil || !g.leading {
		return
	}
	if c, ok := g.host.(*coordinatorHost); ok {
		c.driver.Answers(l.now, m.Bank, m.Answers)
		l.touch(g)
	}
}

// receiveInquiry has the leader look into a bank's old holds. A bank's node may not know who leads: a follower
// passes the inquiry on, once.
func (l *Lane) receiveInquiry(from raft.NodeID, m Inquiry) {
	g := l.groups[m.Coordinator]
	if g == nil {
		return
	}
	if leader := l.leaderOf(m.Coordinator); !g.leading {
		if leader != 0 && leader != l.node && leader != from {
			l.send(leader, m)
		}
		return
	}
	c, ok := g.host.(*coordinatorHost)
	if !ok {
		return
	}
	switch driven, err := c.driver.Inquired(l.now, m.Bank, m.IDs); {
	case err != nil:
		l.fail(err)
	case !driven: // else it may rest: banks ask again and again about what waits for its client
		l.touch(g)
	}
}
