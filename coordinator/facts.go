package coordinator

import (
	"time"

	"github.com/quorate/quorate/transfer"
)

// Fact is one thing that happened to transfers; exactly one field is set. The log is a sequence of facts.
type Fact struct {
	Stage  *transfer.Transfer // a transfer is known from here on
	Hold   *transfer.ID       // every bank has reserved its part of a hold, and it waits for its client
	Decide *Decision          // its outcome is known from here on
	Settle []transfer.ID      // every bank has confirmed the outcome
	// Number has transfers and decisions numbered from here on (order.go); all that there are get their numbers now.
	Number bool
}

// Decision is the outcome of one transfer. An Aborted decision on an id that nobody has staged is a
// tombstone: the id is closed for ever.
type Decision struct {
	ID     transfer.ID
	State  transfer.State // Committed or Aborted
	Reason transfer.Reason
	At     time.Time // the leader's clock when it knew
	// Tombstone says that the leader knew of no Stage. It yields to one that came first in the log: what has
	// been staged is never aborted without asking what its banks hold.
	Tombstone bool
	// CapturedMinor is what a client has captured of a hold that is committed; nil: everything.
	CapturedMinor []int64
}

// Applied is what became of one fact, for the driver of the leader.
type Applied struct {
	ID   transfer.ID
	Kind AppliedKind
	// Record is the transfer as it stands after the fact. It is shared with the machine: read only. As long as the transfer hasn't settled it is the
	// same one for every fact, and changes with the next Apply.
	Record *Record
}

// AppliedKind says what a fact did.
type AppliedKind uint8

// A Stage is accepted, or refused because the id is already decided or has other content. A Decide takes effect,
// or is refused because it is a tombstone and a Stage came before it. Held and Settled say it of one id.
const (
	Staged AppliedKind = iota + 1
	StageRefused
	Decided
	DecideRefused
	Settled
	Held
)

func (k AppliedKind) String() string {
	switch k {
	case Staged:
		return "staged"
	case StageRefused:
		return "stage refused"
	case Decided:
		return "decided"
	case DecideRefused:
		return "decide refused"
	case Settled:
		return "settled"
	case Held:
		return "held"
	}
	return "invalid"
}
