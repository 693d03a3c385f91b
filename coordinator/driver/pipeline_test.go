package driver

import (
	"testing"
	"time"

	"github.com/quorate/quorate/bank"
)

// TestWhatWasAnsweredIsForgotten: what is remembered of requests under way doesn't grow with those that were answered, nor keep their flights.
func TestWhatWasAnsweredIsForgotten(t *testing.T) {
	now := time.Unix(0, 0)
	p := newPipeline("A", Limits{BankOutstandingMax: 100, RetryAfter: time.Second, RetryAfterMax: time.Minute}, nil)
	waiting := &slot{flight: &flight{}, pipeline: p, op: bank.Commit}
	for range 1000 {
		for range 50 {
			answered := &slot{flight: &flight{}, pipeline: p, op: bank.Commit}
			answered.enqueue()
			p.take(now)
			answered.stop()
		}
		waiting.enqueue()
		p.take(now)
		p.heard(now)
		now = now.Add(time.Millisecond)
		p.repeatUnanswered(now)
	}
	if len(p.sent) > 1000 || cap(p.sent) > 1<<12 {
		t.Errorf("%d requests are remembered, in room for %d", len(p.sent), cap(p.sent))
	}
	for _, s := range p.sent[len(p.sent):cap(p.sent)] {
		if s.slot != nil {
			t.Fatal("the room for what will be sent keeps a flight")
		}
	}
	if p.sent[0].slot != waiting || p.outstanding != 1 {
		t.Errorf("what waits for an answer was forgotten; %d are outstanding", p.outstanding)
	}
}
