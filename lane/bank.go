package lane

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/mutant"
	"github.com/quorate/quorate/ledger"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transfer"
)

// bankHost is a built-in bank on this node: the ledger, and while this node leads, who waits for what.
type bankHost struct {
	lane     *Lane
	group    *group
	bank     transfer.BankID
	reader   ledger.Reader
	ledger   *ledger.Ledger
	held     commitHold       // Commits that a backup has wait
	commands []ledger.Command // wait for the next entry
	origins  []origin         // of commands, one each
	proposed []batch          // entries of this reign on their way, in order
	inquired ledger.HoldPlace // of the last hold that was inquired about
}

// origin is who hears the result of a command: a coordinator group on a node, or a waiting client.
type origin struct {
	node        raft.NodeID
	coordinator GroupID // "": waiter
	waiter      waiter
}

// batch remembers who waits for an entry.
type batch struct {
	entry   raft.EntryID
	origins []origin
}

func (l *Lane) newBank(g *group, id transfer.BankID, reader Reader) (machineHost, error) {
	b := &bankHost{lane: l, group: g, bank: id, reader: reader}
	return b, b.Reload()
}

// Reload opens the books that the reader shows. Whoever waited was sent away when the leadership went.
func (b *bankHost) Reload() (err error) {
	invariant.Holds(!b.group.leading, "the leader of bank %s gets its books from another", b.bank)
	b.ledger, err = ledger.New(b.reader)
	return err
}

// Apply executes one entry of commands and answers whoever waits for it.
func (b *bankHost) Apply(e raft.Entry) error {
	results, err := b.ledger.Apply(uint64(e.Index), e.Data)
	if err != nil {
		return err
	}
	for len(b.proposed) > 0 && b.proposed[0].entry.Index <= e.Index {
		waiting := b.proposed[0]
		b.proposed = b.proposed[1:]
		if waiting.entry.Index == e.Index && waiting.entry.Term == e.Term {
			b.answer(waiting.origins, results)
		}
	}
	return nil
}

// answer sends each result to its origin; neighbours with the same origin share a message.
func (b *bankHost) answer(origins []origin, results []ledger.Result) {
	if len(origins) != len(results) { // not Holds: its arguments would cost an allocation each on the hot path
		invariant.Fail("%d results for %d commands of bank %s", len(results), len(origins), b.bank)
	}
	for first := 0; first < len(results); {
		o := origins[first]
		if o.coordinator == "" {
			b.lane.answer(o.waiter, accountAnswer(&results[first]))
			first++
			continue
		}
		end := first + 1
		for end < len(results) && origins[end] == o {
			end++
		}
		answers := make([]bank.Answer, 0, end-first)
		for i := first; i < end; i++ {
			answers = append(answers, results[i].Answer)
		}
		b.lane.send(o.node, BankAnswers{Bank: b.bank, Coordinator: o.coordinator, Answers: answers})
		first = end
	}
}

func accountAnswer(r *ledger.Result) Answer {
	if r.Err != nil {
		return Answer{Err: r.Err}
	}
	return Answer{Accounts: []bank.Account{r.Account}}
}

// Hash stands for the books.
func (b *bankHost) Hash() uint64 { return b.ledger.Hash() }

// Checkpoint returns what has changed.
func (b *bankHost) Checkpoint() []replica.KV {
	if b.lane.writesRuns() {
		b.ledger.WriteRuns()
	}
	return b.ledger.Checkpoint()
}

// Sealed returns more of it.
func (b *bankHost) Sealed(most int) []replica.KV { return b.ledger.Sealed(most) }

// Checkpointed lets the ledger forget what is stored.
func (b *bankHost) Checkpointed() { b.ledger.Checkpointed() }

func (b *bankHost) lead() {}

// depose: requests are repeated by their drivers at the next leader; waiting clients go and ask there.
func (b *bankHost) depose() {
	for _, waiting := range b.proposed {
		b.loseWaiters(waiting.origins)
	}
	b.loseWaiters(b.origins)
	b.commands, b.origins, b.proposed = nil, nil, nil
	b.held = commitHold{}
}

func (b *bankHost) loseWaiters(origins []origin) {
	for _, o := range origins {
		if o.coordinator == "" {
			b.lane.lost(o.waiter, b.group.id)
		}
	}
}

func (b *bankHost) tick() {
	if b.held.by != 0 && !b.inForce() {
		b.releaseCommits()
	}
}

func (b *bankHost) idle() bool {
	return b.held.by == 0 && len(b.commands) == 0 && len(b.proposed) == 0 && b.ledger.OpenHolds() == b.ledger.ClientHolds()
}

func (b *bankHost) isDue() bool { return false }

func (b *bankHost) afterApply() {}

func (b *bankHost) nothing() []byte { return ledger.Encode(b.lane.now, nil) }

// propose makes the next entry from what has gathered while the last one was being written.
func (b *bankHost) propose() {
	if len(b.commands) == 0 || !b.group.replica.CanPropose() {
		return
	}
	n := fitting(b.commands, b.lane.limits.EntryFactsMax, b.lane.limits.EntryBytesMax, commandBytes)
	b.lane.entry = ledger.AppendEntry(b.lane.entry[:0], b.lane.now, b.commands[:n])
	entry, err := b.group.replica.Propose(slices.Clone(b.lane.entry))
	if err != nil {
		return // the bound on uncommitted bytes, or leadership is going: keep them for the next try
	}
	b.proposed = append(b.proposed, batch{entry: entry, origins: b.origins[:n:n]})
	clear(b.commands[:n]) // encoded: nobody needs them any more
	b.commands, b.origins = b.commands[n:], b.origins[n:]
}

func (b *bankHost) serve(w waiter, ask Ask) {
	var command ledger.Command
	switch a := ask.(type) {
	case OpenAccount:
		if err := b.ledger.ValidateTerms(a.Terms); err != nil {
			b.lane.answer(w, Answer{Err: err})
			return
		}
		command.Open = &a.Terms
	case ChangeAccount:
		command.Change = &a.Change
	default:
		b.lane.read(b.group, w, ask)
		return
	}
	if len(b.commands) >= b.lane.limits.BankQueueMax {
		b.lane.answer(w, Answer{Err: fmt.Errorf("%w: bank %s has %d commands waiting", transfer.ErrBusy, b.bank, len(b.commands))})
		return
	}
	b.add(command, origin{waiter: w})
}

func (b *bankHost) add(c ledger.Command, o origin) {
	b.commands = append(b.commands, c)
	b.origins = append(b.origins, o)
	b.lane.touch(b.group)
}

// answerRead reads the books; they are as new as any answer already given.
func (b *bankHost) answerRead(w waiter, ask Ask) {
	b.lane.answer(w, b.readBooks(ask))
}

func (b *bankHost) readBooks(ask Ask) (answer Answer) {
	switch a := ask.(type) {
	case GetAccount:
		account, ok, err := b.ledger.Account(a.ID)
		if err == nil && !ok {
			err = fmt.Errorf("%w: %s at bank %s", transfer.ErrAccountNotFound, a.ID, b.bank)
		}
		return Answer{Accounts: []bank.Account{account}, Err: err}
	case ListAccounts:
		answer.Accounts, answer.Err = b.ledger.Accounts(a.After, min(a.Limit, b.lane.limits.PageMax))
	case GetStatement:
		return b.readStatement(&a)
	case ListEntries:
		answer.Entries, answer.Err = b.ledger.Entries(a.AfterSeq, min(a.Limit, b.lane.limits.PageMax))
	case AuditBank:
		answer.Audit = b.ledger.Audit()
	case FindTransfers:
		return b.findTransfers(a)
	default:
		answer.Err = fmt.Errorf("%w: a bank doesn't answer %T", transfer.ErrInvalidRequest, ask)
	}
	return answer
}

func (b *bankHost) readStatement(a *GetStatement) (answer Answer) {
	_, known, err := b.ledger.Account(a.Account)
	if err == nil && !known {
		err = fmt.Errorf("%w: %s at bank %s", transfer.ErrAccountNotFound, a.Account, b.bank)
	}
	if err != nil {
		return Answer{Err: err}
	}
	answer.Entries, answer.LastSeq, answer.More, answer.Err = b.ledger.Statement(a.Account, a.AfterSeq, a.Since, a.Until, min(a.Limit, b.lane.limits.StatementMax))
	return answer
}

// receiveBankRequests queues a coordinator's requests, or says who leads the bank. What finds the queue
// full is dropped: its driver repeats it later.
func (l *Lane) receiveBankRequests(from raft.NodeID, m BankRequests) {
	id := l.banks[m.Bank]
	if !l.leads(id) {
		hint := raft.NodeID(0)
		if l.groups[id] != nil {
			hint = l.leaderOf(id)
		}
		l.send(from, BankAnswers{Bank: m.Bank, Coordinator: m.Coordinator, LeaderHint: hint})
		return
	}
	b := l.groups[id].host.(*bankHost)
	o := origin{node: from, coordinator: m.Coordinator}
	b.commands, b.origins = slices.Grow(b.commands, len(m.Requests)), slices.Grow(b.origins, len(m.Requests))
	for i := range m.Requests {
		if len(b.commands) >= l.limits.BankQueueMax {
			return
		}
		if l.dropsForSpace(b.group, &m.Requests[i]) || b.holdsBack(&m.Requests[i], o) {
			continue
		}
		b.add(ledger.Command{Request: &m.Requests[i]}, o)
	}
}

// inquire asks the coordinators about holds that have waited too long at the banks that this node leads, about all in turn if there are too many. Those
// that wait for their client are among them: no coordinator may know of one any more.
func (l *Lane) inquire() {
	if mutant.On(mutant.NeverInquire) {
		return
	}
	for _, g := range l.order {
		b, ok := g.host.(*bankHost)
		if !ok || !g.leading {
			continue
		}
		var old []transfer.ID
		old, b.inquired = b.ledger.OldHolds(l.now.Add(-l.limits.OrphanAfter), b.inquired, l.limits.InquiryMax)
		for _, shard := range l.shards {
			l.inquireAt(shard, b.bank, old)
		}
	}
}

// inquiryTarget is the leader, if this node has a replica that knows; else the members take turns, for an inquiry has
// no answer that would tell of a dead one, and a follower passes it on.
func (l *Lane) inquiryTarget(shard GroupID) raft.NodeID {
	if l.groups[shard] != nil {
		return l.leaderOf(shard)
	}
	members := l.members(shard)
	return members[l.inquiries%len(members)]
}

func (l *Lane) inquireAt(shard GroupID, from transfer.BankID, holds []transfer.ID) {
	leader := l.inquiryTarget(shard)
	if leader == 0 {
		return
	}
	var ids []transfer.ID
	for _, id := range holds {
		if l.coordinatorOf(id) == shard {
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 {
		l.send(leader, Inquiry{Coordinator: shard, Bank: from, IDs: ids})
	}
}
