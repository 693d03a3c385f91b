package api_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quorate/quorate/api"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// valueOf is what a collector has counted under some labels' values, in whatever order; of a histogram, how often it was told.
func valueOf(t *testing.T, c prometheus.Collector, name string, labels ...string) float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(labels)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			slices.Sort(values)
			if f.GetName() == name && slices.Equal(values, labels) {
				return m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

// A stream has no end but that its client wants no more. What a stream is refused with is counted as such.
func TestHowStreamsEndIsCounted(t *testing.T) {
	count := api.NewMetrics()
	w := open(t, func(c *api.Config) { c.Metrics = count })
	transfers := quoratev1.NewTransferServiceClient(w.conn)
	ctx, hangUp := context.WithCancel(t.Context())
	stream, err := transfers.StreamTransfers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sendTransfers(t, stream, spec(idText))
	results(t, stream, 1)
	watch, err := transfers.WatchTransfers(ctx, &quoratev1.WatchTransfersRequest{})
	if err == nil {
		_, err = watch.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	hangUp()
	for came, patience := false, 10*time.Millisecond; !came; patience *= 2 { // one whose time runs out, when it has been let in
		short, cancel := context.WithTimeout(t.Context(), patience)
		watch, err = transfers.WatchTransfers(short, &quoratev1.WatchTransfersRequest{})
		for err == nil {
			if _, err = watch.Recv(); err == nil {
				came = true
			}
		}
		cancel()
	}
	if watch, err = transfers.WatchTransfers(t.Context(), &quoratev1.WatchTransfersRequest{Position: "nonsense"}); err == nil {
		_, err = watch.Recv()
	}
	if err == nil {
		t.Error("a watch goes on from nowhere")
	}
	for _, c := range []struct {
		labels []string
		want   float64 // at least; of faults, none
	}{
		{[]string{"streamTransfers", "ok"}, 1}, {[]string{"watchTransfers", "ok"}, 2}, {[]string{"watchTransfers", "invalid_request"}, 1},
		{[]string{"streamTransfers", "internal"}, 0}, {[]string{"watchTransfers", "internal"}, 0},
	} {
		is := func() float64 { return valueOf(t, count, "quorate_requests_total", c.labels...) }
		for deadline := time.Now().Add(patience); is() < c.want && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		}
		if got := is(); got < c.want || c.want == 0 && got != 0 {
			t.Errorf("%q is %v, want %v", c.labels, got, c.want)
		}
	}
}

// TestRequestsAndTransfersAreCounted asks both faces, and once for what can't be.
func TestRequestsAndTransfersAreCounted(t *testing.T) {
	count := api.NewMetrics()
	w := open(t, func(c *api.Config) { c.Metrics = count })
	transfers := quoratev1.NewTransferServiceClient(w.conn)
	if _, err := transfers.SubmitTransfer(t.Context(), &quoratev1.SubmitTransferRequest{Transfer: spec(idText)}); err != nil {
		t.Fatal(err)
	}
	w.fake.set(func(f *fake) {
		f.submit = func(_ context.Context, tr transfer.Transfer) (transfer.Record, error) {
			switch tr.Legs[0].AmountMinor {
			case 1:
				return transfer.Record{Transfer: tr, State: transfer.Aborted, Reason: transfer.Reason{Code: "insufficient_funds"}}, nil
			case 2:
				return transfer.Record{}, fmt.Errorf("%w: the inbox", transfer.ErrBusy)
			case 3:
				return transfer.Record{}, fmt.Errorf("%w: %s", transfer.ErrOutcomeUnknown, tr.ID)
			}
			return committed(tr), nil
		}
	})
	batch := &quoratev1.SubmitTransfersRequest{}
	for _, amount := range []int64{1, 1, 2, 3, 4, 0} {
		s := spec("")
		s.Legs[0].AmountMinor, s.Legs[1].AmountMinor = amount, amount
		batch.Transfers = append(batch.Transfers, s)
	}
	if _, err := transfers.SubmitTransfers(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	w.do("GET", "/v1/status", "")
	w.do("GET", "/v1/transfers/none", "")
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"quorate_transfers_total", []string{"committed", ""}, 2},
		{"quorate_transfers_total", []string{"aborted", "insufficient_funds"}, 2},
		{"quorate_transfers_total", []string{"refused", "busy"}, 1},
		{"quorate_transfers_total", []string{"refused", "invalid_amount"}, 1},
		{"quorate_transfers_total", []string{"unknown", "outcome_unknown"}, 1},
		{"quorate_transfer_duration_seconds", []string{"aborted"}, 2},
		{"quorate_admission_rejected_total", []string{"busy"}, 1},
		{"quorate_requests_total", []string{"submitTransfer", "ok"}, 1},
		{"quorate_requests_total", []string{"submitTransfers", "ok"}, 1},
		{"quorate_requests_total", []string{"getStatus", "ok"}, 1},
		{"quorate_requests_total", []string{"getTransfer", "invalid_id"}, 1},
		{"quorate_request_duration_seconds", []string{"getStatus"}, 1},
	} {
		if got := valueOf(t, count, c.name, c.labels...); got != c.want {
			t.Errorf("%s %q is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
}
