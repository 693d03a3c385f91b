package bank

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/transfer"
)

// AccountStatus says whether an account takes part in new transfers. What is already prepared is finished in any status.
type AccountStatus uint8

// An open account takes debits and credits; a frozen or closed one refuses to prepare either.
const (
	Open   AccountStatus = 1
	Frozen AccountStatus = 2
	Closed AccountStatus = 3
)

func (s AccountStatus) String() string {
	switch s {
	case Open:
		return "open"
	case Frozen:
		return "frozen"
	case Closed:
		return "closed"
	}
	return "invalid"
}

// Terms are what an account is opened with.
type Terms struct {
	ID             transfer.AccountID
	Currency       transfer.Currency
	OverdraftMinor int64 // how far below zero the account may go, ≥ 0
	Unlimited      bool  // the account has no overdraft limit at all, as house accounts (@cash) need
}

// Account is a bank's view of one account, in minor units of its currency.
type Account struct {
	Terms
	PostedMinor   int64 // sum of the account's entries
	HeldMinor     int64 // debits prepared and not yet decided, ≥ 0
	IncomingMinor int64 // credits prepared and not yet decided, ≥ 0
	Status        AccountStatus
}

// AvailableMinor is what the next debit may use: posted − held + overdraft. ok is false for an
// account without a limit.
func (a *Account) AvailableMinor() (minor int64, ok bool) {
	if a.Unlimited {
		return 0, false
	}
	sum, fits := transfer.AddMinor(a.PostedMinor-a.HeldMinor, a.OverdraftMinor)
	if !fits {
		sum = 1<<63 - 1
	}
	return sum, true
}

// ChangeKind is what an operator does to an account.
type ChangeKind uint8

// Freeze and Unfreeze move an account between open and frozen. Close is final, and only for an account with nothing posted and nothing
// prepared. SetLimit sets how far it may go below zero.
const (
	Freeze   ChangeKind = 1
	Unfreeze ChangeKind = 2
	Close    ChangeKind = 3
	SetLimit ChangeKind = 4
)

func (k ChangeKind) String() string {
	switch k {
	case Freeze:
		return "freeze"
	case Unfreeze:
		return "unfreeze"
	case Close:
		return "close"
	case SetLimit:
		return "set limit"
	}
	return "invalid"
}

// Change says how an account shall be. To ask for what is so already changes nothing.
type Change struct {
	Account        transfer.AccountID
	Kind           ChangeKind
	OverdraftMinor int64 // SetLimit only, as in Terms
	Unlimited      bool  // likewise
}

// Validate says whether a bank can be asked for it: a valid name, a kind that there is, and a limit ≥ 0 with SetLimit only. The error wraps
// ErrInvalidName, ErrInvalidRequest or ErrInvalidOverdraft of package transfer.
func (c *Change) Validate() error {
	if err := transfer.ValidateName(string(c.Account)); err != nil {
		return fmt.Errorf("account: %w", err)
	}
	if c.Kind < Freeze || c.Kind > SetLimit {
		return fmt.Errorf("%w: change %d of an account", transfer.ErrInvalidRequest, c.Kind)
	}
	if c.OverdraftMinor < 0 || (c.Unlimited && c.OverdraftMinor > 0) || (c.Kind != SetLimit && (c.Unlimited || c.OverdraftMinor != 0)) {
		return fmt.Errorf("%w: to %s with a limit of %d, unlimited %t", transfer.ErrInvalidOverdraft, c.Kind, c.OverdraftMinor, c.Unlimited)
	}
	return nil
}

// Entry is one leg as it was posted: the journal of a bank is its entries in the order of Seq.
type Entry struct {
	Seq          uint64 // from 1, without gaps, per bank
	Transfer     transfer.ID
	Account      transfer.AccountID
	Currency     transfer.Currency
	AmountMinor  int64 // signed: a debit is negative
	BalanceMinor int64 // the account's posted balance after this entry
	At           time.Time
	Reference    string
}
