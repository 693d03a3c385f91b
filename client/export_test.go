package client

import (
	"time"

	"github.com/quorate/quorate/transfer"
)

// What reads a node's answers, for the fuzz test.
var (
	RecordOf  = recordOf
	AccountOf = accountOf
	EntriesOf = entriesOf
	AuditOf   = auditOf
	StatusOf  = statusOf
)

// TimesAt is what a node is told at a moment of a transfer's deadline, and of how long it is held; zero: nothing. again says that it isn't the first attempt.
func TimesAt(now time.Time, t transfer.Transfer, again bool) (timeout, hold time.Duration) {
	s := &submission{transfer: t, spec: specOf(&t), again: again}
	s.reckon(now)
	return s.spec.GetTimeout().AsDuration(), s.spec.GetHoldTimeout().AsDuration()
}

// FailureOf reads an error as a call does. certain says that nothing can have happened.
func FailureOf(err error, sent bool) (is error, certain bool) {
	f := failureOf(err, sent)
	return f.err, !f.happen
}
