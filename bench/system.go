package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// system is one thing to measure.
type system interface {
	name() string
	start(ctx context.Context) error
	measure(ctx context.Context, clients int) (measurement, error)
	stop() error
}

// systemNames are those that can be chosen, in the order of the table.
var systemNames = []string{"quorate-unary", "quorate-rest", "quorate-sdk", "quorate-stream", "quorate-batch", "postgres-2pc", "postgres-local", "etcd", "dtm"}

func newSystem(name string, o *options) system {
	switch name {
	case "postgres-2pc":
		return &postgres2PC{o: o}
	case "postgres-local":
		return &postgresLocal{o: o}
	case "etcd":
		return &etcdCluster{o: o}
	case "dtm":
		return &dtmServer{o: o}
	}
	return &quorate{o: o, as: name}
}

// measurement is what one system did with one number of clients.
type measurement struct {
	System    string  `json:"system"`
	Clients   int     `json:"clients"`
	Rate      float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Failed    int64   `json:"failed"`
	CPUMicros float64 `json:"cpu_us_each"` // user and system, all processes and the load; 0: not known
	Load      string  `json:"load_average"`
}

func (m *measurement) line() string {
	return fmt.Sprintf("%-15s %5d clients  %9.0f/s  p50 %8.2f ms  p99 %8.2f ms  %7.0f µs CPU each  load %s", m.System, m.Clients, m.Rate, m.P50, m.P99, m.CPUMicros, m.Load)
}

// worker does one thing and waits until it is done. It belongs to one goroutine.
type worker interface {
	do(ctx context.Context) error
	close()
}

// patience bounds how long one thing may take.
const patience = 30 * time.Second

// loop has every worker do one thing after another (closed loop) and measures after the warm-up. pids are the roots of the trees of
// processes that do the work.
func loop(ctx context.Context, o *options, name string, workers []worker, pids []int) (measurement, error) {
	m := measurement{System: name, Clients: len(workers), Load: loadAverage()}
	begin := time.Now().Add(o.warmup)
	end := begin.Add(o.duration)
	var failed atomic.Int64
	var mu sync.Mutex // guards latency and failure
	latency := hdrhistogram.New(1, 600_000_000, 3)
	var failure error
	var all sync.WaitGroup
	for _, w := range workers {
		all.Go(func() {
			own := hdrhistogram.New(1, 600_000_000, 3)
			for {
				sent := time.Now()
				if sent.After(end) || ctx.Err() != nil {
					break
				}
				waiting, cancel := context.WithTimeout(ctx, patience)
				err := w.do(waiting)
				cancel()
				done := time.Now()
				if done.Before(begin) || done.After(end) {
					continue
				}
				if err != nil {
					failed.Add(1)
					mu.Lock()
					failure = err
					mu.Unlock()
					continue
				}
				_ = own.RecordValue(min(max(1, done.Sub(sent).Microseconds()), 600_000_000)) // within the range
			}
			mu.Lock()
			latency.Merge(own)
			mu.Unlock()
		})
	}
	pids = append(pids[:len(pids):len(pids)], os.Getpid())
	wait(ctx, begin)
	before := cpuOf(pids)
	wait(ctx, end)
	used := cpuOf(pids) - before
	all.Wait()
	if ctx.Err() != nil {
		return m, ctx.Err()
	}
	m.Failed = failed.Load()
	count := latency.TotalCount()
	if count == 0 {
		return m, fmt.Errorf("nothing was done: %w", failure)
	}
	m.Rate = float64(count) / o.duration.Seconds()
	m.P50, m.P99 = float64(latency.ValueAtQuantile(50))/1000, float64(latency.ValueAtQuantile(99))/1000
	m.CPUMicros = float64(used.Microseconds()) / float64(count)
	return m, nil
}

func wait(ctx context.Context, until time.Time) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func closeAll(workers []worker) {
	for _, w := range workers {
		w.close()
	}
}
