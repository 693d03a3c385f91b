package bank

import "github.com/quorate/quorate/transfer"

// Result is what a bank answers. Zero is no answer and is never read as one.
type Result uint8

// Yes and No answer Prepare. Done answers Commit and Rollback. Prepared, Committed and RolledBack answer Resolve. Violation
// answers a Commit of what is not prepared or a Rollback of what is committed.
const (
	Yes        Result = 1
	No         Result = 2
	Done       Result = 3
	Prepared   Result = 4
	Committed  Result = 5
	RolledBack Result = 6
	Violation  Result = 7
)

func (r Result) String() string {
	switch r {
	case Yes:
		return "yes"
	case No:
		return "no"
	case Done:
		return "done"
	case Prepared:
		return "prepared"
	case Committed:
		return "committed"
	case RolledBack:
		return "rolled back"
	case Violation:
		return "violation"
	}
	return "invalid"
}

// Answer is a bank's durable word on one Request, matched to it by transfer id, operation and content: no
// other bookkeeping is needed, because every request may be repeated.
type Answer struct {
	Op          Op
	ID          transfer.ID
	Fingerprint transfer.Fingerprint // the request's own, repeated: which content the answer speaks of; Prepare and Resolve only
	Result      Result
	Reason      transfer.Reason // with No
}
