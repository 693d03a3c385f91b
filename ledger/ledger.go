package ledger

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/internal/invariant"
)

// Command is one element of a log entry: exactly one of its fields is set.
type Command struct {
	Request *bank.Request // prepare, commit, rollback or resolve
	Open    *bank.Terms   // open an account
	Change  *bank.Change  // freeze, unfreeze or close one, or set its limit
}

// Result is what became of one Command. Of a Request: Answer. Of an Open: Account, or Err, which wraps
// ErrAccountExists (other terms; the same terms again are no error) or what ValidateTerms says. Of a Change: the Account as it is
// now, or Err, which wraps ErrAccountNotFound, ErrAccountClosed, ErrAccountNotEmpty, ErrLimitInUse or ErrInvalidOverdraft.
type Result struct {
	Answer  bank.Answer
	Account bank.Account
	Err     error
}

// Ledger is one bank. New makes it.
type Ledger struct {
	reader Reader
	index  uint64 // of the last applied log entry, or of the one under way
	failed error  // the state may be half-way: nothing more is applied

	cache    cache // accounts
	totals   totals
	holds    holds
	finished barrier
	journal  journal
	hash     uint64

	stored  uint64 // index of the last Checkpoint
	written uint64 // the version of the state that a Checkpoint writes
	sealed  bool   // that Checkpoint isn't confirmed yet
	atNanos int64  // time of the log entry under way
	decoder decoder
	results []Result
}

// Apply carries out one log entry and returns one result per command, in their order. Indexes must
// grow; gaps are entries that were not for the bank. data is not kept, and the results are there until the next Apply. An error means that the bytes are damaged or that the
// reader failed: the host stops, and every later Apply fails too.
func (l *Ledger) Apply(index uint64, data []byte) ([]Result, error) {
	if l.failed != nil {
		return nil, l.failed
	}
	if index <= l.index { // not Holds: it would allocate its arguments each time
		invariant.Fail("log entry %d comes after entry %d was applied", index, l.index)
	}
	results, err := l.apply(index, data)
	if err != nil {
		l.failed = fmt.Errorf("apply log entry %d: %w", index, err)
		return nil, l.failed
	}
	l.checkStep()
	return results, nil
}

func (l *Ledger) apply(index uint64, data []byte) ([]Result, error) {
	at, commands, err := l.decoder.decode(data)
	if err != nil {
		return nil, err
	}
	if l.written < stateVersionHolds && versionOf(commands) == entryVersionHold {
		l.written = stateVersionHolds
	}
	l.index, l.atNanos = index, at.UnixNano()
	l.results = slices.Grow(l.results[:0], len(commands))[:len(commands)]
	clear(l.results)
	results := l.results
	for i := range commands {
		switch c := &commands[i]; {
		case c.Open != nil:
			results[i], err = l.open(*c.Open)
		case c.Change != nil:
			results[i], err = l.change(c.Change)
		default:
			results[i].Answer, err = l.answer(c.Request, i)
		}
		if err != nil {
			return nil, err
		}
	}
	return results, nil
}

// answer keeps the law of package bank. ordinal is the command's place in its log entry.
func (l *Ledger) answer(q *bank.Request, ordinal int) (bank.Answer, error) {
	switch q.Op {
	case bank.Prepare:
		return l.prepare(q, ordinal)
	case bank.Commit:
		return l.commit(q)
	case bank.Rollback:
		return l.rollback(q)
	case bank.Resolve:
		return l.resolve(q)
	default:
		invariant.Fail("the decoder let operation %d through", q.Op)
		return bank.Answer{}, nil
	}
}

// Index is the index of the last applied log entry; 0 before the first.
func (l *Ledger) Index() uint64 { return l.index }

// Hash stands for the whole state: it is equal on replicas that applied the same entries, whenever they made
// their checkpoints, and almost certainly different on any other.
func (l *Ledger) Hash() uint64 { return l.hash }

// Audit is the books at one moment.
func (l *Ledger) Audit() bank.Audit {
	return bank.Audit{Totals: l.Totals(), OpenHolds: uint64(l.OpenHolds()), LastEntry: l.LastEntry()}
}
