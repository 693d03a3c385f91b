package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/transfer"
)

// FuzzImport: whatever a file of transfers holds, every row of it is a valid transfer or is refused for what it is, it has the same id in every run, and the
// rows that are refused can be written into a file of rejects that reads the same way.
func FuzzImport(f *testing.F) {
	f.Add("id,from_bank,from_account,to_bank,to_account,amount,currency,reference\n,north,a,south,b,1.50,EUR,rent\n01936f8e-7f3a-7000-8000-000000000001,north,a,south,b,1,JPY,\n", false)
	f.Add("\ufefffrom_bank,from_account,to_bank,to_account,amount,currency,rejected_code\nnorth,a,south,b,1,EUR,x\n", false)
	f.Add("from_bank,from_account,to_bank,to_account,amount,currency\n\"north,a\n", false)
	f.Add("from_bank,from_account,to_bank,to_account,currency,amount\nnorth,a,south,b,EUR,10,50\nnorth,\"a\nb\",south,b,EUR,1\n", false)
	f.Add("from_bank,from_account,to_bank,to_account,amount,currency,reference\nnorth,a,south,b,1,EUR,6\" pipe\n\n\"north\"s,a,south,b,1,EUR,\"\n", false)
	f.Add("from_bank,from_account,to_bank,to_account,amount,currency\nnorth,a\nnorth,a,south,b,99999999999999999999,EUR\n", false)
	f.Add(`{"legs":[{"bank":"north","account":"a","direction":"debit","amount_minor":"5","currency":"EUR"},{"bank":"south","account":"b","direction":"credit","amount_minor":"5","currency":"EUR"}],"reference":"rent"}`+"\n\n{}\nnull\n", true)
	f.Add(`{"legs":[],"Legs":[],"rejected_line":7}`+"\n"+`{"id":"x"} {"id":"y"}`, true)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string, lines bool) {
		rows, err := readRows(t, text, lines)
		if err != nil {
			return
		}
		again, err := readRows(t, text, lines)
		if err != nil || len(again.rows) != len(rows.rows) {
			t.Fatalf("%d rows, and then %d, %v", len(rows.rows), len(again.rows), err)
		}
		file := filepath.Join(dir, "rejects")
		rejected, err := newRejects(file, rows.header)
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		for i := range rows.rows {
			row := &rows.rows[i]
			if row.err == nil {
				if err := row.transfer.Validate(); err != nil {
					t.Fatalf("line %d was accepted: %v", row.line, err)
				}
				if again.rows[i].transfer.ID != row.transfer.ID {
					t.Fatalf("line %d has id %s, and then %s", row.line, row.transfer.ID, again.rows[i].transfer.ID)
				}
				continue
			}
			if _, verdict := api.Judge(row.err); verdict.Outcome != api.NotApplied || verdict.Exit != exitUsage {
				t.Fatalf("line %d: %v", row.line, row.err)
			}
			count++
			if err := rejected.add(row, importOutcome{err: row.err}); err != nil {
				t.Fatal(err)
			}
		}
		if err := rejected.close(true); err != nil {
			t.Fatal(err)
		}
		if count == 0 {
			return
		}
		text2, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		mended, err := readRows(t, string(text2), lines)
		if err != nil || len(mended.rows) != count {
			t.Fatalf("%d rows were rejected, and their file has %d, %v:\n%s", count, len(mended.rows), err, text2)
		}
		for _, row := range mended.rows {
			if row.err == nil {
				t.Fatalf("line %d was rejected, and is accepted unmended:\n%s", row.line, text2)
			}
		}
	})
}

type rowsOfFile struct {
	header []string
	rows   []importRow
}

func readRows(t *testing.T, text string, lines bool) (read rowsOfFile, err error) {
	t.Helper()
	var rows rowReader = newJSONRows(strings.NewReader(text), newIDMaker("march"))
	if !lines {
		if rows, err = newCSVRows(strings.NewReader(text), newIDMaker("march")); err != nil { // the first line
			return read, err
		}
	}
	read.header = rows.header()
	for {
		row, err := rows.next()
		if errors.Is(err, io.EOF) {
			return read, nil
		}
		if err != nil {
			return read, err
		}
		read.rows = append(read.rows, row)
	}
}

// FuzzWords: whatever is typed for a leg, a place, a time or a node, it is refused or is what Validate takes.
func FuzzWords(f *testing.F) {
	for _, text := range []string{"debit:north/alice:10.50:EUR", "credit:a/b:1:JPY", "north/alice", "2026-01-02", "24h", "-1h", "1", "0", "node 1", "debit:::"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if leg, err := parseLeg(text); err == nil {
			if leg.AmountMinor <= 0 || !leg.Currency.Known() || leg.Direction != transfer.Debit && leg.Direction != transfer.Credit {
				t.Fatalf("%q is %+v", text, leg)
			}
		}
		_, _, _ = parsePlace(text)
		if id, err := parseNodeID(text); err == nil && id == 0 {
			t.Fatalf("%q is node 0", text)
		}
		_, _ = parsePeriod(text, text, time.Unix(1_800_000_000, 0))
		if out, err := json.Marshal(printable(text)); err != nil || strings.ContainsAny(string(out), "\x1b\n") {
			t.Fatalf("%q is printed as %s", text, out)
		}
	})
}
