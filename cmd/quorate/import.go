package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

const (
	importBatch    = 500 // transfers in one request
	importWorkers  = 8   // requests at a time
	importPatience = 2 * time.Minute
	// importDeadline is what a row has until it must be decided: nobody waits for a single one, and a row that is aborted because the machine was busy
	// for some seconds stays aborted.
	importDeadline = time.Minute
)

// importOptions are the flags of `quorate transfer import`.
type importOptions struct {
	file, format, batch, rejects string
	dryRun                       bool
}

func newTransferImport() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Submit the transfers of a CSV or JSONL file",
		Long: `Submit the transfers of a file, many at a time, and write those that were not committed to a rejects file with the reason.

CSV: the first line names the columns id,from_bank,from_account,to_bank,to_account,amount,currency,reference in any order; amount is
a decimal such as 10.50; id and reference may be left out; a row is one line. JSONL: one transfer a line, as POST /v1/transfers takes it, for many legs.

The same file can be imported again, after an interruption or to be sure: nothing is repeated. A row without an id gets one that follows
from the name of the batch, the row's content and how many rows with the same content came before it. So the rows of another
file are new transfers only if its batch has another name: that is the file's name, or --batch; how many were committed a minute before or earlier is said at the
end. The rejects file is such a file. A row that is aborted for ever has no id there, unless it had one of its own, and is submitted anew; any other that was submitted has its id
there, so that importing both files in any order can't move its money twice.

Exit codes: 0 every row is committed, 4 some were rejected, 8 the outcome of some isn't known: import again.`,
		Example: `  quorate transfer import march.csv
  quorate transfer import payroll.jsonl --batch payroll-2026-03 --rejects failed.jsonl
  quorate transfer import march.csv --dry-run`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = args[0]
			return o.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.format, "format", "", "csv or jsonl (default: the file's ending)")
	flags.StringVar(&o.batch, "batch", "", "name that the ids of rows without one follow from (default: the file's name)")
	flags.StringVar(&o.rejects, "rejects", "", "where to write what was not committed (default: FILE with .rejects before its ending, with --dry-run .dry-run.rejects); a file of that name is replaced, or removed if all rows are committed")
	flags.BoolVar(&o.dryRun, "dry-run", false, "read and check the file without asking the cluster, submit nothing: whether banks and accounts exist isn't known then")
	return cmd
}

func (o *importOptions) run(cmd *cobra.Command) error {
	p, err := newPrinter(cmd)
	if err != nil {
		return err
	}
	in, size, err := openImport(cmd, o.file)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := o.complete(); err != nil {
		return err
	}
	run := &importRun{tally: newImportTally(size, o.dryRun)}
	ids := newIDMaker(o.batch)
	if run.rows, err = o.rowsOf(run.tally.counting(in), ids); err != nil {
		return err
	}
	run.submit = func(context.Context, []transfer.Transfer) []client.Result { return nil }
	if !o.dryRun {
		c, hangUp, err := dialForImport(cmd)
		if err != nil {
			return err
		}
		defer hangUp()
		run.submit = c
	}
	if run.rejects, err = newRejects(o.rejects, run.rows.header()); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "batch %s: rows without an id get theirs from this name\n", o.batch)
	stopProgress := run.tally.show(cmd.ErrOrStderr(), o.file)
	err = run.all(cmd.Context())
	stopProgress()
	if err = errors.Join(err, run.rejects.close(err == nil && cmd.Context().Err() == nil && !o.dryRun)); err != nil {
		err = fmt.Errorf("import %s: %w", o.file, err)
	}
	rejects := ""
	if run.rejects.count > 0 {
		rejects = o.rejects
	}
	if counted := run.tally.json(rejects); err == nil || counted.Rows > 0 {
		if err := p.one(counted, o.batch, run.tally.table(rejects)); err != nil {
			return err
		}
	}
	fmt.Fprint(cmd.ErrOrStderr(), run.tally.remark(o.batch, ids.twice))
	return run.conclude(cmd.Context(), err, rejects)
}

// conclude is what the command ends with: that outcomes aren't known weighs more than what ended the import.
func (r *importRun) conclude(ctx context.Context, ended error, rejects string) error {
	if ended != nil && r.tally.unknown.Load() == 0 {
		return ended
	}
	return errors.Join(r.tally.verdict(ctx, rejects), ended)
}

// complete fills in what was left out.
func (o *importOptions) complete() error {
	ending := filepath.Ext(o.file)
	if o.format == "" {
		o.format = strings.TrimPrefix(ending, ".")
	}
	if o.format == "" {
		return usagef("%s has no ending that says whether it is CSV or JSONL. try: --format csv", o.file)
	}
	if o.format != "csv" && o.format != "jsonl" {
		return usagef("%q is neither csv nor jsonl. try: --format csv", o.format)
	}
	if !isRegular(o.file) && (o.batch == "" || o.rejects == "") {
		return usagef("%s has no name of its own. why: the ids of rows and the rejects file get theirs from it. try: --batch march --rejects march.rejects.%s", o.file, o.format)
	}
	if o.batch == "" {
		o.batch = filepath.Base(o.file)
	}
	if o.rejects == o.file || sameFile(o.rejects, o.file) {
		return usagef("--rejects names the file that is to be read")
	}
	if o.rejects == "" {
		o.rejects = strings.TrimSuffix(o.file, ending) + ".rejects." + o.format
		if o.dryRun { // what an import has rejected stays
			o.rejects = strings.TrimSuffix(o.file, ending) + ".dry-run.rejects." + o.format
		}
	}
	return nil
}

// isRegular says whether a name is of a file, and neither of standard input nor of a pipe.
func isRegular(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// sameFile says whether two names are of one file that is there.
func sameFile(a, b string) bool {
	one, errA := os.Stat(a)
	two, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(one, two)
}

func openImport(cmd *cobra.Command, name string) (in io.ReadCloser, size int64, err error) {
	if name == "-" {
		return io.NopCloser(cmd.InOrStdin()), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, misconfigured(err)
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return nil, 0, misconfigured(errors.Join(fmt.Errorf("%s can't be read as a file", name), err, f.Close()))
	}
	return f, info.Size(), nil
}

func (o *importOptions) rowsOf(in io.Reader, ids *idMaker) (rowReader, error) {
	if o.format == "jsonl" {
		return newJSONRows(in, ids), nil
	}
	return newCSVRows(in, ids)
}

type submitFunc func(context.Context, []transfer.Transfer) []client.Result

// dialForImport connects for as long as the import takes; a request may take --timeout.
func dialForImport(cmd *cobra.Command) (submitFunc, func(), error) {
	servers, err := serversOf(cmd)
	if err != nil {
		return nil, nil, err
	}
	timeout, err := timeoutOr(cmd, importPatience)
	if err != nil {
		return nil, nil, err
	}
	secure, err := credentialsOf(cmd, servers)
	if err != nil {
		return nil, nil, err
	}
	c, err := client.Dial(servers, secure.ofClient()...)
	if err != nil {
		return nil, nil, misconfigured(err)
	}
	submit := func(ctx context.Context, transfers []transfer.Transfer) []client.Result {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return c.Transfers(ctx, transfers)
	}
	return submit, func() { _ = c.Close() }, nil // of connections that nobody uses any more
}

// importRun is one import under way: one reader, a few requests at a time, one tally.
type importRun struct {
	rows    rowReader
	submit  submitFunc
	tally   *importTally
	rejects *rejects
	failed  atomic.Pointer[error] // the first failure that ends the import
}

// all reads until the file ends or ctx does. What has been read by then is submitted, and its outcome waited for.
func (r *importRun) all(ctx context.Context) error {
	batches := make(chan []importRow) // unbuffered: reading waits for submitting
	var workers sync.WaitGroup
	outlives := context.WithoutCancel(ctx)
	for range importWorkers {
		workers.Add(1)
		go func() { // ends when batches is closed, below
			defer workers.Done()
			for batch := range batches {
				r.carryOut(outlives, batch)
			}
		}()
	}
	err := r.read(ctx, batches)
	close(batches)
	workers.Wait()
	if failed := r.failed.Load(); failed != nil {
		err = errors.Join(err, *failed)
	}
	return err
}

func (r *importRun) read(ctx context.Context, batches chan<- []importRow) error {
	var batch []importRow
	for ctx.Err() == nil && r.failed.Load() == nil {
		row, err := r.rows.next()
		if errors.Is(err, io.EOF) {
			r.flush(batches, batch)
			return r.tally.wholeFile()
		}
		if err != nil {
			r.flush(batches, batch)
			return err
		}
		if batch = append(batch, row); len(batch) == importBatch {
			batches <- batch
			batch = nil
		}
	}
	r.flush(batches, batch)
	return nil
}

func (r *importRun) flush(batches chan<- []importRow, batch []importRow) {
	if len(batch) > 0 {
		batches <- batch
	}
}

// carryOut submits one batch and notes what became of each row.
func (r *importRun) carryOut(ctx context.Context, batch []importRow) {
	var transfers []transfer.Transfer
	for i := range batch {
		if batch[i].err == nil {
			batch[i].transfer.Deadline = time.Now().Add(importDeadline)
			transfers = append(transfers, batch[i].transfer)
		}
	}
	results := r.submit(ctx, transfers)
	if err := notLetIn(results); err != nil {
		r.failed.CompareAndSwap(nil, &err)
		return
	}
	for i := range batch {
		row := &batch[i]
		outcome := importOutcome{err: row.err}
		if row.err == nil && results != nil {
			outcome = r.tally.outcomeOf(&results[0])
			results = results[1:]
		}
		r.tally.add(outcome)
		if outcome.err != nil {
			if err := r.rejects.add(row, outcome); err != nil {
				r.failed.CompareAndSwap(nil, &err)
			}
		}
	}
}

// notLetIn is why none of a batch was taken, if that is who asks: it ends the import, for a file of a million rows isn't mended by a file of a million rejects.
// A row that may have been carried out before is no such row.
func notLetIn(results []client.Result) error {
	for i := range results {
		err := results[i].Err
		if errors.Is(err, transfer.ErrOutcomeUnknown) || !errors.Is(err, transfer.ErrUnauthenticated) && !errors.Is(err, transfer.ErrForbidden) {
			return nil
		}
	}
	if len(results) == 0 {
		return nil
	}
	return results[0].Err
}
