package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/sim"
)

// simOptions are the flags of quorate sim.
type simOptions struct {
	seed     string
	seeds    uint64
	duration time.Duration
	length   time.Duration
	cluster  string
	faults   string
	schedule string
	shrink   bool
	save     string
	jobs     int
	verbose  bool

	base  sim.Config // every world is made from it, under its own seed
	first uint64
}

const simForDefault = time.Minute

func newSim() *cobra.Command {
	o := &simOptions{}
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Live through simulated clusters that break all the time, and judge them",
		Long: "Runs whole clusters of this very code in one process, under seeds: networks, disks, clocks and clients that misbehave,\n" +
			"and judges who watch every step. A broken promise ends the run with exit code 9, the last events and the command that\n" +
			"shows them again: the same seed is the same run, byte for byte.\n\n" +
			"Faults are given as name=value with commas between them, or \"none\": a chance from 0 to 1, a weight, or a time.\n" +
			"Left out, they are drawn from the seed, in every strength. Their names:\n  " + strings.Join(sim.FaultNames(), ", "),
		Example: "  quorate sim --for 10m\n" +
			"  quorate sim --seed 0x7f3a -v\n" +
			"  quorate sim --seeds 1000 --cluster nodes=3,banks=2 --faults crash=3,partition=1,loss=0.05\n" +
			"  quorate sim --seed 0x7f3a --shrink --save schedule.json\n" +
			"  quorate sim --schedule schedule.json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSim(cmd, o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.seed, "seed", "", "the first seed, decimal or 0x…; alone, it is the only one (default by chance)")
	flags.Uint64Var(&o.seeds, "seeds", 0, "how many seeds; 0: as many as there is time for")
	flags.DurationVar(&o.duration, "for", 0, "begin no world after so long; 0: "+simForDefault.String()+", or until --seeds are done")
	flags.DurationVar(&o.length, "length", 8*time.Second, "how long faults and traffic last in each world, in its own time")
	flags.StringVar(&o.cluster, "cluster", "", "who is there: nodes, shards, banks, bank-members, clients, think (time between two requests of a client), as name=value,…; what is left out is drawn")
	flags.StringVar(&o.faults, "faults", "", "what goes wrong (default drawn from the seed)")
	flags.StringVar(&o.schedule, "schedule", "", "run what this file holds, as --save has written it")
	flags.BoolVar(&o.shrink, "shrink", false, "look for fewer faults that break the same promise")
	flags.StringVar(&o.save, "save", "", "write what --shrink has found to this file")
	flags.IntVar(&o.jobs, "jobs", runtime.GOMAXPROCS(0), "worlds at the same time")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "print every event of one seed, or a line per seed of many")
	addMutantFlag(cmd)
	return cmd
}

// simAgain is how a report names this command: as it was called, or with go run, which leaves no program behind.
func simAgain() string {
	program, err := os.Executable()
	if err == nil && !strings.Contains(program, "go-build") {
		return quoteForShell(os.Args[0]) + " sim"
	}
	if mutantName() != "" {
		return "go run " + mutantTag + " ./cmd/quorate sim"
	}
	return "go run ./cmd/quorate sim"
}

func runSim(cmd *cobra.Command, o *simOptions) error {
	p, err := newPrinter(cmd)
	if err != nil {
		return err
	}
	stderr := cmd.ErrOrStderr()
	if !isTerminal(stderr) {
		stderr = &lineWriter{to: stderr}
	}
	if err := o.read(cmd.Flags().Changed); err != nil {
		return err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(sim.GCPercent))
	campaign := newCampaign(o, stderr)
	campaign.run(cmd.Context())
	if err := campaign.print(p); err != nil {
		return err
	}
	return campaign.verdict(cmd.Context(), p)
}

// read turns the flags into what every world is made from.
func (o *simOptions) read(given func(flag string) bool) error {
	cluster, err := sim.ParseCluster(o.cluster)
	if err != nil {
		return usagef("--cluster: %w", err)
	}
	o.base = sim.Config{Cluster: cluster, Duration: o.length}
	if o.faults != "" {
		if o.base.Faults, err = sim.ParseFaults(o.faults); err != nil {
			return usagef("--faults: %w", err)
		}
	}
	switch {
	case o.length <= 0 || o.length > time.Hour:
		return usagef("--length %v is not between 0 and 1h", o.length)
	case o.duration < 0:
		return usagef("--for %v is negative", o.duration)
	case o.jobs < 1:
		return usagef("--jobs %d is below 1", o.jobs)
	case o.save != "" && !o.shrink:
		return usagef("--save needs --shrink")
	}
	if o.schedule != "" {
		for _, name := range []string{"seed", "seeds", "for", "length", "cluster", "faults"} {
			if given(name) {
				return usagef("--schedule is one run, and says all about it: --%s doesn't go with it", name)
			}
		}
	}
	if err := enableMutant(); err != nil {
		return err
	}
	if o.schedule != "" {
		return o.readSchedule()
	}
	if o.seed == "" {
		o.first = uint64(time.Now().UnixNano())
	} else if o.first, err = strconv.ParseUint(o.seed, 0, 64); err != nil {
		return usagef("--seed %q is no number", o.seed)
	}
	if o.seed != "" && o.seeds == 0 && o.duration == 0 {
		o.seeds = 1
	}
	if o.seeds == 0 && o.duration == 0 {
		o.duration = simForDefault
	}
	return nil
}

func (o *simOptions) readSchedule() error {
	data, err := os.ReadFile(o.schedule)
	if err != nil {
		return misconfigured(err)
	}
	var s sim.Schedule
	if err := json.Unmarshal(data, &s); err != nil {
		return misconfigured(fmt.Errorf("%s is no schedule: %w", o.schedule, err))
	}
	if planted := mutantName(); planted != "" && planted != s.Mutant {
		return usagef("%s was made with mutant %q: --mutant %s doesn't go with it", o.schedule, s.Mutant, planted)
	}
	if s.Mutant != "" {
		if err := enableMutantNamed(s.Mutant); err != nil {
			return err
		}
	}
	o.base, o.first, o.seeds = s.Config(), s.Seed, 1
	return nil
}

// command is the line that runs one seed again.
func (o *simOptions) command(seed uint64) string {
	line := simAgain()
	if o.schedule != "" {
		return line + " --schedule " + quoteForShell(o.schedule)
	}
	if mutantName() != "" {
		line += " --mutant " + mutantName()
	}
	line += fmt.Sprintf(" --seed %#x", seed)
	if o.length != 8*time.Second {
		line += " --length " + o.length.String()
	}
	if o.cluster != "" {
		line += " --cluster " + quoteForShell(o.cluster)
	}
	if o.faults != "" {
		line += " --faults " + quoteForShell(o.faults)
	}
	return line
}

// campaign is many worlds, each on a goroutine of its own.
type campaign struct {
	options *simOptions
	stderr  io.Writer
	began   time.Time
	live    bool // the progress line is overwritten

	mu      sync.Mutex // guards the rest
	next    uint64     // seeds handed out
	done    uint64
	sum     sim.Counts
	trace   uint64 // of all worlds, in whatever order they ended
	failure *sim.Failure
	shown   time.Time
	took    time.Duration
}

func newCampaign(o *simOptions, stderr io.Writer) *campaign {
	return &campaign{options: o, stderr: stderr, began: time.Now(), shown: time.Now(), live: isTerminal(stderr)}
}

// run lives worlds until all seeds are done, time is up, ctx ends, or a promise is broken. Worlds that have begun end first.
func (c *campaign) run(ctx context.Context) {
	var workers sync.WaitGroup
	for range c.options.jobs {
		workers.Go(func() {
			for seed, ok := c.take(ctx); ok; seed, ok = c.take(ctx) {
				c.add(c.world(seed))
			}
		})
	}
	workers.Wait()
	c.took = time.Since(c.began)
	if c.live {
		fmt.Fprint(c.stderr, "\r\x1b[K")
	}
}

func (c *campaign) take(ctx context.Context) (seed uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.options
	if ctx.Err() != nil || c.failure != nil || (o.seeds > 0 && c.next >= o.seeds) || (o.duration > 0 && time.Since(c.began) >= o.duration) {
		return 0, false
	}
	c.next++
	return o.first + c.next - 1, true
}

func (c *campaign) world(seed uint64) sim.Result {
	cfg := c.options.base
	cfg.Seed = seed
	if c.options.verbose && c.options.seeds == 1 {
		cfg.Watch = func(line string) { fmt.Fprintln(c.stderr, line) }
	}
	return sim.Run(cfg)
}

func (c *campaign) add(r sim.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	c.trace ^= r.Trace
	c.sum.Add(&r.Counts)
	if r.Failure != nil && c.failure == nil {
		c.failure = r.Failure
	}
	if c.options.verbose && c.options.seeds != 1 {
		fmt.Fprintf(c.stderr, "seed %#x  trace %016x  %v, %d faults, %d committed, %d aborted\n", r.Seed, r.Trace, r.Simulated.Round(time.Millisecond), r.Faults, r.Committed, r.Aborted)
	}
	every := 10 * time.Second
	if c.live {
		every = time.Second
	}
	if now := time.Now(); now.Sub(c.shown) >= every {
		c.shown = now
		c.progress(now.Sub(c.began))
	}
}

func (c *campaign) progress(took time.Duration) {
	line := fmt.Sprintf("%v  %d seeds, %.1f/s; %.0f simulated s/s; %d faults; %d transfers", took.Round(time.Second), c.done, perSecond(c.done, took),
		c.sum.Simulated.Seconds()/took.Seconds(), c.sum.Faults, c.sum.Committed+c.sum.Aborted)
	if c.live {
		fmt.Fprint(c.stderr, "\r\x1b[K"+line)
		return
	}
	fmt.Fprintln(c.stderr, line)
}

func perSecond(n uint64, took time.Duration) float64 { return float64(n) / took.Seconds() }

// simJSON is the report of a campaign.
type simJSON struct {
	FirstSeed        string       `json:"first_seed"`
	Seeds            uint64       `json:"seeds"`
	Trace            string       `json:"trace"` // hash of the events; of many worlds, their hashes' exclusive or
	Seconds          float64      `json:"seconds"`
	SeedsPerSecond   float64      `json:"seeds_per_second"`
	SimulatedSeconds float64      `json:"simulated_seconds"`
	Speed            float64      `json:"simulated_seconds_per_second"`
	Faults           uint64       `json:"faults"`
	Crashes          uint64       `json:"crashes"`
	Messages         uint64       `json:"messages"`
	Elections        uint64       `json:"elections"`
	Requests         uint64       `json:"requests"`
	Committed        uint64       `json:"committed"`
	Aborted          uint64       `json:"aborted"`
	UnknownAnswers   uint64       `json:"unknown_answers"`
	Failure          *simFailJSON `json:"failure,omitempty"`
}

type simFailJSON struct {
	Seed      string   `json:"seed"`
	At        string   `json:"at"`
	Invariant string   `json:"invariant"`
	Detail    string   `json:"detail"`
	Replay    string   `json:"replay"`
	Stack     string   `json:"stack,omitempty"`
	Last      []string `json:"last_events"`
}

func (c *campaign) print(p *printer) error {
	s := simJSON{
		FirstSeed: fmt.Sprintf("%#x", c.options.first), Seeds: c.done, Trace: fmt.Sprintf("%016x", c.trace),
		Seconds: c.took.Seconds(), SeedsPerSecond: perSecond(c.done, c.took),
		SimulatedSeconds: c.sum.Simulated.Seconds(), Speed: c.sum.Simulated.Seconds() / c.took.Seconds(),
		Faults: c.sum.Faults, Crashes: c.sum.Crashes, Messages: c.sum.Messages, Elections: c.sum.Elections, Requests: c.sum.Asked,
		Committed: c.sum.Committed, Aborted: c.sum.Aborted, UnknownAnswers: c.sum.Unknown,
	}
	if f := c.failure; f != nil {
		s.Failure = &simFailJSON{fmt.Sprintf("%#x", f.Seed), f.At.String(), f.Invariant, f.Detail, c.options.command(f.Seed), f.Stack, f.Last}
	}
	count := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return p.one(s, s.FirstSeed, table{
		header: []string{"SEEDS", "TRACE", "SEEDS/S", "SIMULATED", "S/S", "FAULTS", "CRASHES", "MESSAGES", "REQUESTS", "COMMITTED", "ABORTED", "UNKNOWN"},
		rows: [][]string{{
			count(s.Seeds), s.Trace, fmt.Sprintf("%.1f", s.SeedsPerSecond), c.sum.Simulated.Round(time.Second).String(), fmt.Sprintf("%.0f", s.Speed),
			count(s.Faults), count(s.Crashes), count(s.Messages), count(s.Requests), count(s.Committed), count(s.Aborted), count(s.UnknownAnswers),
		}},
	})
}

// verdict tells of a broken promise, on standard error, and shrinks the run if it should.
func (c *campaign) verdict(ctx context.Context, p *printer) error {
	f := c.failure
	if f == nil {
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted after %d seeds, none of which broke a promise: %w", c.done, ctx.Err())
		}
		return nil
	}
	if p.format == "table" {
		fmt.Fprintf(c.stderr, "the last events:\n%s\n\n", strings.Join(f.Last, "\n"))
		if f.Stack != "" {
			fmt.Fprintf(c.stderr, "where the code found it:\n%s\n\n", f.Stack)
		}
	}
	if c.options.shrink {
		if err := c.shrink(ctx, f); err != nil {
			fmt.Fprintf(c.stderr, "not shrunk: %v\n", err) // what was found is worth more than that
		}
	}
	return &adviceError{&promiseError{f}, c.options.command(f.Seed)}
}

// promiseError is a broken promise as the last line of a run tells of it.
type promiseError struct{ failure *sim.Failure }

func (e *promiseError) Error() string {
	return fmt.Sprintf("seed %#x after %v: %s: %s", e.failure.Seed, e.failure.At, e.failure.Invariant, e.failure.Detail)
}

// Unwrap has the process end as after a broken invariant of its own.
func (e *promiseError) Unwrap() error { return invariant.Broken{Message: e.failure.Invariant} }

// shrinkFor bounds the search for a smaller schedule.
const shrinkFor = 5 * time.Minute

func (c *campaign) shrink(ctx context.Context, f *sim.Failure) error {
	cfg := c.options.base
	cfg.Seed = f.Seed
	began := time.Now()
	shrunk, ok := sim.Shrink(cfg, func() bool { return ctx.Err() != nil || time.Since(began) > shrinkFor })
	if !ok {
		return errors.New("the run doesn't fail when it is repeated: it isn't deterministic, and that is a fault of the simulator")
	}
	shrunk.Schedule.Mutant = mutantName()
	fmt.Fprintf(c.stderr, "shrunk from %d single faults to %d in %d runs: %s\n%s\n\n", shrunk.Before, shrunk.Schedule.Events(), shrunk.Runs,
		shrunk.Failure.Error(), strings.Join(shrunk.Failure.Last, "\n"))
	data, err := json.MarshalIndent(shrunk.Schedule, "", "  ")
	if err != nil {
		return err
	}
	if c.options.save == "" {
		fmt.Fprintf(c.stderr, "%s\n", data)
		return nil
	}
	if err := os.WriteFile(c.options.save, append(data, '\n'), 0o644); err != nil {
		fmt.Fprintf(c.stderr, "%s\n", data)
		return fmt.Errorf("the schedule isn't saved, but it stands above: %w", err)
	}
	fmt.Fprintf(c.stderr, "replay the shrunk run: %s --schedule %s\n", simAgain(), quoteForShell(c.options.save))
	return nil
}
