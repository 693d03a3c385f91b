package ledger

import (
	"fmt"
	"strings"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/wire"
	"github.com/quorate/quorate/transfer"
)

// account is a bank.Account in memory. Its strings are its own and never point into a log entry.
type account struct {
	bank.Account
	total  *total // of its currency
	name   digest // of its id and currency, which never change
	digest uint64 // its part of the state hash
	newest uint64 // Seq of its newest entry, if memory has it
	holds  int    // open legs on it; above zero it stays in memory

	dirty  bool // changed since the last Checkpoint
	sealed bool // in the last Checkpoint, which is not yet durable
	used   bool // since the eviction hand last came by
}

// ValidateTerms says whether an account may be opened with these terms: a valid name, a known currency, an
// overdraft ≥ 0, and no overdraft limit where there is to be none.
//
// A house account (a name that starts with @) without an overdraft limit is unlimited even if the
// terms don't say so: money has to come from somewhere. One with a limit keeps to it.
//
// The error wraps ErrInvalidName, ErrInvalidCurrency or ErrInvalidOverdraft of package transfer.
func (l *Ledger) ValidateTerms(t bank.Terms) error {
	if _, err := transfer.ParseCurrency(string(t.Currency)); err != nil {
		return err
	}
	return checkTerms(&t)
}

// checkTerms is what Apply insists on. It doesn't look into the table of currencies: that grows, and
// replicas of two releases must still agree on what a log entry does.
func checkTerms(t *bank.Terms) error {
	if err := transfer.ValidateName(string(t.ID)); err != nil {
		return err
	}
	if !isCurrencyCode(t.Currency) {
		return fmt.Errorf("%w: got %.8q", transfer.ErrInvalidCurrency, t.Currency)
	}
	if t.OverdraftMinor < 0 {
		return fmt.Errorf("%w: got %s", transfer.ErrInvalidOverdraft, transfer.FormatMinor(t.OverdraftMinor, t.Currency))
	}
	if t.Unlimited && t.OverdraftMinor > 0 {
		return fmt.Errorf("%w: got %s for an account without a limit", transfer.ErrInvalidOverdraft,
			transfer.FormatMinor(t.OverdraftMinor, t.Currency))
	}
	return nil
}

func isCurrencyCode(c transfer.Currency) bool {
	if len(c) != 3 {
		return false
	}
	for i := range len(c) {
		if c[i] < 'A' || c[i] > 'Z' {
			return false
		}
	}
	return true
}

// open opens an account, or finds the one that has the same terms. A refusal is in Result.Err.
func (l *Ledger) open(t bank.Terms) (Result, error) {
	if err := checkTerms(&t); err != nil {
		return Result{Err: fmt.Errorf("open account: %w", err)}, nil
	}
	if strings.HasPrefix(string(t.ID), "@") && t.OverdraftMinor == 0 {
		t.Unlimited = true
	}
	a, err := l.account(t.ID)
	if err != nil {
		return Result{}, err
	}
	if a == nil {
		a = l.create(t)
	} else if a.Terms != t {
		return Result{Err: fmt.Errorf("%w: %s is kept in %s, %s", transfer.ErrAccountExists, a.ID, a.Currency, limitOf(&a.Terms))}, nil
	}
	return Result{Account: a.Account}, nil
}

// change makes an account as it shall be. A refusal is in Result.Err.
func (l *Ledger) change(c *bank.Change) (Result, error) {
	a, err := l.account(c.Account)
	if err != nil {
		return Result{}, err
	}
	if a == nil {
		return Result{Err: fmt.Errorf("%w: %s", transfer.ErrAccountNotFound, clipped(c.Account))}, nil
	}
	before := a.Account
	if err := a.change(c); err != nil {
		return Result{Err: err}, nil
	}
	if a.Account != before {
		l.touch(a)
	}
	return Result{Account: a.Account}, nil
}

// change carries out what is allowed; otherwise the account stays as it is.
func (a *account) change(c *bank.Change) error {
	if a.Status == bank.Closed && c.Kind != bank.Close {
		return fmt.Errorf("%w: %s", transfer.ErrAccountClosed, a.ID)
	}
	switch c.Kind {
	case bank.Freeze:
		a.Status = bank.Frozen
	case bank.Unfreeze:
		a.Status = bank.Open
	case bank.Close:
		if a.PostedMinor != 0 || a.holds != 0 {
			return fmt.Errorf("%w: %s has posted %s %s and %d legs prepared", transfer.ErrAccountNotEmpty, a.ID,
				transfer.FormatMinor(a.PostedMinor, a.Currency), a.Currency, a.holds)
		}
		a.Status = bank.Closed
	case bank.SetLimit:
		return a.setLimit(c.OverdraftMinor, c.Unlimited)
	default:
		invariant.Fail("the decoder let change %d through", c.Kind)
	}
	return nil
}

// setLimit refuses a limit below what the account owes or has reserved already: available would be negative.
func (a *account) setLimit(overdraftMinor int64, unlimited bool) error {
	limited := a.Account
	limited.OverdraftMinor, limited.Unlimited = overdraftMinor, unlimited
	if err := checkTerms(&limited.Terms); err != nil {
		return err
	}
	if available, is := limited.AvailableMinor(); is && available < 0 {
		return fmt.Errorf("%w: %s has posted %s %s and held %s, a limit of %s is too low", transfer.ErrLimitInUse, a.ID,
			transfer.FormatMinor(a.PostedMinor, a.Currency), a.Currency, transfer.FormatMinor(a.HeldMinor, a.Currency),
			transfer.FormatMinor(overdraftMinor, a.Currency))
	}
	a.Account = limited
	return nil
}

// clipped keeps what a stranger calls an account short enough for a message.
func clipped(id transfer.AccountID) string { return fmt.Sprintf("%.64q", id) }

func limitOf(t *bank.Terms) string {
	if t.Unlimited {
		return "without an overdraft limit"
	}
	return "with an overdraft limit of " + transfer.FormatMinor(t.OverdraftMinor, t.Currency)
}

func (l *Ledger) create(t bank.Terms) *account {
	total := l.totals.of(t.Currency)
	if total == nil {
		total = l.totals.add(bank.Total{Currency: transfer.Currency(strings.Clone(string(t.Currency)))})
	}
	t.Currency = total.Currency
	t.ID = transfer.AccountID(strings.Clone(string(t.ID)))
	a := &account{Account: bank.Account{Terms: t, Status: bank.Open}, total: total, name: nameDigest(t.ID, t.Currency)}
	total.Accounts++
	l.cache.add(a)
	l.cache.newborn.add(a)
	l.touch(a)
	return a
}

// touch takes a changed account into the state hash and the next checkpoint.
func (l *Ledger) touch(a *account) {
	d := digestOfAccount(a.name, &a.Account)
	l.hash += d - a.digest
	a.digest = d
	if !a.dirty {
		a.dirty = true
		l.cache.dirty = append(l.cache.dirty, a)
	}
}

// account finds an account for a step that may change it, and keeps it in memory; nil if there is none.
func (l *Ledger) account(id transfer.AccountID) (*account, error) {
	if a := l.cache.byID[id]; a != nil {
		a.used = true
		return a, nil
	}
	stored, ok, err := l.storedAccount(id)
	if err != nil || !ok {
		return nil, err
	}
	// What has an open hold is always in memory, so what isn't has none.
	if stored.HeldMinor != 0 || stored.IncomingMinor != 0 {
		return nil, fmt.Errorf("read account %s: %w: held %d and incoming %d without an open hold",
			id, wire.ErrDamaged, stored.HeldMinor, stored.IncomingMinor)
	}
	return l.keep(stored)
}

func (l *Ledger) keep(stored bank.Account) (*account, error) {
	total := l.totals.of(stored.Currency)
	if total == nil {
		return nil, fmt.Errorf("read account %s: %w: no total for its currency %s", stored.ID, wire.ErrDamaged, stored.Currency)
	}
	stored.Currency = total.Currency
	stored.ID = transfer.AccountID(strings.Clone(string(stored.ID)))
	a := &account{Account: stored, total: total, name: nameDigest(stored.ID, stored.Currency)}
	a.digest = digestOfAccount(a.name, &a.Account)
	l.cache.add(a)
	return a, nil
}

func (l *Ledger) storedAccount(id transfer.AccountID) (a bank.Account, ok bool, err error) {
	if l.reader == nil {
		return bank.Account{}, false, nil
	}
	if transfer.ValidateName(string(id)) != nil {
		return bank.Account{}, false, nil // nothing can be stored under it
	}
	value, ok, err := l.reader.Get(accountKey(id))
	if err != nil {
		return bank.Account{}, false, fmt.Errorf("read account %s: %w", id, err)
	}
	if !ok {
		return bank.Account{}, false, nil
	}
	a, err = decodeAccount(id, value)
	return a, err == nil, err
}

// Account reads one account as of the last applied entry. An error means that the reader failed.
func (l *Ledger) Account(id transfer.AccountID) (bank.Account, bool, error) {
	if a := l.cache.byID[id]; a != nil {
		return a.Account, true, nil
	}
	return l.storedAccount(id)
}

// Accounts lists up to limit accounts whose id comes after the given one, by id. An error means that the
// reader failed or its records are damaged.
func (l *Ledger) Accounts(after transfer.AccountID, limit int) ([]bank.Account, error) {
	if limit <= 0 {
		return nil, nil
	}
	stored, err := l.storedAccounts(after, limit)
	if err != nil {
		return nil, err
	}
	newborn := l.cache.newborn.after(after)
	if len(newborn) == 0 {
		return stored, nil
	}
	merged := make([]bank.Account, 0, min(limit, len(stored)+len(newborn)))
	for len(merged) < limit && len(stored)+len(newborn) > 0 {
		switch {
		case len(newborn) == 0 || (len(stored) > 0 && stored[0].ID < newborn[0].ID):
			merged, stored = append(merged, stored[0]), stored[1:]
		case len(stored) > 0 && stored[0].ID == newborn[0].ID: // the last checkpoint is already visible
			stored = stored[1:]
		default:
			merged, newborn = append(merged, newborn[0].Account), newborn[1:]
		}
	}
	return merged, nil
}

// storedAccounts lists what the reader has, each as memory knows it better.
func (l *Ledger) storedAccounts(after transfer.AccountID, limit int) (accounts []bank.Account, err error) {
	if l.reader == nil {
		return nil, nil
	}
	var damage error
	from := append(accountKey(after), 0) // the first key behind it
	err = l.reader.Scan(from, []byte{keyAccount + 1}, func(key, value []byte) bool {
		id := transfer.AccountID(key[1:])
		a := bank.Account{}
		if known := l.cache.byID[id]; known != nil {
			a = known.Account
		} else if a, damage = decodeAccount(id, value); damage != nil {
			return false
		}
		accounts = append(accounts, a)
		return len(accounts) < limit
	})
	if err != nil {
		return nil, fmt.Errorf("list accounts after %q: %w", after, err)
	}
	return accounts, damage
}
