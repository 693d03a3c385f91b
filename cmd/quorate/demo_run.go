package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/transfer"
)

// demoRun is one run of the demo: a cluster, its clients, its troubles and its auditor.
type demoRun struct {
	cluster  *demoCluster
	client   *client.Client
	source   *source
	troubles []trouble
	clients  int
	batch    int
	timeout  time.Duration // of each transfer

	tally   *tally
	auditor *auditor
	started time.Time

	mu            sync.Mutex // guards the rest
	events        []string   // what has happened, newest last
	leader        uint64     // zero: none
	term          uint64
	leaderChanges int
	inDoubt       int
	delta         delta
	audited       time.Time // of the last audit that could read every bank; zero: none yet
	failure       error

	printEvent func(string) // nil: the screen shows them
}

// source hands out the transfers of the run: a list, or traffic until a time.
type source struct {
	mu         sync.Mutex            // guards generators and next
	generators []*workload.Generator // one for each pair of banks; empty: list
	list       []transfer.Transfer   // replayed once
	next       int                   // of list
	begun      time.Time             // of traffic
	duration   time.Duration         // of traffic; zero: until stopped
	answered   atomic.Int64          // outcomes so far
}

// newTraffic makes traffic between every two of the banks. Each client stays with one pair, so that a
// bank that is down stops only the clients that need it.
func newTraffic(seed uint64, banks []transfer.BankID, duration time.Duration) *source {
	s := &source{duration: duration}
	for i, from := range banks {
		for _, to := range banks[i+1:] {
			seed++
			s.generators = append(s.generators, workload.New(workload.Config{
				Seed: seed, Banks: []transfer.BankID{from, to}, AccountsPerBank: demoAccounts, Currency: "EUR", AmountMaxMinor: 10_000,
			}))
		}
	}
	return s
}

// take hands a client up to n transfers; none means that the run is over.
func (s *source) take(client, n int) []transfer.Transfer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.generators) > 0 {
		if s.duration > 0 && time.Since(s.begun) >= s.duration {
			return nil
		}
		g := s.generators[client%len(s.generators)]
		batch := make([]transfer.Transfer, n)
		for i := range batch {
			batch[i] = g.Next()
		}
		return batch
	}
	end := min(s.next+n, len(s.list))
	batch := s.list[s.next:end]
	s.next = end
	return batch
}

// share says how much of the run is over, 0 to 1.
func (s *source) share() float64 {
	if len(s.generators) == 0 {
		return float64(s.answered.Load()) / float64(max(1, len(s.list)))
	}
	if s.duration == 0 {
		return 0
	}
	return float64(time.Since(s.begun)) / float64(s.duration)
}

// openAccounts opens every account of the run; those that exist are found.
func (d *demoRun) openAccounts(ctx context.Context, places []workload.Place) error {
	work := make(chan workload.Place)
	failed := make(chan error, d.clients)
	var workers sync.WaitGroup
	for range d.clients {
		workers.Go(func() {
			for p := range work {
				if err := d.openAccount(ctx, p); err != nil {
					select {
					case failed <- fmt.Errorf("open account %s at bank %s: %w", p.Terms.ID, p.Bank, err):
					default:
					}
				}
			}
		})
	}
	for _, p := range places {
		work <- p
	}
	close(work)
	workers.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// flow keeps transfers flowing until the source is empty or ctx ends, and then until every one of them has an outcome.
func (d *demoRun) flow(ctx context.Context) {
	d.tally.restart()
	var workers sync.WaitGroup
	for client := range d.clients {
		workers.Go(func() { d.clientLoop(ctx, client) })
	}
	workers.Wait()
}

// clientLoop is one client: it sends a batch, and sends again, under the same ids, what got no outcome.
func (d *demoRun) clientLoop(ctx context.Context, client int) {
	for ctx.Err() == nil && d.failed() == nil {
		batch := d.source.take(client, d.batch)
		if len(batch) == 0 {
			return
		}
		begun := time.Now()
		for len(batch) > 0 && d.failed() == nil {
			batch = d.submit(ctx, batch, begun)
			if ctx.Err() != nil {
				return
			}
		}
	}
}

// submit sends a batch and returns what has no outcome yet.
func (d *demoRun) submit(ctx context.Context, batch []transfer.Transfer, begun time.Time) (again []transfer.Transfer) {
	waiting, cancel := context.WithTimeout(ctx, d.timeout+5*time.Second)
	defer cancel()
	for i := range batch {
		batch[i].Deadline = time.Now().Add(d.timeout)
	}
	records, errs := d.submitBatch(waiting, batch)
	took := time.Since(begun)
	for i := range batch {
		d.tally.add(batch[i].ID, records[i], errs[i], took)
		if errs[i] != nil {
			again = append(again, batch[i])
			continue
		}
		d.source.answered.Add(1)
	}
	return again
}

// watch looks at the leader and lets the troubles happen, until ctx ends. What is still broken then is mended at once.
func (d *demoRun) watch(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	waiting := d.troubles
	type healing struct {
		at time.Time
		do func(*demoRun)
	}
	var heals []healing
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			for _, h := range heals {
				h.do(d)
			}
			return
		case <-tick.C:
		}
		d.look()
		if n%5 == 0 {
			d.tally.rotate()
		}
		if len(waiting) > 0 && d.source.share() >= waiting[0].at {
			heal, err := waiting[0].do(d)
			if err != nil {
				d.event("%s: %v", waiting[0].name, err)
				continue // once there is a leader again
			}
			waiting = waiting[1:]
			heals = append(heals, healing{time.Now().Add(outage), heal})
		}
		if len(heals) > 0 && time.Now().After(heals[0].at) {
			heals[0].do(d)
			heals = heals[1:]
		}
	}
}

// look notes who leads and whether a node has failed.
func (d *demoRun) look() {
	if err := d.cluster.failed(); err != nil {
		d.fail(err)
	}
	m, group, status := d.cluster.leader()
	d.mu.Lock()
	defer d.mu.Unlock()
	if m == nil {
		d.leader = 0
		return
	}
	if group.Term != d.term {
		if d.term != 0 {
			d.leaderChanges++
		}
		d.term = group.Term
	}
	d.leader, d.inDoubt = m.config.Node, status.InDoubt
}

// auditLoop audits all the time, until ctx ends.
func (d *demoRun) auditLoop(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.auditOnce(ctx)
		}
	}
}

// auditOnce audits if every bank can be read. It must not run twice at a time.
func (d *demoRun) auditOnce(ctx context.Context) error {
	reader := d.cluster.reader()
	if reader == nil {
		return fmt.Errorf("no coordinator node is up")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	result, err := d.auditor.audit(ctx, reader)
	if err != nil {
		return err
	}
	d.tally.check(d.auditor)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delta, d.audited = result, time.Now()
	return nil
}

// settle brings everybody back and waits until nothing is in doubt and no hold is left.
func (d *demoRun) settle(ctx context.Context, within time.Duration) error {
	if err := d.cluster.heal(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		if last = d.auditOnce(ctx); last == nil && d.quiet() {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			d.mu.Lock()
			defer d.mu.Unlock()
			return fmt.Errorf("after %v, %d holds are left (last audit: %v)", within, d.delta.OpenHolds, last)
		}
	}
}

func (d *demoRun) quiet() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.delta.OpenHolds == 0 && len(d.auditor.open) == 0
}

func (d *demoRun) event(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, fmt.Sprintf("%6.1fs  %s", time.Since(d.started).Seconds(), text))
	if d.printEvent != nil {
		d.printEvent(text)
	}
}

func (d *demoRun) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failure == nil {
		d.failure = err
	}
}

func (d *demoRun) failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failure
}

var _ books = api.Backend(nil)
