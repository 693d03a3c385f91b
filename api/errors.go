package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/quorate/quorate/transfer"
)

// Outcome says whether a request that failed has taken effect.
type Outcome string

// The outcomes, as problems and ErrorInfo name them.
const (
	NotApplied Outcome = "not_applied"
	Applied    Outcome = "applied"
	Unknown    Outcome = "unknown"
)

// Exit codes that no error of a request stands for.
const (
	ExitOK     = 0
	ExitBroken = 9 // an invariant of ours is broken
)

// Verdict is what a face says about an error. It follows from the error's kind alone.
type Verdict struct {
	GRPC       codes.Code
	HTTP       int
	Exit       int // of the command line
	Retryable  bool
	Outcome    Outcome
	RetryAfter time.Duration // how long a client should wait before it asks again; zero: no advice
}

// verdicts is the one table. KindUnknown isn't retryable: a request that named no id would move the money
// twice. Asking again with the same id is safe, and that is what the message says.
var verdicts = map[transfer.Kind]Verdict{
	transfer.KindInternal:        {codes.Internal, http.StatusInternalServerError, 1, false, Unknown, 0},
	transfer.KindInvalid:         {codes.InvalidArgument, http.StatusBadRequest, 2, false, NotApplied, 0},
	transfer.KindNotFound:        {codes.NotFound, http.StatusNotFound, 3, false, NotApplied, 0},
	transfer.KindRejected:        {codes.FailedPrecondition, http.StatusConflict, 4, false, NotApplied, 0},
	transfer.KindConflict:        {codes.AlreadyExists, http.StatusUnprocessableEntity, 5, false, NotApplied, 0},
	transfer.KindUnauthenticated: {codes.Unauthenticated, http.StatusUnauthorized, 6, false, NotApplied, 0},
	transfer.KindForbidden:       {codes.PermissionDenied, http.StatusForbidden, 6, false, NotApplied, 0},
	transfer.KindUnavailable:     {codes.Unavailable, http.StatusServiceUnavailable, 7, true, NotApplied, 500 * time.Millisecond},
	transfer.KindExhausted:       {codes.ResourceExhausted, http.StatusTooManyRequests, 7, true, NotApplied, 100 * time.Millisecond},
	transfer.KindUnknown:         {codes.DeadlineExceeded, http.StatusGatewayTimeout, 8, false, Unknown, 0},
}

// Judge says what an error means to a client: its stable code and the verdict of its kind.
func Judge(err error) (transfer.Code, Verdict) {
	e := classify(err)
	kind := e.Kind
	if e == transfer.ErrAccountNotFound {
		kind = transfer.KindNotFound // an error only of a read: as a reason of an aborted transfer it never comes here
	}
	verdict, known := verdicts[kind]
	if !known {
		verdict = verdicts[transfer.KindInternal]
	}
	if wait := waitIn(err); wait > 0 {
		verdict.RetryAfter = wait
	}
	return e.Code, verdict
}

// ExitCode is what a command that failed with err exits with; 0 for nil.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	_, verdict := Judge(err)
	return verdict.Exit
}

// RecordError says as an error that a transfer was aborted, and why; nil if it wasn't.
func RecordError(r transfer.Record) error {
	if r.State != transfer.Aborted {
		return nil
	}
	reason, known := transfer.ErrorOf(r.Reason.Code)
	if !known {
		reason = &transfer.Error{Code: r.Reason.Code, Kind: transfer.KindRejected, Meaning: "the transfer was aborted"}
	}
	if r.Reason.Bank != "" {
		return fmt.Errorf("%w: bank %s: %s", reason, r.Reason.Bank, r.Reason.Detail)
	}
	return fmt.Errorf("%w: %s", reason, r.Reason.Detail)
}

// classify finds the error with a code. A request whose context ended may have been carried out. Everything else
// without a code is a fault of ours.
func classify(err error) *transfer.Error {
	var e *transfer.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return transfer.ErrOutcomeUnknown
	}
	return transfer.ErrInternal
}

// message is what a client may read of an error: all of it, except for our own faults, whose details are for the log.
func message(err error) string {
	e := classify(err)
	if e.Kind == transfer.KindInternal {
		return e.Meaning
	}
	var coded *transfer.Error
	if !errors.As(err, &coded) {
		return e.Meaning
	}
	return shorten(err.Error())
}

// messageBytesShown bounds what is told: it travels in a header over gRPC, and what was asked for may be in it.
const messageBytesShown = 2 << 10

func shorten(text string) string {
	if len(text) <= messageBytesShown {
		return text
	}
	return strings.ToValidUTF8(text[:messageBytesShown], "") + "…"
}

// requestError is an error about one transfer: whoever hears it learns the id to ask with.
type requestError struct {
	id  transfer.ID
	err error
}

func (e *requestError) Error() string { return e.err.Error() }
func (e *requestError) Unwrap() error { return e.err }

// idIn is the id of the transfer that an error is about; empty if it is about none.
func idIn(err error) string {
	var e *requestError
	if errors.As(err, &e) && !e.id.IsZero() {
		return e.id.String()
	}
	return ""
}
