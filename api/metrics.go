package api

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quorate/quorate/transfer"
)

// Metrics counts what both faces of a node are asked and answer. It is a prometheus.Collector.
type Metrics struct {
	requests  *prometheus.CounterVec   // by operation and code
	took      *prometheus.HistogramVec // by operation
	transfers *prometheus.CounterVec   // by outcome and reason
	lasted    *prometheus.HistogramVec // by outcome
	turned    *prometheus.CounterVec   // by reason

	mu   sync.RWMutex // guards ends
	ends map[ended]*counters
}

// counters count one way in which transfers end. A vector's are looked up once, and not for each transfer.
type counters struct {
	transfers prometheus.Counter
	lasted    prometheus.Observer
	turned    prometheus.Counter // nil: nobody was turned away
}

// From a durable round on a fast disk to what a client would have given up on.
var durationBuckets = []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// How a transfer ended for the client that asked. Refused: nothing was begun.
const (
	outcomeRefused = "refused"
	outcomeUnknown = "unknown"
	codeOK         = "ok"
)

// NewMetrics begins to count.
func NewMetrics() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: durationBuckets}, labels)
	}
	m := &Metrics{
		ends:      map[ended]*counters{},
		requests:  counter("quorate_requests_total", "Requests that could be read, over gRPC and HTTP, by what came of them: ok, also of a stream that its client ended, or the code of the error.", "operation", "code"),
		took:      histogram("quorate_request_duration_seconds", "How long a request took.", "operation"),
		transfers: counter("quorate_transfers_total", "Transfers that were asked for at this node: committed; aborted, refused or unknown, with the code of the reason.", "outcome", "reason"),
		lasted:    histogram("quorate_transfer_duration_seconds", "From a transfer's request to its answer; those of a batch are answered together.", "outcome"),
		turned:    counter("quorate_admission_rejected_total", "Requests and transfers that were turned away before anything was begun: unauthenticated, forbidden, rate_limited, busy.", "reason"),
	}
	for _, reason := range []*transfer.Error{transfer.ErrUnauthenticated, transfer.ErrForbidden, transfer.ErrRateLimited, transfer.ErrBusy} {
		m.turned.WithLabelValues(string(reason.Code)) // a count that begins with its first event is no rise to whoever watches for one
	}
	return m
}

func (m *Metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.took, m.transfers, m.lasted, m.turned}
}

// Describe names all that Collect may send.
func (m *Metrics) Describe(into chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(into)
	}
}

// Collect sends the counts.
func (m *Metrics) Collect(into chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(into)
	}
}

// answered counts a request. Operations are those of the table of grants, so a stranger can't invent labels.
func (m *Metrics) answered(operation string, since time.Time, err error) {
	if _, known := grants[operation]; !known {
		return
	}
	code := codeOK
	if err != nil {
		is, _ := Judge(err)
		code = string(is)
	}
	m.requests.WithLabelValues(operation, code).Inc()
	m.took.WithLabelValues(operation).Observe(time.Since(since).Seconds())
}

// turnedAway counts a refusal at the door.
func (m *Metrics) turnedAway(code transfer.Code) { m.turned.WithLabelValues(string(code)).Inc() }

// ended is how a transfer ended.
type ended struct {
	outcome string
	reason  transfer.Code
}

// submitted counts the transfers of one request.
func (m *Metrics) submitted(since time.Time, records []transfer.Record, errs []error) {
	for i := range records {
		m.submittedOne(since, &records[i], errs[i])
	}
}

// submittedOne counts one transfer.
func (m *Metrics) submittedOne(since time.Time, record *transfer.Record, err error) {
	m.countersOf(endOf(record, err)).add(1, time.Since(since))
}

// refused counts transfers that were turned away together, as they came.
func (m *Metrics) refused(count int, err error) { m.countersOf(endOf(nil, err)).add(count, 0) }

// add counts transfers that ended alike.
func (c *counters) add(count int, lasted time.Duration) {
	c.transfers.Add(float64(count))
	for range count {
		c.lasted.Observe(lasted.Seconds())
	}
	if c.turned != nil {
		c.turned.Add(float64(count))
	}
}

func (m *Metrics) countersOf(e ended) *counters {
	m.mu.RLock()
	c := m.ends[e]
	m.mu.RUnlock()
	if c != nil {
		return c
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c = &counters{transfers: m.transfers.WithLabelValues(e.outcome, string(e.reason)), lasted: m.lasted.WithLabelValues(e.outcome)}
	if e.reason == transfer.ErrBusy.Code {
		c.turned = m.turned.WithLabelValues(string(e.reason))
	}
	m.ends[e] = c
	return c
}

func endOf(record *transfer.Record, err error) ended {
	if err != nil {
		code, verdict := Judge(err)
		if verdict.Outcome == Unknown {
			return ended{outcomeUnknown, code}
		}
		return ended{outcomeRefused, code}
	}
	e := ended{outcome: record.State.String()}
	if record.Reason != (transfer.Reason{}) {
		e.reason = record.Reason.Code
	}
	return e
}
