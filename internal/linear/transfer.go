package linear

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
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
	name  string
	to    func(fate) fate // of one fate; none: it can't be
	reads bool            // it changes nothing
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
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			return [][]porcupine.Operation{withoutRepeats(history)}
		},
		Init: func() any { return absent },
		Step: func(state, input, _ any) (bool, any) {
			next := input.(step).each(state.(fate))
			return next != 0, next
		},
		DescribeOperation: func(input, _ any) string { return input.(step).name },
		DescribeState:     func(state any) string { return state.(fate).String() },
	}
}

// Linearizable judges the history of one transfer. The order of asking is one that it may have taken effect in, for nothing ends before it is asked: if the model
// agrees with that one, as it mostly does, no other has to be looked for.
func Linearizable(history []porcupine.Operation) bool {
	ordered := slices.Clone(history)
	slices.SortStableFunc(ordered, byCall)
	at := absent
	for i := range ordered {
		if at = ordered[i].Input.(step).each(at); at == 0 {
			return porcupine.CheckOperations(Transfer(), history)
		}
	}
	return true
}

func byCall(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) }

// withoutRepeats leaves out what follows from the rest: the checker tries all orders of what overlaps, and a client that asks again and again overlaps with itself. Nothing is lost, for
// a transfer is staged once and decided once, so each fate lasts from one moment to one other:
//   - reads that saw the same were all in its time if the one that ended first and the one that began last were;
//   - of equal steps that never return at most one has an effect, and the one that was asked first can have it whenever another could.
func withoutRepeats(history []porcupine.Operation) []porcupine.Operation {
	var kept []porcupine.Operation
	alike := map[string][]porcupine.Operation{}
	for _, op := range history {
		if st := op.Input.(step); st.reads || op.Return == Unknown {
			alike[st.name] = append(alike[st.name], op)
		} else {
			kept = append(kept, op)
		}
	}
	byReturn := func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) }
	for _, name := range slices.Sorted(maps.Keys(alike)) {
		if ops := alike[name]; ops[0].Input.(step).reads {
			kept = append(kept, slices.MinFunc(ops, byReturn), slices.MaxFunc(ops, byCall))
		} else {
			kept = append(kept, slices.MinFunc(ops, byCall))
		}
	}
	return kept
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
		s.operation(step{name: "stage", to: func(f fate) fate {
			if f == absent {
				return pending
			}
			return f
		}}),
		s.operation(step{name: fmt.Sprintf("submit → %s", outcome), to: func(f fate) fate {
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
		s.operation(step{name: "stage?", to: func(f fate) fate {
			if f == absent {
				return absent | pending
			}
			return f
		}}),
		s.operation(step{name: "submit → unknown", to: func(f fate) fate {
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
	return []porcupine.Operation{s.operation(step{name: fmt.Sprintf("cancel → %s", outcome), to: func(f fate) fate {
		if f == pending || f == end || (f == absent && end == aborted) {
			return end
		}
		return 0
	}})}
}

// CancelledInVain is a cancellation that got no answer.
func CancelledInVain(s Span) []porcupine.Operation {
	s.Return = Unknown
	return []porcupine.Operation{s.operation(step{name: "cancel → unknown", to: func(f fate) fate {
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
	return []porcupine.Operation{s.operation(step{name: "get → " + word, to: func(f fate) fate { return f & seen }, reads: true})}
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
