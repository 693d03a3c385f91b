package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/quorate/quorate/transfer"
)

// Who works for the load. The rate bounds them all together.
const (
	payers          = 20
	witnessPayers   = 2 // of each set
	statusReaders   = 3
	witnessLookers  = 1 // of each set
	connections     = 6 // shared by all, beside one to each node alone
	pollEvery       = 20 * time.Millisecond
	readersShare    = 3 // each reader asks so many times less often than payments begin
	transferTimeMin = 500 * time.Millisecond
	transferTimeMax = 5 * time.Second
)

// load is the clients at work between two audits.
type load struct {
	o       *options
	book    *book
	callers []*caller
	looks   *looks
	quiet   *latencies
	seed    uint64

	tokens chan struct{}
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// start lets payments flow until end.
func (l *load) start(ctx context.Context) {
	flowing, stop := context.WithCancel(ctx)
	l.stop, l.tokens = stop, make(chan struct{})
	l.book.flowing(true)
	l.seed += 1000
	worker := func(i int, do func(ctx context.Context, t traffic)) {
		t := traffic{rand.New(rand.NewPCG(l.o.seed, l.seed+uint64(i)))}
		l.done.Go(func() { do(flowing, t) })
	}
	l.done.Go(func() { l.pace(flowing) })
	for i := range payers {
		worker(i, l.pay)
	}
	for set := range witnessSets {
		for i := range witnessPayers {
			worker(100+10*set+i, func(ctx context.Context, t traffic) { l.payWitness(ctx, t, set) })
		}
		for i := range witnessLookers {
			worker(200+10*set+i, func(ctx context.Context, t traffic) { l.look(ctx, t, set) })
		}
	}
	for i := range statusReaders {
		worker(300+i, l.read)
	}
}

// end stops the flow and waits for what is under way.
func (l *load) end() {
	l.book.flowing(false)
	l.stop()
	l.done.Wait()
}

// pace hands out the right to begin a payment, at the rate.
func (l *load) pace(ctx context.Context) {
	tick := time.NewTicker(time.Second / time.Duration(l.o.rate))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		select {
		case l.tokens <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

func (l *load) token(ctx context.Context) bool {
	select {
	case <-l.tokens:
		return true
	case <-ctx.Done():
		return false
	}
}

func (l *load) caller(t traffic) *caller { return l.callers[t.rng.IntN(len(l.callers))] }

// patience is how long one attempt may take: what is under way when the flow stops has it, too.
func (l *load) patience(t traffic) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), between(t.rng, time.Second, 8*time.Second))
}

// between draws a time.
func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)+1))
}

// pay makes payments, one after another.
func (l *load) pay(ctx context.Context, t traffic) {
	for l.token(ctx) {
		content := t.next()
		content.Deadline = time.Now().Add(between(t.rng, transferTimeMin, transferTimeMax))
		p := l.book.begin(content, false)
		var beside sync.WaitGroup
		switch t.rng.IntN(25) {
		case 0:
			second, ctx, cancel := l.beside(t)
			beside.Go(func() { defer cancel(); second.submit(ctx, p) })
		case 1:
			second, ctx, cancel := l.beside(t)
			beside.Go(func() { defer cancel(); second.cancel(ctx, p) })
		}
		begun := l.book.j.now()
		outcome := l.attempt(t, p, (*caller).submit)
		if outcome == transfer.Committed {
			l.quiet.add(begun, l.book.j.now())
		}
		beside.Wait()
		if p.outcome() == 0 {
			l.insist(ctx, t, p)
		} else {
			l.doubt(t, p)
		}
	}
}

// beside is who asks at the same time as another.
func (l *load) beside(t traffic) (*caller, context.Context, context.CancelFunc) {
	ctx, cancel := l.patience(t)
	return l.caller(t), ctx, cancel
}

func (l *load) attempt(t traffic, p *payment, do func(*caller, context.Context, *payment) transfer.State) transfer.State {
	ctx, cancel := l.patience(t)
	defer cancel()
	return do(l.caller(t), ctx, p)
}

// insist asks for an outcome again, or leaves it, as a client does that dies. The audit finds out what became of it.
func (l *load) insist(ctx context.Context, t traffic, p *payment) {
	for range 4 {
		if ctx.Err() != nil || t.rng.IntN(5) == 0 {
			return
		}
		do := (*caller).submit
		if t.rng.IntN(3) == 0 {
			do = (*caller).cancel
		}
		l.book.count(func(t *tally) { t.Retries++ })
		if l.attempt(t, p, do) != 0 {
			return
		}
	}
}

// doubt asks again although the outcome is known, as a client does whose answer was lost.
func (l *load) doubt(t traffic, p *payment) {
	ctx, cancel := l.patience(t)
	defer cancel()
	c := l.caller(t)
	switch t.rng.IntN(20) {
	case 0, 1:
		l.book.count(func(t *tally) { t.Retries++ })
		c.submit(ctx, p)
	case 2:
		c.cancel(ctx, p)
	case 3:
		c.conflict(ctx, p)
	case 4, 5, 6:
		c.get(ctx, p)
	}
}

// payWitness makes payments between the witness accounts of a set, each driven to its outcome and until it is settled.
func (l *load) payWitness(ctx context.Context, t traffic, set int) {
	for l.token(ctx) {
		content := t.between(set)
		content.Deadline = time.Now().Add(between(t.rng, transferTimeMin, transferTimeMax))
		p := l.book.begin(content, true)
		for p.outcome() == 0 && ctx.Err() == nil {
			l.attempt(t, p, (*caller).submit)
		}
		if p.outcome() == transfer.Committed {
			l.awaitSettled(ctx, t, p)
		}
	}
}

// awaitSettled asks until every bank has confirmed. Until then the accounts may show either balance.
func (l *load) awaitSettled(ctx context.Context, t traffic, p *payment) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
		patience, cancel := l.patience(t)
		r, ok := l.caller(t).get(patience, p)
		cancel()
		if ok && r.Settled {
			return
		}
	}
}

// read reads payments of the last moment, some of them still under way.
func (l *load) read(ctx context.Context, t traffic) {
	l.every(ctx, func() {
		p := l.book.recent(t.rng)
		if p == nil {
			return
		}
		patience, cancel := l.patience(t)
		defer cancel()
		if t.rng.IntN(4) == 0 {
			l.caller(t).getStale(patience, p)
		} else {
			l.caller(t).get(patience, p)
		}
	})
}

// look reads the witness accounts of a set.
func (l *load) look(ctx context.Context, t traffic, set int) {
	l.every(ctx, func() {
		a := account{t.bank(), witnessAccount(set)}
		patience, cancel := l.patience(t)
		defer cancel()
		if s, read, ok := l.caller(t).look(patience, a); ok {
			l.looks.add(a, s, read.PostedMinor)
			l.book.count(func(t *tally) { t.Looks++ })
		}
	})
}

func (l *load) every(ctx context.Context, do func()) {
	tick := time.NewTicker(time.Duration(readersShare) * time.Second / time.Duration(l.o.rate))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			do()
		case <-ctx.Done():
			return
		}
	}
}
