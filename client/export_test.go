package client

import "time"

// What reads a node's answers, for the fuzz test.
var (
	RecordOf  = recordOf
	AccountOf = accountOf
	EntriesOf = entriesOf
	AuditOf   = auditOf
	StatusOf  = statusOf
)

// TimeoutAt is what a node is told of a deadline.
func TimeoutAt(now, deadline time.Time) time.Duration { return timeoutAt(now, deadline).AsDuration() }

// FailureOf reads an error as a call does. certain says that nothing can have happened.
func FailureOf(err error, sent bool) (is error, certain bool) {
	f := failureOf(err, sent)
	return f.err, !f.happen
}
