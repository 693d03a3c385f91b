package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/quorate/quorate/internal/linear"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/transfer"
)

// history is all that was asked about one transfer, and answered: at the end it must be linearizable, whatever was
// asked at the same time (internal/linear). A question begins when a client puts it and ends when a node answers.
type history []*told

// told is one question. What a node doesn't answer with an outcome may happen at any time after it was asked.
type told struct {
	kind   questionKind
	node   int
	asked  time.Duration
	ended  time.Duration
	state  transfer.State // zero: a read found nothing
	answer answerKind
}

type (
	questionKind uint8
	answerKind   uint8
)

const (
	submission questionKind = iota
	reading
	cancellation
	conclusion // of a hold: a capture or a void
)

const (
	silence answerKind = iota // also an answer that says nothing about the transfer
	outcome                   // state
	refusal                   // nothing has happened
)

// ask takes a question down. The answer is filled in when it is given.
func (f *fate) ask(q *question) *told {
	t := &told{node: int(q.node), asked: q.asked}
	switch q.ask.(type) {
	case lane.CancelTransfer:
		t.kind = cancellation
	case lane.CaptureTransfer, lane.VoidTransfer:
		t.kind = conclusion
	case lane.GetTransfer:
		t.kind = reading
	}
	f.history = append(f.history, t)
	return t
}

func (t *told) end(now time.Duration, answer answerKind, state transfer.State) {
	t.ended, t.answer, t.state = now, answer, state
}

// operations translates a question for the checker. copies says that the network may have made another one of it, which may be accepted though the first was refused.
func (t *told) operations(copies bool) []porcupine.Operation {
	s := linear.Span{Client: t.node, Call: int64(t.asked), Return: int64(t.ended)}
	switch {
	case t.kind == reading && t.answer == outcome:
		return linear.Read(s, t.state)
	case t.kind == reading, t.answer == refusal && !copies:
		return nil
	case t.kind == submission && t.answer == outcome && t.state == transfer.Held: // it is captured, voided or given up later
		return append(linear.Submitted(s, t.state), linear.SubmittedInVain(s)...)
	case t.kind == submission && t.answer == outcome:
		return linear.Submitted(s, t.state)
	case t.kind == submission:
		return linear.SubmittedInVain(s)
	case t.answer == outcome:
		return linear.Cancelled(s, t.state)
	case t.kind == conclusion: // if it does something, the submission allows for it
		return nil
	default:
		return linear.CancelledInVain(s)
	}
}

// linearizable judges a whole history. One question alone always is: what it may be answered with is judged by answerJudge.
func (j *answerJudge) linearizable(id transfer.ID) {
	h := j.fates[id].history
	if len(h) < 2 {
		return
	}
	var operations []porcupine.Operation
	for _, t := range h {
		operations = append(operations, t.operations(j.w.counts.Duplicated > 0)...)
	}
	if !linear.Linearizable(operations) {
		j.w.fail("a transfer's history is linearizable", "transfer %s: %s", id, h)
	}
}

// String tells the history in the order of asking.
func (h history) String() string {
	ordered := slices.Clone(h)
	slices.SortStableFunc(ordered, func(a, b *told) int { return int(a.asked - b.asked) })
	var lines []string
	for _, t := range ordered {
		line := fmt.Sprintf("%v node %d %s", t.asked, t.node, [...]string{"submit", "get", "cancel", "capture or void"}[t.kind])
		switch {
		case t.answer == outcome && t.state == 0:
			line += fmt.Sprintf(" → not found at %v", t.ended)
		case t.answer == outcome:
			line += fmt.Sprintf(" → %s at %v", t.state, t.ended)
		case t.answer == refusal:
			line += fmt.Sprintf(" → nothing happened, at %v", t.ended)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}
