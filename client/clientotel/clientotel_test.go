package clientotel_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/client/clientotel"
	"github.com/quorate/quorate/quoratetest"
	"github.com/quorate/quorate/transfer"
)

// gathered is everything that OpenTelemetry was told.
type gathered struct {
	t      *testing.T
	spans  *tracetest.SpanRecorder
	tracer *trace.TracerProvider
	reader *metric.ManualReader
	meter  *metric.MeterProvider
}

func gather(t *testing.T) *gathered {
	g := &gathered{t: t, spans: tracetest.NewSpanRecorder(), reader: metric.NewManualReader()}
	g.tracer, g.meter = trace.NewTracerProvider(trace.WithSpanProcessor(g.spans)), metric.NewMeterProvider(metric.WithReader(g.reader))
	return g
}

func (g *gathered) observer() client.Observer {
	return clientotel.New(clientotel.WithTracerProvider(g.tracer), clientotel.WithMeterProvider(g.meter))
}

// lines are the spans as text, in the order of their end.
func (g *gathered) lines() (lines []string) {
	for _, s := range g.spans.Ended() {
		var parts []string
		for _, a := range s.Attributes() {
			parts = append(parts, fmt.Sprintf("%s=%v", a.Key, a.Value.AsInterface()))
		}
		slices.Sort(parts)
		lines = append(lines, s.Name()+" "+strings.Join(parts, " ")+" "+s.Status().Code.String())
	}
	return lines
}

// counted are the calls, and the attempts, by outcome.
func (g *gathered) counted() (calls, attempts map[string]uint64) {
	g.t.Helper()
	var all metricdata.ResourceMetrics
	if err := g.reader.Collect(context.Background(), &all); err != nil {
		g.t.Fatal(err)
	}
	calls, attempts = map[string]uint64{}, map[string]uint64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					calls[p.Attributes.Encoded(attribute.DefaultEncoder())] = p.Count
				}
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					attempts[p.Attributes.Encoded(attribute.DefaultEncoder())] = uint64(p.Value)
				}
			}
		}
	}
	return calls, attempts
}

func TestACallIsASpanAndACount(t *testing.T) {
	cases := map[string]struct {
		seen    client.Observation
		outcome string
		status  codes.Code
	}{
		"a commit":      {client.Observation{Attempts: 1, State: transfer.Committed}, "committed", codes.Unset},
		"an abort":      {client.Observation{Attempts: 1, State: transfer.Aborted}, "aborted", codes.Unset},
		"a refusal":     {client.Observation{Attempts: 2, Err: fmt.Errorf("%w: other legs", transfer.ErrIDConflict)}, "id_conflict", codes.Error},
		"nobody knows":  {client.Observation{Attempts: 3, Err: &client.OutcomeUnknownError{Err: client.ErrUnreachable}}, "unknown", codes.Error},
		"anything else": {client.Observation{Err: errors.New("strange")}, "internal", codes.Error},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := gather(t)
			id := transfer.ID{15: 7}
			_, end := g.observer().Begin(t.Context(), id)
			end(tc.seen)
			want := fmt.Sprintf("transfer quorate.attempts=%d quorate.outcome=%s quorate.transfer.id=%s %s", tc.seen.Attempts, tc.outcome, id, tc.status)
			if got := g.lines(); len(got) != 1 || got[0] != want {
				t.Errorf("got %q, want %q", got, want)
			}
			calls, attempts := g.counted()
			if calls["quorate.outcome="+tc.outcome] != 1 || len(calls) != 1 || attempts["quorate.outcome="+tc.outcome] != uint64(tc.seen.Attempts) {
				t.Errorf("counted %v and %v", calls, attempts)
			}
		})
	}
}

// The span of a real transfer hangs below the caller's.
func TestATransferIsTracedToItsCaller(t *testing.T) {
	cluster := quoratetest.Start(t, quoratetest.Servers(1))
	cluster.OpenAccount("HOME", client.Terms{ID: "alice", Currency: "EUR", OverdraftMinor: 100})
	cluster.OpenAccount("CITY", client.Terms{ID: "bob", Currency: "EUR"})
	g := gather(t)
	c, err := client.Dial(cluster.Addresses(), client.WithObserver(g.observer()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, span := g.tracer.Tracer("shop").Start(t.Context(), "sale")
	record, err := c.Transfer(ctx, transfer.Transfer{Legs: []transfer.Leg{
		{Bank: "HOME", Account: "alice", Direction: transfer.Debit, AmountMinor: 100, Currency: "EUR"},
		{Bank: "CITY", Account: "bob", Direction: transfer.Credit, AmountMinor: 100, Currency: "EUR"},
	}})
	span.End()
	if err != nil || record.State != transfer.Committed {
		t.Fatalf("%v, %v", record.State, err)
	}
	ended := g.spans.Ended()
	if len(ended) != 2 || ended[0].Name() != "transfer" || ended[0].Parent().SpanID() != span.SpanContext().SpanID() {
		t.Errorf("got %v", g.lines())
	}
	for _, word := range []string{"alice", "bob", "100"} {
		if strings.Contains(g.lines()[0], "="+word) {
			t.Errorf("%s is nobody's business: %s", word, g.lines()[0])
		}
	}
}
