package ledger_test

import (
	"testing"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/ledger"
	"github.com/quorate/quorate/transfer"
)

func (b *book) change(c bank.Change) ledger.Result {
	b.t.Helper()
	return b.apply(ledger.Command{Change: &c})[0]
}

// alice has 100.00 CZK and bob nothing.
func TestChangesOfAnAccount(t *testing.T) {
	freeze, thaw := bank.Change{Account: "alice", Kind: bank.Freeze}, bank.Change{Account: "alice", Kind: bank.Unfreeze}
	closeAlice, closeBob := bank.Change{Account: "alice", Kind: bank.Close}, bank.Change{Account: "bob", Kind: bank.Close}
	limit := func(minor int64) bank.Change {
		return bank.Change{Account: "alice", Kind: bank.SetLimit, OverdraftMinor: minor}
	}
	for _, row := range []struct {
		name  string
		steps []any
		want  string // what the last step says
	}{
		{"a frozen account takes no transfer", []any{freeze, good}, "account_frozen: account alice is frozen"},
		{"to freeze twice is no fault", []any{freeze, freeze}, "frozen, overdraft 0"},
		{"what was prepared before is committed all the same", []any{good, freeze, commit}, "done"},
		{"and so is what was to be rolled back", []any{good, freeze, rollback}, "done"},
		{"an account that is unfrozen takes transfers again", []any{freeze, thaw, good}, "yes"},
		{"an account with money can't be closed", []any{closeAlice},
			"account_not_empty: only an account with nothing posted and nothing prepared can be closed: alice has posted 100.00 CZK and 0 legs prepared"},
		{"nor one that a prepared transfer would give money to", []any{good, closeBob},
			"account_not_empty: only an account with nothing posted and nothing prepared can be closed: bob has posted 0.00 CZK and 1 legs prepared"},
		{"an empty one can", []any{closeBob}, "closed, overdraft 0"},
		{"to close twice is no fault", []any{closeBob, closeBob}, "closed, overdraft 0"},
		{"a frozen one can be closed, too", []any{bank.Change{Account: "bob", Kind: bank.Freeze}, closeBob}, "closed, overdraft 0"},
		{"a closed account takes no transfer", []any{closeBob, good}, "account_closed: account bob is closed"},
		{"and never opens again", []any{closeBob, bank.Change{Account: "bob", Kind: bank.Unfreeze}}, "account_closed: the account is closed: bob"},
		{"nor gets another limit", []any{closeBob, bank.Change{Account: "bob", Kind: bank.SetLimit, OverdraftMinor: 1}}, "account_closed: the account is closed: bob"},
		{"a higher limit is money that can be spent", []any{limit(1), tooMuch}, "yes"},
		{"a lower one is refused while it is in use", []any{limit(1), tooMuch, limit(0)},
			"limit_in_use: the account already uses more than this overdraft limit: alice has posted 100.00 CZK and held 100.01, a limit of 0.00 is too low"},
		{"and taken once it isn't", []any{limit(1), tooMuch, rollback, limit(0)}, "open, overdraft 0"},
		{"a limit may be lifted altogether", []any{bank.Change{Account: "alice", Kind: bank.SetLimit, Unlimited: true}, tooMuch}, "yes"},
		{"but not be negative", []any{limit(-1)}, "invalid_overdraft: an overdraft limit must be zero or more: got -0.01"},
		{"an account that isn't there", []any{bank.Change{Account: "carol", Kind: bank.Close}}, `account_not_found: the bank has no such account: "carol"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := aliceAndBob(t, newDisk())
			got := ""
			for _, step := range row.steps {
				switch s := step.(type) {
				case bank.Request:
					a := b.ask(s)
					if got = a.Result.String(); a.Result == bank.No {
						got = reasonText(a.Reason)
					}
				case bank.Change:
					got = told(b.change(s))
				}
			}
			if got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
			b.save()
			b.check()
			reopened := newBook(t, b.disk)
			if reopened.Hash() != b.Hash() {
				t.Error("the change is lost in the checkpoint")
			}
		})
	}
}

func told(r ledger.Result) string {
	if r.Err != nil {
		return string(codeOf(r.Err)) + ": " + r.Err.Error()
	}
	return r.Account.Status.String() + ", overdraft " + transfer.FormatMinor(r.Account.OverdraftMinor, "JPY")
}
