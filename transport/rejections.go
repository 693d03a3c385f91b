package transport

import (
	"sync"
	"time"
)

// Whom this node rejects comes back four times a second, and anybody may come: of one minute, so many different reasons are told once each.
const (
	rejectionsEvery = time.Minute
	rejectionsMax   = 32
)

// rejections remembers what was told of those whom this node rejected.
type rejections struct {
	mu    sync.Mutex // guards the rest
	since time.Time  // when the minute began; zero, which is longer ago, before the first
	told  map[string]bool
}

// anew says whether a reason should be told: it has not been in this minute.
func (r *rejections) anew(reason string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.since) >= rejectionsEvery {
		r.since, r.told = now, map[string]bool{}
	}
	if r.told[reason] || len(r.told) >= rejectionsMax {
		return false
	}
	r.told[reason] = true
	return true
}
