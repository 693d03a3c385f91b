package storage

import (
	"runtime"
	"sync/atomic"
	"time"
)

// pacing makes Pebble's flushes and compactions give way where there are few processors; nil: it doesn't.
//
// Go takes a goroutine that computes off its processor after 10 ms, and looks at the network when nothing else is ready, or every 10 ms. So where a process
// has one processor, all that comes from peers waits for 10 to 20 ms, again and again, while half a second's compaction goes on. One that
// sleeps after every millisecond of work lets everything else through (docs/benchmarks.md).
type pacing struct {
	hurried atomic.Bool // commits wait for Pebble: there is no rest
	sleep   func(time.Duration)
}

// With so many processors there is one for background work.
const processorsToSpare = 4

// Both are a millisecond: a process that has nothing else to do sleeps for no less, whatever is asked for.
const (
	paceWork = time.Millisecond
	paceRest = time.Millisecond
)

func newPacing(sleep func(time.Duration)) *pacing {
	if runtime.GOMAXPROCS(0) >= processorsToSpare {
		return nil
	}
	if sleep == nil {
		sleep = time.Sleep
	}
	return &pacing{sleep: sleep}
}

func (p *pacing) hurry(on bool) {
	if p != nil {
		p.hurried.Store(on)
	}
}

// pace is that of one table; nil: it has none.
type pace struct {
	of     *pacing
	rested time.Time // when the last rest ended
}

func (p *pacing) begin() *pace {
	if p == nil {
		return nil
	}
	return &pace{of: p, rested: time.Now()}
}

// step is called between two blocks.
func (p *pace) step() {
	if p == nil || time.Since(p.rested) < paceWork {
		return
	}
	if !p.of.hurried.Load() {
		p.of.sleep(paceRest)
	}
	p.rested = time.Now()
}
