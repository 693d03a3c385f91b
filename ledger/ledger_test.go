package ledger_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/ledger"
	"github.com/quorate/quorate/transfer"
)

func TestOpen(t *testing.T) {
	open := func(id transfer.AccountID, c transfer.Currency, overdraft int64, unlimited bool) bank.Terms {
		return bank.Terms{ID: id, Currency: c, OverdraftMinor: overdraft, Unlimited: unlimited}
	}
	tests := []struct {
		name  string
		terms bank.Terms
		want  bank.Terms
		code  transfer.Code
	}{
		{"an account", open("carol", "EUR", 0, false), open("carol", "EUR", 0, false), ""},
		{"one with an overdraft", open("carol", "CZK", 100, false), open("carol", "CZK", 100, false), ""},
		{"one without any limit", open("carol", "CZK", 0, true), open("carol", "CZK", 0, true), ""},
		{"a house account is unlimited", open("@fees", "CZK", 0, false), open("@fees", "CZK", 0, true), ""},
		{"a house account that says so", open("@fees", "CZK", 0, true), open("@fees", "CZK", 0, true), ""},
		{"a house account with a limit keeps to it", open("@fees", "CZK", 5, false), open("@fees", "CZK", 5, false), ""},
		{"the same terms again", open("alice", "CZK", 0, false), open("alice", "CZK", 0, false), ""},
		{"the same house account again", open("@cash", "CZK", 0, false), open("@cash", "CZK", 0, true), ""},
		{"another currency", open("alice", "EUR", 0, false), bank.Terms{}, "account_exists"},
		{"another overdraft", open("alice", "CZK", 1, false), bank.Terms{}, "account_exists"},
		{"suddenly unlimited", open("alice", "CZK", 0, true), bank.Terms{}, "account_exists"},
		{"a house account suddenly with a limit", open("@cash", "CZK", 1, false), bank.Terms{}, "account_exists"},
		{"no name", open("", "CZK", 0, false), bank.Terms{}, "invalid_name"},
		{"a bad name", open("a b", "CZK", 0, false), bank.Terms{}, "invalid_name"},
		{"no currency", open("carol", "", 0, false), bank.Terms{}, "invalid_currency"},
		{"a bad currency", open("carol", "Kč", 0, false), bank.Terms{}, "invalid_currency"},
		{"a negative overdraft", open("carol", "CZK", -1, false), bank.Terms{}, "invalid_overdraft"},
		{"unlimited, with a limit", open("carol", "CZK", 1, true), bank.Terms{}, "invalid_overdraft"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := aliceAndBob(t, newDisk())
			hash := b.Hash()
			r := b.apply(ledger.Command{Open: &tt.terms})[0]
			if codeOf(r.Err) != tt.code || r.Account.Terms != tt.want {
				t.Errorf("got %+v, %v", r.Account, r.Err)
			}
			if strings.HasPrefix(string(tt.code), "invalid") != (b.ValidateTerms(tt.terms) != nil) {
				t.Errorf("ValidateTerms says %v", b.ValidateTerms(tt.terms))
			}
			if tt.code != "" && b.Hash() != hash {
				t.Error("a refused opening changed the state")
			}
			b.check()
		})
	}
}

// The table of currencies grows from release to release. The door looks into it; Apply must not.
func TestCurrencyOfANewerRelease(t *testing.T) {
	b := newBook(t, nil)
	terms := bank.Terms{ID: "carol", Currency: "QQQ"}
	if err := b.ValidateTerms(terms); codeOf(err) != "invalid_currency" {
		t.Errorf("the door says %v", err)
	}
	if r := b.apply(ledger.Command{Open: &terms})[0]; r.Err != nil {
		t.Errorf("the log says %v", r.Err)
	}
}

func TestOpenTwiceReturnsTheAccountAsItIs(t *testing.T) {
	b := aliceAndBob(t, nil)
	b.ask(good)
	terms := czk("alice")
	r := b.apply(ledger.Command{Open: &terms})[0]
	if r.Err != nil || r.Account.PostedMinor != 10000 || r.Account.HeldMinor != 3000 {
		t.Errorf("got %+v, %v", r.Account, r.Err)
	}
}

func TestOneEntryManyCommands(t *testing.T) {
	b := newBook(t, nil)
	one, two := prepare(transfer.ID{1}, debit("@cash", 5), credit("alice", 5)), prepare(transfer.ID{2}, debit("alice", 5))
	commitOne := request(bank.Commit, transfer.ID{1})
	cash, alice := czk("@cash"), czk("alice")
	var words []string
	for _, r := range b.apply(ledger.Command{Request: &two}, ledger.Command{Open: &cash}, ledger.Command{Open: &alice},
		ledger.Command{Request: &one}, ledger.Command{Request: &commitOne}, ledger.Command{Request: &two}) {
		if r.Account.ID != "" {
			words = append(words, "opened "+string(r.Account.ID))
		} else {
			words = append(words, answerText(r.Answer))
		}
	}
	want := []string{"no account_not_found", "opened @cash", "opened alice", "yes", "done", "no account_not_found"}
	if diff := cmp.Diff(want, words); diff != "" {
		t.Error(diff)
	}
}

func TestJournal(t *testing.T) {
	b := aliceAndBob(t, newDisk())
	b.save()
	b.at = epoch.Add(time.Hour)
	rent := good
	rent.Reference = "rent"
	b.ask(rent)
	b.at = epoch.Add(2 * time.Hour)
	b.ask(commit)
	want := []bank.Entry{
		{Seq: 2, Transfer: transfer.ID{0xCA, 0x5B, 0, 3}, Account: "alice", Currency: "CZK", AmountMinor: 10000, BalanceMinor: 10000, At: epoch},
		{Seq: 3, Transfer: id, Account: "alice", Currency: "CZK", AmountMinor: -3000, BalanceMinor: 7000, At: b.at, Reference: "rent"},
		{Seq: 4, Transfer: id, Account: "bob", Currency: "CZK", AmountMinor: 3000, BalanceMinor: 3000, At: b.at, Reference: "rent"},
	}
	got, err := b.Entries(1, 10)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestOldHolds(t *testing.T) {
	d := newDisk()
	b := aliceAndBob(t, d)
	for n, second := range []int{5, 3, 9, 4} { // leaders' clocks differ
		b.at = epoch.Add(time.Duration(second) * time.Second)
		b.ask(prepare(transfer.ID{byte(n + 1)}, debit("alice", 1)))
	}
	b.save()
	for name, b := range map[string]*book{"before a restart": b, "after": newBook(t, d)} {
		for _, tt := range []struct {
			second, limit int
			want          []transfer.ID
		}{
			{3, 10, nil},
			{4, 10, []transfer.ID{{2}}},
			{6, 10, []transfer.ID{{1}, {2}, {4}}},
			{6, 2, []transfer.ID{{1}, {2}}},
			{60, 0, nil},
		} {
			if diff := cmp.Diff(tt.want, b.oldHolds(epoch.Add(time.Duration(tt.second)*time.Second), tt.limit)); diff != "" {
				t.Errorf("%s: prepared before second %d, at most %d:\n%s", name, tt.second, tt.limit, diff)
			}
		}
		if b.OpenHolds() != 4 {
			t.Errorf("%s: %d open holds", name, b.OpenHolds())
		}
	}
}

// oldHolds names from the oldest on.
func (b *book) oldHolds(before time.Time, limit int) []transfer.ID {
	ids, _ := b.OldHolds(before, ledger.HoldPlace{}, limit)
	return ids
}

// However many holds there are that nobody lets go of, each is named in its turn, and none twice at a time. Clients' holds are among them: that its time hasn't come
// doesn't say that anybody knows it.
func TestEveryOldHoldIsNamedInItsTurn(t *testing.T) {
	d := newDisk()
	b := aliceAndBob(t, d)
	const count, limit = 10, 3
	for n := range count {
		r := prepare(transfer.ID{byte(n + 1)}, debit("alice", 1))
		if n%2 == 0 {
			r.HoldUntil = epoch.AddDate(0, 0, 30)
		}
		b.ask(r)
	}
	b.save()
	for name, b := range map[string]*book{"before a restart": b, "after": newBook(t, d)} {
		named := map[transfer.ID]int{}
		var place ledger.HoldPlace
		for range count { // each is due three times
			ids, last := b.OldHolds(epoch.Add(time.Hour), place, limit)
			if len(ids) != limit {
				t.Fatalf("%s: %d are named, want %d", name, len(ids), limit)
			}
			for _, id := range ids {
				named[id]++
			}
			place = last
		}
		for n := range count {
			if got := named[transfer.ID{byte(n + 1)}]; got != limit {
				t.Errorf("%s: hold %d is named %d times of %d", name, n+1, got, limit)
			}
		}
		if ids, _ := b.OldHolds(epoch.Add(time.Hour), place, 100); len(ids) != count {
			t.Errorf("%s: %d of %d are named where there is room for all", name, len(ids), count)
		}
		if ids, last := b.OldHolds(epoch.AddDate(-1, 0, 0), place, 100); len(ids) != 0 || last != place {
			t.Errorf("%s: %d are older than a year ago", name, len(ids))
		}
	}
}

// A hold that comes and goes between two checkpoints never reaches the disk.
func TestShortHoldIsNeverStored(t *testing.T) {
	b := aliceAndBob(t, newDisk())
	b.save()
	b.ask(good)
	b.ask(commit)
	for _, kv := range b.whole() {
		if kv.Key[0] == 'h' {
			t.Errorf("checkpoint contains hold %x", kv.Key)
		}
	}
}

func TestCheckpointHasOnlyWhatChanged(t *testing.T) {
	b := aliceAndBob(t, newDisk())
	b.ask(good)
	b.save()
	b.ask(rollback)
	var keys []string
	for _, kv := range b.whole() {
		word := string(kv.Key[0])
		if kv.Value == nil {
			word += " deleted"
		}
		keys = append(keys, word)
	}
	if diff := cmp.Diff([]string{"h deleted", "a", "a", "t", "m", "f"}, keys); diff != "" {
		t.Error(diff)
	}
	b.Checkpointed()
	if kvs := b.whole(); kvs != nil {
		t.Errorf("nothing changed, yet the checkpoint has %d records", len(kvs))
	}
	b.Checkpointed()
	b.ask(request(bank.Resolve, transfer.ID{9}))
	if kvs := b.whole(); len(kvs) != 3 { // t, m, f
		t.Errorf("one tombstone, yet the checkpoint has %d records", len(kvs))
	}
}

// Replicas that make a checkpoint at the same entry write the same records in the same order.
func TestCheckpointsAreTheSameOnEveryReplica(t *testing.T) {
	checkpoint := func() []ledger.KV {
		b := aliceAndBob(t, newDisk())
		b.open(bank.Terms{ID: "eve", Currency: "EUR"}, bank.Terms{ID: "jun", Currency: "JPY"})
		for n := range byte(50) {
			b.ask(prepare(transfer.ID{n + 100, n * 7}, debit("alice", 1), credit("bob", 1)))
			b.ask(request(bank.Op(2+n%3), transfer.ID{n + 100, n * 7}))
		}
		return b.whole()
	}
	if diff := cmp.Diff(checkpoint(), checkpoint()); diff != "" {
		t.Error(diff)
	}
}

// What was evicted is read again; what is held, or isn't durable yet, can't have been.
func TestEviction(t *testing.T) {
	b := aliceAndBob(t, newDisk())
	b.LimitCache(0)
	b.ask(good)
	b.save()
	b.save() // everybody was used lately: the second round may take them
	b.disk.failing = true
	if _, _, err := b.Account("alice"); err != nil {
		t.Errorf("alice has a hold and must stay in memory: %v", err)
	}
	if _, _, err := b.Account("@cash"); !errors.Is(err, errDisk) {
		t.Errorf("@cash has been idle and must be behind the reader: %v", err)
	}
	if _, err := b.Entries(0, 1); !errors.Is(err, errDisk) {
		t.Errorf("old entries must be behind the reader: %v", err)
	}
}

// A disk that fails must never look like a key that isn't there.
func TestReaderFails(t *testing.T) {
	fund := transfer.ID{0xCA, 0x5B, 0, 3} // finished, and evicted
	for name, c := range map[string]ledger.Command{
		"a prepare that looks for its id":     {Request: ptr(prepare(fund, credit("bob", 1)))},
		"a commit that looks for its id":      {Request: ptr(request(bank.Commit, fund))},
		"a rollback that looks for its id":    {Request: ptr(request(bank.Rollback, fund))},
		"a resolve that looks for its id":     {Request: ptr(request(bank.Resolve, fund))},
		"an opening that looks for the name":  {Open: ptr(czk("alice"))},
		"an opening of what isn't there":      {Open: ptr(czk("carol"))},
		"a prepare that looks for an account": {Request: ptr(prepare(transfer.ID{77}, credit("alice", 1)))},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk()
			aliceAndBob(t, d).save()
			b := newBook(t, d)
			d.failing = true
			data := ledger.Encode(epoch, []ledger.Command{c})
			results, err := b.Apply(b.index+1, data)
			if !errors.Is(err, errDisk) || results != nil {
				t.Fatalf("got %v, %v", results, err)
			}
			d.failing = false // too late: who knows what was missed
			if _, err := b.Apply(b.index+2, data); !errors.Is(err, errDisk) {
				t.Errorf("a ledger that failed goes on: %v", err)
			}
		})
	}
	d := newDisk()
	aliceAndBob(t, d).save()
	b := newBook(t, d)
	d.failing = true
	if _, err := ledger.New(d); !errors.Is(err, errDisk) {
		t.Errorf("New: %v", err)
	}
	if _, err := b.Accounts("", 10); !errors.Is(err, errDisk) {
		t.Errorf("Accounts: %v", err)
	}
	if err := b.Check(); !errors.Is(err, errDisk) {
		t.Errorf("Check: %v", err)
	}
}

func ptr[T any](v T) *T { return &v }

func TestDamagedLogEntryStops(t *testing.T) {
	whole := ledger.Encode(goldenAt, goldenEntry())
	damaged := map[string][]byte{
		"nothing":             {},
		"half":                whole[:len(whole)/2],
		"a later version":     append([]byte{0x08, 2}, whole[2:]...),
		"no version":          whole[2:],
		"something behind it": append(append([]byte{}, whole...), 0x20, 1),
		"a version twice":     append([]byte{0x08, 1}, whole...),
		"an empty command":    append(append([]byte{}, whole...), 0x1a, 0),
	}
	for name, data := range damaged {
		b := aliceAndBob(t, nil)
		hash := b.Hash()
		if _, err := b.Apply(b.index+1, data); err == nil {
			t.Errorf("%s was applied", name)
		}
		if b.Hash() != hash {
			t.Errorf("%s changed the state", name)
		}
	}
}

func TestDamagedRecordsAreNoticed(t *testing.T) {
	for name, harm := range map[string]func(d *disk){
		"no meta record":                   func(d *disk) { delete(d.values, "m") },
		"no total":                         func(d *disk) { delete(d.values, "tCZK"); delete(d.values, "h"+string(id[:])) },
		"a hold whose account is gone":     func(d *disk) { delete(d.values, "abob") },
		"a hold that is gone":              func(d *disk) { delete(d.values, "h"+string(id[:])) },
		"an account that is gone":          func(d *disk) { delete(d.values, "a@cash") },
		"an entry that is gone":            func(d *disk) { delete(d.values, "e\x00\x00\x00\x00\x00\x00\x00\x01") },
		"a finished transfer that is gone": func(d *disk) { delete(d.values, "f\xca\x5b\x00\x03"+strings.Repeat("\x00", 12)) },
		"an account of half a record":      func(d *disk) { d.values["a@cash"] = d.values["a@cash"][:4] },
	} {
		d := newDisk()
		b := aliceAndBob(t, d)
		b.ask(good)
		b.save()
		harm(d)
		l, err := ledger.New(d)
		if err == nil {
			err = l.Check()
		}
		if err == nil {
			t.Errorf("%s: nothing was noticed", name)
		}
	}
}

func TestHostsThatBreakTheirDuties(t *testing.T) {
	nothing := ledger.Encode(epoch, nil)
	for name, misuse := range map[string]func(b *book){
		"apply an index twice":               func(b *book) { _, _ = b.Apply(b.index, nothing) },
		"checkpoint before the last is safe": func(b *book) { b.Checkpoint(); b.Checkpoint() },
		"confirm what wasn't asked for":      func(b *book) { b.Checkpointed() },
		"confirm a part of it":               func(b *book) { b.Checkpoint(); b.Checkpointed() },
		"checkpoint without a reader":        func(b *book) { newBook(b.t, nil).Checkpoint() },
		"encode nothing at all":              func(b *book) { ledger.Encode(epoch, []ledger.Command{{}}) },
		"encode no operation":                func(b *book) { ledger.Encode(epoch, []ledger.Command{{Request: &bank.Request{}}}) },
	} {
		t.Run(name, func(t *testing.T) {
			b := aliceAndBob(t, newDisk())
			b.ask(good)
			b.ask(commit)
			defer func() {
				if broken, ok := recover().(invariant.Broken); !ok {
					t.Errorf("nobody stopped it: %v", broken)
				}
			}()
			misuse(b)
		})
	}
}

// Room between entries is for what isn't the bank's: no-ops and membership changes.
func TestIndexesMayHaveGaps(t *testing.T) {
	b := aliceAndBob(t, nil)
	b.index += 10
	if a := b.ask(good); a.Result != bank.Yes || b.Index() != b.index {
		t.Errorf("got %v at %d, want index %d", a, b.Index(), b.index)
	}
}

func TestAudit(t *testing.T) {
	b := aliceAndBob(t, nil)
	b.open(bank.Terms{ID: "eve", Currency: "EUR"})
	b.ask(good)
	want := bank.Audit{OpenHolds: 1, LastEntry: 2, Totals: []bank.Total{
		{Currency: "CZK", HeldMinor: 3000, IncomingMinor: 3000, Accounts: 3},
		{Currency: "EUR", Accounts: 1},
	}}
	if diff := cmp.Diff(want, b.Audit()); diff != "" {
		t.Error(diff)
	}
}

func TestAnIDAboveAllOthersIsNotLookedFor(t *testing.T) {
	disk := newDisk()
	b := newBook(t, disk)
	for _, first := range []byte{7, 3} {
		b.ask(request(bank.Rollback, transfer.ID{first, 1}))
	}
	b.save()
	for _, b := range []*book{b, newBook(t, disk)} {
		for first, want := range map[byte]int{8: 0, 5: 1, 7: 1, 3: 1} {
			disk.finishedGets = 0
			if a := b.ask(resolveOf(prepare(transfer.ID{first, 1}, debit("alice", 1)))); disk.finishedGets != want {
				t.Errorf("transfer %d: %v with %d reads, want %d", first, a, disk.finishedGets, want)
			}
		}
	}
}

func TestWhatHasFinishedIsKnownWhateverItsID(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		disk := newDisk()
		b := newBook(t, disk)
		var ids []transfer.ID
		for range rapid.IntRange(1, 12).Draw(rt, "transfers") {
			id := transfer.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "id"))
			id[15] |= 1 // not zero
			ids = append(ids, id)
			b.ask(request(bank.Rollback, id))
			if rapid.Bool().Draw(rt, "checkpoint") {
				b.save()
				if rapid.Bool().Draw(rt, "restart") {
					b = newBook(t, disk)
				}
			}
			for _, id := range ids {
				if a := b.ask(prepare(id, debit("alice", 1))); a.Reason.Code != transfer.ErrRolledBack.Code {
					rt.Fatalf("%s is forgotten: %v", id, a)
				}
			}
		}
	})
}
