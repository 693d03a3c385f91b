package client

// What reads a node's answers, for the fuzz test.
var (
	RecordOf  = recordOf
	AccountOf = accountOf
	EntriesOf = entriesOf
	AuditOf   = auditOf
	StatusOf  = statusOf
)

// FailureOf reads an error as a call does. certain says that nothing can have happened.
func FailureOf(err error, sent bool) (is error, certain bool) {
	f := failureOf(err, sent)
	return f.err, !f.happen
}
