package bank

import (
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
