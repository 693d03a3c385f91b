package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// importOutcome is what became of one row: committed, or the error that says why not.
type importOutcome struct {
	err      error
	unknown  bool
	closed   bool // its id is aborted for ever
	repeated bool // it was committed before this import began, by clocksApart and more
}

// clocksApart is how far the clock of the coordinators' leader may be behind this one before a row that is new looks as if it were old.
const clocksApart = time.Minute

func (t *importTally) outcomeOf(r *client.Result) importOutcome {
	if r.Err == nil {
		err := api.RecordError(r.Record)
		return importOutcome{err: err, closed: err != nil, repeated: err == nil && r.Record.CreatedAt.Before(t.started.Add(-clocksApart))}
	}
	return importOutcome{err: r.Err, unknown: errors.Is(r.Err, transfer.ErrOutcomeUnknown)}
}

// importTally counts outcomes, and shows how far the import has come.
type importTally struct {
	dryRun  bool // nothing was submitted: what counts as committed is only valid
	started time.Time
	size    int64 // of the file in bytes; 0: not known
	read    atomic.Int64

	committed, rejected, unknown atomic.Int64
	repeated                     atomic.Int64 // of those that are committed
}

func newImportTally(size int64, dryRun bool) *importTally {
	return &importTally{dryRun: dryRun, started: time.Now(), size: size}
}

func (t *importTally) add(o importOutcome) {
	switch {
	case o.unknown:
		t.unknown.Add(1)
	case o.err != nil:
		t.rejected.Add(1)
	default:
		t.committed.Add(1)
		if o.repeated {
			t.repeated.Add(1)
		}
	}
}

// counting passes a file on and counts its bytes.
func (t *importTally) counting(r io.Reader) io.Reader { return &countingReader{r, &t.read} }

type countingReader struct {
	io.Reader
	bytes *atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

// Progress is one line that renews itself on a terminal, and a line now and then elsewhere.
const (
	progressEvery      = 200 * time.Millisecond
	progressEveryPiped = 10 * time.Second
)

// show prints the progress until the returned function is called.
func (t *importTally) show(w io.Writer, name string) (stop func()) {
	every, end := progressEveryPiped, "\n"
	if isTerminal(w) && os.Getenv("TERM") != "dumb" {
		every, end = progressEvery, "\r"
	}
	ticker := time.NewTicker(every)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() { // ends with stop, which waits for it
		defer close(done)
		for {
			select {
			case <-ticker.C:
				fmt.Fprintf(w, "%s%s", t.progress(name), end)
			case <-quit:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(quit)
		<-done
		if end == "\r" {
			fmt.Fprintf(w, "%-*s\r", progressWidth, "")
		}
	}
}

const progressWidth = 110

func (t *importTally) progress(name string) string {
	rows := t.committed.Load() + t.rejected.Load() + t.unknown.Load()
	took := time.Since(t.started)
	line := fmt.Sprintf("%s: %d rows, %.0f/s, %d rejected, %d unknown", name, rows, float64(rows)/took.Seconds(), t.rejected.Load(), t.unknown.Load())
	switch read := t.read.Load(); {
	case t.size == 0 || read == 0:
	case read < t.size:
		left := time.Duration(float64(took) * float64(t.size-read) / float64(read))
		line += fmt.Sprintf(", %d %%, %v left", 100*read/t.size, left.Round(time.Second))
	default:
		line += ", all read, waiting for answers"
	}
	return fmt.Sprintf("%-*s", progressWidth, line)
}

type importJSONResult struct {
	Rows      int64  `json:"rows"`
	DryRun    bool   `json:"dry_run,omitempty"`
	Valid     int64  `json:"valid,omitempty"` // in place of committed, if nothing was submitted
	Committed int64  `json:"committed"`
	Repeated  int64  `json:"repeated"` // of those: by an earlier import
	Rejected  int64  `json:"rejected"`
	Unknown   int64  `json:"unknown"`
	Seconds   string `json:"seconds"`
	Rejects   string `json:"rejects,omitempty"`
}

func (t *importTally) json(rejects string) importJSONResult {
	r := importJSONResult{Committed: t.committed.Load(), Repeated: t.repeated.Load(), Rejected: t.rejected.Load(), Unknown: t.unknown.Load(), Rejects: rejects}
	r.Rows = r.Committed + r.Rejected + r.Unknown
	if r.DryRun = t.dryRun; r.DryRun {
		r.Valid, r.Committed = r.Committed, 0
	}
	r.Seconds = strconv.FormatFloat(time.Since(t.started).Seconds(), 'f', 3, 64)
	return r
}

func (t *importTally) table(rejects string) table {
	r := t.json(rejects)
	good := "COMMITTED"
	if t.dryRun {
		good = "VALID"
	}
	return table{
		header: []string{"ROWS", good, "REJECTED", "UNKNOWN", "SECONDS", "REJECTS"},
		rows:   [][]string{{digits(r.Rows), digits(r.Committed + r.Valid), digits(r.Rejected), digits(r.Unknown), r.Seconds, orDash(rejects)}},
	}
}

// importError says that not every row is committed; unknown outcomes weigh more than rejections.
type importError struct {
	text string
	code *transfer.Error
}

func (e *importError) Error() string { return e.text }
func (e *importError) Unwrap() error { return e.code }

// errImportRejected has the kind of a bank's no; the reasons are in the rejects file.
var errImportRejected = &transfer.Error{Code: "rows_rejected", Kind: transfer.KindRejected, Meaning: "some rows were rejected"}

// remark says that rows were committed before, for an equal row of another file with the same name is that row; and that rows of this file are one transfer.
func (t *importTally) remark(batch string, twice int64) (text string) {
	if n := t.repeated.Load(); n > 0 {
		text = fmt.Sprintf("%d of the committed rows had been committed before this import, and were not again. If those were other payments than these: --batch with another name than %s\n", n, batch)
	}
	if twice > 0 {
		text += fmt.Sprintf("rows with the id of a row before them: %d. Rows of one id are one transfer, whose money moves once\n", twice)
	}
	return text
}

// wholeFile fails if a file has ended before the size that it began with: whoever cut it off took payments with it.
func (t *importTally) wholeFile() error {
	if read := t.read.Load(); read < t.size {
		return fmt.Errorf("the file had %d bytes when the import began, and ended after %d", t.size, read)
	}
	return nil
}

func (t *importTally) verdict(ctx context.Context, rejects string) error {
	unknown, rejected := t.unknown.Load(), t.rejected.Load()
	switch {
	case unknown > 0:
		return &adviceError{&importError{fmt.Sprintf("the outcome of %d rows is not known; they are listed in %s", unknown, rejects), transfer.ErrOutcomeUnknown},
			"the same import again: nothing is repeated"}
	case ctx.Err() != nil:
		return &adviceError{errors.New("interrupted: not every row was read"), "the same import again: nothing is repeated"}
	case rejected > 0:
		return &importError{fmt.Sprintf("%d rows were rejected; %s says why", rejected, rejects), errImportRejected}
	}
	return nil
}
