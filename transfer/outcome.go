package transfer

import "time"

// State is how far a transfer has come, as a client may know it.
type State uint8

// A transfer is pending until its outcome is decided; the outcome never changes.
const (
	Pending   State = 1
	Committed State = 2
	Aborted   State = 3
)

func (s State) String() string {
	switch s {
	case Pending:
		return "pending"
	case Committed:
		return "committed"
	case Aborted:
		return "aborted"
	}
	return "unknown"
}

// Reason says why a transfer was aborted. The zero Reason is no reason.
type Reason struct {
	Code   Code
	Bank   BankID // the bank that said no, if one did
	Detail string // one sentence with the values, for people

	Shortfall *Shortfall // with insufficient_funds: the values, for programs; nil if the bank didn't say. Never changed
}

// Shortfall says what an account had when a debit asked for more.
type Shortfall struct {
	Account        AccountID
	Currency       Currency
	AvailableMinor int64 // posted − held + overdraft, less what other debits of the same transfer took
	NeededMinor    int64
}

// Record is what is known of one transfer: what was asked and what became of it.
type Record struct {
	Transfer  Transfer
	State     State
	Reason    Reason // set when State is Aborted
	Settled   bool   // every bank has confirmed the outcome
	CreatedAt time.Time
	DecidedAt time.Time // zero while pending
}
