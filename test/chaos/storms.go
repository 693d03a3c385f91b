package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quorate/quorate/client"
)

// A round is a quiet phase with load, a storm with load, and an audit without.
const (
	quietPhase  = 6 * time.Second
	quietSettle = 2 * time.Second // of it, until latencies count
)

// expedition is one whole run.
type expedition struct {
	o       *options
	j       *journal
	dir     string
	cluster *cluster
	book    *book
	load    *load
	nemesis *nemesis
	auditor *auditor
	audits  int
	clients []*client.Client
}

// storms runs the cluster until the time is over or a promise is broken: then the error is a *violation.
func storms(ctx context.Context, o *options, stderr io.Writer) (*result, error) {
	dir, err := makeDir(o.dir)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	j, err := newJournal(stderr, filepath.Join(dir, "chaos.log"), stop)
	if err != nil {
		return nil, err
	}
	x := &expedition{o: o, j: j, dir: dir, book: newBook(j)}
	j.note("seed %d, in %s", o.seed, dir)
	err = x.run(ctx)
	if v := j.broken(); v != nil {
		err = v
	}
	x.stop()
	if isViolation(err) {
		x.bury(stderr, err)
	} else if !o.keep {
		err = errors.Join(err, x.clear())
	}
	return x.result(err), err
}

func makeDir(wanted string) (string, error) {
	if wanted == "" {
		return os.MkdirTemp("", "quorate-chaos-")
	}
	abs, err := filepath.Abs(wanted)
	if err == nil {
		err = os.Mkdir(abs, 0o755)
	}
	return abs, err
}

// run is the run, from the first server to the last audit.
func (x *expedition) run(ctx context.Context) (err error) {
	if x.cluster, err = startCluster(ctx, x.o, x.j, x.dir); err != nil {
		return err
	}
	x.nemesis = &nemesis{c: x.cluster, j: x.j, injected: map[string]int{}, missed: map[string]int{}}
	if err := x.prepare(ctx); err != nil {
		return err
	}
	watching, unwatch := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { x.cluster.watchMemory(watching) })
	defer watcher.Wait()
	defer unwatch()
	plan := newSchedule(x.o.seed, x.o.kinds)
	for end := time.Now().Add(x.o.duration); time.Now().Before(end) && ctx.Err() == nil; {
		if err := x.round(ctx, plan, min(x.o.storm, max(time.Until(end)-quietPhase, time.Second))); err != nil {
			return x.judge(err)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	x.j.note("the last audit: all journals")
	if err := x.auditor.finish(ctx, rand.New(rand.NewPCG(x.o.seed, 1))); err != nil {
		return x.judge(err)
	}
	if names := x.nemesis.neverHit(); len(names) > 0 {
		return fmt.Errorf("no promise was broken, but no spell of %s has hit anybody: the run shows nothing about that", strings.Join(names, ", "))
	}
	return nil
}

// judge makes a violation that an audit returned the violation of the run.
func (x *expedition) judge(err error) error {
	if v, is := err.(*violation); is {
		x.j.fail(v.promise, "%s", v.detail)
	}
	return err
}

// prepare opens the accounts and the clients' connections.
func (x *expedition) prepare(ctx context.Context) error {
	if err := x.cluster.awaitReady(ctx, backWithin); err != nil {
		return err
	}
	number := 0
	connect := func(name string, c *client.Client) *caller {
		number++
		return &caller{name: name, number: number, client: c, book: x.book}
	}
	var all, each []*caller
	for i := range connections {
		c, err := x.cluster.dial(i % nodes)
		if err != nil {
			return err
		}
		x.clients = append(x.clients, c)
		all = append(all, connect(fmt.Sprintf("client %d", i+1), c))
	}
	for i, direct := range x.cluster.direct {
		each = append(each, connect(fmt.Sprintf("node %d's client", x.cluster.places[i].id), direct))
	}
	looks := newLooks()
	x.load = &load{o: x.o, book: x.book, callers: slices.Concat(all, each), looks: looks, quiet: &latencies{}}
	x.auditor = &auditor{c: x.cluster, book: x.book, looks: looks, all: all, each: each, dir: x.dir}
	opening, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, bank := range bankIDs() {
		for _, terms := range allTerms() {
			if _, err := all[0].client.OpenAccount(opening, bank, terms); err != nil {
				return fmt.Errorf("open account %s at bank %s: %w", terms.ID, bank, err)
			}
		}
	}
	return nil
}

// round is a quiet phase, a storm, and the audit after it.
func (x *expedition) round(ctx context.Context, plan *schedule, length time.Duration) error {
	x.load.start(ctx)
	end := sync.OnceFunc(x.load.end)
	defer end()
	if !sleep(ctx, quietSettle) {
		return ctx.Err()
	}
	x.load.quiet.during(x.j.now())
	calm := sleep(ctx, quietPhase-quietSettle)
	x.load.quiet.during(0)
	if !calm {
		return ctx.Err()
	}
	x.j.note("a storm of %.0fs", length.Seconds())
	x.nemesis.storm(ctx, plan.storm(length), length)
	x.j.note("healing: %s", x.progress())
	if err := x.cluster.heal(ctx); err != nil {
		return err
	}
	end()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	x.audits++
	return x.auditor.audit(ctx)
}

// sleep waits; false: ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (x *expedition) progress() string {
	x.book.mu.Lock()
	defer x.book.mu.Unlock()
	t := x.book.tally
	return fmt.Sprintf("%d payments so far, %d committed, %d aborted, %d answers unknown, %d refused", t.Payments, t.Committed, t.Aborted, t.Unknown, t.Refused)
}

// stop ends everything that was started, in any case.
func (x *expedition) stop() {
	for _, c := range x.clients {
		_ = c.Close() // nobody uses it any more
	}
	if x.cluster != nil {
		x.cluster.stop()
	}
}

// clear removes all that the run has written.
func (x *expedition) clear() error {
	var err error
	if x.cluster != nil {
		for _, s := range x.cluster.servers {
			err = errors.Join(err, s.disk.close())
		}
	}
	return errors.Join(err, os.RemoveAll(x.dir))
}

// bury says what was broken and keeps what is left, also of file systems that go with this process.
func (x *expedition) bury(w io.Writer, err error) {
	if x.cluster != nil {
		for _, s := range x.cluster.servers {
			if s.disk.small {
				if err := os.CopyFS(s.disk.dir+"-kept", os.DirFS(s.disk.dir)); err != nil {
					fmt.Fprintf(w, "the data of node %d could not be kept: %v\n", s.id, err)
				}
			}
		}
	}
	fmt.Fprintf(w, "\nA PROMISE IS BROKEN: %v\n\nlast events:\n", err)
	for _, line := range x.j.lastEvents() {
		fmt.Fprintln(w, " ", line)
	}
	fmt.Fprintf(w, "\ndata, logs and histories are kept in %s\nthe same schedule again: %s\n", x.dir, x.o.replay())
}
