package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/transfer"
)

func newTransferExport() *cobra.Command {
	var f transferFilter
	format := ""
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write transfers to a CSV or JSONL file, from new to old",
		Long: `Write transfers, from new to old, to a file or to standard output, in bounded memory. JSONL: one object of the HTTP API a line. CSV: the columns
of transfer import and state,reason,created_at,decided_at; a row has room for two legs, so a transfer of more, or a hold, ends the export.
The file appears when it is complete, and replaces one of the same name. What is submitted meanwhile isn't in it.

An export can be imported. Its transfers keep their ids: in the same cluster nothing is repeated, in another one the committed ones are made
again; holds, and what wasn't committed, are rejected rows. --timeout is how long to wait for the next transfer.`,
		Example: `  quorate transfer export march.csv --since 2026-03-01 --until 2026-04-01
  quorate transfer export --account north/alice --state committed`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := f.parse(time.Now())
			if err != nil {
				return err
			}
			file := ""
			if len(args) == 1 {
				file = args[0]
			}
			if format == "" {
				format = strings.TrimPrefix(filepath.Ext(file), ".")
			}
			if format == "" && file == "" {
				format = "jsonl"
			}
			if format != "csv" && format != "jsonl" {
				return usagef("%q is neither csv nor jsonl. try: --format csv", format)
			}
			count := 0
			err = writeWhole(cmd.OutOrStdout(), file, func(w io.Writer) error {
				out := newExporter(w, format)
				err := eachTransfer(cmd, filter, func(r *transfer.Record) (bool, error) {
					count++
					return true, out.add(r)
				})
				return errors.Join(err, out.end())
			})
			if err != nil {
				return fmt.Errorf("export transfers: %w", err)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d transfers\n", count)
			return nil
		},
	}
	f.addTo(cmd)
	cmd.Flags().StringVar(&format, "format", "", "csv or jsonl (default: the file's ending; of standard output jsonl)")
	return cmd
}

// writeWhole has a file written under another name and gives it its own when it is complete; without a name it is out.
func writeWhole(out io.Writer, name string, write func(io.Writer) error) error {
	if name == "" || name == "-" {
		buffered := bufio.NewWriter(out)
		return errors.Join(write(buffered), buffered.Flush())
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.part")
	if err != nil {
		return misconfigured(err)
	}
	buffered := bufio.NewWriter(f)
	err = errors.Join(write(buffered), buffered.Flush(), f.Chmod(0o600), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// What an export adds to the columns of an import. An import passes over them, but for the state.
var exportColumns = []string{"state", "reason", "created_at", "decided_at"}

// exporter writes one transfer a line.
type exporter struct {
	json *json.Encoder
	csv  *csv.Writer
}

func newExporter(w io.Writer, format string) *exporter {
	if format == "csv" {
		e := &exporter{csv: csv.NewWriter(w)}
		_ = e.csv.Write(slices.Concat(importColumns, exportColumns)) // end says if that failed
		return e
	}
	e := &exporter{json: json.NewEncoder(w)}
	e.json.SetEscapeHTML(false)
	return e
}

func (e *exporter) add(r *transfer.Record) error {
	if e.json != nil {
		return e.json.Encode(transferToJSON(r))
	}
	row, err := exportRow(r)
	if err != nil {
		return err
	}
	return e.csv.Write(row)
}

func (e *exporter) end() error {
	if e.json != nil {
		return nil
	}
	e.csv.Flush()
	return e.csv.Error()
}

// exportRow has the values of importColumns and exportColumns. An id that was closed before anybody knew its transfer has no legs.
func exportRow(r *transfer.Record) ([]string, error) {
	var debit, credit transfer.Leg
	amount := ""
	legs := r.Transfer.Legs
	switch {
	case r.Transfer.IsHold():
		return nil, &adviceError{fmt.Errorf("transfer %s was a hold, a CSV row has no room for its capture", r.Transfer.ID), "--format jsonl"}
	case strings.Contains(r.Transfer.Reference, "\n"):
		return nil, &adviceError{fmt.Errorf("transfer %s has a line break in its reference, and a CSV row is one line", r.Transfer.ID), "--format jsonl"}
	case len(legs) == 2 && legs[0].Direction != legs[1].Direction:
		debit, credit = legs[0], legs[1]
		if debit.Direction == transfer.Credit {
			debit, credit = credit, debit
		}
		amount = transfer.FormatMinor(debit.AmountMinor, debit.Currency)
	case len(legs) > 0:
		return nil, &adviceError{fmt.Errorf("transfer %s has %d legs, a CSV row has room for two", r.Transfer.ID, len(legs)), "--format jsonl"}
	}
	return []string{
		r.Transfer.ID.String(), string(debit.Bank), string(debit.Account), string(credit.Bank), string(credit.Account), amount, string(debit.Currency), r.Transfer.Reference,
		r.State.String(), string(r.Reason.Code), exportTime(r.CreatedAt), exportTime(r.DecidedAt),
	}, nil
}

func exportTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// checkExported refuses to make a transfer again that an export says was none, or was not what its legs say.
func checkExported(state string, hold bool) error {
	if hold {
		return fmt.Errorf("%w: the row was a hold, and its capture is not what was submitted", transfer.ErrInvalidRequest)
	}
	if state == "" || state == transfer.Committed.String() {
		return nil
	}
	return fmt.Errorf("%w: the row says that it is %s, and only what is committed is imported", transfer.ErrInvalidRequest, state)
}
