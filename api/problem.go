package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/quorate/quorate/transfer"
)

// problem is an error as HTTP says it: RFC 9457, with the same code as everywhere.
type problem struct {
	Type         string  `json:"type" example:"urn:quorate:error:no_leader" doc:"Names the code as a URI."`
	Title        string  `json:"title" doc:"What the code means. The same for every occurrence."`
	Status       int     `json:"status" doc:"The HTTP status."`
	Detail       string  `json:"detail" doc:"What happened this time, for people."`
	Instance     string  `json:"instance,omitempty" doc:"The path that was asked."`
	Code         string  `json:"code" example:"no_leader" doc:"Stable. There may be new ones."`
	Retryable    bool    `json:"retryable" doc:"Nothing was changed, and asking again may succeed."`
	RetryAfterMS int64   `json:"retry_after_ms,omitempty" doc:"How long to wait before asking again."`
	Outcome      Outcome `json:"outcome" enum:"not_applied,applied,unknown" doc:"Whether the request has taken effect."`
	ID           string  `json:"id,omitempty" doc:"The transfer that the request was about. If the outcome is unknown, ask, or submit again, with this id."`
	RequestID    string  `json:"request_id,omitempty" doc:"Names this request in the logs."`
}

// problemOf is the problem that an error is; status, unless 0, is more exact than what its kind stands for.
func problemOf(ctx context.Context, err error, status int) *problem {
	code, verdict := Judge(err)
	if status == 0 {
		status = verdict.HTTP
	}
	return &problem{
		Type:         "urn:quorate:error:" + string(code),
		Title:        classify(err).Meaning,
		Status:       status,
		Detail:       message(err),
		Instance:     pathOf(ctx),
		Code:         string(code),
		Retryable:    verdict.Retryable,
		RetryAfterMS: verdict.RetryAfter.Milliseconds(),
		Outcome:      verdict.Outcome,
		ID:           idIn(err),
		RequestID:    requestID(ctx),
	}
}

type pathKey struct{}

// pathOf is the path that a request of the HTTP face has asked for.
func pathOf(ctx context.Context) string {
	path, _ := ctx.Value(pathKey{}).(string)
	return path
}

// writeProblemTo answers in the place of an operation.
func writeProblemTo(c huma.Context, p *problem) {
	for name, values := range p.GetHeaders() {
		c.SetHeader(name, values[0])
	}
	c.SetHeader("Content-Type", p.ContentType(""))
	c.SetStatus(p.Status)
	_ = writeJSON(c.BodyWriter(), p) // always nil for a problem
}

// These make huma write a problem as it is.

func (p *problem) Error() string { return p.Detail }

func (p *problem) GetStatus() int { return p.Status }

func (p *problem) ContentType(string) string { return "application/problem+json" }

func (p *problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.RetryAfterMS > 0 {
		wait := time.Duration(p.RetryAfterMS) * time.Millisecond
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	return h
}

// huma keeps the maker of its errors in two variables of the package. Nobody else in the process uses huma.
func init() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return problemOfHuma(context.Background(), status, msg, errs)
	}
	huma.NewErrorWithContext = func(c huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return problemOfHuma(c.Context(), status, msg, errs)
	}
}

// problemOfHuma is what huma found wrong before a handler ran: the request can't be read.
func problemOfHuma(ctx context.Context, status int, msg string, errs []error) *problem {
	if status >= http.StatusInternalServerError {
		return problemOf(ctx, errors.Join(append([]error{transfer.ErrInternal, errors.New(msg)}, errs...)...), 0)
	}
	if status == http.StatusUnprocessableEntity {
		status = 0 // huma's word for a field that is wrong; ours is 400
	}
	details := make([]string, len(errs))
	for i, err := range errs {
		details[i] = detailOf(err)
	}
	if len(errs) == 0 {
		details = []string{msg}
	}
	return problemOf(ctx, &unreadable{strings.Join(details, "; ")}, status)
}

// detailOf leaves out the value that huma would repeat: it may be an account number, or the whole body.
func detailOf(err error) string {
	var detail *huma.ErrorDetail
	if !errors.As(err, &detail) {
		return err.Error()
	}
	if detail.Location == "" {
		return detail.Message
	}
	return detail.Location + ": " + detail.Message
}

// unreadable is an invalid_request whose sentence is all detail.
type unreadable struct{ detail string }

func (e *unreadable) Error() string { return e.detail }
func (e *unreadable) Unwrap() error { return transfer.ErrInvalidRequest }
