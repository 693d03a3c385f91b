package linear

import (
	"fmt"
	"math"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/quorate/quorate/transfer"
)

// Unknown is the return time of what never returned.
const Unknown = math.MaxInt64

// fate is a set of what a transfer may be: nobody sees the moment at which it is staged or decided.
type fate uint8

const (
	absent fate = 1 << iota
	pending
	committed
	aborted
)

func (f fate) String() string {
	var words []string
	for i, word := range []string{"absent", "pending", "committed", "aborted"} {
		if f&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	return strings.Join(words, " or ")
}

// step is one thing that happens to a transfer at one moment: where each fate may lead.
type step struct {
	name string
	to   func(fate) fate // of one fate; none: it can't be
}

// each takes a step from every fate of a set.
func (s step) each(from fate) (to fate) {
	for f := absent; f <= aborted; f <<= 1 {
		if from&f != 0 {
			to |= s.to(f)
		}
	}
	return to
}

// Transfer is the model of one id: absent, then pending, then committed or aborted for ever.
func Transfer() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return absent },
		Step: func(state, input, _ any) (bool, any) {
			next := input.(step).each(state.(fate))
			return next != 0, next
		},
		DescribeOperation: func(input, _ any) string { return input.(step).name },
		DescribeState:     func(state any) string { return state.(fate).String() },
	}
}

// Span is when something was asked and answered, on one clock, and by whom (a small number, for the drawing).
type Span struct {
	Client       int
	Call, Return int64
}

func (s Span) operation(st step) porcupine.Operation {
	return porcupine.Operation{ClientId: s.Client, Input: st, Call: s.Call, Return: s.Return}
}

// Submitted is a submission that was answered with an outcome. It is staged at one moment and decided at another.
func Submitted(s Span, outcome transfer.State) []porcupine.Operation {
	end := decided(outcome)
	return []porcupine.Operation{
		s.operation(step{"stage", func(f fate) fate {
			if f == absent {
				return pending
			}
			return f
		}}),
		s.operation(step{fmt.Sprintf("submit → %s", outcome), func(f fate) fate {
			if f == pending || f == end || (f == absent && end == aborted) {
				return end
			}
			return 0
		}}),
	}
}

// SubmittedInVain is a submission that got no outcome: it may be staged and decided at any time, or never.
func SubmittedInVain(s Span) []porcupine.Operation {
	s.Return = Unknown
	return []porcupine.Operation{
		s.operation(step{"stage?", func(f fate) fate {
			if f == absent {
				return absent | pending
			}
			return f
		}}),
		s.operation(step{"submit → unknown", func(f fate) fate {
			switch f {
			case absent:
				return absent | aborted // a bank asked for it, and it was closed
			case pending:
				return pending | committed | aborted
			}
			return f
		}}),
	}
}

// Cancelled is a cancellation that was answered with an outcome: aborted, or too late.
func Cancelled(s Span, outcome transfer.State) []porcupine.Operation {
	end := decided(outcome)
	return []porcupine.Operation{s.operation(step{fmt.Sprintf("cancel → %s", outcome), func(f fate) fate {
		if f == pending || f == end || (f == absent && end == aborted) {
			return end
		}
		return 0
	}})}
}

// CancelledInVain is a cancellation that got no answer.
func CancelledInVain(s Span) []porcupine.Operation {
	s.Return = Unknown
	return []porcupine.Operation{s.operation(step{"cancel → unknown", func(f fate) fate {
		if f == absent || f == pending {
			return f | aborted
		}
		return f
	}})}
}

// Read is a linearizable read: the state, or zero for a transfer that nobody knows.
func Read(s Span, state transfer.State) []porcupine.Operation {
	seen, word := absent, "not found"
	if state != 0 {
		seen, word = decided(state), state.String()
	}
	return []porcupine.Operation{s.operation(step{"get → " + word, func(f fate) fate { return f & seen }})}
}

// decided is the fate that a state stands for.
func decided(s transfer.State) fate {
	switch s {
	case transfer.Committed:
		return committed
	case transfer.Aborted:
		return aborted
	}
	return pending
}
