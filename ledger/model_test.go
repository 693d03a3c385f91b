package ledger_test

import (
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/ledger"
	"github.com/quorate/quorate/transfer"
)

// obviousBank is the law written down once more, slowly: it keeps every transfer and computes everything else from them.
type obviousBank struct {
	terms     map[transfer.AccountID]bank.Terms
	status    map[transfer.AccountID]bank.AccountStatus // missing: open
	transfers map[transfer.ID]*obviousTransfer
	entries   []bank.Entry
	prepares  int
}

type obviousTransfer struct {
	state   string // prepared, committed, refused, rolled back, closed (rolled back before any prepare)
	request bank.Request
	code    transfer.Code
	order   int
	at      time.Time
}

func newObviousBank() *obviousBank {
	return &obviousBank{terms: map[transfer.AccountID]bank.Terms{}, status: map[transfer.AccountID]bank.AccountStatus{}, transfers: map[transfer.ID]*obviousTransfer{}}
}

func (o *obviousBank) account(id transfer.AccountID) bank.Account {
	a := bank.Account{Terms: o.terms[id], Status: max(bank.Open, o.status[id])}
	for _, e := range o.entries {
		if e.Account == id {
			a.PostedMinor += e.AmountMinor
		}
	}
	for _, t := range o.transfers {
		if t.state != "prepared" {
			continue
		}
		for _, leg := range t.request.Legs {
			if leg.Account == id && leg.Direction == transfer.Debit {
				a.HeldMinor += leg.AmountMinor
			} else if leg.Account == id {
				a.IncomingMinor += leg.AmountMinor
			}
		}
	}
	return a
}

func (o *obviousBank) judge(q bank.Request) transfer.Code {
	debits := map[transfer.AccountID]int64{}
	for _, leg := range q.Legs {
		terms, ok := o.terms[leg.Account]
		if !ok {
			return "account_not_found"
		}
		if status := o.status[leg.Account]; status == bank.Frozen {
			return "account_frozen"
		} else if status == bank.Closed {
			return "account_closed"
		}
		if terms.Currency != leg.Currency {
			return "currency_mismatch"
		}
		if leg.Direction == transfer.Debit {
			debits[leg.Account] += leg.AmountMinor
			a := o.account(leg.Account)
			if !terms.Unlimited && a.PostedMinor-a.HeldMinor+terms.OverdraftMinor < debits[leg.Account] {
				return "insufficient_funds"
			}
		}
	}
	return ""
}

func (o *obviousBank) answer(at time.Time, q bank.Request) (bank.Result, transfer.Code) {
	t := o.transfers[q.ID]
	if t == nil {
		t = &obviousTransfer{state: "unknown"}
	}
	switch q.Op {
	case bank.Prepare:
		switch {
		case t.state == "unknown":
			o.prepares++
			*t = obviousTransfer{state: "prepared", request: q, at: at, order: o.prepares}
			if t.code = o.judge(q); t.code != "" {
				t.state = "refused"
			}
			o.transfers[q.ID] = t
		case t.state == "closed":
			return bank.No, "rolled_back"
		case t.request.Fingerprint != q.Fingerprint:
			return bank.No, "prepare_conflict"
		}
		switch t.state {
		case "refused":
			return bank.No, t.code
		case "rolled back":
			return bank.No, "rolled_back"
		}
		return bank.Yes, ""
	case bank.Commit:
		if t.state == "prepared" {
			legs := t.request.Legs
			if n := len(q.CapturedMinor); n > 0 && n != len(legs) {
				return bank.Violation, ""
			} else if n > 0 {
				legs = (&transfer.Transfer{Legs: legs}).CapturedLegs(q.CapturedMinor)
			}
			for i := range legs {
				if legs[i].AmountMinor > t.request.Legs[i].AmountMinor {
					return bank.Violation, ""
				}
			}
			t.state, t.request.Legs = "committed", legs
			o.post(at, t)
		}
		if t.state == "committed" {
			return bank.Done, ""
		}
		return bank.Violation, ""
	}
	if q.Op == bank.Resolve && t.request.Fingerprint != q.Fingerprint && (t.state == "committed" || t.state == "prepared") {
		return bank.RolledBack, ""
	}
	if t.state == "committed" {
		return map[bank.Op]bank.Result{bank.Rollback: bank.Violation, bank.Resolve: bank.Committed}[q.Op], ""
	}
	if t.state == "unknown" {
		o.transfers[q.ID] = &obviousTransfer{state: "closed"}
	}
	if q.Op == bank.Resolve {
		if t.state == "prepared" {
			return bank.Prepared, ""
		}
		return bank.RolledBack, ""
	}
	if t.state == "prepared" || t.state == "refused" {
		t.state = "rolled back"
	}
	return bank.Done, ""
}

func (o *obviousBank) post(at time.Time, t *obviousTransfer) {
	for _, leg := range t.request.Legs {
		o.entries = append(o.entries, bank.Entry{
			Seq: uint64(len(o.entries)) + 1, Transfer: t.request.ID, Account: leg.Account, Currency: leg.Currency,
			AmountMinor: leg.SignedMinor(), BalanceMinor: o.account(leg.Account).PostedMinor + leg.SignedMinor(),
			At: at, Reference: t.request.Reference,
		})
	}
}

func (o *obviousBank) open(t bank.Terms) transfer.Code {
	if t.ID[0] == '@' && t.OverdraftMinor == 0 {
		t.Unlimited = true
	}
	if was, ok := o.terms[t.ID]; ok && was != t {
		return "account_exists"
	}
	o.terms[t.ID] = t
	return ""
}

func (o *obviousBank) change(c bank.Change) transfer.Code {
	a, known := o.account(c.Account), true
	if _, known = o.terms[c.Account]; !known {
		return "account_not_found"
	}
	if a.Status == bank.Closed && c.Kind != bank.Close {
		return "account_closed"
	}
	switch c.Kind {
	case bank.Freeze:
		o.status[c.Account] = bank.Frozen
	case bank.Unfreeze:
		o.status[c.Account] = bank.Open
	case bank.Close:
		if a.PostedMinor != 0 || a.HeldMinor != 0 || a.IncomingMinor != 0 {
			return "account_not_empty"
		}
		o.status[c.Account] = bank.Closed
	default:
		if !c.Unlimited && a.PostedMinor-a.HeldMinor+c.OverdraftMinor < 0 {
			return "limit_in_use"
		}
		terms := o.terms[c.Account]
		terms.OverdraftMinor, terms.Unlimited = c.OverdraftMinor, c.Unlimited
		o.terms[c.Account] = terms
	}
	return ""
}

// statement goes through all entries. What an entry counts to is the latest time that the bank had reached with it.
func (o *obviousBank) statement(id transfer.AccountID, since, until time.Time) (entries []bank.Entry) {
	var reached time.Time
	for _, e := range o.entries {
		if e.At.After(reached) {
			reached = e.At
		}
		if e.Account == id && !reached.Before(since) && (until.IsZero() || reached.Before(until)) {
			entries = append(entries, e)
		}
	}
	return entries
}

func (o *obviousBank) accounts() (all []bank.Account) {
	for _, id := range slices.Sorted(maps.Keys(o.terms)) {
		all = append(all, o.account(id))
	}
	return all
}

func (o *obviousBank) oldHolds(before time.Time) (ids []transfer.ID) {
	var old []*obviousTransfer
	for _, t := range o.transfers {
		if t.state == "prepared" && t.at.Before(before) {
			old = append(old, t)
		}
	}
	slices.SortFunc(old, func(a, b *obviousTransfer) int { return a.order - b.order })
	for _, t := range old {
		ids = append(ids, t.request.ID)
	}
	return ids
}

func (o *obviousBank) totals() (totals []bank.Total) {
	sums := map[transfer.Currency]bank.Total{}
	for _, a := range o.accounts() {
		t := sums[a.Currency]
		t.Currency = a.Currency
		t.PostedMinor += a.PostedMinor
		t.HeldMinor += a.HeldMinor
		t.IncomingMinor += a.IncomingMinor
		t.Accounts++
		sums[a.Currency] = t
	}
	for _, c := range slices.Sorted(maps.Keys(sums)) {
		totals = append(totals, sums[c])
	}
	return totals
}

// Few names and small numbers, so that requests meet.
var (
	someAccounts = rapid.SampledFrom([]transfer.AccountID{"@cash", "@fees", "alice", "bob", "carol", "nobody"})
	someCurrency = rapid.SampledFrom([]transfer.Currency{"CZK", "CZK", "CZK", "CZK", "EUR"})
	someID       = rapid.Custom(func(t *rapid.T) transfer.ID { return transfer.ID{rapid.Byte().Draw(t, "id")%24 + 1} })
	someLeg      = rapid.Custom(func(t *rapid.T) transfer.Leg {
		return transfer.Leg{
			Account:     someAccounts.Draw(t, "account"),
			Direction:   rapid.SampledFrom([]transfer.Direction{transfer.Debit, transfer.Credit}).Draw(t, "direction"),
			AmountMinor: rapid.Int64Range(1, 60).Draw(t, "amount"),
			Currency:    someCurrency.Draw(t, "currency"),
		}
	})
	someCommand = rapid.Custom(func(t *rapid.T) ledger.Command {
		if rapid.IntRange(0, 9).Draw(t, "kind") == 0 {
			return ledger.Command{Open: &bank.Terms{
				ID: someAccounts.Draw(t, "account"), Currency: someCurrency.Draw(t, "currency"),
				OverdraftMinor: rapid.SampledFrom([]int64{0, 0, 50}).Draw(t, "overdraft"),
			}}
		}
		if rapid.IntRange(0, 4).Draw(t, "change") == 0 {
			c := bank.Change{Account: someAccounts.Draw(t, "account"), Kind: rapid.SampledFrom([]bank.ChangeKind{
				bank.Freeze, bank.Unfreeze, bank.Unfreeze, bank.Unfreeze, bank.Close, bank.SetLimit, bank.SetLimit}).Draw(t, "change")}
			if c.Kind == bank.SetLimit {
				c.OverdraftMinor = rapid.SampledFrom([]int64{0, 20, 50, 100}).Draw(t, "limit")
				c.Unlimited = c.OverdraftMinor == 0 && rapid.Bool().Draw(t, "unlimited")
			}
			return ledger.Command{Change: &c}
		}
		q := bank.Request{ID: someID.Draw(t, "id"), Op: rapid.SampledFrom([]bank.Op{
			bank.Prepare, bank.Prepare, bank.Prepare, bank.Commit, bank.Commit, bank.Rollback, bank.Resolve}).Draw(t, "op")}
		if q.Op == bank.Prepare || q.Op == bank.Resolve {
			q.Fingerprint = transfer.Fingerprint{rapid.SampledFrom([]byte{1, 1, 1, 1, 2}).Draw(t, "content")}
		}
		if q.Op == bank.Prepare {
			q.Legs = rapid.SliceOfN(someLeg, 1, 4).Draw(t, "legs")
			q.Reference = rapid.SampledFrom([]string{"", "rent"}).Draw(t, "reference")
			if rapid.IntRange(0, 3).Draw(t, "hold") == 0 {
				q.HoldUntil = epoch.Add(time.Duration(rapid.IntRange(0, 99).Draw(t, "until")) * time.Second)
			}
		}
		if q.Op == bank.Commit && rapid.IntRange(0, 3).Draw(t, "in part") == 0 {
			q.CapturedMinor = rapid.SliceOfN(rapid.Int64Range(1, 40), 1, 4).Draw(t, "captured")
		}
		return ledger.Command{Request: &q}
	})
	someCommands = rapid.SliceOfN(someCommand, 0, 6)
)

// opening lets most requests find an account.
func opening() []ledger.Command {
	return []ledger.Command{{Open: &bank.Terms{ID: "@cash", Currency: "CZK"}},
		{Open: &bank.Terms{ID: "alice", Currency: "CZK", OverdraftMinor: 50}}, {Open: &bank.Terms{ID: "bob", Currency: "CZK"}}}
}

func TestAgainstTheObviousBank(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		obvious, w := newObviousBank(), newWorld(t)
		for round := range rapid.IntRange(1, 25).Draw(rt, "rounds") {
			commands := opening()
			if round > 0 {
				commands = someCommands.Draw(rt, "commands")
			}
			at := epoch.Add(time.Duration(rapid.IntRange(0, 99).Draw(rt, "second")) * time.Second)
			for i, got := range w.apply(at, commands) {
				compareAnswer(rt, obvious, at, commands[i], got)
			}
			w.disturb(rt)
			compareStates(rt, obvious, w.book)
		}
	})
}

func compareAnswer(t *rapid.T, o *obviousBank, at time.Time, c ledger.Command, got ledger.Result) {
	if c.Open != nil {
		want := o.open(*c.Open)
		if code := codeOf(got.Err); code != want {
			t.Fatalf("open %+v: got %v, want %q", *c.Open, got.Err, want)
		}
		if want == "" && !cmp.Equal(got.Account, o.account(c.Open.ID)) {
			t.Fatalf("open %+v:\n%s", *c.Open, cmp.Diff(o.account(c.Open.ID), got.Account))
		}
		return
	}
	if c.Change != nil {
		want := o.change(*c.Change)
		if code := codeOf(got.Err); code != want {
			t.Fatalf("change %+v: got %v, want %q", *c.Change, got.Err, want)
		}
		if want == "" && !cmp.Equal(got.Account, o.account(c.Change.Account)) {
			t.Fatalf("change %+v:\n%s", *c.Change, cmp.Diff(o.account(c.Change.Account), got.Account))
		}
		return
	}
	result, code := o.answer(at, *c.Request)
	if a := got.Answer; a.Result != result || a.Reason.Code != code || a.ID != c.Request.ID || a.Op != c.Request.Op {
		t.Fatalf("%+v:\n got %s %s\nwant %s %s", *c.Request, a.Result, reasonText(a.Reason), result, code)
	}
}

func compareStates(t *rapid.T, o *obviousBank, b *book) {
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	entries, err := b.Entries(0, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	before := epoch.Add(50 * time.Second)
	for what, pair := range map[string][2]any{
		"accounts":                   {o.accounts(), mustAccounts(b)},
		"entries":                    {o.entries, entries},
		"totals":                     {o.totals(), b.Totals()},
		"old holds":                  {o.oldHolds(before), b.oldHolds(before, 1000)},
		"statement":                  {o.statement("alice", time.Time{}, time.Time{}), b.statement("alice", time.Time{}, time.Time{})},
		"first half of a statement":  {o.statement("alice", time.Time{}, before), b.statement("alice", time.Time{}, before)},
		"second half of a statement": {o.statement("@cash", before, time.Time{}), b.statement("@cash", before, time.Time{})},
	} {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Fatalf("%s (- obvious, + ledger):\n%s", what, diff)
		}
	}
}

// world is a ledger, its disk, and the log since the last durable checkpoint: what a host has.
type world struct {
	*book
	log []logEntry
}

type logEntry struct {
	index uint64
	data  []byte
	want  []ledger.Result
}

func newWorld(t testing.TB) *world { return &world{book: newBook(t, newDisk())} }

func (w *world) apply(at time.Time, commands []ledger.Command) []ledger.Result {
	w.index++
	data := ledger.Encode(at, commands)
	results, err := w.Apply(w.index, data)
	if err != nil {
		w.t.Fatal(err)
	}
	results = slices.Clone(results)
	w.log = append(w.log, logEntry{w.index, data, results})
	return results
}

// disturb does what must not be noticed: parts of a checkpoint, evictions, a restart that repeats the log.
func (w *world) disturb(t *rapid.T) {
	for range rapid.IntRange(0, 2).Draw(t, "disturbances") {
		switch rapid.SampledFrom([]string{"checkpoint", "write", "confirm", "cache", "runs", "restart"}).Draw(t, "disturbance") {
		case "checkpoint":
			w.checkpoint()
		case "write":
			w.write()
		case "confirm":
			w.confirm()
		case "cache":
			w.LimitCache(rapid.IntRange(0, 3).Draw(t, "accounts"))
		case "runs":
			w.WriteRunsOf(rapid.IntRange(1, 4).Draw(t, "run"))
		case "restart":
			w.restart(t)
		}
	}
}

func (w *world) checkpoint() {
	if !w.disk.pending {
		w.disk.kvs, w.disk.pending = w.Checkpoint(), true
	}
	w.gather(1) // and one more each time that another can't begin
}

func (w *world) gather(most int) { w.disk.kvs = append(w.disk.kvs, w.Sealed(most)...) }

func (w *world) write() {
	if w.disk.pending {
		w.gather(math.MaxInt32)
	}
	w.disk.write(w.disk.kvs)
}

func (w *world) confirm() {
	if w.disk.pending {
		w.save()
	}
}

func (w *world) restart(t *rapid.T) {
	hash := w.Hash()
	if s, err := ledger.Scan(w.disk); err != nil || s.Recorded != s.Computed {
		t.Fatalf("a scan of what is stored: %+v, %v", s, err)
	}
	w.disk.kvs, w.disk.pending = nil, false
	w.book = newBook(w.t, w.disk)
	for _, e := range w.log {
		if e.index <= w.Index() {
			continue
		}
		again, err := w.Apply(e.index, e.data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e.want, again, sameError); diff != "" {
			t.Fatalf("entry %d says something else after a restart:\n%s", e.index, diff)
		}
	}
	w.index = w.log[len(w.log)-1].index
	if w.Hash() != hash {
		t.Fatalf("hash %016x is %016x after a restart", hash, w.Hash())
	}
}

var sameError = cmp.Comparer(func(a, b error) bool { return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error()) })

// Whatever the disturbances, a bank that never made a checkpoint says the same.
func TestResultsDontDependOnCheckpoints(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		quiet, restless := newBook(t, nil), newWorld(t)
		for round := range rapid.IntRange(1, 40).Draw(rt, "rounds") {
			commands := opening()
			if round > 0 {
				commands = someCommands.Draw(rt, "commands")
			}
			quiet.at = epoch.Add(time.Duration(rapid.IntRange(0, 99).Draw(rt, "second")) * time.Second)
			want, got := quiet.apply(commands...), restless.apply(quiet.at, commands)
			if diff := cmp.Diff(want, got, sameError); diff != "" {
				rt.Fatalf("results (- quiet, + restless):\n%s", diff)
			}
			restless.disturb(rt)
			if quiet.Hash() != restless.Hash() {
				rt.Fatalf("hash %016x, restless %016x", quiet.Hash(), restless.Hash())
			}
			samePages(rt, quiet, restless.book)
		}
	})
}

// samePages compares every question that can be asked, page by page.
func samePages(t *rapid.T, a, b *book) {
	limit := rapid.IntRange(0, 5).Draw(t, "limit")
	after := someAccounts.Draw(t, "after")
	seq := rapid.Uint64Range(0, a.LastEntry()+2).Draw(t, "seq")
	before := epoch.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "before")) * time.Second)
	ask := func(b *book) []any {
		accounts, err := b.Accounts(after, limit)
		entries, entriesErr := b.Entries(seq, limit)
		one, ok, oneErr := b.Account(after)
		if err != nil || entriesErr != nil || oneErr != nil {
			t.Fatal(err, entriesErr, oneErr)
		}
		if len(accounts) == 0 {
			accounts = nil
		}
		if len(entries) == 0 {
			entries = nil
		}
		lines, last, more, linesErr := b.Statement(after, seq, before, before.Add(time.Minute), limit)
		if linesErr != nil {
			t.Fatal(linesErr)
		}
		if len(lines) == 0 {
			lines = nil
		}
		if !more {
			last = 0
		}
		return []any{accounts, entries, one, ok, lines, last, b.oldHolds(before, limit), b.Audit()}
	}
	if diff := cmp.Diff(ask(a), ask(b)); diff != "" {
		t.Fatalf("after %q, entry %d, limit %d (- quiet, + restless):\n%s", after, seq, limit, diff)
	}
}
