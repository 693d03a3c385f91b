package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/api"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// everyError reads the codes from the source of package transfer, so that a new one can't be forgotten here.
func everyError(t *testing.T) []*transfer.Error {
	t.Helper()
	source, err := os.ReadFile("../transfer/errors.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []*transfer.Error
	for _, found := range regexp.MustCompile(`newError\("([a-z_]+)"`).FindAllSubmatch(source, -1) {
		e, known := transfer.ErrorOf(transfer.Code(found[1]))
		if !known {
			t.Fatalf("%s is not registered", found[1])
		}
		out = append(out, e)
	}
	if len(out) < 30 {
		t.Fatalf("only %d errors found: has the source changed its form?", len(out))
	}
	return out
}

// expected is the table again, as a client would write it down.
var expected = map[transfer.Kind]struct {
	grpc      codes.Code
	http      int
	exit      int
	retryable bool
	outcome   string
}{
	transfer.KindInternal:        {codes.Internal, 500, 1, false, "unknown"},
	transfer.KindInvalid:         {codes.InvalidArgument, 400, 2, false, "not_applied"},
	transfer.KindNotFound:        {codes.NotFound, 404, 3, false, "not_applied"},
	transfer.KindRejected:        {codes.FailedPrecondition, 409, 4, false, "not_applied"},
	transfer.KindConflict:        {codes.AlreadyExists, 422, 5, false, "not_applied"},
	transfer.KindUnauthenticated: {codes.Unauthenticated, 401, 6, false, "not_applied"},
	transfer.KindForbidden:       {codes.PermissionDenied, 403, 6, false, "not_applied"},
	transfer.KindUnavailable:     {codes.Unavailable, 503, 7, true, "not_applied"},
	transfer.KindExhausted:       {codes.ResourceExhausted, 429, 7, true, "not_applied"},
	transfer.KindUnknown:         {codes.DeadlineExceeded, 504, 8, false, "unknown"},
}

func TestBothFacesSayTheSameOfEveryError(t *testing.T) {
	w := open(t, nil)
	for _, e := range everyError(t) {
		t.Run(string(e.Code), func(t *testing.T) {
			kind := e.Kind
			if e == transfer.ErrAccountNotFound {
				kind = transfer.KindNotFound
			}
			want, known := expected[kind]
			if !known {
				t.Fatalf("kind %d has no row", kind)
			}
			wrapped := fmt.Errorf("%w: with numbers", e)
			w.fake.set(func(f *fake) { f.fail = wrapped })

			if got := api.ExitCode(wrapped); got != want.exit {
				t.Errorf("exit code %d, want %d", got, want.exit)
			}
			checkGRPC(t, w, e, want.grpc, want.retryable, want.outcome)
			checkHTTP(t, w, e, want.http, want.retryable, want.outcome)
			checkBatch(t, w, e, want.retryable, want.outcome)
		})
	}
}

func checkGRPC(t *testing.T, w *world, e *transfer.Error, code codes.Code, retryable bool, outcome string) {
	t.Helper()
	_, err := w.transfers().SubmitTransfer(context.Background(), &quoratev1.SubmitTransferRequest{Transfer: spec(idText)})
	s := status.Convert(err)
	if s.Code() != code {
		t.Errorf("gRPC: %v, want %v", s.Code(), code)
	}
	info := infoOf(s)
	if info.GetReason() != string(e.Code) || info.GetDomain() != "quorate.dev" {
		t.Errorf("gRPC: info %v, want reason %s", info, e.Code)
	}
	m := info.GetMetadata()
	if m["retryable"] != strconv.FormatBool(retryable) || m["outcome"] != outcome || m["id"] != idText {
		t.Errorf("gRPC: metadata %v, want retryable %v, outcome %s, id %s", m, retryable, outcome, idText)
	}
	var after time.Duration
	for _, d := range s.Details() {
		if hint, is := d.(*errdetails.RetryInfo); is {
			after = hint.GetRetryDelay().AsDuration()
		}
	}
	if (after > 0) != retryable {
		t.Errorf("gRPC: told to wait %v for what is retryable: %v", after, retryable)
	}
	checkMessage(t, e, s.Message())
}

func infoOf(s *status.Status) *errdetails.ErrorInfo {
	for _, d := range s.Details() {
		if info, is := d.(*errdetails.ErrorInfo); is {
			return info
		}
	}
	return nil
}

// checkMessage wants the numbers of every error but our own faults', which are for the log.
func checkMessage(t *testing.T, e *transfer.Error, message string) {
	t.Helper()
	if told := strings.Contains(message, "with numbers"); told == (e.Kind == transfer.KindInternal) {
		t.Errorf("message %q of kind %d", message, e.Kind)
	}
}

func checkHTTP(t *testing.T, w *world, e *transfer.Error, code int, retryable bool, outcome string) {
	t.Helper()
	r := w.do("POST", "/v1/transfers", oneTransfer)
	p := r.fields(t)
	if r.status != code || p["status"] != float64(code) {
		t.Errorf("HTTP: %d, in the body %v, want %d", r.status, p["status"], code)
	}
	if p["code"] != string(e.Code) || p["retryable"] != retryable || p["outcome"] != outcome || p["id"] != idText || p["title"] != e.Meaning {
		t.Errorf("HTTP: %v, want code %s, retryable %v, outcome %s, id %s", p, e.Code, retryable, outcome, idText)
	}
	if r.header.Get("Content-Type") != "application/problem+json" || p["request_id"] != r.header.Get("Request-Id") {
		t.Errorf("HTTP: %v with header %v", p, r.header)
	}
	if hint := r.header.Get("Retry-After"); (hint != "") != retryable {
		t.Errorf("HTTP: Retry-After %q of what is retryable: %v", hint, retryable)
	}
	checkMessage(t, e, p["detail"].(string))
}

func checkBatch(t *testing.T, w *world, e *transfer.Error, retryable bool, outcome string) {
	t.Helper()
	answer, err := w.transfers().SubmitTransfers(context.Background(), &quoratev1.SubmitTransfersRequest{Transfers: []*quoratev1.TransferSpec{spec(idText)}})
	if err != nil {
		t.Fatalf("batch: %v", err)
	}
	got := answer.GetResults()[0].GetError()
	if got.GetCode() != string(e.Code) || got.GetRetryable() != retryable || got.GetOutcome().String() != "OUTCOME_"+strings.ToUpper(outcome) {
		t.Errorf("batch: %v, want code %s, retryable %v, outcome %s", got, e.Code, retryable, outcome)
	}
}

func TestErrorsWithoutACode(t *testing.T) {
	cases := map[string]struct {
		err  error
		code transfer.Code
		exit int
	}{
		"nothing":            {nil, "", 0},
		"a stranger":         {io.ErrUnexpectedEOF, "internal", 1},
		"time is up":         {fmt.Errorf("submit: %w", context.DeadlineExceeded), "outcome_unknown", 8},
		"the client left":    {context.Canceled, "outcome_unknown", 8},
		"a code beats ctx":   {errors.Join(context.Canceled, transfer.ErrNoLeader), "no_leader", 7},
		"a kind of tomorrow": {&transfer.Error{Code: "new", Kind: 99}, "new", 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := api.ExitCode(c.err); got != c.exit {
				t.Errorf("exit code %d, want %d", got, c.exit)
			}
			if c.err == nil {
				return
			}
			if code, _ := api.Judge(c.err); code != c.code {
				t.Errorf("code %s, want %s", code, c.code)
			}
		})
	}
}

func TestAnAbortedRecordAsAnError(t *testing.T) {
	r := aborted(transfer.Transfer{})
	if err := api.RecordError(r); !errors.Is(err, transfer.ErrInsufficientFunds) || api.ExitCode(err) != 4 || !strings.Contains(err.Error(), "bank HOME") {
		t.Errorf("got %v", err)
	}
	r.Reason = transfer.Reason{Code: "moon_in_cancer", Detail: "d"}
	if err := api.RecordError(r); api.ExitCode(err) != 4 {
		t.Errorf("a reason of tomorrow: %v", err)
	}
	if err := api.RecordError(committed(transfer.Transfer{})); err != nil {
		t.Errorf("a committed one: %v", err)
	}
}

func TestFaultsOfOursAreLoggedAndNotTold(t *testing.T) {
	w := open(t, nil)
	w.fake.set(func(f *fake) { f.fail = errors.New("disk on fire") })
	r := w.do("POST", "/v1/transfers", oneTransfer, "Request-Id: req-7")
	if strings.Contains(r.body, "disk") {
		t.Errorf("told: %s", r.body)
	}
	_, err := w.transfers().GetTransfer(context.Background(), &quoratev1.GetTransferRequest{Id: idText})
	if strings.Contains(err.Error(), "disk") {
		t.Errorf("told: %v", err)
	}
	if got := w.logs.String(); strings.Count(got, "disk on fire") != 2 || !strings.Contains(got, "request_id=req-7") {
		t.Errorf("logged: %s", got)
	}
}
