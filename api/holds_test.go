package api_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

func holdSpec(timeout *durationpb.Duration) *quoratev1.TransferSpec {
	s := spec(idText)
	s.Hold, s.HoldTimeout = true, timeout
	return s
}

func TestAHoldIsHeldAndCaptured(t *testing.T) {
	w := open(t, nil)
	ctx := context.Background()
	before := time.Now()
	answer, err := w.transfers().SubmitTransfer(ctx, &quoratev1.SubmitTransferRequest{Transfer: holdSpec(durationpb.New(time.Hour))})
	got := answer.GetTransfer()
	if err != nil || got.GetState() != quoratev1.TransferState_TRANSFER_STATE_HELD || got.GetDecidedAt() != nil {
		t.Fatalf("%v, %v", got, err)
	}
	if left := got.GetHoldUntil().AsTime().Sub(before); left < time.Hour || left > time.Hour+patience {
		t.Errorf("it is held for %v, not for an hour", left)
	}
	for _, wrong := range [][]int64{{0}, {-1}, {1 << 40}, {1, 2, 3}, {1, 2}, make([]int64, 1000)} {
		_, err := w.transfers().CaptureTransfer(ctx, &quoratev1.CaptureTransferRequest{Id: idText, AmountsMinor: wrong})
		if code := infoOf(status.Convert(err)).GetReason(); status.Code(err) != codes.InvalidArgument || (code != "invalid_capture" && code != "unbalanced") {
			t.Errorf("capture %.3d: %v", wrong, err)
		}
	}
	captured, err := w.transfers().CaptureTransfer(ctx, &quoratev1.CaptureTransferRequest{Id: idText, AmountsMinor: []int64{100}})
	if got := captured.GetTransfer(); err != nil || got.GetState() != quoratev1.TransferState_TRANSFER_STATE_COMMITTED || !slices.Equal(got.GetCapturedMinor(), []int64{100, 100}) {
		t.Errorf("%v, %v", got, err)
	}
	late, err := w.transfers().VoidTransfer(ctx, &quoratev1.VoidTransferRequest{Id: idText})
	if got := late.GetTransfer(); err != nil || got.GetState() != quoratev1.TransferState_TRANSFER_STATE_COMMITTED {
		t.Errorf("voided too late: %v, %v", got, err)
	}
}

func TestAHoldThatCannotBeIsRefused(t *testing.T) {
	w := open(t, nil)
	for name, change := range map[string]func(*quoratev1.TransferSpec){
		"no time to capture it":        func(s *quoratev1.TransferSpec) { s.HoldTimeout = durationpb.New(0) },
		"shorter than the preparation": func(s *quoratev1.TransferSpec) { s.HoldTimeout = durationpb.New(10 * time.Second) },
		"for ever":                     func(s *quoratev1.TransferSpec) { s.HoldTimeout = durationpb.New(31 * 24 * time.Hour) },
		"a time and no hold":           func(s *quoratev1.TransferSpec) { s.Hold = false },
	} {
		s := holdSpec(durationpb.New(time.Hour))
		change(s)
		_, err := w.transfers().SubmitTransfer(context.Background(), &quoratev1.SubmitTransferRequest{Transfer: s})
		if code := infoOf(status.Convert(err)).GetReason(); status.Code(err) != codes.InvalidArgument || code != "invalid_hold" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(w.fake.seen) != 0 {
		t.Errorf("%d reached the backend", len(w.fake.seen))
	}
}

func TestAHoldOverHTTP(t *testing.T) {
	w := open(t, nil)
	path := "/v1/transfers/" + idText
	r := w.do("POST", "/v1/transfers", fmt.Sprintf(`{"id":%q,"hold":true,%s}`, idText, legs))
	until, err := time.Parse(time.RFC3339, fmt.Sprint(r.fields(t)["hold_until"]))
	if r.status != 201 || r.fields(t)["state"] != "held" || err != nil || time.Until(until) < 6*24*time.Hour {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for body, code := range map[string]string{
		`{"amounts_minor":["x"]}`: "invalid_capture", `{"amounts_minor":["-1"]}`: "invalid_capture", `{"amounts_minor":["0"]}`: "invalid_capture",
		`{"amounts_minor":[1]}`: "invalid_request", `{"amount":"1"}`: "invalid_request", `{`: "invalid_request", `[]`: "invalid_request",
	} {
		if r := w.do("POST", path+":capture", body); r.status != 400 || r.fields(t)["code"] != code {
			t.Errorf("%s: %d %s, want %s", body, r.status, r.body, code)
		}
	}
	for range 2 {
		r := w.do("POST", path+":void", "")
		if reason, _ := r.fields(t)["reason"].(map[string]any); r.status != 200 || r.fields(t)["state"] != "aborted" || reason["code"] != "voided" {
			t.Errorf("void: %d %s", r.status, r.body)
		}
	}
	if r := w.do("POST", path+":capture", ""); r.status != 200 || r.fields(t)["state"] != "aborted" {
		t.Errorf("captured too late: %d %s", r.status, r.body)
	}
	for verb, fail := range map[string]error{":capture": transfer.ErrHoldConcluded, ":void": transfer.ErrNotAHold} {
		w.fake.set(func(f *fake) { f.fail = fail })
		var want *transfer.Error
		errors.As(fail, &want)
		if r := w.do("POST", path+verb, ""); r.fields(t)["code"] != string(want.Code) || r.fields(t)["outcome"] != "not_applied" || r.status < 400 || r.status > 499 {
			t.Errorf("%s: %d %s", verb, r.status, r.body)
		}
	}
	w.fake.set(func(f *fake) { f.fail = transfer.ErrNotHeldYet })
	if r := w.do("POST", path+":capture", ""); r.status != 503 || r.fields(t)["retryable"] != true {
		t.Errorf("not held yet: %d %s", r.status, r.body)
	}
}
