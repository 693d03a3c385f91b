package main

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/quorate/quorate/transfer"
)

// tally is what the demo's clients were told, and how long it took.
type tally struct {
	mu        sync.Mutex                     // guards everything
	told      map[transfer.ID]transfer.State // not yet seen to fit the journals
	wrong     []transfer.ID                  // contradict the journals
	committed int
	aborted   int
	unknown   int // no answer in time: the client may ask again
	refused   int // nothing happened
	reasons   map[transfer.Code]int
	all       *hdrhistogram.Histogram
	recent    *hdrhistogram.WindowedHistogram
	last      time.Time // of an outcome
	longest   time.Duration
}

// Latencies are kept from 1 µs to 10 minutes with three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 600_000_000, 3) }

func newTally() *tally {
	return &tally{
		told:    map[transfer.ID]transfer.State{},
		reasons: map[transfer.Code]int{},
		all:     newHistogram(),
		recent:  hdrhistogram.NewWindowed(5, 1, 600_000_000, 3),
		last:    time.Now(),
	}
}

// add notes one answer to a client.
func (t *tally) add(id transfer.ID, r transfer.Record, err error, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		var coded *transfer.Error
		if errors.As(err, &coded) && (coded.Kind == transfer.KindExhausted || coded.Kind == transfer.KindUnavailable) {
			t.refused++
		} else {
			t.unknown++
		}
		return
	}
	if r.State == transfer.Aborted {
		t.aborted++
		t.reasons[r.Reason.Code]++
	} else {
		t.committed++
	}
	t.told[id] = r.State
	now := time.Now()
	t.longest = max(t.longest, now.Sub(t.last))
	t.last = now
	// A latency beyond the histogram's range counts as the longest it can hold.
	µs := min(took.Microseconds(), 600_000_000)
	t.all.RecordValue(µs)
	t.recent.Current.RecordValue(µs)
}

// restart begins the measurement of gaps anew: what came before was preparation.
func (t *tally) restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = time.Now()
}

// rotate begins the next of the windows that recent latencies are shown over.
func (t *tally) rotate() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recent.Rotate()
}

// figures are a moment's totals.
type figures struct {
	committed, aborted, unknown, refused int
	p50, p99                             time.Duration // of the last seconds
}

func (t *tally) figures() figures {
	t.mu.Lock()
	defer t.mu.Unlock()
	recent := t.recent.Merge()
	return figures{
		committed: t.committed, aborted: t.aborted, unknown: t.unknown, refused: t.refused,
		p50: quantile(recent, 50), p99: quantile(recent, 99),
	}
}

func quantile(h *hdrhistogram.Histogram, q float64) time.Duration {
	return time.Duration(h.ValueAtQuantile(q)) * time.Microsecond
}

// check holds what clients were told against the journals and forgets what fits.
func (t *tally) check(a *auditor) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, state := range t.told {
		switch a.judge(id, state) {
		case fits:
			delete(t.told, id)
		case contradicts:
			delete(t.told, id)
			t.wrong = append(t.wrong, id)
		}
	}
}

// missing lists acknowledged transfers that are not where they must be, as of the last check: aborted and paid,
// or committed and, once everything has settled, not paid.
func (t *tally) missing() []transfer.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	ids := slices.Clone(t.wrong)
	for id := range t.told {
		ids = append(ids, id)
	}
	return ids
}
