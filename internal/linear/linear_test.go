package linear_test

import (
	"slices"
	"testing"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"

	"github.com/quorate/quorate/internal/linear"
	"github.com/quorate/quorate/transfer"
)

func at(call, end int64) linear.Span { return linear.Span{Call: call, Return: end} }

func TestTransferHistories(t *testing.T) {
	const c, a, p = transfer.Committed, transfer.Aborted, transfer.Pending
	submit, vain, cancel, cancelVain, read := linear.Submitted, linear.SubmittedInVain, linear.Cancelled, linear.CancelledInVain, linear.Read
	for _, row := range []struct {
		name  string
		parts [][]porcupine.Operation
		fine  bool
	}{
		{"committed, then read", [][]porcupine.Operation{submit(at(1, 4), c), read(at(5, 6), c)}, true},
		{"absent, pending and committed while it is submitted", [][]porcupine.Operation{submit(at(1, 9), c), read(at(2, 3), 0), read(at(4, 5), p), read(at(6, 7), c)}, true},
		{"a read that overlaps the answer may still see it pending", [][]porcupine.Operation{submit(at(1, 9), c), read(at(8, 12), p)}, true},
		{"a stale read: pending after the answer", [][]porcupine.Operation{submit(at(1, 4), c), read(at(5, 6), p)}, false},
		{"a lost acknowledgement: not found after the answer", [][]porcupine.Operation{submit(at(1, 4), c), read(at(5, 6), 0)}, false},
		{"a changed outcome", [][]porcupine.Operation{submit(at(1, 4), c), read(at(5, 6), a)}, false},
		{"two outcomes for one id", [][]porcupine.Operation{submit(at(1, 4), c), submit(at(2, 5), a)}, false},
		{"reads that go back", [][]porcupine.Operation{submit(at(1, 9), c), read(at(2, 3), p), read(at(4, 5), 0)}, false},
		{"read before anybody asked for it", [][]porcupine.Operation{read(at(1, 2), p), submit(at(3, 4), c)}, false},
		{"no answer, and committed later", [][]porcupine.Operation{vain(at(1, 2)), read(at(3, 4), 0), read(at(5, 6), p), read(at(7, 8), c)}, true},
		{"no answer, and never there", [][]porcupine.Operation{vain(at(1, 2)), read(at(3, 4), 0), read(at(50, 60), 0)}, true},
		{"no answer, closed by a bank's inquiry", [][]porcupine.Operation{vain(at(1, 2)), read(at(3, 4), 0), read(at(5, 6), a)}, true},
		{"no answer, and an outcome that changes", [][]porcupine.Operation{vain(at(1, 2)), read(at(3, 4), a), read(at(5, 6), c)}, false},
		{"refused with nothing changed, and there all the same", [][]porcupine.Operation{read(at(3, 4), a)}, false},
		{"a cancel closes an id that nobody knows", [][]porcupine.Operation{cancel(at(1, 2), a), submit(at(3, 4), a)}, true},
		{"a submission that comes after its cancel", [][]porcupine.Operation{cancel(at(1, 2), a), submit(at(3, 4), c)}, false},
		{"a cancel that comes too late", [][]porcupine.Operation{submit(at(1, 4), c), cancel(at(2, 6), c)}, true},
		{"a cancel that undoes", [][]porcupine.Operation{submit(at(1, 4), c), cancel(at(5, 6), a)}, false},
		{"a cancel without an answer", [][]porcupine.Operation{cancelVain(at(1, 2)), submit(at(3, 4), a)}, true},
		{"of two reads that saw the outcome, one ended before anybody asked", [][]porcupine.Operation{read(at(1, 3), a), read(at(2, 9), a), submit(at(5, 8), a)}, false},
		{"of two reads that saw nothing, one began after the answer", [][]porcupine.Operation{read(at(1, 9), 0), submit(at(2, 5), c), read(at(7, 9), 0)}, false},
		{"of two that got no answer, one came too late", [][]porcupine.Operation{vain(at(7, 9)), read(at(1, 6), c), vain(at(2, 3))}, true},
		{"aborted for no reason at all", [][]porcupine.Operation{read(at(1, 2), 0), read(at(3, 4), a)}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var history []porcupine.Operation
			for _, part := range row.parts {
				history = append(history, part...)
			}
			if got := linear.Linearizable(history); got != row.fine {
				t.Errorf("linearizable: got %v, want %v", got, row.fine)
			}
		})
	}
}

// TestTheFastWaysChangeNoVerdict: what the model leaves out of a history doesn't matter, nor that the order of asking is tried first. The slower way is to
// leave nothing out, and to try every order.
func TestTheFastWaysChangeNoVerdict(t *testing.T) {
	everything := linear.Transfer()
	everything.Partition = nil
	verdicts := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		var history []porcupine.Operation
		for range rapid.IntRange(2, 8).Draw(t, "questions") {
			call := rapid.Int64Range(1, 12).Draw(t, "call")
			s := at(call, call+rapid.Int64Range(1, 8).Draw(t, "time"))
			end := rapid.SampledFrom([]transfer.State{transfer.Committed, transfer.Aborted}).Draw(t, "end")
			switch rapid.SampledFrom([]string{"submit", "submit in vain", "cancel", "cancel in vain", "get", "get", "get"}).Draw(t, "question") {
			case "submit":
				history = append(history, linear.Submitted(s, end)...)
			case "submit in vain":
				history = append(history, linear.SubmittedInVain(s)...)
			case "cancel":
				history = append(history, linear.Cancelled(s, end)...)
			case "cancel in vain":
				history = append(history, linear.CancelledInVain(s)...)
			case "get":
				history = append(history, linear.Read(s, rapid.SampledFrom([]transfer.State{0, transfer.Pending, end}).Draw(t, "seen"))...)
			}
		}
		got, want := linear.Linearizable(history), porcupine.CheckOperations(everything, history)
		if got != want {
			t.Fatalf("linearizable: %v, and %v with every repeat", got, want)
		}
		verdicts[got]++
	})
	if verdicts[true] == 0 || verdicts[false] == 0 {
		t.Errorf("only one verdict was met: %v", verdicts)
	}
}

// TestManyRepeatsAreJudged: a client that asks a hundred times at once must not make the checker try their orders.
func TestManyRepeatsAreJudged(t *testing.T) {
	for _, late := range []transfer.State{transfer.Aborted, transfer.Committed} {
		history := slices.Concat(linear.Submitted(at(1, 50), transfer.Aborted), linear.Read(at(60, 70), late))
		for range 100 {
			history = slices.Concat(history, linear.SubmittedInVain(at(2, 3)), linear.CancelledInVain(at(2, 3)),
				linear.Read(at(4, 40), 0), linear.Read(at(4, 40), transfer.Pending), linear.Read(at(4, 49), transfer.Aborted))
		}
		if got := porcupine.CheckOperations(linear.Transfer(), history); got != (late == transfer.Aborted) {
			t.Errorf("%s at the end: linearizable: got %v", late, got)
		}
	}
}

func TestAccountHistories(t *testing.T) {
	post, look := linear.Posted, linear.Looked
	for _, row := range []struct {
		name    string
		history []porcupine.Operation
		fine    bool
	}{
		{"in order", []porcupine.Operation{post(at(1, 2), 5), look(at(3, 4), 105)}, true},
		{"a read while it is posted sees either", []porcupine.Operation{post(at(1, 9), 5), look(at(2, 3), 100), look(at(4, 5), 105)}, true},
		{"a read that goes back", []porcupine.Operation{post(at(1, 9), 5), look(at(2, 3), 105), look(at(4, 5), 100)}, false},
		{"a read older than what was settled", []porcupine.Operation{post(at(1, 2), 5), look(at(3, 4), 100)}, false},
		{"two postings, one order for all", []porcupine.Operation{post(at(1, 9), 5), post(at(1, 9), 7), look(at(2, 3), 105), look(at(4, 5), 107)}, false},
		{"a missing cent", []porcupine.Operation{post(at(1, 2), 5), look(at(3, 4), 104)}, false},
		{"applied twice", []porcupine.Operation{post(at(1, 2), 5), look(at(3, 4), 110)}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := porcupine.CheckOperations(linear.Account(100), row.history); got != row.fine {
				t.Errorf("linearizable: got %v, want %v", got, row.fine)
			}
		})
	}
}
