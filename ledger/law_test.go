package ledger_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// The transfer of every row of the law: 30.00 CZK from alice, who has 100.00, to bob, who has nothing.
var (
	id       = transfer.ID{1, 2, 3}
	good     = prepare(id, debit("alice", 3000), credit("bob", 3000))
	tooMuch  = prepare(id, debit("alice", 10001), credit("bob", 10001))
	other    = prepare(id, debit("alice", 2999), credit("bob", 2999))
	commit   = request(bank.Commit, id)
	rollback = request(bank.Rollback, id)
	resolve  = resolveOf(good)
)

func part(amountsMinor ...int64) bank.Request {
	q := commit
	q.CapturedMinor = amountsMinor
	return q
}

func aliceAndBob(t testing.TB, d *disk) *book {
	b := newBook(t, d)
	b.open(czk("@cash"), czk("alice"), czk("bob"))
	b.fund("alice", 10000)
	return b
}

func TestLawOfABank(t *testing.T) {
	type row struct {
		name  string
		steps []bank.Request
		want  string // the answer to the last step
		alice string // posted, held; as of then
	}
	untouched, held, moved := "100.00 held 0.00", "100.00 held 30.00", "70.00 held 0.00"
	rows := []row{
		{"1: a prepare that can be funded holds the money", []bank.Request{good}, "yes", held},
		{"1: yes repeats while it is held, and holds once", []bank.Request{good, good, good}, "yes", held},
		{"1: yes repeats after the commit, and holds nothing", []bank.Request{good, commit, good}, "yes", moved},
		{"1: no says why", []bank.Request{tooMuch}, "no insufficient_funds", untouched},
		{"1: no repeats with its reason", []bank.Request{tooMuch, tooMuch}, "no insufficient_funds", untouched},
		{"2: other content while prepared is refused", []bank.Request{good, other}, "no prepare_conflict", held},
		{"2: and the first content still stands", []bank.Request{good, other, good}, "yes", held},
		{"2: other content after the commit is refused", []bank.Request{good, commit, other}, "no prepare_conflict", moved},
		{"2: other content after a no is refused", []bank.Request{tooMuch, good}, "no prepare_conflict", untouched},
		{"2: and the no keeps its reason", []bank.Request{tooMuch, good, tooMuch}, "no insufficient_funds", untouched},
		{"2: other content after a rollback is refused", []bank.Request{good, rollback, other}, "no prepare_conflict", untouched},
		{"3: prepare after a rollback is refused", []bank.Request{good, rollback, good}, "no rolled_back", untouched},
		{"3: prepare after a rollback that came first is refused", []bank.Request{rollback, good}, "no rolled_back", untouched},
		{"3: any content after a rollback that came first", []bank.Request{rollback, good, other}, "no rolled_back", untouched},
		{"3: prepare after a no that was rolled back", []bank.Request{tooMuch, rollback, tooMuch}, "no rolled_back", untouched},
		{"3: other content after a no that was rolled back", []bank.Request{tooMuch, rollback, good}, "no prepare_conflict", untouched},
		{"4: commit of what is prepared moves the money", []bank.Request{good, commit}, "done", moved},
		{"4: commit repeats, and moves it once", []bank.Request{good, commit, commit, commit}, "done", moved},
		{"4: commit of a part moves that and frees the rest", []bank.Request{good, part(1000, 1000)}, "done", "90.00 held 0.00"},
		{"4: and nothing more moves later", []bank.Request{good, part(1000, 1000), commit, part(3000, 3000)}, "done", "90.00 held 0.00"},
		{"4: commit of more than is held is a violation", []bank.Request{good, part(3001, 3001)}, "violation", held},
		{"4: of nothing, too", []bank.Request{good, part(0, 0)}, "violation", held},
		{"4: and of other legs than were prepared", []bank.Request{good, part(1000)}, "violation", held},
		{"4: and what is held can still be committed", []bank.Request{good, part(1000), commit}, "done", moved},
		{"4: commit of the unknown is a violation", []bank.Request{commit}, "violation", untouched},
		{"4: and leaves no trace", []bank.Request{commit, good}, "yes", held},
		{"4: commit of a no is a violation", []bank.Request{tooMuch, commit}, "violation", untouched},
		{"4: commit after a rollback is a violation", []bank.Request{good, rollback, commit}, "violation", untouched},
		{"4: commit after a rollback that came first is a violation", []bank.Request{rollback, commit}, "violation", untouched},
		{"5: rollback frees what is held", []bank.Request{good, rollback}, "done", untouched},
		{"5: rollback repeats", []bank.Request{good, rollback, rollback}, "done", untouched},
		{"5: rollback of the unknown is done", []bank.Request{rollback}, "done", untouched},
		{"5: rollback of a no is done", []bank.Request{tooMuch, rollback}, "done", untouched},
		{"5: rollback of what is committed is a violation", []bank.Request{good, commit, rollback}, "violation", moved},
		{"5: and undoes nothing", []bank.Request{good, commit, rollback, commit}, "done", moved},
		{"6: resolve of other content than is prepared", []bank.Request{good, resolveOf(other)}, "rolled back", held},
		{"6: and what is prepared still stands", []bank.Request{good, resolveOf(other), commit}, "done", moved},
		{"6: and other content stays out", []bank.Request{good, resolveOf(other), rollback, other}, "no prepare_conflict", untouched},
		{"6: resolve of other content than is committed", []bank.Request{good, commit, resolveOf(other)}, "rolled back", moved},
		{"6: resolve of what is prepared", []bank.Request{good, resolve}, "prepared", held},
		{"6: and it can still be committed", []bank.Request{good, resolve, commit}, "done", moved},
		{"6: resolve of what is committed", []bank.Request{good, commit, resolve}, "committed", moved},
		{"6: resolve of what is rolled back", []bank.Request{good, rollback, resolve}, "rolled back", untouched},
		{"6: resolve of the unknown closes it", []bank.Request{resolve}, "rolled back", untouched},
		{"6: so a prepare that comes later is refused", []bank.Request{resolve, good}, "no rolled_back", untouched},
		{"6: resolve of a no counts as rolled back", []bank.Request{tooMuch, resolve}, "rolled back", untouched},
		{"6: and the no keeps its reason", []bank.Request{tooMuch, resolve, tooMuch}, "no insufficient_funds", untouched},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			for name, between := range restlessness {
				b := aliceAndBob(t, newDisk())
				var got bank.Answer
				for _, q := range r.steps {
					got = b.ask(q)
					b = between(b)
				}
				if text := answerText(got); text != r.want {
					t.Errorf("%s: answered %q, want %q (%s)", name, text, r.want, reasonText(got.Reason))
				}
				last := r.steps[len(r.steps)-1]
				if got.Op != last.Op || got.ID != last.ID {
					t.Errorf("%s: the answer is to %s of %s", name, got.Op, got.ID)
				}
				alice := b.account("alice")
				if text := fmt.Sprintf("%s held %s", decimal(alice.PostedMinor), decimal(alice.HeldMinor)); text != r.alice {
					t.Errorf("%s: alice has %s, want %s", name, text, r.alice)
				}
				b.check()
			}
		})
	}
}

// restlessness is what may happen between two requests without anybody noticing.
var restlessness = map[string]func(*book) *book{
	"in memory": func(b *book) *book { return b },
	"with a checkpoint on its way": func(b *book) *book {
		if !b.disk.pending {
			b.disk.kvs, b.disk.pending = b.Checkpoint(), true
		}
		return b
	},
	"with everything evicted": func(b *book) *book {
		b.LimitCache(0)
		b.save()
		return b
	},
	"with a restart": func(b *book) *book {
		b.save()
		return newBook(b.t, b.disk)
	},
}

func answerText(a bank.Answer) string {
	return strings.TrimSpace(a.Result.String() + " " + string(a.Reason.Code))
}

func decimal(minor int64) string { return transfer.FormatMinor(minor, "CZK") }

func TestPrepareRefuses(t *testing.T) {
	const most = math.MaxInt64
	euro := debit("alice", 1)
	euro.Currency = "EUR"
	sideways := debit("alice", 1)
	sideways.Direction = 3
	long := prepare(id, debit("alice", 1))
	long.Reference = strings.Repeat("x", 257)
	binary := prepare(id, debit("alice", 1))
	binary.Reference = "\xff"
	zero := prepare(transfer.ID{}, debit("alice", 1))
	tests := []struct {
		name    string
		request bank.Request
		want    string
	}{
		{"more than is available", prepare(id, debit("alice", 10001)),
			"insufficient_funds: account alice has 100.00 CZK available, the debit needs 100.01"},
		{"more than overdraft allows", prepare(id, debit("poor", 50001)),
			"insufficient_funds: account poor has 500.00 CZK available, the debit needs 500.01"},
		{"debits of one account that add up to too much", prepare(id, debit("alice", 6000), debit("alice", 4001)),
			"insufficient_funds: account alice has 40.00 CZK available, the debit needs 40.01"},
		{"a debit that only a credit of the same transfer could fund", prepare(id, credit("bob", 500), debit("bob", 500)),
			"insufficient_funds: account bob has 0.00 CZK available, the debit needs 5.00"},
		{"the first failure, although another one follows", prepare(id, debit("nobody", 1), debit("alice", 10001)),
			"account_not_found: the bank has no account nobody"},
		{"the first failure after a leg that would do", prepare(id, debit("alice", 10000), credit("nobody", 10000)),
			"account_not_found: the bank has no account nobody"},
		{"a name that can't be", prepare(id, debit("no\xffbody", 1)), `invalid_name: a leg names the account "no\xffbody"`},
		{"another currency", prepare(id, euro), "currency_mismatch: account alice is kept in CZK, the leg is in EUR"},
		{"a frozen account", prepare(id, credit("cold", 1)), "account_frozen: account cold is frozen"},
		{"a closed account", prepare(id, debit("gone", 1)), "account_closed: account gone is closed"},
		{"a credit that would overflow the balance", prepare(id, credit("alice", most)),
			"balance_overflow: account alice has posted 100.00 CZK, a credit of 92233720368547758.07 would leave 64 bits"},
		{"credits that would overflow together", prepare(id, credit("bob", most), credit("bob", 1)),
			"balance_overflow: account bob has posted 0.00 CZK, a credit of 0.01 would leave 64 bits"},
		{"a debit that would overflow an unlimited account", prepare(id, debit("@cash", most), debit("@cash", 1)),
			"balance_overflow: account @cash has posted -100.00 CZK, a debit of 92233720368547758.07 would leave 64 bits"},
		{"credits that would overflow the bank", prepare(id, credit("bob", most), credit("poor", 1)),
			"balance_overflow: the bank has posted 0.00 CZK in all, a credit of 0.01 would leave 64 bits"},
		{"no amount", prepare(id, debit("alice", 0)), `invalid_amount: a leg on account "alice" has the amount 0`},
		{"a negative amount", prepare(id, credit("alice", -5)), `invalid_amount: a leg on account "alice" has the amount -5`},
		{"no direction", prepare(id, sideways), `invalid_direction: a leg on account "alice" has direction 3`},
		{"no legs", prepare(id), "invalid_request: the prepare has no leg for this bank"},
		{"too many legs", prepare(id, make([]transfer.Leg, 257)...), "too_many_legs: the prepare has 257 legs"},
		{"a long reference", long, "invalid_reference: the reference has 257 bytes, or is no UTF-8"},
		{"a reference that is no text", binary, "invalid_reference: the reference has 1 bytes, or is no UTF-8"},
		{"no id", zero, "invalid_id: the transfer id is all zeros"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := strangeBank(t)
			before, accounts := b.Totals(), mustAccounts(b)
			for range 2 { // the second answer is the tombstone's
				a := b.ask(tt.request)
				if a.Result != bank.No || reasonText(a.Reason) != tt.want {
					t.Fatalf("answered %s\n got: %s\nwant: %s", a.Result, reasonText(a.Reason), tt.want)
				}
				b.save()
			}
			if diff := cmp.Diff(before, b.Totals()); diff != "" {
				t.Errorf("a no moved money:\n%s", diff)
			}
			if diff := cmp.Diff(accounts, mustAccounts(b)); diff != "" {
				t.Errorf("a no changed accounts:\n%s", diff)
			}
			b.check()
		})
	}
}

func TestNoStaysNoWhenTheMoneyArrives(t *testing.T) {
	b := aliceAndBob(t, nil)
	b.ask(tooMuch)
	b.fund("alice", 1_000_000)
	if a := b.ask(tooMuch); answerText(a) != "no insufficient_funds" || !strings.Contains(a.Reason.Detail, "100.00 CZK available") {
		t.Fatalf("got %v", a)
	}
}

func TestPrepareMayUseAllThatIsAvailable(t *testing.T) {
	b := strangeBank(t)
	for i, q := range []bank.Request{
		prepare(transfer.ID{1}, debit("alice", 6000), debit("alice", 4000)),
		prepare(transfer.ID{2}, debit("poor", 50000)),
		prepare(transfer.ID{3}, debit("@cash", 1<<62)),
		prepare(transfer.ID{4}, credit("bob", 1<<62)),
	} {
		if a := b.ask(q); a.Result != bank.Yes {
			t.Errorf("request %d: %s", i+1, reasonText(a.Reason))
		}
	}
	b.check()
}

// An account that is frozen or closed after a prepare must still obey the outcome.
func TestOutcomeReachesAFrozenAccount(t *testing.T) {
	d := newDisk()
	b := aliceAndBob(t, d)
	b.ask(good)
	b.save()
	d.setStatus(t, "alice", bank.Frozen)
	b = newBook(t, d)
	if a := b.ask(commit); a.Result != bank.Done {
		t.Fatalf("got %v", a)
	}
	if got := b.account("alice").PostedMinor; got != 7000 {
		t.Fatalf("alice has %d", got)
	}
}

// A refusal for want of money carries the numbers, also when it repeats after a restart: what was there then, less what the transfer's other
// debits took.
func TestARefusalSaysHowMuchIsThere(t *testing.T) {
	b := aliceAndBob(t, newDisk())
	b.ask(prepare(transfer.ID{9}, debit("alice", 4000), credit("bob", 4000)))
	two := prepare(id, debit("alice", 1000), debit("alice", 5001), credit("bob", 6001))
	want := &transfer.Shortfall{Account: "alice", Currency: "CZK", AvailableMinor: 5000, NeededMinor: 5001}
	for _, when := range []string{"at once", "repeated"} {
		if diff := cmp.Diff(want, b.ask(two).Reason.Shortfall); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	b.ask(request(bank.Rollback, transfer.ID{9}))
	b.save()
	b = newBook(t, b.disk)
	if diff := cmp.Diff(want, b.ask(two).Reason.Shortfall); diff != "" {
		t.Errorf("after a restart, with the money there (-want +got):\n%s", diff)
	}
}
