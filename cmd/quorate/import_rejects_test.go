package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// TestARefusedRowKeepsItsID: what a file is refused today it may pay tomorrow, and so may its rejects file: it has to be the same transfer. Only where the id is
// aborted for ever does the row need another one.
func TestARefusedRowKeepsItsID(t *testing.T) {
	var submitted []transfer.ID
	run := newTestImport(t, importHeader+importLine(1, "refused")+importLine(2, "aborted")+"north,a,south,b,x,EUR,invalid\n"+importLine(3, "unknown"),
		func(_ context.Context, transfers []transfer.Transfer) []client.Result {
			results := make([]client.Result, len(transfers))
			for i := range transfers {
				submitted = append(submitted, transfers[i].ID)
				results[i].Record.Transfer = transfers[i]
			}
			results[0].Err = transfer.ErrBankUnavailable
			results[1].Record.State, results[1].Record.Reason = transfer.Aborted, transfer.Reason{Code: transfer.ErrInsufficientFunds.Code}
			results[2].Err = &client.OutcomeUnknownError{ID: transfers[2].ID, Err: context.DeadlineExceeded}
			return results
		})
	if err := run.all(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := rejectsOf(t, run.rejects)
	again := map[string]transfer.ID{}
	retry := newTestImport(t, file, func(_ context.Context, transfers []transfer.Transfer) []client.Result {
		results := make([]client.Result, len(transfers))
		for i := range transfers {
			again[transfers[i].Reference], results[i].Record.State = transfers[i].ID, transfer.Committed
		}
		return results
	})
	retry.rows.(*csvRows).ids = newIDMaker("march.rejects.csv")
	if err := retry.all(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again["refused"] != submitted[0] || again["unknown"] != submitted[2] {
		t.Errorf("the rejects file has the ids %v, submitted were %v:\n%s", again, submitted, file)
	}
	if id, there := again["aborted"]; !there || id == submitted[1] {
		t.Errorf("an aborted row is submitted as %s again:\n%s", id, file)
	}
	if rejected := retry.tally.rejected.Load(); rejected != 1 {
		t.Errorf("%d rows of the rejects file are rejected, want the invalid one", rejected)
	}
}

// TestOnlyAWholeFileOfRejectsReplacesAnother: it stays if an import ends early, and goes when there are none any more.
func TestOnlyAWholeFileOfRejectsReplacesAnother(t *testing.T) {
	name := filepath.Join(t.TempDir(), "march.rejects.csv")
	has := func(when, want string) {
		t.Helper()
		got, err := os.ReadFile(name)
		if (err != nil) != (want == "") || !strings.Contains(string(got), want) {
			t.Errorf("%s: %q, %v, want %q", when, got, err, want)
		}
	}
	header := strings.Split(strings.TrimSpace(importHeader), ",")
	write := func(reference string) *rejects {
		r := newRejects(name, header)
		if err := r.add(&importRow{fields: []string{"north", "a", "south", "b", "1", "EUR", reference}}, importOutcome{err: transfer.ErrBusy}); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if err := write("first").close(true); err != nil {
		t.Fatal(err)
	}
	has("at first", "first")
	second := write("second")
	has("before the second is whole", "first")
	if err := second.close(false); err != nil {
		t.Fatal(err)
	}
	has("after the second", "second")
	if err := newRejects(name, header).close(false); err != nil {
		t.Fatal(err)
	}
	has("after an import that ended early", "second")
	if err := newRejects(name, header).close(true); err != nil {
		t.Fatal(err)
	}
	has("when all rows are committed", "")
	if err := newRejects(os.DevNull, header).close(true); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%s is gone: %v", os.DevNull, err)
	}
}

// TestARejectedLineCanBeMended: the rejects file has the line that was wrong, not an empty one.
func TestARejectedLineCanBeMended(t *testing.T) {
	const legs = `[{"bank":"north","account":"a","direction":"debit","amount_minor":9007199254740993,"currency":"EUR"}]`
	for line, want := range map[string]string{
		`{"reference":"rent","legs":` + legs + `}`: `{"legs":` + legs + `,"reference":"rent","rejected_code":"invalid_request",`,
		`{"refrence":"rent"}`:                      `{"refrence":"rent","rejected_code":`,
		`no object`:                                `"rejected_text":"no object"}`,
		`{"reference":"a","reference":"b"}`:        `"rejected_text":"{\"reference\":\"a\",\"reference\":\"b\"}"}`,
		`[1]`:                                      `"rejected_text":"[1]"}`,
	} {
		ids := newIDMaker("march")
		r := newRejects(filepath.Join(t.TempDir(), "rejects.jsonl"), nil)
		row, err := newJSONRows(strings.NewReader(line+"\n"), ids).next()
		if err != nil || row.err == nil {
			t.Fatalf("%s: %v, %v", line, err, row.err)
		}
		if err := r.add(&row, importOutcome{err: row.err}); err != nil {
			t.Fatal(err)
		}
		if got := rejectsOf(t, r); !strings.Contains(got, want) {
			t.Errorf("%s is rejected as %s, want %s", line, got, want)
		}
	}
}

// TestWhatWasCommittedBeforeIsCounted: an equal row of another file with the same name would be taken for a payment.
func TestWhatWasCommittedBeforeIsCounted(t *testing.T) {
	run := newTestImport(t, importHeader+importLine(1, "old")+importLine(2, "new"), func(_ context.Context, transfers []transfer.Transfer) []client.Result {
		results := make([]client.Result, len(transfers))
		for i := range results {
			results[i].Record = transfer.Record{State: transfer.Committed, CreatedAt: time.Now().Add(time.Duration(i-1) * 2 * clocksApart).Add(-clocksApart / 2)}
		}
		return results
	})
	if err := run.all(t.Context()); err != nil {
		t.Fatal(err)
	}
	if counted := run.tally.json(""); counted.Committed != 2 || counted.Repeated != 1 {
		t.Errorf("%+v, want two committed, one of them before", counted)
	}
	if remark := run.tally.remark("march"); !strings.HasPrefix(remark, "1 of the committed rows had been committed before this import") {
		t.Errorf("it says %q", remark)
	}
}
