package client

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// A longer list of transfers travels in several requests, one after another.
const (
	batchMax      = 8190
	batchBytesMax = 3 << 20 // a node reads 4 MiB
)

// Result is what became of one transfer of a batch.
type Result struct {
	ID     transfer.ID
	Record transfer.Record // if Err is nil
	Err    error           // as Client.Transfer gives it
}

// Transfers submits transfers that have nothing to do with each other and waits for the outcome of each, as Transfer does. The
// results are in the order of the transfers. A long list travels in several requests; what can't be carried out for now is tried again when the rest has been tried.
func (c *Client) Transfers(ctx context.Context, transfers []transfer.Transfer) []Result {
	results := make([]Result, len(transfers))
	var open []*submission
	for i := range transfers {
		s := &submission{transfer: transfers[i], result: &results[i]}
		if s.prepare() {
			open = append(open, s)
		}
	}
	c.submit(ctx, open)
	return results
}

// submission is one transfer on its way to an outcome.
type submission struct {
	transfer transfer.Transfer
	spec     *quoratev1.TransferSpec
	result   *Result
	happen   bool // an attempt may have taken effect
	again    bool // the next attempt isn't the first
}

// prepare finds what is wrong with the transfer before anybody is asked.
func (s *submission) prepare() bool {
	if s.transfer.ID.IsZero() {
		s.transfer.ID = NewID()
	}
	s.result.ID = s.transfer.ID
	if err := s.transfer.Validate(); err != nil {
		s.result.Err = err
		return false
	}
	s.spec = specOf(&s.transfer)
	return true
}

func sizeOfBatch(open []*submission) int {
	bytes := 0
	for n, s := range open {
		bytes += proto.Size(s.spec)
		if n == batchMax || (n > 0 && bytes > batchBytesMax) {
			return n
		}
	}
	return len(open)
}

// submit drives a list to its outcomes, batch by batch. What has none yet is submitted again, with the same ids, once everything has been tried: one transfer
// that can't be carried out for now must not keep the rest from being tried.
func (c *Client) submit(ctx context.Context, open []*submission) {
	a := c.attempts()
	var tried []*submission
	var last error                            // of the latest attempt that got no outcome
	another, after := false, time.Duration(0) // what the failures since the last pause want
	for len(open) > 0 {
		batch := open[:sizeOfBatch(open)]
		open = open[len(batch):]
		before := len(tried)
		for i, f := range c.submitOnce(ctx, a, batch) {
			if batch[i].settle(f) {
				tried = append(tried, batch[i])
				last, another, after = f.err, another || f.another, max(after, f.after)
			}
		}
		if stuck := len(tried)-before == len(batch); len(open) > 0 && !stuck {
			a = c.attempts() // patience begins anew
			continue
		}
		if len(open) == 0 {
			open, tried = tried, nil
		}
		if len(open) > 0 && !a.next(ctx, another, after) {
			giveUpAll(ctx, append(tried, open...), last)
			return
		}
		another, after = false, 0
	}
}

// giveUpAll leaves what has no outcome. What was never tried is refused for the reason that ended the others, unless it was their time.
func giveUpAll(ctx context.Context, left []*submission, last error) {
	for _, s := range left {
		err := s.result.Err
		if err == nil && ctx.Err() == nil {
			err = last
		}
		s.giveUp(ended(ctx, err))
	}
}

// submitOnce makes one attempt; the failures are nil for those that have their record.
func (c *Client) submitOnce(ctx context.Context, a *attempts, open []*submission) []*failure {
	request := &quoratev1.SubmitTransfersRequest{Transfers: make([]*quoratev1.TransferSpec, len(open)), OmitContent: true}
	now := time.Now()
	for i, s := range open {
		s.reckon(now)
		request.Transfers[i] = s.spec
	}
	at := c.current.Load()
	failures := make([]*failure, len(open))
	whole := a.call(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		answer, err := n.transfers.SubmitTransfers(ctx, request, options...)
		if err != nil {
			return err
		}
		results := answer.GetResults()
		if len(results) != len(open) {
			return fmt.Errorf("node %s gave %d results for %d transfers", n.address, len(results), len(open))
		}
		for i, s := range open {
			failures[i] = s.read(results[i])
		}
		return nil
	})
	for i := range failures {
		switch {
		case whole != nil:
			failures[i] = whole
		case failures[i] != nil && failures[i].another:
			a.moveOn(ctx, at, now)
		}
	}
	return failures
}

// read takes the record from a result, or says why there is none.
func (s *submission) read(r *quoratev1.TransferResult) *failure {
	if e := r.GetError(); e != nil {
		return failureOfResult(e)
	}
	record, err := recordOf(r.GetTransfer())
	if err == nil && record.Transfer.ID != s.transfer.ID {
		err = fmt.Errorf("%w: the answer is about %s", transfer.ErrInternal, record.Transfer.ID)
	}
	if err != nil {
		return &failure{err: err, happen: true}
	}
	until := record.Transfer.HoldUntil // as it was first submitted
	record.Transfer = s.transfer       // its content is what the id stands for: else this would be a conflict
	record.Transfer.HoldUntil = until
	s.result.Record, s.result.Err = record, nil
	return nil
}

func failureOfResult(e *quoratev1.Error) *failure {
	f := failureOfKind(tell(transfer.Code(e.GetCode()), kindOfResult(e), e.GetMessage()))
	f.after = e.GetRetryAfter().AsDuration()
	return &f
}

// kindOfResult guesses the kind of a code that this version doesn't know.
func kindOfResult(e *quoratev1.Error) transfer.Kind {
	switch {
	case e.GetRetryable():
		return transfer.KindUnavailable
	case e.GetOutcome() == quoratev1.Outcome_OUTCOME_NOT_APPLIED:
		return transfer.KindInvalid
	}
	return transfer.KindUnknown
}

// settle notes how an attempt went and says whether another one is due.
func (s *submission) settle(f *failure) (again bool) {
	if f == nil {
		return false
	}
	s.happen = s.happen || f.happen
	s.result.Err = f.err
	if f.again {
		return true
	}
	if !saysOfAll(f.err) {
		s.giveUp(f.err)
	}
	return false
}

// saysOfAll says of a refusal that it holds for the earlier attempts as well: content that conflicts with its id, or can't be right, was
// carried out by none. Time that is too short is too short for this attempt only, and what gRPC says, or a proxy, is about this attempt only.
func saysOfAll(err error) bool {
	kind := kindIn(err)
	return isTold(err) && (kind == transfer.KindConflict || kind == transfer.KindInvalid) && !isOfTimes(err)
}

// giveUp leaves the submission without an outcome.
func (s *submission) giveUp(err error) {
	s.result.Err = err
	if s.happen {
		s.result.Err = &OutcomeUnknownError{ID: s.transfer.ID, Err: err}
	}
}
