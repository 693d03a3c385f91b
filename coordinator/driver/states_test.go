package driver_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/transfer"
)

// Every state in which a coordinator may know an id meets everything that may arrive. The second part of the page is the table: -rewrite
// writes down what happens now, and each line of it was read by somebody who agreed. The first part is about banks, and written by ledger.
const statesPage = "../../docs/protocol-states.md"

// standing is a state, and a way to it.
type standing struct {
	name  string
	reach func(d *desk)
}

var standings = []standing{
	{"not leading", func(d *desk) { reachVotingStaged(d); d.depose() }},
	{"not leading, committed", func(d *desk) { reachCommitted(d); d.agree(); d.depose() }},
	{"not leading, aborted", func(d *desk) { reachAborted(d); d.depose() }},
	{"unknown", func(d *desk) { d.lead() }},
	{"a tombstone is proposed", func(d *desk) { d.lead(); d.inquire("A") }},
	{"a tombstone is proposed, and a client waits for it", func(d *desk) { d.lead(); d.cancel() }},
	{"closed by a tombstone", func(d *desk) { d.lead(); d.inquire("A"); d.agree() }},
	{"voting, behind a tombstone", reachBehindTombstone},
	{"voting, behind a tombstone, a rival waits", func(d *desk) { reachBehindTombstone(d); d.submit(theOther()) }},
	{"voting, its id closed", func(d *desk) { reachBehindTombstone(d); d.log(tombstone) }},
	{"voting, its id closed, a rival waits", func(d *desk) { reachBehindTombstone(d); d.log(tombstone); d.submit(theOther()) }},
	{"aborting, behind a tombstone", func(d *desk) { reachBehindTombstone(d); d.no("B") }},
	{"aborting, behind a tombstone, a rival waits", func(d *desk) { reachBehindTombstone(d); d.no("B"); d.submit(theOther()) }},
	{"aborting, its id closed", func(d *desk) { reachBehindTombstone(d); d.no("B"); d.log(tombstone) }},
	{"aborting, its id closed, a rival waits", func(d *desk) { reachBehindTombstone(d); d.no("B"); d.log(tombstone); d.submit(theOther()) }},
	{"voting, not staged", reachVoting},
	{"voting, not staged, every bank has prepared", func(d *desk) { reachVoting(d); d.yes("B") }},
	{"voting, not staged, a rival waits", func(d *desk) { reachVoting(d); d.submit(theOther()) }},
	{"voting, staged", reachVotingStaged},
	{"voting, another reign's", func(d *desk) { reachAnothers(d, epoch); d.yes("A") }},
	{"resolving", reachResolving},
	{"resolving, cancelled", func(d *desk) { reachAnothers(d, epoch); d.yes("A"); d.cancel() }},
	{"aborting, not staged", func(d *desk) { reachVoting(d); d.no("B") }},
	{"aborting, not staged, a rival waits", func(d *desk) { reachVoting(d); d.no("B"); d.submit(theOther()) }},
	{"aborting, staged", func(d *desk) { reachVotingStaged(d); d.no("B") }},
	{"aborting, another reign's", func(d *desk) { reachResolving(d); d.hear("B", bank.Resolve, bank.RolledBack, theTransfer()) }},
	{"committed, not decided", reachCommitted},
	{"committed and confirmed, not decided", func(d *desk) { reachCommitted(d); d.done("B", bank.Commit) }},
	{"committed, decided", func(d *desk) { reachCommitted(d); d.agree() }},
	{"committed, settling", func(d *desk) { reachCommitted(d); d.agree(); d.done("B", bank.Commit) }},
	{"committed, settled", func(d *desk) { reachCommitted(d); d.agree(); d.done("B", bank.Commit); d.agree() }},
	{"aborted, decided", reachAborted},
	{"aborted, settling", func(d *desk) { reachAborted(d); d.done("B", bank.Rollback) }},
	{"aborted, settled", func(d *desk) { reachAborted(d); d.done("B", bank.Rollback); d.agree() }},
}

// In each of them A has answered what it was asked, and B has not.

func reachVoting(d *desk) {
	d.lead()
	d.submit(theTransfer())
	d.yes("A")
}

func reachVotingStaged(d *desk) {
	reachVoting(d)
	d.agree()
}

func reachBehindTombstone(d *desk) {
	d.lead()
	d.inquire("A")
	d.submit(theTransfer())
	d.yes("A")
}

// reachAnothers: an earlier reign has staged it. Somebody waits for it.
func reachAnothers(d *desk, now time.Time) {
	d.log(coordinator.Fact{Stage: theTransfer()})
	d.now = now
	d.lead()
	d.submit(theTransfer())
}

func reachResolving(d *desk) {
	reachAnothers(d, epoch.Add(cellDeadline))
	d.hear("A", bank.Resolve, bank.Prepared, theTransfer())
}

func reachCommitted(d *desk) {
	reachVotingStaged(d)
	d.yes("B")
	d.done("A", bank.Commit)
}

func reachAborted(d *desk) {
	reachVotingStaged(d)
	d.no("B")
	d.agree()
	d.done("A", bank.Rollback)
}

var (
	tombstone = coordinator.Fact{Decide: &coordinator.Decision{ID: idOf(1), State: transfer.Aborted, Reason: transfer.Reason{Code: transfer.ErrOrphaned.Code}, At: epoch, Tombstone: true}}
	settled   = coordinator.Fact{Settle: []transfer.ID{idOf(1)}}
)

func decision(state transfer.State, code transfer.Code) coordinator.Fact {
	return coordinator.Fact{Decide: &coordinator.Decision{ID: idOf(1), State: state, Reason: transfer.Reason{Code: code}, At: epoch}}
}

// input is something that arrives.
type input struct {
	name  string
	act   func(d *desk)
	fact  *coordinator.Fact // instead of act: the log says so
	asks  bool              // each time it comes, banks are asked again: that is what it is for
	once  bool              // it can't come twice
	retry bool              // it is about answers that don't come in time
}

func (in *input) arrive(d *desk) {
	if in.fact != nil {
		d.log(*in.fact)
	} else {
		in.act(d)
	}
}

// retryAfter is short only where that is what the input is about.
func (in *input) retryAfter() time.Duration {
	if in.retry {
		return time.Second
	}
	return time.Hour
}

var inputs = slices.Concat([]input{
	{name: "a client submits it", act: func(d *desk) { d.submit(theTransfer()) }},
	{name: "a client submits other content", act: func(d *desk) { d.submit(theOther()) }},
	{name: "a client cancels it", act: func(d *desk) { d.cancel() }},
	{name: "a client gets it", act: func(d *desk) { d.get() }},
	logged("the log says stage", coordinator.Fact{Stage: theTransfer()}),
	logged("the log says stage, other content", coordinator.Fact{Stage: theOther()}),
	logged("the log says decide commit", decision(transfer.Committed, "")),
	logged("the log says decide abort", decision(transfer.Aborted, transfer.ErrDeadlineExceeded.Code)),
	logged("the log says tombstone", tombstone),
	logged("the log says settle", settled),
}, answersOfBank("A"), answersOfBank("B"), []input{
	{name: "C, without a leg, answers prepare: yes", act: func(d *desk) { d.yes("C") }},
	{name: "A inquires", asks: true, act: func(d *desk) { d.inquire("A") }},
	{name: "C, without a leg, inquires", asks: true, act: func(d *desk) { d.inquire("C") }},
	{name: "the deadline passes", act: func(d *desk) { d.tick(epoch.Add(cellDeadline)) }},
	{name: "no answer comes in time", retry: true, asks: true, act: func(d *desk) { d.tick(d.now.Add(time.Second)) }},
	{name: "B moves to another node", asks: true, act: func(d *desk) { d.driver.BankMoved("B"); d.take() }},
	{name: "this node leads", once: true, act: func(d *desk) { d.lead() }},
	{name: "this node is deposed", act: func(d *desk) { d.depose() }},
})

func logged(name string, f coordinator.Fact) input { return input{name: name, fact: &f} }

// answersOfBank is everything that a bank can say. In most states A has said the proper thing already: its answers are the late and repeated ones.
func answersOfBank(b transfer.BankID) []input {
	says := func(op bank.Op, r bank.Result, about *transfer.Transfer) func(*desk) {
		return func(d *desk) { d.hear(b, op, r, about) }
	}
	it, other := theTransfer(), theOther()
	all := []input{
		{name: "prepare: yes", act: says(bank.Prepare, bank.Yes, it)},
		{name: "prepare: no", act: says(bank.Prepare, bank.No, it)},
		{name: "prepare: done, which is no answer", act: says(bank.Prepare, bank.Done, it)},
		{name: "prepare of other content: yes", act: says(bank.Prepare, bank.Yes, other)},
		{name: "prepare of other content: no", act: says(bank.Prepare, bank.No, other)},
		{name: "resolve: prepared", act: says(bank.Resolve, bank.Prepared, it)},
		{name: "resolve: committed", act: says(bank.Resolve, bank.Committed, it)},
		{name: "resolve: rolled back", act: says(bank.Resolve, bank.RolledBack, it)},
		{name: "resolve: yes, which is no answer", act: says(bank.Resolve, bank.Yes, it)},
		{name: "resolve of other content: rolled back", act: says(bank.Resolve, bank.RolledBack, other)},
		{name: "commit: done", act: says(bank.Commit, bank.Done, it)},
		{name: "commit: violation", act: says(bank.Commit, bank.Violation, it)},
		{name: "rollback: done", act: says(bank.Rollback, bank.Done, it)},
		{name: "rollback: violation", act: says(bank.Rollback, bank.Violation, it)},
	}
	for i := range all {
		all[i].name = string(b) + " answers " + all[i].name
	}
	return all
}

// mayRepeat: when an input comes twice, who asks is answered again, an alarm is raised again, and banks are asked again where that is what
// the input is for. Nothing else happens twice.
func (in *input) mayRepeat(word string) bool {
	for _, may := range []string{"tell who asks: ", "refuse who asks: ", "send who asks to the next leader", "raise the alarm: "} {
		if strings.HasPrefix(word, may) {
			return true
		}
	}
	return word == "" || (in.asks && strings.HasPrefix(word, "ask ") && !strings.Contains(word, "⇒"))
}

func TestEveryStateMeetsEveryInput(t *testing.T) {
	rows := map[string]bool{}
	for i := range standings {
		rows[classOf(&standings[i])] = true
	}
	for i := range standings {
		for j := range inputs {
			s, in := &standings[i], &inputs[j]
			t.Run(s.name+"/"+in.name, func(t *testing.T) {
				o := meet(s, in)
				for _, objection := range o.objects {
					t.Error(objection)
				}
				if o.unasked {
					return // can't come; the page says what would stop it, or come of it
				}
				if o.stopped == "" && !rows[o.class] {
					t.Errorf("leads to %q, which is no row of the table", o.class)
				}
				for word := range strings.SplitSeq(o.again, " · ") {
					if !in.mayRepeat(word) {
						t.Errorf("when it comes twice: %s", o.again)
					}
				}
			})
		}
	}
}

func classOf(s *standing) string {
	d := newDesk(time.Hour)
	s.reach(d)
	class, _ := d.driver.Standing(idOf(1))
	return class
}

func TestThePageOfCoordinatorStatesIsTrue(t *testing.T) {
	page, err := os.ReadFile(statesPage)
	if err != nil {
		t.Fatal(err)
	}
	ofBanks, _, found := bytes.Cut(page, []byte(partTitle))
	if !found {
		t.Fatalf("%s has no part %q", statesPage, partTitle)
	}
	want := append(bytes.Clone(ofBanks), writePart()...)
	if flag.Lookup("rewrite").Value.String() == "true" { // datadriven's flag
		if err := os.WriteFile(statesPage, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(page, want) {
		t.Errorf("%s isn't what happens; write it with: go test ./coordinator/driver -run ThePageOfCoordinatorStates -rewrite, and read the difference", statesPage)
	}
}

const partTitle = "## What a coordinator does, in every state\n"

const partHead = `
Every state in which a leader's driver may know a transfer's id, with everything that may arrive there: clients, the log, banks, time. Late, repeated, contradictory
and meaningless messages are among them. The transfer has legs at A and B, and in each state A has answered what it was asked and B hasn't; C has no leg.

A line says what comes of it, and after ⇒ the state then, if it is another. *Rival*: a client with other content under the id. *Can't come*: while a node leads, what
it applies is what its own reign has proposed, in that order (an invariant of ` + "`lane`" + ` and the second duty of a driver's host), and this reign hasn't proposed that; the line says
what would stop it or come of it all the same.

Written by ` + "`go test ./coordinator/driver -run ThePageOfCoordinatorStates -rewrite`" + `, which also compares it. ` + "`TestEveryStateMeetsEveryInput`" + ` plays each cell, once and twice, holds
each word of the driver against what the log and the banks have said by then, and fails where a cell leads to a state that has no section here. One cell alone:
` + "`go test ./coordinator/driver -run 'TestEveryStateMeetsEveryInput/voting,_staged/A_inquires'`" + `.

`

func writePart() string {
	var page strings.Builder
	page.WriteString(partTitle + partHead)
	for i := range standings {
		writeState(&page, &standings[i])
	}
	return page.String()
}

// writeState says what comes of each input; inputs of which the same comes share a line.
func writeState(page *strings.Builder, s *standing) {
	d := newDesk(time.Hour)
	s.reach(d)
	fmt.Fprintf(page, "### %s\n\n%s.\n\n", s.name, d.standing())
	var lines, cant []string
	same := map[string][]string{}
	for i := range inputs {
		o := meet(s, &inputs[i])
		line := o.text()
		group := &lines
		if o.unasked {
			line, group = "can't come: "+line, &cant
		}
		if len(same[line]) == 0 {
			*group = append(*group, line)
		}
		same[line] = append(same[line], inputs[i].name)
	}
	page.WriteString("| when | then |\n| --- | --- |\n")
	for _, line := range lines {
		if line != nothing {
			fmt.Fprintf(page, "| %s | %s |\n", listOf(same[line]), line)
		}
	}
	fmt.Fprintf(page, "| %s | %s |\n", listOf(same[nothing]), nothing)
	for _, line := range cant {
		fmt.Fprintf(page, "| %s | %s |\n", listOf(same[line]), line)
	}
	page.WriteString("\n")
}

const nothing = "nothing"

func (o *outcome) text() string {
	switch {
	case o.stopped != "":
		return "the process would stop: " + o.stopped
	case o.effects == "" && o.after == "":
		return nothing
	case o.after == "":
		return o.effects
	case o.effects == "":
		return "⇒ " + o.after
	default:
		return o.effects + " ⇒ " + o.after
	}
}

// listOf names inputs; of a bank's answers, when they are most, it says so: the others have their own lines.
func listOf(names []string) string {
	var words []string
	for _, b := range []string{"A", "B"} {
		answers := func(name string) bool { return strings.HasPrefix(name, b+" answers ") }
		all := len(answersOfBank("A"))
		mine := 0
		for _, n := range names {
			if answers(n) {
				mine++
			}
		}
		if mine > all/2 {
			names = slices.DeleteFunc(slices.Clone(names), answers)
			word := "every other answer of " + b
			if mine == all {
				word = "every answer of " + b
			}
			words = append(words, word)
		}
	}
	return strings.Join(append(words, names...), "; ")
}
