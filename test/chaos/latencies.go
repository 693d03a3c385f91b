package main

import (
	"slices"
	"sync"
	"time"
)

// latencies are how long committed payments took while nothing was wrong.
type latencies struct {
	mu    sync.Mutex // guards the rest
	since int64      // the quiet phase began; zero: there is none
	all   []time.Duration
}

// during begins a quiet phase, or ends it with zero.
func (q *latencies) during(since int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.since = since
}

func (q *latencies) add(begun, end int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.since != 0 && begun > q.since {
		q.all = append(q.all, time.Duration(end-begun))
	}
}

// quantile is the latency that a share of all, in percent, stayed below.
func (q *latencies) quantile(percent int) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.all) == 0 {
		return 0
	}
	slices.Sort(q.all)
	return q.all[min(len(q.all)-1, len(q.all)*percent/100)]
}
