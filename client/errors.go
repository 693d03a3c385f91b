package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/transfer"
)

// errorDomain marks the errors that a node gives; all others come from the way to it.
const errorDomain = "quorate.dev"

// ErrUnreachable says that no node could be asked before the context ended. Nothing was changed.
var ErrUnreachable = &transfer.Error{
	Code: "unreachable", Kind: transfer.KindUnavailable, Meaning: "no node of the cluster could be reached; nothing was changed",
}

// ErrRefused says that no secure connection came about: one side didn't trust the other. Nothing was changed.
var ErrRefused = &transfer.Error{
	Code: "tls_refused", Kind: transfer.KindUnauthenticated, Meaning: "no secure connection to the server came about; nothing was changed",
}

// OutcomeUnknownError says that a transfer may have been carried out, or may yet be. To find out, submit it again
// with this id, or Get it. It is transfer.ErrOutcomeUnknown.
type OutcomeUnknownError struct {
	ID  transfer.ID
	Err error // what happened last
}

func (e *OutcomeUnknownError) Error() string {
	return fmt.Sprintf("transfer %s: %v", e.ID, &unknown{e.Err})
}

// Unwrap names the kind first: whoever looks for a *transfer.Error shall find that the outcome is unknown.
func (e *OutcomeUnknownError) Unwrap() []error { return (&unknown{e.Err}).Unwrap() }

// unknown is what can't be known after a last attempt that ended so.
type unknown struct{ last error }

// Error leaves out what a single attempt says of itself: it doesn't hold for those before.
func (u *unknown) Error() string {
	return fmt.Sprintf("%v: %s", transfer.ErrOutcomeUnknown, strings.ReplaceAll(u.last.Error(), "; nothing was changed", ""))
}

// Unwrap names both, the kind first.
func (u *unknown) Unwrap() []error { return []error{transfer.ErrOutcomeUnknown, u.last} }

// told is an error that a node gave: its own sentence, and the error that it stands for.
type told struct {
	is      *transfer.Error
	message string
}

func (e *told) Error() string { return e.message }
func (e *told) Unwrap() error { return e.is }

// isTold says that a node gave the error.
func isTold(err error) bool {
	var t *told
	return errors.As(err, &t)
}

// tell is the error with a code as a node gave it. kind is for codes of a newer version.
func tell(code transfer.Code, kind transfer.Kind, message string) error {
	is, known := transfer.ErrorOf(code)
	if !known {
		is = &transfer.Error{Code: code, Kind: kind, Meaning: message}
	}
	return &told{is, message}
}

// failure is what a failed attempt means.
type failure struct {
	err     error
	happen  bool // it may have taken effect, or may yet
	again   bool // another attempt may get an outcome
	another bool // at another node
	refused bool // the node wouldn't have us, or we it, or it doesn't know what is asked: once that is so of all, nobody will
	full    bool // the node has as many streams of this caller as it takes

	after time.Duration // how long the node wants to be left alone; zero: it has said nothing
}

// credsFailed is how gRPC begins the error of a call that can't show who asks.
const credsFailed = "transport: per-RPC creds failed due to error: "

// failureOf reads the error of one call. sent says that the request may have left for the node.
func failureOf(err error, sent bool) failure {
	var read *transfer.Error
	if errors.As(err, &read) { // from an answer that makes no sense
		return failureOfKind(err)
	}
	s := status.Convert(err)
	var ours *errdetails.ErrorInfo
	var after time.Duration
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == errorDomain {
				ours = d
			}
		case *errdetails.RetryInfo:
			after = d.GetRetryDelay().AsDuration()
		}
	}
	if ours != nil {
		f := failureOfKind(tell(transfer.Code(ours.GetReason()), kindOf(s.Code()), s.Message()))
		f.after = after
		if s.Code() == codes.Unimplemented {
			f.again, f.another, f.refused = true, true, true
		}
		return f
	}
	switch s.Code() {
	case codes.Canceled: // by the context, or by Close: then the next attempt isn't sent
		return failure{err: fmt.Errorf("%w: %s", ErrUnreachable, s.Message()), happen: sent, again: sent}
	case codes.Unavailable, codes.DeadlineExceeded:
		if strings.Contains(s.Message(), "looked like an HTTP/1.1 header") { // gRPC's word for a port where plain HTTP is spoken
			return answersHTTP(sent)
		}
		if !sent && refusedAtTheDoor(s.Message()) {
			return failure{err: fmt.Errorf("%w: %s", ErrRefused, s.Message()), again: true, another: true, refused: true}
		}
		return failure{err: fmt.Errorf("%w: %s", ErrUnreachable, s.Message()), happen: sent, again: true, another: true}
	case codes.Internal, codes.Unknown:
		if sent { // a connection that broke in the middle of an answer looks like this, too
			return failure{err: fmt.Errorf("%w: %s", ErrUnreachable, s.Message()), happen: true, again: true, another: true}
		}
		return failure{err: fmt.Errorf("%w: %s", transfer.ErrInvalidRequest, s.Message())} // it couldn't be written
	case codes.Unimplemented:
		if strings.Contains(s.Message(), "unexpected HTTP status code") {
			return answersHTTP(sent)
		}
		old := fmt.Errorf("%w: the node doesn't know it, so it is of an older version: %s", transfer.ErrInvalidRequest, s.Message())
		return failure{err: old, again: true, another: true, refused: true}
	case codes.Unauthenticated:
		if !sent { // WithToken had nothing to show
			return failure{err: fmt.Errorf("%w: %s; nothing was changed", transfer.ErrUnauthenticated, strings.TrimPrefix(s.Message(), credsFailed))}
		}
	case codes.ResourceExhausted: // gRPC's word for a message above its limit: the request, or the answer to what was done
		return failure{err: fmt.Errorf("%w: %s", transfer.ErrInvalidRequest, s.Message()), happen: sent}
	}
	return failure{err: fmt.Errorf("%w: %s: %s", transfer.ErrInternal, s.Code(), s.Message()), happen: sent}
}

// answersHTTP is a wrong port, or a proxy before a node that is away: another node is asked, and nobody again if all of them are such.
func answersHTTP(sent bool) failure {
	return failure{err: fmt.Errorf("%w: it answers HTTP, not gRPC", ErrUnreachable), happen: sent, again: true, another: true, refused: true}
}

// isOfCaller says that a node has refused who asks, and not what: with other credentials it may go well.
func (f *failure) isOfCaller() bool {
	kind := kindIn(f.err)
	return isTold(f.err) && (kind == transfer.KindUnauthenticated || kind == transfer.KindForbidden)
}

// failureOfKind reads an error that a node gave.
func failureOfKind(err error) failure {
	f := failure{err: err}
	switch kindIn(err) {
	case transfer.KindUnavailable:
		f.again, f.another = true, !errors.Is(err, transfer.ErrBankUnavailable) // that one every node would say
	case transfer.KindExhausted:
		f.again = true
	case transfer.KindUnknown:
		f.happen, f.again, f.another = true, true, true
	case transfer.KindInternal:
		f.happen = true
	}
	return f
}

func kindIn(err error) transfer.Kind {
	var e *transfer.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return transfer.KindInternal
}

// kindOf guesses the kind of a code that this version doesn't know.
func kindOf(code codes.Code) transfer.Kind {
	switch code {
	case codes.InvalidArgument:
		return transfer.KindInvalid
	case codes.NotFound:
		return transfer.KindNotFound
	case codes.FailedPrecondition:
		return transfer.KindRejected
	case codes.AlreadyExists:
		return transfer.KindConflict
	case codes.Unauthenticated:
		return transfer.KindUnauthenticated
	case codes.PermissionDenied:
		return transfer.KindForbidden
	case codes.Unavailable:
		return transfer.KindUnavailable
	case codes.ResourceExhausted:
		return transfer.KindExhausted
	case codes.DeadlineExceeded:
		return transfer.KindUnknown
	}
	return transfer.KindInternal
}

// ended is the last error of a call whose context ended, or that no node would have.
func ended(ctx context.Context, last error) error {
	if last == nil {
		last = ErrUnreachable
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%w: %w", last, cause)
	}
	return last
}
