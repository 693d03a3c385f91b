package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/transfer"
)

// load is one run: clients that send, and what they saw.
type load struct {
	o         *benchOptions
	payers    payers
	traffic   workload.Config
	processes []process

	begin, end  time.Time // of the measurement, after the warm-up
	records     []*benchRecord
	before      []usage // of the processes, at begin
	after       []usage // … and at end
	loadAverage string  // of the machine, at begin
}

// benchRecord is what a few clients saw. Clients share one by turns: a histogram for each of ten thousand would fill the memory.
type benchRecord struct {
	mu       sync.Mutex // guards the rest
	latency  *hdrhistogram.Histogram
	seconds  []second
	verdicts [benchUnknown + 1]int64 // measured
	told     [benchUnknown + 1]int64 // in the whole run
	late     int64                   // were due within the measurement and never sent
}

// second is one second of the measurement.
type second struct {
	answered int64
	latency  *hdrhistogram.Histogram
}

const benchRecords = 16

// Latencies within a second are kept with two digits, those of the run with three (newHistogram).
func newSecond() second { return second{latency: hdrhistogram.New(1, 600_000_000, 2)} }

func newLoad(o *benchOptions, p payers, traffic workload.Config, processes []process) *load {
	l := &load{o: o, payers: p, traffic: traffic, processes: processes}
	for range min(o.clients, benchRecords) {
		r := &benchRecord{latency: newHistogram()}
		for range int(o.duration/time.Second) + 1 {
			r.seconds = append(r.seconds, newSecond())
		}
		l.records = append(l.records, r)
	}
	return l
}

// run loads the cluster until the measurement is over and every answer has come.
func (l *load) run(ctx context.Context, log io.Writer) error {
	l.begin = time.Now().Add(l.o.warmup)
	l.end = l.begin.Add(l.o.duration)
	var clients sync.WaitGroup
	for worker := range l.o.clients {
		clients.Go(func() { l.send(ctx, worker) }) // ends at l.end, or with ctx
	}
	err := l.watch(ctx, log)
	clients.Wait()
	return err
}

// watch reads what the processes have used at both ends of the measurement, and shows how it goes.
func (l *load) watch(ctx context.Context, log io.Writer) (err error) {
	if err := sleepUntil(ctx, l.begin); err != nil {
		return err
	}
	l.loadAverage = loadAverage()
	if l.before, err = usageOf(l.processes); err != nil {
		return err
	}
	for at := l.begin.Add(time.Second); !at.After(l.end); at = at.Add(time.Second) {
		if err := sleepUntil(ctx, at); err != nil {
			return err
		}
		l.progress(log, int(at.Sub(l.begin)/time.Second))
	}
	if err := sleepUntil(ctx, l.end); err != nil {
		return err
	}
	l.after, err = usageOf(l.processes)
	return err
}

func (l *load) progress(log io.Writer, number int) {
	now := l.second(number - 1)
	fmt.Fprintf(log, "%3d s  %7d transfers/s  p50 %v  p99 %v\n", number, now.answered, quantile(now.latency, 50), quantile(now.latency, 99))
}

// second adds up what all records say of one second.
func (l *load) second(number int) second {
	sum := newSecond()
	for _, r := range l.records {
		r.mu.Lock()
		sum.answered += r.seconds[number].answered
		sum.latency.Merge(r.seconds[number].latency)
		r.mu.Unlock()
	}
	return sum
}

func sleepUntil(ctx context.Context, moment time.Time) error {
	timer := time.NewTimer(time.Until(moment))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// benchPatience is how long a request may take. It is longer than any outage that a cluster survives.
const benchPatience = 30 * time.Second

// send is one client.
func (l *load) send(ctx context.Context, worker int) {
	traffic := l.traffic
	traffic.Seed += uint64(worker) * 0x9e3779b97f4a7c15
	generator := workload.New(traffic)
	record := l.records[worker%len(l.records)]
	p := l.payers.of(worker)
	pace := l.pace(worker)
	batch := make([]transfer.Transfer, l.o.batch)
	for {
		due, ok := pace.wait(ctx)
		if !ok {
			return
		}
		if time.Since(l.end) > benchPatience {
			record.skip(len(batch))
			continue
		}
		for i := range batch {
			batch[i] = generator.Next()
			batch[i].ID = client.NewID() // as every user of the SDK has them: in the order of time, which a store likes better than chance
		}
		waiting, cancel := context.WithTimeout(ctx, benchPatience)
		verdicts := p.pay(waiting, batch)
		cancel()
		record.add(l, due, time.Now(), verdicts)
	}
}

// pace says when a client's requests are due.
type pace struct {
	next  time.Time
	every time.Duration // zero: whenever the client is free
	end   time.Time
}

// pace spreads the clients of an open loop evenly over its interval.
func (l *load) pace(worker int) *pace {
	begin := l.begin.Add(-l.o.warmup)
	if l.o.rate == 0 {
		return &pace{next: begin, end: l.end}
	}
	one := float64(l.o.batch) / l.o.rate * float64(time.Second)
	return &pace{
		next:  begin.Add(time.Duration(one * float64(worker))),
		every: max(1, time.Duration(one*float64(l.o.clients))),
		end:   l.end,
	}
}

// wait returns the moment at which the next request is due, at that moment or, if it has passed, at once.
func (p *pace) wait(ctx context.Context) (due time.Time, ok bool) {
	if p.every == 0 {
		now := time.Now()
		return now, now.Before(p.end) && ctx.Err() == nil
	}
	due = p.next
	p.next = due.Add(p.every)
	if !due.Before(p.end) {
		return due, false
	}
	if time.Until(due) > 0 && sleepUntil(ctx, due) != nil {
		return due, false
	}
	return due, ctx.Err() == nil
}

// add notes a request that was due at a time and has been answered at another. It counts towards throughput if it was answered within
// the measurement, and towards latency if it was due within it.
func (r *benchRecord) add(l *load, due, answered time.Time, verdicts []verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range verdicts {
		r.told[v]++
	}
	within := !answered.Before(l.begin) && answered.Before(l.end)
	number := int(answered.Sub(l.begin) / time.Second)
	outcomes := int64(0)
	for _, v := range verdicts {
		if v == benchCommitted || v == benchAborted {
			outcomes++
		}
	}
	took := min(max(answered.Sub(due).Microseconds(), 1), 600_000_000)
	if within {
		for _, v := range verdicts {
			r.verdicts[v]++
		}
		r.seconds[number].answered += outcomes
		_ = r.seconds[number].latency.RecordValues(took, outcomes) // took is within the range
	}
	if !due.Before(l.begin) && due.Before(l.end) {
		_ = r.latency.RecordValues(took, outcomes)
	}
}

func (r *benchRecord) skip(transfers int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.late += int64(transfers)
}

// result adds everything up.
func (l *load) result(status client.Status) *benchResult {
	r := &benchResult{Setup: l.o.setup(l.traffic.Banks, status), Machine: benchMachine(), latency: newHistogram()}
	r.Machine.LoadAverage = l.loadAverage
	var told [benchUnknown + 1]int64
	for _, record := range l.records {
		r.latency.Merge(record.latency)
		for v := range told {
			told[v] += record.told[v]
		}
		r.Committed += record.verdicts[benchCommitted]
		r.Aborted += record.verdicts[benchAborted]
		r.Refused += record.verdicts[benchRefused]
		r.Unknown += record.verdicts[benchUnknown]
		r.NeverSent += record.late
	}
	r.Acknowledged = acknowledged{Committed: told[benchCommitted], Unknown: told[benchUnknown]}
	for number := range int(l.o.duration / time.Second) {
		now := l.second(number)
		r.Seconds = append(r.Seconds, secondJSON{
			Second: number + 1, Transfers: now.answered, P50US: now.latency.ValueAtQuantile(50), P99US: now.latency.ValueAtQuantile(99),
		})
	}
	r.RatePerSecond = float64(r.Committed+r.Aborted) / l.o.duration.Seconds()
	r.Latency = latencyJSONOf(r.latency)
	r.use(l.processes, l.before, l.after, l.o.duration)
	return r
}

// benchMachine describes what the figures were taken on.
func benchMachine() machineJSON {
	return machineJSON{CPUs: runtime.NumCPU(), OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version(), CPU: processorName(), Version: buildVersion()}
}
