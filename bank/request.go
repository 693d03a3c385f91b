package bank

import (
	"time"

	"github.com/quorate/quorate/transfer"
)

// Op is what a coordinator asks a bank to do with one transfer.
type Op uint8

// The four requests of the contract.
const (
	Prepare  Op = 1
	Commit   Op = 2
	Rollback Op = 3
	Resolve  Op = 4
)

func (o Op) String() string {
	switch o {
	case Prepare:
		return "prepare"
	case Commit:
		return "commit"
	case Rollback:
		return "rollback"
	case Resolve:
		return "resolve"
	}
	return "invalid"
}

// Request is one step of one transfer at one bank. Requests travel in batches; each is answered by
// itself, and nothing follows from being in one batch.
type Request struct {
	Op          Op
	ID          transfer.ID
	Fingerprint transfer.Fingerprint // of the whole transfer; Prepare and Resolve only
	Legs        []transfer.Leg       // this bank's legs; Prepare only
	Reference   string               // for statements; Prepare only
	HoldUntil   time.Time            // of a client's hold, until when it isn't worth an inquiry; zero: it is none; Prepare only
	// CapturedMinor is what is to be posted of a hold's legs, one amount for each leg here in its order; what remains is freed. Nil:
	// everything. Commit only.
	CapturedMinor []int64
}
