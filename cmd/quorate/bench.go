package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/transfer"
)

// benchOptions are the flags of quorate bench.
type benchOptions struct {
	how      string // one of benchClients
	clients  int
	batch    int
	rate     float64 // transfers a second; 0: closed loop
	duration time.Duration
	warmup   time.Duration

	banks    int
	replicas int
	shards   int
	accounts int
	skew     float64
	legs     int
	seed     uint64
	procs    int // GOMAXPROCS of each process; 0: of a cluster that was there already

	http    string // of a running cluster
	out     string
	data    string
	profile string
}

func newBench() *cobra.Command {
	o := benchOptions{}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a cluster: throughput, latency, CPU and bytes written per transfer",
		Long: `Starts three servers as processes of their own (fsync on, data in a new directory), sends transfers across their banks, and checks the
money at the end: the sum over all banks is zero, nothing is held, and every committed leg is in a journal, or it ends with code 9.
With --server it measures a running cluster instead, which must be otherwise idle; the accounts it opens there stay.

Kinds of clients:
  batch   the Go SDK's Transfers, --batch transfers in a call
  stream  gRPC StreamTransfers, --batch transfers in a message, a client waits for the last result of its message
  sdk     the Go SDK's Transfer, one transfer in a call, all goroutines on one client
  unary   gRPC, one transfer in a call
  rest    HTTP, one transfer in a request

Without --rate each client sends its next request when the last one is answered (closed loop). With --rate requests leave at fixed times,
and latency counts from when a request should have left, however late it did (open loop): a stalled server can't hide behind clients
that wait for it.

The servers that it starts and the load share this machine, and each may use all of its processors, or as many as $GOMAXPROCS says.
On Linux all have the timer slack that a server gives itself (quorate server --help).`,
		Example: `  quorate bench
  quorate bench --client unary --clients 256 --for 20s --out results
  quorate bench --rate 20000 --clients 64 --skew 0.5 --legs 4`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.how, "client", "batch", "kind of the clients: batch, stream, sdk, unary or rest")
	flags.IntVar(&o.clients, "clients", 16, "clients at work at the same time, 1 to 10000")
	flags.IntVar(&o.batch, "batch", 256, "transfers in one request of a batch or stream client, 1 to 8190")
	flags.Float64Var(&o.rate, "rate", 0, "transfers a second that are due, over all clients; 0: as fast as answers come")
	flags.DurationVar(&o.duration, "for", 10*time.Second, "how long to measure")
	flags.DurationVar(&o.warmup, "warmup", 2*time.Second, "how long to load the cluster before that")
	flags.IntVar(&o.banks, "banks", 2, "banks of the started cluster, 2 to 64")
	flags.IntVar(&o.replicas, "bank-replicas", 1, "servers that hold each bank, 1 or 3")
	flags.IntVar(&o.shards, "shards", 1, "coordinator groups of the started cluster, 1 to 64")
	flags.IntVar(&o.accounts, "accounts", 1000, "accounts at each bank, 2 to 1000000")
	flags.Float64Var(&o.skew, "skew", 0, "0: accounts are chosen evenly; above: Zipf with exponent 1+skew, a few are hot")
	flags.IntVar(&o.legs, "legs", 2, "legs of each transfer, 2 to 16")
	flags.Uint64Var(&o.seed, "seed", 0, "of the traffic; 0: another one each time")
	flags.StringVar(&o.http, "http", "", "HTTP address (host:port) of the cluster that --server names, for rest clients")
	flags.StringVar(&o.out, "out", "", "write result.json, latency.hgrm and plot.svg into this directory")
	flags.StringVar(&o.data, "data", "", "keep the servers' data and logs in this directory (default a new one, removed at the end)")
	flags.StringVar(&o.profile, "profile", "", "write CPU and allocation profiles of every process into this directory")
	return cmd
}

func (o *benchOptions) validate(own bool) error {
	for _, bound := range []struct {
		flag          string
		got, min, max int
	}{
		{"clients", o.clients, 1, 10_000}, {"batch", o.batch, 1, 8190}, {"banks", o.banks, 2, 64}, {"shards", o.shards, 1, 64},
		{"accounts", o.accounts, 2, 1_000_000}, {"legs", o.legs, 2, 16},
	} {
		if bound.got < bound.min || bound.got > bound.max {
			return usagef("--%s must be %d to %d, not %d", bound.flag, bound.min, bound.max, bound.got)
		}
	}
	switch {
	case !isBenchClient(o.how):
		return usagef("unknown kind of client %q. try: --client batch, stream, sdk, unary or rest", o.how)
	case o.replicas != 1 && o.replicas != 3:
		return usagef("--bank-replicas must be 1 or 3, not %d", o.replicas)
	case o.duration < time.Second || o.warmup < 0:
		return usagef("--for must be 1s or more, and --warmup not below zero")
	case o.rate < 0 || o.skew < 0:
		return usagef("--rate and --skew can't be below zero")
	case !own && o.how == "rest" && o.http == "":
		return usagef("--client rest needs the HTTP address of the cluster. try: --http 127.0.0.1:7201")
	case own && o.http != "":
		return usagef("--http belongs to --server: the cluster that bench starts is known")
	}
	return nil
}

func (o *benchOptions) run(cmd *cobra.Command) error {
	own := !cmd.Flags().Changed("server")
	if err := o.validate(own); err != nil {
		return err
	}
	printer, err := newPrinter(cmd)
	if err != nil {
		return err
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	if o.how != "batch" && o.how != "stream" {
		o.batch = 1
	}
	stopProfile, err := startProfile(o.profile, "load")
	if err != nil {
		return err
	}
	result, err := o.measureCluster(cmd, own)
	if err := stopProfile(); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	if o.out != "" {
		if err := result.writeTo(o.out); err != nil {
			return err
		}
	}
	if err := printer.one(result, digits(int64(result.RatePerSecond)), result.tables()...); err != nil {
		return err
	}
	return result.Money.verdict()
}

// measureCluster finds or starts the cluster that is to be measured.
func (o *benchOptions) measureCluster(cmd *cobra.Command, own bool) (*benchResult, error) {
	log := cmd.ErrOrStderr()
	if !own {
		servers, err := serversOf(cmd)
		if err != nil {
			return nil, err
		}
		patience, err := timeoutOf(cmd)
		if err != nil {
			return nil, err
		}
		secure, err := credentialsOf(cmd, servers)
		if err != nil {
			return nil, err
		}
		return o.measure(cmd.Context(), benchTarget{grpc: servers, http: []string{o.http}, secure: secure}, patience, log)
	}
	dir := o.data
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "quorate-bench-"); err != nil {
			return nil, fmt.Errorf("make a directory for the servers' data: %w", err)
		}
		defer os.RemoveAll(dir)
	}
	o.procs = runtime.GOMAXPROCS(0)
	fmt.Fprintf(log, "starting %d servers, %d banks of %d replicas, %d shards, GOMAXPROCS=%d each\n", benchServers, o.banks, o.replicas, o.shards, o.procs)
	cluster, err := startBenchCluster(cmd.Context(), dir, o)
	if err != nil {
		return nil, err
	}
	result, err := o.measure(cmd.Context(), cluster.target(), benchPatience, log)
	if failed := cluster.stop(); err == nil && failed != nil {
		err = failed
	}
	return result, err
}

// benchTarget is where a cluster is found.
type benchTarget struct {
	grpc      []string
	http      []string
	secure    security
	processes []process     // that can be watched
	calm      time.Duration // so long nobody else may have come to lead before the load begins
}

// measure loads a running cluster and checks the money. It waits for the cluster as long as patience lasts.
func (o *benchOptions) measure(ctx context.Context, at benchTarget, patience time.Duration, log io.Writer) (*benchResult, error) {
	over := make(chan struct{})
	defer close(over)
	go paceGarbage(over) // ends with over
	control, err := client.Dial(at.grpc, at.secure.ofClient()...)
	if err != nil {
		return nil, misconfigured(err)
	}
	defer control.Close()
	status, err := benchReady(ctx, control, patience, at.calm)
	if err != nil {
		return nil, err
	}
	traffic := workload.Config{
		Seed: o.seed, AccountsPerBank: o.accounts, Currency: benchCurrency, AmountMaxMinor: benchAmountMaxMinor, Skew: o.skew, Legs: o.legs,
	}
	for _, b := range status.Banks {
		traffic.Banks = append(traffic.Banks, b.ID)
	}
	fmt.Fprintf(log, "opening %d accounts\n", o.accounts*len(traffic.Banks))
	if err := openBenchAccounts(ctx, control, workload.New(traffic).Places(benchOverdraftMinor)); err != nil {
		return nil, err
	}
	check, err := newMoneyCheck(ctx, control, traffic.Banks, o.legs)
	if err != nil {
		return nil, err
	}
	payers, err := dialBench(o, at, status)
	if err != nil {
		return nil, err
	}
	defer payers.close()
	load := newLoad(o, payers, traffic, at.processes)
	if err := load.run(ctx, log); err != nil {
		return nil, err
	}
	fmt.Fprintln(log, "checking the money")
	result := load.result(status)
	result.Money, err = check.settle(ctx, control, result.Acknowledged)
	return result, err
}

// Traffic of the bench. No account can run dry, so that every transfer that is refused is a finding.
const (
	benchCurrency       transfer.Currency = "EUR"
	benchAmountMaxMinor                   = 100
	benchOverdraftMinor                   = 1 << 50
)

// benchCalm is longer than a new cluster takes to hand each group to the node that should lead it. A load that begins before would measure that.
const benchCalm = 6 * time.Second

// benchReady waits until every group has a leader, and has had the same one for a time.
func benchReady(ctx context.Context, c *client.Client, patience, calm time.Duration) (client.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	var leaders []uint64
	var since time.Time
	for {
		status, err := c.Status(ctx)
		if is := leadersOf(&status); !slices.Equal(is, leaders) {
			leaders, since = is, time.Now()
		}
		if err == nil && allLed(&status) && time.Since(since) >= calm {
			return status, nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			if err == nil {
				err = transfer.ErrNoLeader
			}
			return status, fmt.Errorf("the cluster isn't ready: %w", err)
		}
	}
}

func leadersOf(s *client.Status) (leaders []uint64) {
	for _, g := range s.Groups {
		leaders = append(leaders, g.Leader)
	}
	for _, b := range s.Banks {
		leaders = append(leaders, b.Leader)
	}
	return leaders
}

func allLed(s *client.Status) bool { return len(s.Banks) > 0 && !slices.Contains(leadersOf(s), 0) }

// openBenchAccounts opens all accounts, many at a time.
func openBenchAccounts(ctx context.Context, c *client.Client, places []workload.Place) error {
	return eachOf(ctx, 256, places, func(ctx context.Context, p workload.Place) error {
		if _, err := c.OpenAccount(ctx, p.Bank, client.Terms(p.Terms)); err != nil {
			return fmt.Errorf("open account %s/%s: %w", p.Bank, p.Terms.ID, err)
		}
		return nil
	})
}

// writeTo writes the three files of a result.
func (r *benchResult) writeTo(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	for name, write := range map[string]func(io.Writer) error{
		"result.json": r.writeJSON, "latency.hgrm": r.writeLatency, "plot.svg": r.writePlot,
	} {
		if err := writeFile(filepath.Join(dir, name), write); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	return nil
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
