// Package clientotel traces and counts the transfers of a client with OpenTelemetry.
//
//	c, err := client.Dial(addresses, client.WithObserver(clientotel.New()))
//
// Every call of Transfer becomes a span "transfer", a child of the caller's: with the attributes quorate.transfer.id, quorate.outcome (committed, aborted,
// unknown, or the code of a refusal) and quorate.attempts. It is counted by outcome in the histogram quorate.client.transfer.duration, in
// seconds, and in the counter quorate.client.attempts. Ids are in spans only, and amounts and accounts in neither: they are nobody's business
// but the caller's.
package clientotel

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// scope names this package to whoever gathers what it tells.
const scope = "github.com/quorate/quorate/client/clientotel"

// The attributes.
const (
	transferID = attribute.Key("quorate.transfer.id")
	outcome    = attribute.Key("quorate.outcome")
	attempts   = attribute.Key("quorate.attempts")
)

type settings struct {
	tracers trace.TracerProvider
	meters  metric.MeterProvider
}

// Option changes what New makes.
type Option func(*settings)

// WithTracerProvider has spans made by a provider of one's own; the global one if nothing is said.
func WithTracerProvider(p trace.TracerProvider) Option { return func(s *settings) { s.tracers = p } }

// WithMeterProvider has measures taken by a provider of one's own; the global one if nothing is said.
func WithMeterProvider(p metric.MeterProvider) Option { return func(s *settings) { s.meters = p } }

type observer struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
	attempts metric.Int64Counter
}

// New is an observer for client.WithObserver. An instrument that can't be made measures nothing: otel's error handler hears why.
func New(options ...Option) client.Observer {
	s := settings{tracers: otel.GetTracerProvider(), meters: otel.GetMeterProvider()}
	for _, change := range options {
		change(&s)
	}
	meter := s.meters.Meter(scope)
	o := &observer{tracer: s.tracers.Tracer(scope)}
	var errDuration, errAttempts error
	o.duration, errDuration = meter.Float64Histogram("quorate.client.transfer.duration", metric.WithUnit("s"),
		metric.WithDescription("How long a call of Transfer took, all attempts together."))
	o.attempts, errAttempts = meter.Int64Counter("quorate.client.attempts", metric.WithUnit("{attempt}"),
		metric.WithDescription("How often a node was asked for the outcome of a transfer."))
	if err := errors.Join(errDuration, errAttempts); err != nil {
		otel.Handle(err)
	}
	return o
}

// Begin starts the span.
func (o *observer) Begin(ctx context.Context, id transfer.ID) (context.Context, func(client.Observation)) {
	began := time.Now()
	ctx, span := o.tracer.Start(ctx, "transfer", trace.WithSpanKind(trace.SpanKindClient))
	if span.IsRecording() {
		span.SetAttributes(transferID.String(id.String()))
	}
	return ctx, func(seen client.Observation) {
		became := outcome.String(outcomeOf(seen))
		by := metric.WithAttributeSet(attribute.NewSet(became))
		o.duration.Record(ctx, time.Since(began).Seconds(), by)
		o.attempts.Add(ctx, int64(seen.Attempts), by)
		span.SetAttributes(became, attempts.Int(seen.Attempts))
		if seen.Err != nil {
			span.RecordError(seen.Err)
			span.SetStatus(codes.Error, seen.Err.Error())
		}
		span.End()
	}
}

// outcomeOf is one of a closed list of words: an abort is an answer, not an error.
func outcomeOf(seen client.Observation) string {
	var refusal *transfer.Error
	switch {
	case seen.Err == nil:
		return seen.State.String()
	case errors.Is(seen.Err, transfer.ErrOutcomeUnknown):
		return "unknown"
	case errors.As(seen.Err, &refusal):
		return string(refusal.Code)
	}
	return string(transfer.ErrInternal.Code)
}
