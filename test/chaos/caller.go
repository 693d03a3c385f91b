package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/internal/linear"
	"github.com/quorate/quorate/transfer"
)

const promiseAnswer = "a request that is right gets an outcome, a refusal that changed nothing, or unknown"

// caller is one connection to the cluster, and takes down what it hears.
type caller struct {
	name   string
	number int // in the drawings of histories
	client *client.Client
	book   *book
}

// submit asks for a payment once and returns its outcome; zero: unknown, or refused.
func (c *caller) submit(ctx context.Context, p *payment) transfer.State {
	call := c.book.j.now()
	record, err := c.client.Transfer(ctx, p.transfer)
	s := span(c.number, call, c.book.j.now())
	switch {
	case err == nil && record.State != transfer.Pending:
		p.add(linear.Submitted(s, record.State))
		c.heard(p, record, "a submission")
		return record.State
	case err == nil || mayHaveHappened(err):
		p.add(linear.SubmittedInVain(s))
		c.book.count(func(t *tally) { t.Unknown++ })
	default:
		c.refused(p, "submit", err)
	}
	return 0
}

// cancel has a payment aborted unless it is too late.
func (c *caller) cancel(ctx context.Context, p *payment) transfer.State {
	c.book.count(func(t *tally) { t.Cancels++ })
	call := c.book.j.now()
	record, err := c.client.Cancel(ctx, p.transfer.ID)
	s := span(c.number, call, c.book.j.now())
	switch {
	case err == nil && record.State != transfer.Pending:
		p.add(linear.Cancelled(s, record.State))
		c.heard(p, record, "a cancel")
		return record.State
	case err == nil || mayHaveHappened(err):
		p.add(linear.CancelledInVain(s))
		c.book.count(func(t *tally) { t.Unknown++ })
	default:
		c.refused(p, "cancel", err)
	}
	return 0
}

// get reads a payment linearizably; ok is false without an answer.
func (c *caller) get(ctx context.Context, p *payment) (record transfer.Record, ok bool) {
	call := c.book.j.now()
	record, err := c.client.Get(ctx, p.transfer.ID)
	s := span(c.number, call, c.book.j.now())
	switch {
	case err == nil:
		p.add(linear.Read(s, record.State))
		c.heard(p, record, "a read")
	case errors.Is(err, transfer.ErrTransferNotFound):
		p.add(linear.Read(s, 0))
	default:
		return record, false
	}
	c.book.count(func(t *tally) { t.Reads++ })
	return record, true
}

// getStale reads what a node has applied: only an outcome says anything.
func (c *caller) getStale(ctx context.Context, p *payment) {
	call := c.book.j.now()
	record, err := c.client.Get(ctx, p.transfer.ID, client.Stale())
	if err != nil {
		return
	}
	c.book.count(func(t *tally) { t.StaleReads++ })
	if record.State != transfer.Pending {
		p.add(linear.Read(span(c.number, call, c.book.j.now()), record.State))
		c.heard(p, record, "a stale read")
	}
}

// conflict asks for other content under the same id: that must never be carried out.
func (c *caller) conflict(ctx context.Context, p *payment) {
	other := p.transfer
	other.Reference = "another"
	record, err := c.client.Transfer(ctx, other)
	switch {
	case err == nil && (record.State == transfer.Committed || p.outcome() == transfer.Committed):
		c.book.j.fail("an id stands for one content", "transfer %s is %s and answers %s for other content", p.transfer.ID, p.outcome(), record.State)
	case errors.Is(err, transfer.ErrIDConflict):
		c.book.count(func(t *tally) { t.Conflicts++ })
	}
}

// look reads an account; ok is false without an answer.
func (c *caller) look(ctx context.Context, a account) (s linear.Span, read client.Account, ok bool) {
	call := c.book.j.now()
	read, err := c.client.Account(ctx, a.bank, a.id)
	return span(c.number, call, c.book.j.now()), read, err == nil
}

func (c *caller) heard(p *payment, r transfer.Record, how string) {
	c.book.hear(p, r, fmt.Sprintf("%s of %s at %.1fs", how, c.name, time.Duration(c.book.j.now()).Seconds()))
}

// mayHaveHappened says of an error that the request may have taken effect, or may yet.
func mayHaveHappened(err error) bool { return errors.Is(err, transfer.ErrOutcomeUnknown) }

// refused judges an error that says that nothing was changed. A time that was too short before anything was begun is one, too.
func (c *caller) refused(p *payment, what string, err error) {
	var e *transfer.Error
	if !errors.As(err, &e) || (e.Kind != transfer.KindUnavailable && e.Kind != transfer.KindExhausted && e != transfer.ErrInvalidDeadline) {
		c.book.j.fail(promiseAnswer, "%s %s through %s: %v", what, p.transfer.ID, c.name, err)
	}
	c.book.count(func(t *tally) { t.Refused++ })
}
