package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/transfer"
)

// demoOptions are the flags of quorate demo.
type demoOptions struct {
	scenario string
	duration time.Duration
	replay   string
	rows     int
	balances string
	data     string
	clients  int
	batch    int
	format   string
}

func newDemo() *cobra.Command {
	o := demoOptions{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a whole cluster in this process and try to break it",
		Long: "Starts three coordinator nodes and three banks in this process, with real disks (fsync on) and loopback\n" +
			"sockets, keeps transfers flowing and audits the money all the time. On a terminal it shows one live screen;\n" +
			"without one it prints a line a second.\n\nScenarios (several with commas): " + scenarioHelp(),
		Example: "  quorate demo\n" +
			"  quorate demo --scenario leader-kill --for 20s -o json\n" +
			"  quorate demo --replay examples/berka --scenario leader-kill,bank-kill",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := newPrinter(cmd)
			if err != nil {
				return err
			}
			o.format = p.format
			return runDemo(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.scenario, "scenario", "none", "what goes wrong: "+scenarioNames())
	flags.DurationVar(&o.duration, "for", 0, "how long transfers flow; 0: until you quit (20s with a scenario)")
	flags.StringVar(&o.replay, "replay", "", "carry the rows of trans.asc in this directory, instead of made-up traffic")
	flags.IntVar(&o.rows, "rows", 0, "replay only so many rows; 0: all")
	flags.StringVar(&o.balances, "balances", "", "write every account's balance to this CSV file at the end")
	flags.StringVar(&o.data, "data", "", "keep the nodes' data in this directory (default a new one, removed at the end)")
	flags.IntVar(&o.clients, "clients", 16, "clients at work at the same time, 1 to 1000")
	flags.IntVar(&o.batch, "batch", 32, "transfers in one request of a client, 1 to 8190")
	return cmd
}

func scenarioHelp() string {
	var b strings.Builder
	for _, t := range troubles {
		fmt.Fprintf(&b, "\n  %-12s %s, for %v", t.name, t.what, outage)
	}
	return b.String()
}

// The made-up accounts begin with nothing and may go this far below it, so that some transfers are refused.
const (
	demoAccounts       = 1000 // at each bank
	demoOverdraftMinor = 50_000
)

// Transfers of a replay wait through every outage; made-up ones give up like a client with somebody waiting.
const (
	replayTimeout  = 10 * time.Minute
	trafficTimeout = 10 * time.Second
)

func runDemo(ctx context.Context, o demoOptions, stdout, stderr io.Writer) error {
	d, places, err := prepareDemo(&o)
	if err != nil {
		return err
	}
	if !isTerminal(stderr) {
		stderr = &lineWriter{to: stderr}
	}
	dir := o.data
	if dir == "" {
		if dir, err = os.MkdirTemp("", "quorate-demo-"); err != nil {
			return fmt.Errorf("make a directory for the demo's data: %w", err)
		}
		defer os.RemoveAll(dir)
	}
	fmt.Fprintf(stderr, "starting %d coordinator nodes and %d banks in %s\n", demoCoordinators, len(d.auditor.banks), dir)
	logger, closeLog, err := demoLog(dir)
	if err != nil {
		return err
	}
	defer closeLog()
	if d.cluster, err = startDemoCluster(dir, d.auditor.banks, 3, logger); err != nil {
		return err
	}
	defer d.cluster.stop()
	if d.client, err = client.Dial(d.cluster.addresses()); err != nil {
		return err
	}
	defer d.client.Close()
	fmt.Fprintf(stderr, "opening %d accounts\n", len(places))
	if err := d.openAccounts(ctx, places); err != nil {
		return err
	}
	result, err := d.runAll(ctx, &o, stderr)
	if err != nil {
		return err
	}
	if o.balances != "" {
		if err := d.writeBalances(ctx, o.balances); err != nil {
			return err
		}
	}
	return result.print(stdout, o.format)
}

// prepareDemo reads the flags into a run that has no cluster yet.
func prepareDemo(o *demoOptions) (*demoRun, []workload.Place, error) {
	if o.clients < 1 || o.clients > 1000 || o.batch < 1 || o.batch > 8190 {
		return nil, nil, usagef("--clients must be 1 to 1000 and --batch 1 to 8190")
	}
	chosen, err := parseScenario(o.scenario)
	if err != nil {
		return nil, nil, usagef("%w", err)
	}
	if len(chosen) > 0 && o.duration == 0 {
		o.duration = 20 * time.Second
	}
	d := &demoRun{troubles: chosen, clients: o.clients, batch: o.batch, tally: newTally(), timeout: trafficTimeout, started: time.Now()}
	if o.replay != "" {
		list, err := readBerka(o.replay, o.rows)
		if err != nil {
			return nil, nil, err
		}
		d.source = &source{list: list}
		d.auditor = newAuditor(workload.BerkaBanks())
		d.timeout = replayTimeout
		return d, workload.PlacesOf(list, workload.BerkaOverdraftMinor), nil
	}
	banks := []transfer.BankID{"alpha", "beta", "gamma"}
	d.source = newTraffic(uint64(time.Now().UnixNano()), banks, o.duration)
	d.auditor = newAuditor(banks)
	all := workload.New(workload.Config{Banks: banks, AccountsPerBank: demoAccounts, Currency: "EUR", AmountMaxMinor: 1})
	return d, all.Places(demoOverdraftMinor), nil
}

// readBerka reads the first rows of trans.asc, or all of them if rows is 0.
func readBerka(dir string, rows int) ([]transfer.Transfer, error) {
	f, err := os.Open(filepath.Join(dir, "trans.asc"))
	if err != nil {
		return nil, usagef("can't read the payments to replay. why: %w. try: --replay examples/berka", err)
	}
	defer f.Close()
	var list []transfer.Transfer
	for t, err := range workload.Berka(f) {
		if err != nil {
			return nil, usagef("%s: %w", f.Name(), err)
		}
		if list = append(list, t); len(list) == rows {
			break
		}
	}
	return list, nil
}

// demoLog keeps the nodes' logs beside their data: the screen belongs to the demo.
func demoLog(dir string) (*slog.Logger, func(), error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make the data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "demo.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("make the demo's log: %w", err)
	}
	return slog.New(slog.NewJSONHandler(f, nil)), func() { f.Close() }, nil
}

// runAll lets the transfers flow, shows it, brings everybody back and holds the books against what the clients heard.
func (d *demoRun) runAll(ctx context.Context, o *demoOptions, stderr io.Writer) (*demoResult, error) {
	ctx, stopAll := context.WithCancel(ctx)
	defer stopAll()
	flowing, stopFlow := context.WithCancel(ctx)
	defer stopFlow()
	var helpers sync.WaitGroup
	helping, stopHelpers := context.WithCancel(ctx)
	d.started = time.Now()
	d.source.begun = d.started
	helpers.Go(func() { d.watch(helping) })
	helpers.Go(func() { d.auditLoop(helping) })
	helpers.Go(func() { d.show(helping, stderr, stopFlow) })
	d.flow(flowing)
	elapsed := time.Since(d.started)
	stopHelpers()
	helpers.Wait()
	if err := d.failed(); err != nil {
		return nil, err
	}
	fmt.Fprintln(stderr, "bringing everybody back and checking the books")
	settleErr := d.settle(ctx, 30*time.Second)
	d.look()
	return d.result(o, elapsed, settleErr), d.failed()
}

// demoResult is what the demo found out. Its JSON is stable.
type demoResult struct {
	Scenario      string                       `json:"scenario"`
	Replay        string                       `json:"replay,omitempty"`
	Seconds       float64                      `json:"seconds"`
	Rows          int                          `json:"rows,omitempty"`
	Transfers     int                          `json:"transfers"`
	Committed     int                          `json:"committed"`
	Aborted       int                          `json:"aborted"`
	AbortReasons  map[transfer.Code]int        `json:"abort_reasons"`
	AskedAgain    int                          `json:"asked_again"`
	Rate          float64                      `json:"transfers_per_second"`
	P50           float64                      `json:"p50_ms"`
	P99           float64                      `json:"p99_ms"`
	LongestGap    float64                      `json:"longest_gap_ms"`
	LeaderChanges int                          `json:"leader_changes"`
	Delta         map[transfer.Currency]string `json:"delta_minor"`
	HoldsLeft     uint64                       `json:"holds_left"`
	Missing       []string                     `json:"missing"`
	Problem       string                       `json:"problem,omitempty"`
	Events        []string                     `json:"events"`

	broken bool
}

func (d *demoRun) result(o *demoOptions, elapsed time.Duration, settleErr error) *demoResult {
	missing := d.tally.missing()
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tally
	r := &demoResult{
		Scenario: o.scenario, Replay: o.replay, Rows: len(d.source.list),
		Seconds:   elapsed.Seconds(),
		Transfers: t.committed + t.aborted, Committed: t.committed, Aborted: t.aborted, AbortReasons: t.reasons,
		AskedAgain: t.unknown + t.refused,
		Rate:       float64(t.committed+t.aborted) / elapsed.Seconds(),
		P50:        milliseconds(quantile(t.all, 50)), P99: milliseconds(quantile(t.all, 99)), LongestGap: milliseconds(t.longest),
		LeaderChanges: d.leaderChanges,
		Delta:         map[transfer.Currency]string{}, HoldsLeft: d.delta.OpenHolds,
		Missing: []string{}, Events: d.events,
	}
	for currency, minor := range d.delta.Minor {
		r.Delta[currency] = strconv.FormatInt(minor, 10)
	}
	for _, id := range missing {
		r.Missing = append(r.Missing, id.String())
	}
	sort.Strings(r.Missing)
	if settleErr != nil {
		r.Problem = settleErr.Error()
	}
	r.broken = !d.delta.zero() || len(missing) > 0 || settleErr != nil
	return r
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (r *demoResult) print(w io.Writer, format string) error {
	if format != "table" {
		encoder := json.NewEncoder(w)
		if format == "json" {
			encoder.SetIndent("", "  ")
		}
		if err := encoder.Encode(r); err != nil {
			return err
		}
	} else {
		r.printTable(w)
	}
	if r.broken {
		return invariant.Broken{Message: "money, a hold or an acknowledged transfer is not where it must be: see the summary"}
	}
	return nil
}

func (r *demoResult) printTable(w io.Writer) {
	if r.Rows > 0 {
		fmt.Fprintf(w, "rows             %d\n", r.Rows)
	}
	fmt.Fprintf(w, "transfers        %d in %.1f s, %.0f/s\n", r.Transfers, r.Seconds, r.Rate)
	fmt.Fprintf(w, "committed        %d\naborted          %d", r.Committed, r.Aborted)
	for _, code := range sortedKeys(r.AbortReasons) {
		fmt.Fprintf(w, "  %s %d", code, r.AbortReasons[code])
	}
	fmt.Fprintf(w, "\nasked again      %d\n", r.AskedAgain)
	fmt.Fprintf(w, "latency          p50 %.1f ms, p99 %.1f ms, longest gap %.0f ms\n", r.P50, r.P99, r.LongestGap)
	fmt.Fprintf(w, "leader changes   %d\n", r.LeaderChanges)
	for _, currency := range sortedKeys(r.Delta) {
		fmt.Fprintf(w, "Δ %-14s %s\n", currency, r.Delta[currency])
	}
	fmt.Fprintf(w, "holds left       %d\nmissing          %d\n", r.HoldsLeft, len(r.Missing))
	if r.Problem != "" {
		fmt.Fprintf(w, "problem          %s\n", r.Problem)
	}
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i] < keys[j] })
	return keys
}

// writeBalances lists every account of every bank as CSV.
func (d *demoRun) writeBalances(ctx context.Context, path string) error {
	reader := d.cluster.reader()
	if reader == nil {
		return fmt.Errorf("no coordinator node is up to read the balances from")
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write balances: %w", err)
	}
	w := csv.NewWriter(f)
	w.Write([]string{"bank", "account", "currency", "posted_minor", "held_minor"})
	for _, id := range d.auditor.banks {
		after := transfer.AccountID("")
		for {
			accounts, err := reader.Accounts(ctx, id, after, 1000)
			if err != nil {
				return errors.Join(fmt.Errorf("read the accounts of bank %s: %w", id, err), f.Close())
			}
			if len(accounts) == 0 {
				break
			}
			for _, a := range accounts {
				w.Write([]string{string(id), string(a.ID), string(a.Currency), strconv.FormatInt(a.PostedMinor, 10), strconv.FormatInt(a.HeldMinor, 10)})
			}
			after = accounts[len(accounts)-1].ID
		}
	}
	w.Flush()
	return errors.Join(w.Error(), f.Close())
}

func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
