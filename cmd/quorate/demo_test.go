package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/transfer"
)

const berkaDir = "../../examples/berka"

// runTheDemo runs it without a terminal and reads its summary.
func runTheDemo(t *testing.T, o demoOptions) demoResult {
	t.Helper()
	o.clients, o.batch, o.format = 16, 32, "json"
	var out, progress bytes.Buffer
	if err := runDemo(t.Context(), o, &out, &progress); err != nil {
		t.Fatalf("%v\n%s\n%s", err, progress.String(), out.String())
	}
	var r demoResult
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// exactBalances adds the rows of the file up, account by account.
func exactBalances(t *testing.T, rows int) map[string]int64 {
	t.Helper()
	list, err := readBerka(berkaDir, rows)
	if err != nil {
		t.Fatal(err)
	}
	balances := map[string]int64{}
	for i := range list {
		for _, leg := range list[i].Legs {
			balances[fmt.Sprintf("%s/%s", leg.Bank, leg.Account)] += leg.SignedMinor()
		}
	}
	return balances
}

func mustHaveBalances(t *testing.T, file string, want map[string]int64) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows)-1 != len(want) {
		t.Errorf("%d accounts in the file, want %d", len(rows)-1, len(want))
	}
	for _, row := range rows[1:] {
		place := row[0] + "/" + row[1]
		if row[3] != strconv.FormatInt(want[place], 10) || row[4] != "0" {
			t.Fatalf("%s has posted %s, held %s, want %d, 0", place, row[3], row[4], want[place])
		}
	}
}

// TestReplayReachesTheExactBalances carries the whole file while the leader and a bank are killed, and then once more from the
// same data directory, which must change nothing.
func TestReplayReachesTheExactBalances(t *testing.T) {
	rows := 49_102
	if raceDetector {
		rows = 5_000 // the same under the race detector, which is ten times slower
	}
	want := exactBalances(t, rows)
	dir := t.TempDir()
	for run, scenario := range []string{"leader-kill,bank-kill", "none"} {
		file := filepath.Join(dir, fmt.Sprintf("balances%d.csv", run))
		r := runTheDemo(t, demoOptions{replay: berkaDir, rows: rows, scenario: scenario, balances: file, data: filepath.Join(dir, "data")})
		if r.Rows != rows || r.Committed != rows || r.Aborted != 0 || r.HoldsLeft != 0 || r.Delta["CZK"] != "0" {
			t.Fatalf("run %d: %+v", run+1, r)
		}
		if run == 0 && (r.LeaderChanges == 0 || len(r.Events) < 4) {
			t.Errorf("nobody was killed: %v", r.Events)
		}
		mustHaveBalances(t, file, want)
	}
}

func TestDemoSurvivesEveryTroubleAtOnce(t *testing.T) {
	r := runTheDemo(t, demoOptions{scenario: "leader-kill,partition,bank-kill", duration: 8 * time.Second})
	if r.Committed == 0 || r.Delta["EUR"] != "0" || len(r.Missing) > 0 || r.HoldsLeft != 0 {
		t.Errorf("got %+v", r)
	}
	if r.LeaderChanges == 0 {
		t.Errorf("the leader was killed and cut off, and nobody else was elected: %v", r.Events)
	}
}

func TestDemoEndsWithCode9WhenAnAcknowledgedTransferIsMissing(t *testing.T) {
	for _, test := range []struct {
		name   string
		told   transfer.State
		paid   bool
		broken bool
	}{
		{"committed and paid", transfer.Committed, true, false},
		{"committed and not paid", transfer.Committed, false, true},
		{"aborted and not paid", transfer.Aborted, false, false},
		{"aborted and paid", transfer.Aborted, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := &demoRun{tally: newTally(), auditor: newAuditor(nil), source: &source{}}
			id := transfer.ID{1}
			d.tally.add(id, transfer.Record{State: test.told}, nil, time.Millisecond)
			if test.paid {
				d.auditor.recent[id] = &seen{}
			}
			d.tally.check(d.auditor)
			err := d.result(&demoOptions{}, time.Second, nil).print(io.Discard, "json")
			var broken invariant.Broken
			if errors.As(err, &broken) != test.broken {
				t.Errorf("got %v", err)
			}
			if test.broken && exitCode(t.Context(), &ranError{err}) != api.ExitBroken {
				t.Errorf("exit code %d, want 9", exitCode(t.Context(), &ranError{err}))
			}
		})
	}
}

func TestDemoEndsWithCode9WhenMoneyIsMissing(t *testing.T) {
	d := &demoRun{tally: newTally(), auditor: newAuditor(nil), source: &source{}}
	d.delta.Minor = map[transfer.Currency]int64{"EUR": -1}
	if err := d.result(&demoOptions{}, time.Second, nil).print(io.Discard, "table"); err == nil {
		t.Error("nobody noticed")
	}
}

func TestDemoRefusesWhatItCannotDo(t *testing.T) {
	for name, o := range map[string]demoOptions{
		"an unknown scenario":        {scenario: "flood", clients: 1, batch: 1},
		"no clients":                 {batch: 1},
		"a batch beyond the limit":   {clients: 1, batch: 8191},
		"a replay that is not there": {clients: 1, batch: 1, replay: t.TempDir()},
	} {
		t.Run(name, func(t *testing.T) {
			err := runDemo(t.Context(), o, io.Discard, io.Discard)
			if got := exitCode(t.Context(), err); got != 2 {
				t.Errorf("exit code %d, want 2 (%v)", got, err)
			}
		})
	}
}
