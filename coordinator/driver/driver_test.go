package driver_test

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/coordinator/driver"
	"github.com/quorate/quorate/transfer"
)

var amplePlace = driver.Limits{FlightsMax: 1 << 15, BankOutstandingMax: 1 << 13, RetryAfter: time.Second, RetryAfterMax: 8 * time.Second, BreakerSilences: 3}

// A leader that a stranger's words could stop would be replaced by one that the same words stop.
func TestABanksReasonHarmsNobody(t *testing.T) {
	tests := []struct {
		name  string
		given transfer.Reason
		code  transfer.Code
	}{
		{"an ordinary one", transfer.Reason{Code: transfer.ErrAccountFrozen.Code, Detail: "bob is frozen"}, transfer.ErrAccountFrozen.Code},
		{"a code of its own", transfer.Reason{Code: "sanctions_hit"}, "sanctions_hit"},
		{"none", transfer.Reason{}, transfer.ErrRolledBack.Code},
		{"no text at all", transfer.Reason{Code: "\xff\xfe", Detail: "\xc3\x28"}, transfer.ErrRolledBack.Code},
		{"no end", transfer.Reason{Code: transfer.Code(strings.Repeat("x", 1<<20)), Detail: strings.Repeat("ě", 1<<20)}, transfer.Code(strings.Repeat("x", 64))},
		{"another bank's name", transfer.Reason{Code: transfer.ErrAccountClosed.Code, Bank: "B"}, transfer.ErrAccountClosed.Code},
		{"orphaned, what only coordinators say", transfer.Reason{Code: transfer.ErrOrphaned.Code}, transfer.ErrRolledBack.Code},
		{"cancelled, what only clients do", transfer.Reason{Code: transfer.ErrCancelled.Code}, transfer.ErrRolledBack.Code},
		{"the deadline, which only a leader keeps", transfer.Reason{Code: transfer.ErrDeadlineExceeded.Code}, transfer.ErrRolledBack.Code},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(1, []*modelBank{newModelBank("A", 0), newModelBank("B", 0)}, amplePlace)
			n := w.nodes[0]
			lead(w, n)
			p := payment(1, "A", "B", 100)
			p.Deadline = w.now.Add(time.Minute)
			w.submit(n, p)
			agree(w, n)
			n.driver.Answers(w.now, "A", []bank.Answer{{Op: bank.Prepare, ID: p.ID, Fingerprint: p.Fingerprint(), Result: bank.No, Reason: tt.given}})
			agree(w, n)
			r, err := n.machine.Lookup(p.ID)
			if err != nil || r.State != transfer.Aborted {
				t.Fatalf("the transfer is %v (%v), want aborted", r.State, err)
			}
			if r.Reason.Code != tt.code || r.Reason.Bank != "A" || !utf8.ValidString(r.Reason.Detail) || len(r.Reason.Detail) > 256 {
				t.Errorf("reason %q of bank %q with a detail of %d bytes, want %q of bank A", r.Reason.Code, r.Reason.Bank, len(r.Reason.Detail), tt.code)
			}
			for _, o := range w.judge.objections {
				t.Error(o)
			}
		})
	}
}

// A tombstone that a Stage came before is refused; whoever cancelled cancels what is staged then. It can't come about in one reign,
// so the log says here what no log can say: only the machine's rule stands between such a cancel and an abort on a guess.
func TestACancelThatAStageCameBeforeGoesOn(t *testing.T) {
	d := newDesk(time.Hour)
	d.lead()
	d.cancel()
	d.submit(theTransfer())
	closing, staging := d.proposed[0], d.proposed[1]
	d.proposed = nil
	d.log(staging)
	d.log(closing)
	if state, _ := d.driver.Standing(idOf(1)); state != "aborting, staged" || d.told != 0 {
		t.Fatalf("the transfer is %q, and somebody was told %q", state, d.told)
	}
	d.agree()
	if got := strings.Count(d.words(), "tell who waits: aborted"); got != 2 {
		t.Errorf("%d of 2 were told that it is aborted", got)
	}
	for _, o := range d.objections {
		t.Error(o)
	}
}

// lead makes the only node of a world its leader.
func lead(w *world, n *node) {
	w.group.elect(n.member, []*member{n.member})
	agree(w, n)
}

// agree commits and applies everything that the only node proposes.
func agree(w *world, n *node) {
	w.carryOut(n)
	w.group.advance(n.member)
	for w.applyNext(n) {
		continue
	}
}

// The same inputs give the same effects in the same order: no map order, clock or chance of its own shows.
func TestTheSameSeedGivesTheSameWorld(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		first, second := explore(seed, true), explore(seed, true)
		if !slices.Equal(first.world.trace, second.world.trace) {
			t.Fatalf("seed %d went two ways", seed)
		}
	}
}

// BenchmarkTransfer is what the leader's driver pays for one transfer between two banks, from Submit to
// settled: votes, decision and confirmations, without the machine, the log and the banks.
func BenchmarkTransfer(b *testing.B) {
	const batch = 100
	machine, err := coordinator.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	d := driver.New(driver.Config{Banks: []transfer.BankID{"A", "B"}, Limits: amplePlace}, machine)
	d.Lead(epoch)
	transfers := make([]*transfer.Transfer, batch)
	for i := range transfers {
		transfers[i] = payment(i, "A", "B", 100)
		transfers[i].Deadline = epoch.Add(time.Minute)
	}
	votes := answersOf(transfers, bank.Prepare, bank.Yes)
	confirmations := answersOf(transfers, bank.Commit, bank.Done)
	staged := results(transfers, coordinator.Staged, transfer.Pending)
	decided := results(transfers, coordinator.Decided, transfer.Committed)
	settled := results(transfers, coordinator.Settled, transfer.Committed)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for i := range transfers {
			d.Submit(epoch, driver.Waiter{Request: uint64(i)}, transfers[i])
		}
		d.Take(epoch)
		d.Applied(epoch, staged)
		for _, id := range []transfer.BankID{"A", "B"} {
			d.Answers(epoch, id, votes)
		}
		d.Take(epoch)
		for _, id := range []transfer.BankID{"A", "B"} {
			d.Answers(epoch, id, confirmations)
		}
		d.Applied(epoch, decided)
		d.Take(epoch)
		d.Applied(epoch, settled)
		d.Tick(epoch)
		n += batch
	}
	if inFlight := d.Counts().InFlight; inFlight != 0 {
		b.Fatalf("%d in flight at the end", inFlight)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/transfer")
}

func answersOf(transfers []*transfer.Transfer, op bank.Op, result bank.Result) []bank.Answer {
	var answers []bank.Answer
	for _, t := range transfers {
		answers = append(answers, bank.Answer{Op: op, ID: t.ID, Fingerprint: t.Fingerprint(), Result: result})
	}
	return answers
}

func results(transfers []*transfer.Transfer, kind coordinator.AppliedKind, state transfer.State) []coordinator.Applied {
	var all []coordinator.Applied
	for _, t := range transfers {
		record := &coordinator.Record{Transfer: *t, Fingerprint: t.Fingerprint(), State: state}
		all = append(all, coordinator.Applied{ID: t.ID, Kind: kind, Record: record})
	}
	return all
}

// Clients that poll a transfer in doubt leave their places behind when they go: the list of them must not grow for ever.
func TestWaitersOfOneTransferAreBounded(t *testing.T) {
	machine, err := coordinator.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := payment(1, "A", "B", 100)
	p.Deadline = epoch.Add(time.Hour)
	if _, err := machine.Apply(1, coordinator.Encode(epoch, []coordinator.Fact{{Stage: p}})); err != nil {
		t.Fatal(err)
	}
	d := driver.New(driver.Config{Banks: []transfer.BankID{"A", "B"}, Limits: amplePlace}, machine)
	d.Lead(epoch)
	lost := 0
	for request := range uint64(1000) {
		d.Get(driver.Waiter{Node: 1, Request: request}, p.ID)
		d.Get(driver.Waiter{Node: 1, Request: request}, p.ID) // asked again, as a gateway does
		for _, r := range d.Take(epoch).Replies {
			if !r.Lost || r.Waiter.Request != uint64(lost) {
				t.Fatalf("got %+v, want the oldest to be sent away", r)
			}
			lost++
		}
	}
	if kept := 1000 - lost; kept < 10 || kept > 100 {
		t.Errorf("%d of 1000 wait", kept)
	}
}
