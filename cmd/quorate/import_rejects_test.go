package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
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
		r := newTestRejects(t, name, header)
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
	if err := newTestRejects(t, name, header).close(false); err != nil {
		t.Fatal(err)
	}
	has("after an import that ended early", "second")
	if err := newTestRejects(t, name, header).close(true); err != nil {
		t.Fatal(err)
	}
	has("when all rows are committed", "")
	if err := newTestRejects(t, os.DevNull, header).close(true); err != nil {
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
		r := newTestRejects(t, filepath.Join(t.TempDir(), "rejects.jsonl"), nil)
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

// TestARejectedRowIsNoOtherPayment: cut to the columns of the file, a row with too many or too few of them might be another payment, which the rejects file would make.
func TestARejectedRowIsNoOtherPayment(t *testing.T) {
	const header = "from_bank,from_account,to_bank,to_account,currency,amount\n"
	committed := 0
	commit := func(_ context.Context, transfers []transfer.Transfer) []client.Result {
		results := make([]client.Result, len(transfers))
		for i := range transfers {
			committed, results[i].Record.State = committed+1, transfer.Committed
		}
		return results
	}
	file := header + "north,a,south,b,EUR,10,50\nnorth,a,south,b,EUR,1,000.00\r\nnorth,a,south,b,EUR\n\nnorth,a 6\" pipe,south,b,EUR,2\n"
	for range 3 { // the file, its rejects, and theirs
		run := newTestImport(t, file, commit)
		if err := run.all(t.Context()); err != nil {
			t.Fatal(err)
		}
		file = rejectsOf(t, run.rejects)
		if committed > 0 || run.tally.rejected.Load() != 4 {
			t.Fatalf("%d payments were made, %d rows rejected, of\n%s", committed, run.tally.rejected.Load(), file)
		}
		for _, text := range []string{`,"north,a,south,b,EUR,10,50"`, `,"north,a,south,b,EUR,1,000.00"`, `,"north,a,south,b,EUR"`, `,"north,a 6"" pipe,south,b,EUR,2"`} {
			if !strings.Contains(file, text+"\n") {
				t.Errorf("%s isn't among the rejects:\n%s", text, file)
			}
		}
	}
	mended := strings.Replace(file, "\n,,,,,,", "\n,north,a,south,b,10.50,EUR", 1)
	if _, rest, _ := strings.Cut(mended, "\n"); !strings.HasPrefix(rest, ",north,a,south,b,10.50,EUR,") {
		t.Fatalf("the rejects have other columns:\n%s", file)
	}
	run := newTestImport(t, mended, commit)
	if err := run.all(t.Context()); err != nil || committed != 1 {
		t.Errorf("one row was mended, %d payments, %v", committed, err)
	}
}

// TestNothingIsReadBehindAQuoteOutOfPlace: it may swallow rows, or end a field of which somebody else's text goes on like a row.
func TestNothingIsReadBehindAQuoteOutOfPlace(t *testing.T) {
	first, last := importLine(1, "first"), importLine(3, "last")
	for name, bad := range map[string]string{
		"never closed":              importLine(2, `"rent`),
		"closed in another row":     importLine(2, `"rent`) + importLine(2, `food"`),
		"in a reference":            importLine(2, "\"rent\nnorth,mallory,south,b,1,EUR,\""),
		"behind a stray one":        importLine(2, `"rent`) + importLine(2, "\"food\nnorth,mallory,south,b,1,EUR,\""),
		"closed too early":          importLine(2, `"rent"s`),
		"two within a bare field":   importLine(2, `6" pipe, 7" pipe`),
		"longer than":               importLine(2, `"`) + strings.Repeat(last, 50_000),
		"closed, then a column":     importLine(2, `"rent`) + importLine(2, `food",x`),
		"a stray one and a good on": importLine(2, `rent" and`) + importLine(2, "\"\n\""),
	} {
		var references []string
		run := newTestImport(t, importHeader+first+bad+last, func(_ context.Context, transfers []transfer.Transfer) []client.Result {
			results := make([]client.Result, len(transfers))
			for i := range transfers {
				references, results[i].Record.State = append(references, transfers[i].Reference), transfer.Committed
			}
			return results
		})
		err := run.all(t.Context())
		if err == nil || !strings.Contains(err.Error(), "quote") || strings.Contains(name, "longer") != strings.Contains(err.Error(), "behind the row of line 2: a row is longer than 1048576 bytes") {
			t.Errorf("%s: the import ends with %v", name, err)
		}
		if !slices.Equal(references, []string{"first"}) {
			t.Errorf("%s: %q are paid, and only the first is in front of it", name, references)
		}
	}
}

// TestAnImportSaysWhichRowsAreOneTransfer, and that its file has lost its end meanwhile.
func TestAnImportSaysWhichRowsAreOneTransfer(t *testing.T) {
	const own = "01936f8e-7f3a-7000-8000-5b1d3f6a9c2a,"
	file := "\ufeff\"id\"," + importHeader + own + importLine(1, "x") + own + importLine(1, "x") + "," + importLine(1, "x")
	run := newTestImport(t, file, func(_ context.Context, transfers []transfer.Transfer) []client.Result {
		results := make([]client.Result, len(transfers))
		for i := range results {
			results[i].Record.State = transfer.Committed
		}
		return results
	})
	run.tally.size = 1
	if err := run.all(t.Context()); err == nil || run.tally.committed.Load() != 3 {
		t.Errorf("%v, %d rows: nothing was read of one byte", err, run.tally.committed.Load())
	}
	if text := run.tally.remark("march", run.rows.(*csvRows).ids.twice); !strings.Contains(text, "rows with the id of a row before them: 1.") {
		t.Errorf("it says %q", text)
	}
	row, err := newJSONRows(strings.NewReader("\ufeff{}"), newIDMaker("march")).next()
	if err != nil || row.object == nil {
		t.Errorf("behind a byte order mark: %v, %v", err, row.err)
	}
}

// TestRejectsThatCannotBeWrittenAreNoticedFirst: afterwards it would be too late.
func TestRejectsThatCannotBeWrittenAreNoticedFirst(t *testing.T) {
	_, err := newRejects(filepath.Join(t.TempDir(), "no such directory", "rejects.csv"), nil)
	if exitCode(t.Context(), &ranError{err}) != exitUsage {
		t.Errorf("%v", err)
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
	if remark := run.tally.remark("march", 0); !strings.HasPrefix(remark, "1 of the committed rows had been committed before this import") {
		t.Errorf("it says %q", remark)
	}
}
