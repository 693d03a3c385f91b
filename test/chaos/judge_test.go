package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/internal/linear"
	"github.com/quorate/quorate/transfer"
)

var (
	alice = account{"north", "alice"}
	bob   = account{"south", "bob"}
)

// paid is a payment of 5 from alice to bob.
func paid() *payment {
	return &payment{transfer: transfer.Transfer{ID: client.NewID(), Legs: []transfer.Leg{
		{Bank: alice.bank, Account: alice.id, Direction: transfer.Debit, AmountMinor: 5, Currency: "EUR"},
		{Bank: bob.bank, Account: bob.id, Direction: transfer.Credit, AmountMinor: 5, Currency: "EUR"},
	}}}
}

// wantWrong says whether a judge finds something wrong, and that its words name what.
func wantWrong(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d wrong, want %d: %q", len(got), len(want), got)
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("got %q, want something about %q", got[i], want[i])
		}
	}
}

func TestAChangedOutcomeIsFound(t *testing.T) {
	p := paid()
	for _, row := range []struct {
		state transfer.State
		first bool
		wrong bool
	}{
		{transfer.Pending, false, false},
		{transfer.Committed, true, false},
		{transfer.Pending, false, false}, // whether that may be said is for the judge of reads
		{transfer.Committed, false, false},
		{transfer.Aborted, false, true},
	} {
		first, verdict := p.hear(row.state, false, 1, "a test")
		if first != row.first || (verdict != "") != row.wrong {
			t.Errorf("%v: first %v, verdict %q", row.state, first, verdict)
		}
	}
}

func TestALostAcknowledgementIsFound(t *testing.T) {
	p := paid()
	p.hear(transfer.Committed, false, 1, "a test")
	if verdict := judgeKnown(p, transfer.Committed, "node 1"); verdict != "" {
		t.Errorf("known: %s", verdict)
	}
	for _, state := range []transfer.State{0, transfer.Pending, transfer.Aborted} {
		if verdict := judgeKnown(p, state, "node 2"); !strings.Contains(verdict, "node 2") {
			t.Errorf("%v: got %q", state, verdict)
		}
	}
}

func TestAStaleReadIsFoundAndDrawn(t *testing.T) {
	dir := t.TempDir()
	p := paid()
	p.add(linear.Submitted(span(1, 10, 20), transfer.Committed))
	p.add(linear.Read(span(2, 15, 30), transfer.Pending))
	if verdict, what := judgeTransfer(p, dir); verdict != porcupine.Ok {
		t.Fatalf("a read beside the answer: %v, %s", verdict, what)
	}
	p.add(linear.Read(span(3, 40, 50), transfer.Pending))
	verdict, what := judgeTransfer(p, dir)
	if verdict != porcupine.Illegal || !strings.Contains(what, "get → pending") {
		t.Errorf("a stale read: %v, %s", verdict, what)
	}
	if _, err := os.Stat(filepath.Join(dir, "history-"+p.transfer.ID.String()+".html")); err != nil {
		t.Error(err)
	}
}

func TestAStaleLookAtAnAccountIsFound(t *testing.T) {
	for _, row := range []struct {
		name         string
		begun, seen  int64 // the look
		minor        int64
		want         porcupine.CheckResult
		committed    bool
		settledAtAll bool
	}{
		{"after it was settled", 40, 50, 105, porcupine.Ok, true, true},
		{"while it was posted", 15, 25, 100, porcupine.Ok, true, true},
		{"before it was settled", 21, 25, 100, porcupine.Ok, true, true},
		{"stale", 40, 50, 100, porcupine.Illegal, true, true},
		{"not known to be settled before the audit", 40, 50, 100, porcupine.Ok, true, false},
		{"a cent too much", 40, 50, 106, porcupine.Illegal, true, true},
		{"of an aborted payment", 40, 50, 105, porcupine.Illegal, false, true},
	} {
		l := newLooks()
		l.base[bob] = 100
		p := paid()
		p.begun, p.witness = 10, true
		if row.committed {
			p.hear(transfer.Committed, false, 20, "a test")
		} else {
			p.hear(transfer.Aborted, false, 20, "a test")
		}
		if row.settledAtAll {
			p.hear(p.outcome(), true, 30, "a test")
		}
		l.add(bob, span(1, row.begun, row.seen), row.minor)
		if verdict, what := judgeAccount(bob, l.histories([]*payment{p}, 100)[bob], t.TempDir()); verdict != row.want {
			t.Errorf("%s: got %v, %s", row.name, verdict, what)
		}
		if want := map[bool]int64{true: 105, false: 100}[row.committed]; l.base[bob] != want {
			t.Errorf("%s: the next history begins at %d, want %d", row.name, l.base[bob], want)
		}
	}
}

func TestAMissingCentIsFound(t *testing.T) {
	read := map[account]client.Account{alice: {PostedMinor: -5}, bob: {PostedMinor: 5}}
	wantWrong(t, judgeBalances(map[account]int64{alice: -5, bob: 5}, read))
	wantWrong(t, judgeBalances(map[account]int64{alice: -5, bob: 6}, read), "bob")
	wantWrong(t, judgeBalances(map[account]int64{bob: 5}, read), "alice")
	wantWrong(t, judgeBalances(map[account]int64{alice: -5, bob: 5, {"north", "carol"}: 1}, read), "carol")
}

func TestMoneyOutOfNothingIsFound(t *testing.T) {
	banks := func(euros, crowns int64) []client.Audit {
		return []client.Audit{
			{Bank: "north", Totals: []client.Total{{Currency: "EUR", PostedMinor: -7}, {Currency: "CZK", PostedMinor: 3}}},
			{Bank: "south", Totals: []client.Total{{Currency: "EUR", PostedMinor: euros}, {Currency: "CZK", PostedMinor: crowns}}},
		}
	}
	wantWrong(t, judgeConservation(banks(7, -3)))
	wantWrong(t, judgeConservation(banks(8, -3)), "1 EUR")
	wantWrong(t, judgeConservation(banks(8, -4)), "-1 CZK", "1 EUR") // no currency makes up for another
}

func TestAnOverdrawnAccountIsFound(t *testing.T) {
	read := map[account]client.Account{alice: {Terms: client.Terms{OverdraftMinor: 10}, PostedMinor: -10}, bob: {Terms: client.Terms{Unlimited: true}, PostedMinor: -1e9}}
	wantWrong(t, judgeLimits(read))
	read[alice] = client.Account{Terms: client.Terms{OverdraftMinor: 10}, PostedMinor: -8, HeldMinor: 3}
	wantWrong(t, judgeLimits(read), "alice")
}

func TestALeftHoldIsFound(t *testing.T) {
	audits := []client.Audit{{Bank: "north", Totals: []client.Total{{Currency: "EUR"}}}}
	fine := func(context.Context) ([]client.Audit, error) { return audits, nil }
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if _, err := awaitNoHolds(ctx, fine); err != nil {
		t.Errorf("without holds: %v", err)
	}
	for _, left := range []client.Audit{
		{Bank: "south", OpenHolds: 1},
		{Bank: "south", Totals: []client.Total{{Currency: "EUR", HeldMinor: 1}}},
		{Bank: "south", Totals: []client.Total{{Currency: "EUR", IncomingMinor: 1}}},
	} {
		audits = []client.Audit{left}
		if _, err := awaitNoHolds(ctx, fine); !isViolation(err) || !strings.Contains(err.Error(), "south") {
			t.Errorf("%+v: got %v", left, err)
		}
	}
	unreadable := func(context.Context) ([]client.Audit, error) { return nil, errors.New("no answer") }
	if _, err := awaitNoHolds(ctx, unreadable); !isViolation(err) {
		t.Errorf("banks that can't be read: got %v", err)
	}
}

func TestWhatTheJournalsLackOrHaveTooMuchIsFound(t *testing.T) {
	committed, aborted := paid(), paid()
	committed.hear(transfer.Committed, false, 1, "a test")
	aborted.hear(transfer.Aborted, false, 1, "a test")
	told := map[transfer.ID]summary{committed.transfer.ID: committed.summary(), aborted.transfer.ID: aborted.summary()}
	debit := client.Entry{Transfer: committed.transfer.ID, Account: alice.id, AmountMinor: -5}
	credit := client.Entry{Transfer: committed.transfer.ID, Account: bob.id, AmountMinor: 5}
	type line struct {
		bank  transfer.BankID
		entry client.Entry
		seq   uint64
	}
	wrongCent := credit
	wrongCent.AmountMinor = 4
	ofAborted := client.Entry{Transfer: aborted.transfer.ID, Account: alice.id, AmountMinor: -5}
	ofNobody := client.Entry{Transfer: client.NewID(), Account: alice.id, AmountMinor: -5}
	for _, row := range []struct {
		name  string
		lines []line
		want  []string
	}{
		{"all there", []line{{"north", debit, 1}, {"south", credit, 1}}, nil},
		{"half applied", []line{{"north", debit, 1}}, []string{"1 entries"}},
		{"not applied", nil, []string{"0 entries"}},
		{"a leg twice", []line{{"north", debit, 1}, {"south", credit, 1}, {"south", credit, 2}}, []string{"3 entries"}},
		{"a cent less", []line{{"north", debit, 1}, {"south", wrongCent, 1}}, []string{"2 entries"}},
		{"at the wrong bank", []line{{"south", debit, 1}, {"south", credit, 2}}, []string{"2 entries"}},
		{"an aborted one", []line{{"north", debit, 1}, {"south", credit, 1}, {"north", ofAborted, 2}}, []string{"as aborted"}},
		{"one that nobody asked for", []line{{"north", debit, 1}, {"south", credit, 1}, {"north", ofNobody, 2}}, []string{"nobody asked"}},
		{"a gap", []line{{"north", debit, 2}, {"south", credit, 1}}, []string{"from entry 0 to 2"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			j := newJournals()
			before := map[transfer.BankID]uint64{}
			for _, l := range row.lines {
				l.entry.Seq = l.seq
				j.take(l.bank, l.entry, before[l.bank])
				before[l.bank] = l.seq
			}
			wantWrong(t, j.judge(told), row.want...)
		})
	}
}

// exitOf is how a real process ends.
func exitOf(t *testing.T, script string) error {
	t.Helper()
	return exec.Command("sh", "-c", script).Run()
}

func TestAProcessThatEndsByItselfIsFound(t *testing.T) {
	for _, row := range []struct {
		script, expected string
		silent           bool
		fine             bool
	}{
		{"kill -15 $$", endAsked, true, true}, // it hadn't begun
		{"kill -15 $$", endAsked, false, false},
		{"kill -15 $$", "", true, false},
		{"kill -9 $$", endAsked, true, false},
		{"kill -9 $$", endKilled, false, true},
		{"exit 0", endAsked, false, true},
		{"exit 0", "", false, false},
		{"exit 1", "", false, false},
		{"exit 9", endAsked, false, false},
		{"exit 9", endKilled, false, false}, // a broken invariant just before the end
		{"kill -9 $$", "", false, false},    // by somebody else: the kernel, for want of memory
		{"kill -9 $$", endAsked, false, false},
	} {
		if verdict := judgeExit(exitOf(t, row.script), row.expected, row.silent); (verdict == "") != row.fine {
			t.Errorf("%q, expected to be %q: got %q", row.script, row.expected, verdict)
		}
	}
}

func TestAnAlarmingLineIsFound(t *testing.T) {
	for line, bad := range map[string]bool{
		`time=2026-11-26T04:13:56Z level=INFO msg="leader elected" node_id=3`:      false,
		`panic: runtime error: index out of range`:                                 true,
		`fatal error: all goroutines are asleep - deadlock!`:                       true,
		`error: the node has failed: invariant broken: commit 5 past last 4`:       true,
		`time=2026-11-26T04:13:56Z level=ERROR msg="a request handler panicked" x`: true,
		`WARNING: DATA RACE`: true,
	} {
		if got := alarming(line) != ""; got != bad {
			t.Errorf("%q: got %v", line, got)
		}
	}
}

func TestTooMuchMemoryIsFound(t *testing.T) {
	s := &server{id: 2, rssMax: 100 << 20}
	status := []byte("Name:\tquorate\nVmHWM:\t  999999 kB\nVmRSS:\t  102400 kB\nThreads:\t7\n")
	if got := residentBytes(status); got != 100<<20 {
		t.Fatalf("read %d bytes", got)
	}
	if why := s.holds(residentBytes(status)); why != "" {
		t.Error(why)
	}
	if why := s.holds(100<<20 + 1); !strings.Contains(why, "node 2") {
		t.Errorf("got %q", why)
	}
	if s.rssPeak != 100<<20+1 {
		t.Errorf("the peak is %d", s.rssPeak)
	}
}
