package api_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/quorate/quorate/api"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// A cluster's own limits hold on both faces, for what is named and for what isn't.
func TestTimeoutsAreThoseOfTheCluster(t *testing.T) {
	w := open(t, func(cfg *api.Config) {
		cfg.Timeouts = api.Timeouts{Default: 40 * time.Minute, Min: 30 * time.Minute, Max: 2 * time.Hour}
	})
	submit := func(timeout *durationpb.Duration) error {
		s := spec("")
		s.Timeout = timeout
		_, err := w.transfers().SubmitTransfer(context.Background(), &quoratev1.SubmitTransferRequest{Transfer: s})
		return err
	}
	before := time.Now()
	for _, timeout := range []*durationpb.Duration{nil, durationpb.New(30 * time.Minute), durationpb.New(2 * time.Hour)} {
		if err := submit(timeout); err != nil {
			t.Errorf("%v: %v", timeout, err)
		}
	}
	if r := w.do("POST", "/v1/transfers", "{"+legs+"}"); r.status != 201 {
		t.Errorf("%d %s", r.status, r.body)
	}
	for i, want := range []time.Duration{40 * time.Minute, 30 * time.Minute, 2 * time.Hour, 40 * time.Minute} {
		if d := w.fake.seen[i].Deadline.Sub(before); d < want || d > want+patience {
			t.Errorf("submission %d: deadline after %v, want %v", i, d, want)
		}
	}
	for _, timeout := range []time.Duration{30*time.Minute - 1, 2*time.Hour + 1, -1, 0} {
		if err := submit(durationpb.New(timeout)); infoOf(status.Convert(err)).GetReason() != string(transfer.ErrInvalidDeadline.Code) {
			t.Errorf("%v: %v", timeout, err)
		}
	}
	if r := w.do("POST", "/v1/transfers", `{"timeout_ms":1000,`+legs+"}"); r.status != 400 || !strings.Contains(r.body, "got 1s, and here a transfer may take from 30m0s to 2h0m0s") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if got := len(w.fake.seen); got != 4 {
		t.Errorf("%d transfers reached the cluster, want 4", got)
	}
}

func TestTimeoutsThatCannotBe(t *testing.T) {
	for says, timeouts := range map[string]api.Timeouts{
		"":                           {},
		"timeout_min: 1µs":           {Min: time.Microsecond},
		"timeout_max: 25h0m0s":       {Max: 25 * time.Hour},
		"timeout_min: 2s":            {Min: 2 * time.Second, Max: time.Second},
		"timeout_default: 10s":       {Max: time.Second},
		"timeout_default: 1s":        {Default: time.Second, Min: 2 * time.Second},
		"timeout_default: 2h0m0s":    {Default: 2 * time.Hour},
		"timeout_max: -1ns":          {Max: -1},
		"timeout_min: -1ns. why: it": {Min: -1},
	} {
		err := timeouts.Validate()
		if (err == nil) != (says == "") || (err != nil && !strings.HasPrefix(err.Error(), says)) {
			t.Errorf("%+v: %v, want %q", timeouts, err, says)
		}
	}
}
