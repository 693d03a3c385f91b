package driver_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator/driver"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/transfer"
)

// TestPlays runs the scripts of testdata; -rewrite writes down what happens now. The commands:
//
//	cluster nodes=3 banks=A,B [funds=1000] [outstanding=8] [flights=100] [silences=100] [holds=100]
//	                          n1 is elected, and leads
//	submit n1 t1 A:-100 B:+100 [deadline=5s] [hold=60s]
//	get n1 t1
//	cancel n1 t1
//	capture n1 t1 [60 …]      a client takes what is held, or so much of each leg
//	void n1 t1
//	commit n1 [up-to=3]       the leader's log reaches every node that isn't cut off, commits and is applied
//	replicate n1 n2 [up-to=3] it reaches one node, and no more happens
//	acknowledge n1            the leader commits what a quorum has, and applies it
//	follow n1 n2              n1 gets n2's log and applies it
//	bank A [hold-answers] [latest-first]
//	                          the bank carries out what has reached it; its answers arrive, or wait
//	answers A                 held answers arrive
//	repeat A                  what the bank carried out last arrives once more, and so do its answers
//	lose A                    requests to the bank, and its answers, are lost
//	answer n1 A prepare t1 yes
//	                          an answer out of nowhere
//	tick 1s                   time passes, and everybody looks at the clock
//	cut n1 · join n1          a node is cut off from the others, but not from clients and banks
//	elect n2                  by everybody who isn't cut off
//	inquire A n2              the bank asks a node about everything that it holds
//	forget A t1               the bank breaks the law and forgets
//	moved n1 A                the bank is now answered by another node
//	restart n1
//	state                     what every node and every bank knows
func TestPlays(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &stage{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out := s.play(t, d)
			for _, o := range s.world.judge.objections {
				out += "THE JUDGE OBJECTS: " + o + "\n"
			}
			return out
		})
		if s.world != nil && len(s.world.judge.objections) > 0 {
			t.Errorf("the judge objects: %v", s.world.judge.objections)
		}
	})
}

// stage is a world that follows a script.
type stage struct {
	world *world
	cut   map[*node]bool
	held  []answer
	last  []request // what banks carried out with the last command
}

func (s *stage) play(t *testing.T, d *datadriven.TestData) (out string) {
	defer func() {
		if broken, ok := recover().(invariant.Broken); ok {
			out += broken.Error() + "\n"
		}
	}()
	var words []string
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 {
			words = append(words, a.Key)
		}
	}
	if d.Cmd == "cluster" {
		s.raise(t, d)
	} else {
		s.perform(t, d, words)
	}
	s.world.noticeDefeat()
	for _, n := range s.world.nodes {
		s.world.carryOut(n)
	}
	out = strings.Join(s.world.trace, "\n")
	s.world.trace = nil
	if out == "" {
		return "nothing happens\n"
	}
	return out + "\n"
}

func (s *stage) raise(t *testing.T, d *datadriven.TestData) {
	nodes, outstanding, flights, funds, silences, holds := 3, 8, 100, 1000, 100, 100
	d.MaybeScanArgs(t, "nodes", &nodes)
	d.MaybeScanArgs(t, "outstanding", &outstanding)
	d.MaybeScanArgs(t, "flights", &flights)
	d.MaybeScanArgs(t, "funds", &funds)
	d.MaybeScanArgs(t, "silences", &silences)
	d.MaybeScanArgs(t, "holds", &holds)
	var names string
	d.ScanArgs(t, "banks", &names)
	var banks []*modelBank
	for name := range strings.SplitSeq(names, ",") {
		banks = append(banks, newModelBank(transfer.BankID(name), int64(funds)))
	}
	limits := driver.Limits{FlightsMax: flights, HeldMax: holds, BankOutstandingMax: outstanding, RetryAfter: time.Second, RetryAfterMax: 8 * time.Second, BreakerSilences: silences}
	s.world = newWorld(nodes, banks, limits)
	s.world.tracing = true
	s.cut = map[*node]bool{}
	s.elect(s.world.nodes[0])
	s.commit(s.world.nodes[0], 1<<30)
}

func (s *stage) perform(t *testing.T, d *datadriven.TestData, words []string) {
	w := s.world
	upTo := 1 << 30
	d.MaybeScanArgs(t, "up-to", &upTo)
	switch d.Cmd {
	case "submit":
		w.submit(s.node(words[0]), s.transfer(t, d, words))
	case "get":
		w.get(s.node(words[0]), parseID(words[1]))
	case "cancel":
		w.cancel(s.node(words[0]), parseID(words[1]))
	case "capture":
		var amounts []int64
		for _, word := range words[2:] {
			minor, err := strconv.ParseInt(word, 10, 64)
			if err != nil {
				d.Fatalf(t, "amount %q: %v", word, err)
			}
			amounts = append(amounts, minor)
		}
		w.capture(s.node(words[0]), parseID(words[1]), amounts...)
	case "void":
		w.void(s.node(words[0]), parseID(words[1]))
	case "commit":
		s.commit(s.node(words[0]), upTo)
	case "replicate":
		s.node(words[0]).replicate(s.node(words[1]).member, upTo)
		w.say("%s has %s's log up to %d", words[1], words[0], len(s.node(words[1]).log))
	case "acknowledge":
		s.acknowledge(s.node(words[0]))
	case "follow":
		follower, leader := s.node(words[0]), s.node(words[1])
		leader.replicate(follower.member, upTo)
		for w.applyNext(follower) {
			continue
		}
	case "bank":
		if slices.Contains(words, "latest-first") {
			slices.Reverse(w.requests)
		}
		s.bank(transfer.BankID(words[0]), slices.Contains(words, "hold-answers"))
	case "answers":
		s.hear(func(a answer) bool { return a.from.name == transfer.BankID(words[0]) })
	case "repeat":
		s.repeat()
	case "lose":
		s.lose(transfer.BankID(words[0]))
	case "answer":
		w.hearBank(s.answer(words))
	case "tick":
		s.tick(t, words[0])
	case "cut":
		s.cut[s.node(words[0])] = true
	case "join":
		delete(s.cut, s.node(words[0]))
	case "elect":
		s.elect(s.node(words[0]))
	case "inquire":
		w.inquire(w.bank(transfer.BankID(words[0])), s.node(words[1]))
	case "forget":
		w.bank(transfer.BankID(words[0])).forget(parseID(words[1]))
	case "moved":
		s.node(words[0]).driver.BankMoved(transfer.BankID(words[1]))
	case "restart":
		w.boot(s.node(words[0]))
	case "state":
		s.state()
	default:
		d.Fatalf(t, "unknown command %q", d.Cmd)
	}
}

func (s *stage) node(name string) *node {
	for _, n := range s.world.nodes {
		if n.name == name {
			return n
		}
	}
	panic("no node " + name)
}

// transfer reads t1 A:-100 B:+100: debits are negative.
func (s *stage) transfer(t *testing.T, d *datadriven.TestData, words []string) *transfer.Transfer {
	deadline := "10s"
	d.MaybeScanArgs(t, "deadline", &deadline)
	p := &transfer.Transfer{ID: parseID(words[1]), Deadline: s.world.now.Add(duration(t, deadline))}
	var hold string
	if d.MaybeScanArgs(t, "hold", &hold); hold != "" {
		p.HoldUntil = s.world.now.Add(duration(t, hold))
	}
	for _, word := range words[2:] {
		name, amount, _ := strings.Cut(word, ":")
		minor, err := strconv.ParseInt(amount, 10, 64)
		if err != nil {
			d.Fatalf(t, "leg %q: %v", word, err)
		}
		leg := transfer.Leg{Bank: transfer.BankID(name), Account: "acct", Direction: transfer.Credit, AmountMinor: minor, Currency: "CZK"}
		if minor < 0 {
			leg.Direction, leg.AmountMinor = transfer.Debit, -minor
		}
		p.Legs = append(p.Legs, leg)
	}
	if err := p.Validate(); err != nil {
		d.Fatalf(t, "%v", err)
	}
	return p
}

func (s *stage) commit(leader *node, upTo int) {
	for range 2 { // the second time tells the others what is committed
		for _, n := range s.world.nodes {
			if n != leader && !s.cut[n] && !s.cut[leader] {
				leader.replicate(n.member, upTo)
			}
		}
		s.world.noticeDefeat()
		s.acknowledge(leader)
	}
	for _, n := range s.world.nodes {
		for n != leader && s.world.applyNext(n) {
			continue
		}
	}
}

func (s *stage) acknowledge(leader *node) {
	if leader.leads {
		if wrong := s.world.group.advance(leader.member); wrong != "" {
			s.world.judge.object("%s", wrong)
		}
	}
	for s.world.applyNext(leader) {
		continue
	}
}

func (s *stage) elect(n *node) {
	var voters []*member
	for _, v := range s.world.nodes {
		if !s.cut[v] {
			voters = append(voters, v.member)
		}
	}
	if !s.world.group.elect(n.member, voters) {
		s.world.say("%s is not elected", n.name)
		return
	}
	s.world.say("%s is elected in term %d", n.name, n.term)
}

func (s *stage) bank(name transfer.BankID, holdAnswers bool) {
	w := s.world
	s.last = nil
	var others []request
	for _, r := range w.requests {
		if r.to.name != name {
			others = append(others, r)
			continue
		}
		s.last = append(s.last, r)
		w.arrive(r)
	}
	w.requests = others
	s.held = append(s.held, w.answers...)
	w.answers = nil
	if !holdAnswers {
		s.hear(func(a answer) bool { return a.from.name == name })
	}
}

func (s *stage) hear(which func(answer) bool) {
	var others []answer
	for _, a := range s.held {
		if which(a) {
			s.world.hearBank(a)
		} else {
			others = append(others, a)
		}
	}
	s.held = others
}

func (s *stage) repeat() {
	for _, r := range s.last {
		s.world.arrive(r)
	}
	s.held = append(s.held, s.world.answers...)
	s.world.answers = nil
	s.hear(func(answer) bool { return true })
}

func (s *stage) lose(name transfer.BankID) {
	s.world.requests = slices.DeleteFunc(s.world.requests, func(r request) bool { return r.to.name == name })
	s.held = slices.DeleteFunc(s.held, func(a answer) bool { return a.from.name == name })
}

// answer reads n1 A prepare t1 no [reason].
func (s *stage) answer(words []string) answer {
	a := answer{from: s.world.bank(transfer.BankID(words[1])), to: s.node(words[0])}
	a.ID = parseID(words[3])
	for op := bank.Prepare; op <= bank.Resolve; op++ {
		if op.String() == words[2] {
			a.Op = op
		}
	}
	for r := bank.Yes; r <= bank.Violation; r++ {
		if r.String() == strings.ReplaceAll(words[4], "-", " ") {
			a.Result = r
		}
	}
	a.Fingerprint = s.world.contents[a.ID]
	if len(words) > 5 {
		a.Reason.Code = transfer.Code(words[5])
	}
	return a
}

func (s *stage) tick(t *testing.T, by string) {
	s.world.now = s.world.now.Add(duration(t, by))
	for _, n := range s.world.nodes {
		n.driver.Tick(s.world.clock(n))
	}
}

func (s *stage) state() {
	w := s.world
	for _, n := range w.nodes {
		line := n.name + " knows"
		for i := 1; i < 20; i++ {
			r, err := n.machine.Lookup(idOf(i))
			if err != nil || r == nil {
				continue
			}
			public := r.Public()
			line += fmt.Sprintf(" · t%d %s", i, outcomeOf(&public))
			if r.Settled {
				line += ", settled"
			}
		}
		if n.driver.Leading() {
			line += fmt.Sprintf(" · leads, %d in flight", n.driver.Counts().InFlight)
			if held := n.driver.Counts().Held; held > 0 {
				line += fmt.Sprintf(", %d held", held)
			}
		}
		w.say("%s", line)
	}
	for _, b := range w.banks {
		line := fmt.Sprintf("bank %s has %d to spend", b.name, b.funds)
		for _, id := range sortedIDs(b.known) {
			line += fmt.Sprintf(" · %s %s", name(id), b.known[id].state)
		}
		w.say("%s", line)
	}
}

func parseID(word string) transfer.ID {
	n, err := strconv.Atoi(strings.TrimPrefix(word, "t"))
	if err != nil {
		panic(err)
	}
	return idOf(n)
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
