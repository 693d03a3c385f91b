package transfer

// Code is the stable, machine-readable name of what went wrong. It is the same in gRPC
// (ErrorInfo.reason), in HTTP (problem+json "code"), in an aborted transfer's reason and in the logs.
type Code string

// Kind groups codes by what the caller can do about them. Faces map a kind, never
// a single code, to a gRPC status, an HTTP status and an exit code.
type Kind uint8

// The kinds, in the order of the exit codes that they become.
const (
	KindInternal        Kind = iota // a fault of ours
	KindInvalid                     // the request can't be right; nothing was changed
	KindNotFound                    // what was named doesn't exist
	KindRejected                    // a bank said no, or the transfer was aborted: a finished transfer, not a failed request
	KindConflict                    // the id is taken by other content
	KindUnauthenticated             // who are you?
	KindForbidden                   // you may not
	KindUnavailable                 // nothing happened; asking again is safe
	KindExhausted                   // nothing happened; a bound is reached, ask again later
	KindUnknown                     // something may have happened; ask again with the same id
)

// Error is bad input, a refusal or an unknown outcome: a value with a code. Wrap it with the
// numbers: fmt.Errorf("%w: leg %d …", ErrInvalidAmount, n). errors.As finds it again.
type Error struct {
	Code    Code
	Kind    Kind
	Meaning string // one sentence for people, without values
}

func (e *Error) Error() string { return e.Meaning }

var registry = map[Code]*Error{}

func newError(code Code, kind Kind, meaning string) *Error {
	e := &Error{Code: code, Kind: kind, Meaning: meaning}
	registry[code] = e
	return e
}

// ErrorOf finds the error that carries a code; ok is false for a code of a newer version.
func ErrorOf(code Code) (*Error, bool) {
	e, ok := registry[code]
	return e, ok
}

// What a request may be refused for before anything is written.
var (
	ErrInvalidID        = newError("invalid_id", KindInvalid, "the transfer id is not a UUID")
	ErrInvalidName      = newError("invalid_name", KindInvalid, "a bank or account name must be 1 to 64 characters of A-Z a-z 0-9 . _ - : or start with @")
	ErrInvalidAmount    = newError("invalid_amount", KindInvalid, "an amount must be a whole number of minor units from 1 to 9223372036854775807")
	ErrAmountOverflow   = newError("amount_overflow", KindInvalid, "the amounts add up to more than fits into 64 bits")
	ErrInvalidCurrency  = newError("invalid_currency", KindInvalid, "the currency is not an ISO 4217 code")
	ErrInvalidDirection = newError("invalid_direction", KindInvalid, "a leg must be a debit or a credit")
	ErrTooFewLegs       = newError("too_few_legs", KindInvalid, "a transfer needs at least 2 legs")
	ErrTooManyLegs      = newError("too_many_legs", KindInvalid, "a transfer may have at most 256 legs")
	ErrUnbalanced       = newError("unbalanced", KindInvalid, "per currency, debits must equal credits")
	ErrInvalidReference = newError("invalid_reference", KindInvalid, "a reference must be valid UTF-8 of at most 256 bytes")
	ErrInvalidDeadline  = newError("invalid_deadline", KindInvalid, "the transfer's deadline can't be used")
	ErrInvalidHold      = newError("invalid_hold", KindInvalid, "the time until which the transfer shall be held can't be used")
	ErrInvalidCapture   = newError("invalid_capture", KindInvalid, "a capture must name one amount for each leg, from 1 to what the leg holds, or none for everything")
	ErrNotAHold         = newError("not_a_hold", KindInvalid, "the transfer isn't a hold: there is nothing to capture or to void")
	ErrInvalidRequest   = newError("invalid_request", KindInvalid, "the request could not be read")
	ErrInvalidOverdraft = newError("invalid_overdraft", KindInvalid, "an overdraft limit must be zero or more")
	ErrUnknownBank      = newError("unknown_bank", KindInvalid, "no bank of this name belongs to the cluster")
	ErrIDConflict       = newError("id_conflict", KindConflict, "the id was used before with other content")
	ErrHoldConcluded    = newError("hold_concluded", KindConflict, "the hold was captured before, with other amounts")
	ErrAccountExists    = newError("account_exists", KindConflict, "the account exists with other terms")
)

// What a bank may say no with, or a coordinator abort with: the reasons of an aborted transfer.
var (
	ErrAccountNotFound   = newError("account_not_found", KindRejected, "the bank has no such account")
	ErrInsufficientFunds = newError("insufficient_funds", KindRejected, "the account has less available than this debit needs")
	ErrCurrencyMismatch  = newError("currency_mismatch", KindRejected, "the account is kept in another currency")
	ErrAccountFrozen     = newError("account_frozen", KindRejected, "the account is frozen")
	ErrAccountClosed     = newError("account_closed", KindRejected, "the account is closed")
	ErrAccountNotEmpty   = newError("account_not_empty", KindRejected, "only an account with nothing posted and nothing prepared can be closed")
	ErrLimitInUse        = newError("limit_in_use", KindRejected, "the account already uses more than this overdraft limit")
	ErrBalanceOverflow   = newError("balance_overflow", KindRejected, "the balance would no longer fit into 64 bits")
	ErrRolledBack        = newError("rolled_back", KindRejected, "the bank has already rolled this transfer back")
	ErrPrepareConflict   = newError("prepare_conflict", KindRejected, "the bank knows this id with other content")
	ErrDeadlineExceeded  = newError("deadline_exceeded", KindRejected, "not every bank had prepared before the deadline")
	ErrCancelled         = newError("cancelled", KindRejected, "the client cancelled it before it was committed")
	ErrVoided            = newError("voided", KindRejected, "the client voided the hold")
	ErrHoldExpired       = newError("hold_expired", KindRejected, "the hold was not captured in time")
	ErrOrphaned          = newError("orphaned", KindRejected, "a bank asked for this id, no coordinator knew it, and it was closed for ever")
)

// What may be refused for how the cluster is now. Nothing was changed.
var (
	ErrUnknownNode       = newError("unknown_node", KindNotFound, "the cluster has no such node")
	ErrUnknownGroup      = newError("unknown_group", KindNotFound, "the cluster has no such group")
	ErrNotYet            = newError("not_yet", KindRejected, "a node of the cluster runs a version that doesn't know this; nothing was changed")
	ErrMembershipRefused = newError("membership_refused", KindRejected, "the cluster can't be changed that way")
)

// What the service may answer instead of an outcome.
var (
	ErrTransferNotFound = newError("transfer_not_found", KindNotFound, "no transfer has this id")
	ErrNotFound         = newError("not_found", KindNotFound, "there is nothing of this name")
	ErrNoLeader         = newError("no_leader", KindUnavailable, "no leader is known that could answer; nothing was changed")
	ErrBankUnavailable  = newError("bank_unavailable", KindUnavailable, "a bank has not answered for a while and is given no new transfers until it does; nothing was changed")
	ErrNotHeldYet       = newError("not_held_yet", KindUnavailable, "the hold's banks are still being asked; nothing was changed")
	ErrStopping         = newError("stopping", KindUnavailable, "the node is stopping; nothing was changed")
	ErrDiskFull         = newError("disk_full", KindUnavailable, "too few of the disks that keep it have room, so nothing new is begun; nothing was changed")
	ErrBusy             = newError("busy", KindExhausted, "a bound on work in flight is reached; nothing was changed")
	ErrOutcomeUnknown   = newError("outcome_unknown", KindUnknown, "the outcome is not known yet; ask again, or submit again, with the same id")
	ErrRateLimited      = newError("rate_limited", KindExhausted, "this caller asks more often than it may; nothing was changed")
	ErrTokenExists      = newError("token_exists", KindConflict, "there is a token of this name already; nothing was changed")
	ErrUnknownToken     = newError("unknown_token", KindNotFound, "there is no token of this name")
	ErrUnauthenticated  = newError("unauthenticated", KindUnauthenticated, "the credentials are missing or wrong")
	ErrForbidden        = newError("forbidden", KindForbidden, "the caller may not do this; nothing was changed")
	ErrInternal         = newError("internal", KindInternal, "a fault inside Quorate")
)
