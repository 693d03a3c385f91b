package transfer

import "time"

// State is how far a transfer has come, as a client may know it.
type State uint8

// A transfer is pending until its outcome is decided, and a hold is held for a while before that; the outcome never changes.
const (
	Pending   State = 1
	Committed State = 2
	Aborted   State = 3
	Held      State = 4 // every bank has reserved its legs, and the client has to capture or to void it
)

// Decided says that the outcome is known.
func (s State) Decided() bool { return s == Committed || s == Aborted }

func (s State) String() string {
	switch s {
	case Pending:
		return "pending"
	case Committed:
		return "committed"
	case Aborted:
		return "aborted"
	case Held:
		return "held"
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
	DecidedAt time.Time // zero until it is decided
	// CapturedMinor is what a client has captured of a hold, one amount for each leg; nil: all of it, or it was no hold.
	CapturedMinor []int64
}
