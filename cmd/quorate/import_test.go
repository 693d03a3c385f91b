package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

const importHeader = "from_bank,from_account,to_bank,to_account,amount,currency,reference\n"

func importLine(amount int, reference string) string {
	return fmt.Sprintf("north,a,south,b,%d,EUR,%s\n", amount, reference)
}

// idsOf reads a file as the batch "march" and returns the ids of its valid rows.
func idsOf(t *testing.T, file string) (ids []transfer.ID) {
	t.Helper()
	run := newTestImport(t, file, func(_ context.Context, transfers []transfer.Transfer) []client.Result {
		results := make([]client.Result, len(transfers))
		for i := range transfers {
			ids = append(ids, transfers[i].ID)
			results[i] = client.Result{ID: transfers[i].ID, Record: transfer.Record{Transfer: transfers[i], State: transfer.Committed}}
		}
		return results
	})
	if err := run.all(t.Context()); err != nil {
		t.Fatal(err)
	}
	return ids
}

func newTestImport(t *testing.T, file string, submit submitFunc) *importRun {
	t.Helper()
	rows, err := newCSVRows(strings.NewReader(file), newIDMaker("march"))
	if err != nil {
		t.Fatal(err)
	}
	return &importRun{
		rows: rows, submit: submit, tally: newImportTally(0, false),
		rejects: newTestRejects(t, filepath.Join(t.TempDir(), "rejects.csv"), rows.header()),
	}
}

func newTestRejects(t *testing.T, name string, header []string) *rejects {
	t.Helper()
	r, err := newRejects(name, header)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rejectsOf ends a file of rejects and reads it.
func rejectsOf(t *testing.T, r *rejects) string {
	t.Helper()
	if err := r.close(true); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Money would move twice if a row got another id because another row was mended, added or dropped.
func TestImportedRowsKeepTheirIDs(t *testing.T) {
	before := idsOf(t, importHeader+importLine(1, "x")+importLine(2, "same")+importLine(2, "same")+importLine(3, "y"))
	after := idsOf(t, importHeader+importLine(9, "new")+importLine(2, "same")+importLine(3, "y")+importLine(2, "same"))
	if before[1] == before[2] {
		t.Errorf("two rows of the same content have one id: %s", before[1])
	}
	if after[1] != before[1] || after[3] != before[2] || after[2] != before[3] {
		t.Errorf("ids changed from %v to %v", before, after)
	}
	if after[0] == before[0] {
		t.Errorf("other content has the id of row 1")
	}
}

// A row whose outcome isn't known may be imported from the rejects file, under whatever name: it must stay the same transfer.
func TestARejectedRowOfUnknownOutcomeKeepsItsID(t *testing.T) {
	var id transfer.ID
	run := newTestImport(t, importHeader+importLine(1, "x"), func(_ context.Context, transfers []transfer.Transfer) []client.Result {
		id = transfers[0].ID
		return []client.Result{{ID: id, Err: &client.OutcomeUnknownError{ID: id, Err: context.DeadlineExceeded}}}
	})
	if err := run.all(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := rejectsOf(t, run.rejects)
	if again := idsOf(t, file); len(again) != 1 || again[0] != id {
		t.Errorf("the rejects file gives ids %v, submitted was %s:\n%s", again, id, file)
	}
	if err := run.tally.verdict(t.Context(), run.rejects.name); exitCode(t.Context(), &ranError{err}) != 8 {
		t.Errorf("exit code of %v is not 8", err)
	}
}

// A bank that is busy for some seconds must not abort rows for ever.
func TestAnImportedRowMayTakeAMinute(t *testing.T) {
	var left time.Duration
	run := newTestImport(t, importHeader+importLine(1, "x"), func(_ context.Context, transfers []transfer.Transfer) []client.Result {
		left = time.Until(transfers[0].Deadline)
		return []client.Result{{Record: transfer.Record{State: transfer.Committed}}}
	})
	if err := run.all(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left < 50*time.Second || left > time.Minute {
		t.Errorf("a row has %v", left)
	}
}

// Who may not submit anything hears so, and finds no file of rejects that is as long as the import.
func TestAnImportEndsIfNobodyIsLetIn(t *testing.T) {
	for name, row := range map[string]struct {
		second error
		ends   bool
	}{"not known": {transfer.ErrUnauthenticated, true}, "may have happened before": {&client.OutcomeUnknownError{Err: transfer.ErrUnauthenticated}, false}, "not allowed": {transfer.ErrForbidden, true}, "one bank is another's": {nil, false}} {
		run := newTestImport(t, importHeader+importLine(1, "x")+importLine(2, "y"), func(context.Context, []transfer.Transfer) []client.Result {
			return []client.Result{{Err: transfer.ErrForbidden}, {Err: row.second, Record: transfer.Record{State: transfer.Committed}}}
		})
		err := run.all(t.Context())
		if (err != nil) != row.ends || (run.rejects.count == 0) != row.ends || row.ends && exitCode(t.Context(), &ranError{err}) != 6 {
			t.Errorf("%s: %v, %d rejects", name, err, run.rejects.count)
		}
	}
}

// Rows that may have been carried out are told of although nobody is let in any more, and weigh more.
func TestAnImportThatEndsTellsWhatIsNotKnown(t *testing.T) {
	file := importHeader + strings.Repeat(importLine(1, "x"), importBatch*(importWorkers+2))
	var first sync.Once
	run := newTestImport(t, file, func(_ context.Context, transfers []transfer.Transfer) []client.Result {
		err := error(transfer.ErrUnauthenticated)
		first.Do(func() { err = &client.OutcomeUnknownError{Err: err} })
		return slices.Repeat([]client.Result{{Err: err}}, len(transfers))
	})
	err := run.conclude(t.Context(), run.all(t.Context()), "rejects.csv")
	if exitCode(t.Context(), &ranError{err}) != 8 || run.rejects.count != importBatch || run.tally.unknown.Load() != importBatch {
		t.Errorf("%v, %d rejects, %d unknown", err, run.rejects.count, run.tally.unknown.Load())
	}
	if !strings.Contains(err.Error(), "500 rows is not known; they are listed in rejects.csv") || !errors.Is(err, transfer.ErrUnauthenticated) {
		t.Errorf("%v", err)
	}
}

// What has been read is submitted, and its outcome waited for, when the import is interrupted.
func TestAnInterruptedImportFinishesWhatItHasRead(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	file := importHeader + strings.Repeat(importLine(1, "x"), 3*importBatch*importWorkers)
	run := newTestImport(t, file, func(ctx context.Context, transfers []transfer.Transfer) []client.Result {
		interrupt()
		results := make([]client.Result, len(transfers))
		for i := range results {
			results[i] = client.Result{Err: ctx.Err(), Record: transfer.Record{State: transfer.Committed}}
		}
		return results
	})
	if err := run.all(ctx); err != nil {
		t.Fatal(err)
	}
	rows := run.tally.committed.Load()
	if rows == 0 || rows >= 3*importBatch*importWorkers || run.tally.rejected.Load() > 0 {
		t.Errorf("%d rows are committed, %d rejected", rows, run.tally.rejected.Load())
	}
	if err := run.tally.verdict(ctx, ""); err == nil {
		t.Error("an interrupted import says that it is complete")
	}
}

// An import whose file is read isn't done: its last rows have no answer yet.
func TestAnImportsProgressSaysWhatItWaitsFor(t *testing.T) {
	for read, want := range map[int64]string{0: "0 unknown", 50: "left", 100: "all read, waiting for answers"} {
		tally := newImportTally(100, false)
		tally.read.Store(read)
		if got := strings.TrimRight(tally.progress("march.csv"), " "); !strings.HasSuffix(got, want) {
			t.Errorf("%d of 100 bytes: %q", read, got)
		}
	}
}
