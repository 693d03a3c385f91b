package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// Bounds of what healing takes. On a busy machine a server needs some seconds to start.
const (
	settleWithin  = 90 * time.Second
	auditAtOnce   = 16
	olderSample   = 2000 // earlier payments that the last audit asks for through every node, too
	wrongsPrinted = 10
)

// auditor judges, whenever everything is healed and nobody asks for anything.
type auditor struct {
	c     *cluster
	book  *book
	looks *looks
	all   []*caller // to all nodes
	each  []*caller // to one node each
	dir   string
}

// audit resolves what has no outcome, asks for everything through every node, and holds the books against what was acknowledged.
func (a *auditor) audit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	payments := a.book.unaudited()
	began := time.Now()
	if err := a.resolve(ctx, payments); err != nil {
		return err
	}
	if err := a.askEverywhere(ctx, payments); err != nil {
		return err
	}
	audits, err := awaitNoHolds(ctx, a.bankAudits)
	if err != nil {
		return err
	}
	settled := time.Since(began)
	a.report(promiseConservation, judgeConservation(audits))
	if err := a.judgeAccounts(ctx); err != nil {
		return err
	}
	a.judgeHistories(payments)
	a.book.close()
	a.c.j.note("audit: %d payments, all settled %.1fs after the clients had stopped; %.1fs in all", len(payments), settled.Seconds(), time.Since(began).Seconds())
	return nil
}

// report breaks the run off if anything is wrong.
func (a *auditor) report(promise string, wrong []string) {
	if len(wrong) == 0 {
		return
	}
	more := ""
	if len(wrong) > wrongsPrinted {
		more = fmt.Sprintf("\n… and %d more", len(wrong)-wrongsPrinted)
		wrong = wrong[:wrongsPrinted]
	}
	a.c.j.fail(promise, "%s%s", strings.Join(wrong, "\n"), more)
}

// overdue turns an audit that took too long into what it means.
func overdue(ctx context.Context, what string, last error) error {
	if ctx.Err() == context.DeadlineExceeded {
		return &violation{promiseHolds, fmt.Sprintf("after %v %s (%v)", settleWithin, what, last)}
	}
	return ctx.Err()
}

// resolve finds out what became of payments without an outcome, by cancelling them.
func (a *auditor) resolve(ctx context.Context, payments []*payment) error {
	var open []*payment
	for _, p := range payments {
		if p.outcome() == 0 {
			open = append(open, p)
		}
	}
	err := inParallel(open, func(i int, p *payment) error {
		for p.outcome() == 0 {
			a.all[i%len(a.all)].cancel(ctx, p)
			if ctx.Err() != nil {
				return overdue(ctx, fmt.Sprintf("transfer %s has no outcome", p.transfer.ID), nil)
			}
		}
		return nil
	})
	a.book.count(func(t *tally) { t.Resolved += len(open) })
	return err
}

// askEverywhere asks for every payment through every node.
func (a *auditor) askEverywhere(ctx context.Context, payments []*payment) error {
	return inParallel(payments, func(_ int, p *payment) error {
		for _, through := range a.each {
			r, ok := through.get(ctx, p)
			for ; !ok; r, ok = through.get(ctx, p) {
				if ctx.Err() != nil {
					return overdue(ctx, fmt.Sprintf("%s doesn't answer for transfer %s", through.name, p.transfer.ID), nil)
				}
			}
			if verdict := judgeKnown(p, r.State, through.name); verdict != "" {
				a.c.j.fail(promiseKnown, "%s", verdict)
			}
		}
		return nil
	})
}

// awaitNoHolds reads the banks' totals until nothing is held at any.
func awaitNoHolds(ctx context.Context, read func(context.Context) ([]client.Audit, error)) ([]client.Audit, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		audits, err := read(ctx)
		held := judgeHolds(audits)
		if err == nil && len(held) == 0 {
			return audits, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, overdue(ctx, "there are holds: "+strings.Join(held, "; "), err)
		}
	}
}

func (a *auditor) bankAudits(ctx context.Context) (audits []client.Audit, err error) {
	for _, id := range bankIDs() {
		one, err := a.all[0].client.Audit(ctx, id)
		if err != nil {
			return nil, err
		}
		audits = append(audits, one)
	}
	return audits, nil
}

// judgeAccounts reads every account and compares it with the replay.
func (a *auditor) judgeAccounts(ctx context.Context) error {
	read := map[account]client.Account{}
	for _, id := range bankIDs() {
		for one, err := range a.all[0].client.Accounts(ctx, id) {
			if err != nil {
				return overdue(ctx, "accounts can't be read", err)
			}
			read[account{id, one.ID}] = one
		}
	}
	a.report(promiseBalances, judgeBalances(a.book.replay(), read))
	a.report(promiseLimits, judgeLimits(read))
	return nil
}

// judgeHistories has porcupine look at every transfer, and at every witness account.
func (a *auditor) judgeHistories(payments []*payment) {
	note := func(promise string, verdict porcupine.CheckResult, what string) {
		a.book.count(func(t *tally) {
			t.Histories++
			if verdict == porcupine.Unknown {
				t.Undecidable++
			}
		})
		if verdict == porcupine.Illegal {
			a.c.j.fail(promise, "%s", what)
		}
	}
	_ = inParallel(payments, func(_ int, p *payment) error { // whose verdicts are noted as they come
		verdict, what := judgeTransfer(p, a.dir)
		note(promiseStatusReads, verdict, what)
		return nil
	})
	histories := a.looks.histories(payments, a.c.j.now())
	for _, each := range sortedAccounts(histories) {
		verdict, what := judgeAccount(each, histories[each], a.dir)
		note(promiseAccountReads, verdict, what)
	}
}

// finish is the last audit: it also reads every journal from its first entry, and asks for a sample of all payments again.
func (a *auditor) finish(ctx context.Context, rng *rand.Rand) error {
	ctx, cancel := context.WithTimeout(ctx, 10*settleWithin)
	defer cancel()
	read := newJournals()
	for _, id := range bankIDs() {
		var before uint64
		for e, err := range a.all[0].client.Entries(ctx, id) {
			if err != nil {
				return overdue(ctx, "the journal can't be read", err)
			}
			read.take(id, e, before)
			before = e.Seq
		}
	}
	a.report(promiseJournals, read.judge(a.book.audited))
	return a.askOlder(ctx, rng)
}

// askOlder asks for payments of earlier audits once more.
func (a *auditor) askOlder(ctx context.Context, rng *rand.Rand) error {
	ids := slices.Collect(maps.Keys(a.book.audited))
	rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return inParallel(ids[:min(len(ids), olderSample)], func(i int, id transfer.ID) error {
		through, told := a.each[i%len(a.each)], a.book.audited[id].state
		r, err := through.client.Get(ctx, id)
		if err != nil || r.State != told {
			a.c.j.fail(promiseOutcome, "transfer %s was %s; at the end %s answers %q, %v", id, told, through.name, r.State, err)
		}
		return nil
	})
}

// inParallel does something for each item, several at a time, and returns the first error.
func inParallel[T any](items []T, do func(int, T) error) error {
	var workers sync.WaitGroup
	errs := make([]error, auditAtOnce)
	for w := range auditAtOnce {
		workers.Go(func() {
			for i := w; i < len(items) && errs[w] == nil; i += auditAtOnce {
				errs[w] = do(i, items[i])
			}
		})
	}
	workers.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
