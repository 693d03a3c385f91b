package ledger_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/quorate/quorate/bank"
)

// What a bank may know of an id, and what may arrive: every pair of them is a cell of bankStates, "answer → what the bank knows
// then". The first part of docs/protocol-states.md is the same table for reading; -rewrite writes it. The second part is about coordinators,
// and written by coordinator/driver.
const (
	statesPage      = "../docs/protocol-states.md"
	secondPartTitle = "## What a coordinator does, in every state\n"
)

// arrival is a request that names, or doesn't, the content of the state.
type arrival struct {
	name    string
	request func(s *bankState) bank.Request
}

var arrivals = []arrival{
	{"Prepare", func(s *bankState) bank.Request { return s.same }},
	{"Prepare, other content", func(s *bankState) bank.Request { return s.other() }},
	{"Commit", func(*bankState) bank.Request { return commit }},
	{"Rollback", func(*bankState) bank.Request { return rollback }},
	{"Resolve", func(s *bankState) bank.Request { return resolveOf(s.same) }},
	{"Resolve, other content", func(s *bankState) bank.Request { return resolveOf(s.other()) }},
}

// bankState is a row: how the bank came to know what it knows, and a cell for every arrival.
type bankState struct {
	name  string
	known string // what is known, by what it answers; rows that can't be told apart share it
	same  bank.Request
	rival bank.Request // the other content, if not the usual one
	steps []bank.Request
	later func(*book) // happens after the steps
	cells []string    // in the order of arrivals
}

var bankStates = []bankState{
	{name: "unknown, and the money is there", known: "unknown", same: good,
		cells: []string{"yes → held", "yes → held, other content", "violation → unknown", "done → closed", "rolled back → closed", "rolled back → closed"}},
	{name: "unknown, and the money is missing", known: "unknown, money missing", same: tooMuch,
		cells: []string{"no insufficient_funds → refused", "yes → held, other content", "violation → unknown, money missing", "done → closed", "rolled back → closed", "rolled back → closed"}},
	{name: "held", known: "held", same: good, steps: []bank.Request{good},
		cells: []string{"yes → held", "no prepare_conflict → held", "done → committed", "done → rolled back", "prepared → held", "rolled back → held"}},
	{name: "held, other content", known: "held, other content", same: good, steps: []bank.Request{other},
		cells: []string{"no prepare_conflict → held, other content", "yes → held, other content", "done → committed, other content", "done → rolled back, other content",
			"rolled back → held, other content", "prepared → held, other content"}},
	{name: "committed", known: "committed", same: good, steps: []bank.Request{good, commit},
		cells: []string{"yes → committed", "no prepare_conflict → committed", "done → committed", "violation → committed", "committed → committed", "rolled back → committed"}},
	{name: "committed, other content", known: "committed, other content", same: good, steps: []bank.Request{other, commit},
		cells: []string{"no prepare_conflict → committed, other content", "yes → committed, other content", "done → committed, other content", "violation → committed, other content",
			"rolled back → committed, other content", "committed → committed, other content"}},
	{name: "refused", known: "refused", same: tooMuch, steps: []bank.Request{tooMuch},
		cells: []string{"no insufficient_funds → refused", "no prepare_conflict → refused", "violation → refused", "done → rolled back", "rolled back → refused", "rolled back → refused"}},
	{name: "refused, other content", known: "refused, other content", same: good, rival: tooMuch, steps: []bank.Request{tooMuch},
		cells: []string{"no prepare_conflict → refused, other content", "no insufficient_funds → refused, other content", "violation → refused, other content",
			"done → rolled back, other content", "rolled back → refused, other content", "rolled back → refused, other content"}},
	{name: "refused, and now the money is there", known: "refused, money there", same: tooMuch, steps: []bank.Request{tooMuch}, later: grow,
		cells: []string{"no insufficient_funds → refused, money there", "no prepare_conflict → refused, money there", "violation → refused, money there", "done → rolled back, money there", "rolled back → refused, money there", "rolled back → refused, money there"}},
	{name: "rolled back", known: "rolled back", same: good, steps: []bank.Request{good, rollback},
		cells: []string{"no rolled_back → rolled back", "no prepare_conflict → rolled back", "violation → rolled back", "done → rolled back", "rolled back → rolled back", "rolled back → rolled back"}},
	{name: "rolled back, other content", known: "rolled back, other content", same: good, steps: []bank.Request{other, rollback},
		cells: []string{"no prepare_conflict → rolled back, other content", "no rolled_back → rolled back, other content", "violation → rolled back, other content",
			"done → rolled back, other content", "rolled back → rolled back, other content", "rolled back → rolled back, other content"}},
	{name: "refused, then rolled back", known: "rolled back", same: tooMuch, steps: []bank.Request{tooMuch, rollback},
		cells: []string{"no rolled_back → rolled back", "no prepare_conflict → rolled back", "violation → rolled back", "done → rolled back", "rolled back → rolled back", "rolled back → rolled back"}},
	{name: "refused, then rolled back, and now the money is there", known: "rolled back, money there", same: tooMuch, steps: []bank.Request{tooMuch, rollback}, later: grow,
		cells: []string{"no rolled_back → rolled back, money there", "no prepare_conflict → rolled back, money there", "violation → rolled back, money there", "done → rolled back, money there",
			"rolled back → rolled back, money there", "rolled back → rolled back, money there"}},
	{name: "closed by a Rollback that came first", known: "closed", same: good, steps: []bank.Request{rollback},
		cells: []string{"no rolled_back → closed", "no rolled_back → closed", "violation → closed", "done → closed", "rolled back → closed", "rolled back → closed"}},
	{name: "closed by a Resolve that came first", known: "closed", same: good, steps: []bank.Request{resolve},
		cells: []string{"no rolled_back → closed", "no rolled_back → closed", "violation → closed", "done → closed", "rolled back → closed", "rolled back → closed"}},
}

func (s *bankState) other() bank.Request {
	if s.rival.Op != 0 {
		return s.rival
	}
	return other
}

// grow brings alice what the content of the row needs.
func grow(b *book) { b.fund("alice", 1_000_000) }

// TestEveryStateMeetsEveryRequest: the cells are the whole product, so a state or a request without its cell fails.
func TestEveryStateMeetsEveryRequest(t *testing.T) {
	names := map[string]string{} // what the bank answers from then on → what that is called
	for _, s := range bankStates {
		if len(s.cells) != len(arrivals) {
			t.Fatalf("%s: %d cells for %d requests", s.name, len(s.cells), len(arrivals))
		}
		for how, between := range restlessness {
			behaviour := s.behaviour(t, between)
			if before, ok := names[behaviour]; ok && before != s.known {
				t.Errorf("%s (%s) can't be told from %q:\n%s", s.name, how, before, behaviour)
			}
			names[behaviour] = s.known
		}
	}
	for _, s := range bankStates {
		for i, a := range arrivals {
			t.Run(s.name+"/"+a.name, func(t *testing.T) {
				for how, between := range restlessness {
					for _, times := range []int{1, 2} { // a request that comes twice is answered alike and changes no more
						if got := s.cell(t, a, times, between, names); got != s.cells[i] {
							t.Errorf("%s, %d times: %s, want %s", how, times, got, s.cells[i])
						}
					}
				}
			})
		}
	}
}

// cell asks what arrives, and says what was answered and what the bank knows then.
func (s *bankState) cell(t *testing.T, a arrival, times int, between func(*book) *book, names map[string]string) string {
	t.Helper()
	q := a.request(s)
	b := s.bank(t, between)
	var answer bank.Answer
	for range times {
		answer = b.ask(q)
		b = between(b)
	}
	if answer.Op != q.Op || answer.ID != q.ID || answer.Fingerprint != q.Fingerprint {
		t.Errorf("the answer speaks of %s %s %x", answer.Op, answer.ID, answer.Fingerprint)
	}
	b.check()
	then, ok := names[s.behaviour(t, between, q)]
	if !ok {
		then = "what no row knows"
	}
	return answerText(answer) + " → " + then
}

// bank brings a bank into the state, and further.
func (s *bankState) bank(t *testing.T, between func(*book) *book, further ...bank.Request) *book {
	t.Helper()
	b := aliceAndBob(t, newDisk())
	for _, q := range s.steps {
		b.ask(q)
		b = between(b)
	}
	if s.later != nil {
		s.later(b)
		b = between(b)
	}
	for _, q := range further {
		b.ask(q)
		b = between(b)
	}
	return b
}

// behaviour is what a bank knows, told by what it would answer to every request, and by alice's money: two banks that agree in it
// are in the same state as far as anybody can tell.
func (s *bankState) behaviour(t *testing.T, between func(*book) *book, further ...bank.Request) string {
	t.Helper()
	var out strings.Builder
	for _, a := range arrivals {
		answer := s.bank(t, between, further...).ask(a.request(s))
		fmt.Fprintf(&out, "%s: %s\n", a.name, answerText(answer))
	}
	alice := s.bank(t, between, further...).account("alice")
	fmt.Fprintf(&out, "alice: %s held %s\n", decimal(alice.PostedMinor), decimal(alice.HeldMinor))
	return out.String()
}

func TestThePageOfBankStatesIsTrue(t *testing.T) {
	var page strings.Builder
	page.WriteString(`# The commit protocol, state by state

Everything that may arrive in every state: first at a bank, then at a coordinator. Written by the tests that play each cell. The rules behind it: [protocol.md](protocol.md).

## What a bank answers, in every state

Every state in which a bank may know a transfer's id, with every request that may arrive, late and repeated ones included. A cell says the
answer, and what the bank knows then if that changes. *Other content* is a request about another transfer under the same id.

Written by ` + "`go test ./ledger -run ThePageOfBankStates -rewrite`" + ` from the table in ` + "`ledger/states_test.go`" + `, which ` + "`TestEveryStateMeetsEveryRequest`" + ` carries out against
the ledger, each cell once and twice, with checkpoints, evictions and restarts in between. One cell alone: ` + "`go test ./ledger -run 'TestEveryStateMeetsEveryRequest/held/Commit'`" + `.

`)
	page.WriteString("| the bank knows |")
	for _, a := range arrivals {
		page.WriteString(" " + a.name + " |")
	}
	page.WriteString("\n" + strings.Repeat("| --- ", len(arrivals)+1) + "|\n")
	for _, s := range bankStates {
		page.WriteString("| " + s.name + " |")
		for _, c := range s.cells {
			page.WriteString(" " + strings.TrimSuffix(c, " → "+s.known) + " |")
		}
		page.WriteString("\n")
	}
	page.WriteString("\n")
	committed, err := os.ReadFile(statesPage)
	if err != nil {
		t.Fatal(err)
	}
	first, second, found := bytes.Cut(committed, []byte(secondPartTitle))
	if !found {
		t.Fatalf("%s has no part %q", statesPage, secondPartTitle)
	}
	if *rewrite {
		whole := page.String() + secondPartTitle + string(second)
		if err := os.WriteFile(statesPage, []byte(whole), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(first, []byte(page.String())) {
		t.Errorf("%s isn't what the table says; write it with: go test ./ledger -run ThePageOfBankStates -rewrite", statesPage)
	}
}
