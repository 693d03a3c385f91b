package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/quorate/quorate/internal/timerslack"
)

// options are the flags.
type options struct {
	systems  []string
	clients  []int
	duration time.Duration
	warmup   time.Duration
	out      string
	quorate  string // the program; empty: built here
	postgres string // directory of its programs; empty: looked for
	user     string // who runs PostgreSQL and etcd if we are root
	dtm      string // base URL of a running server
	scratch  string // for data, removed at the end
}

func main() {
	timerslack.Exec() // and all that it starts has it, rivals as well
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	systems := flags.String("systems", strings.Join(systemNames, ","), "what to measure")
	clients := flags.String("clients", "1,16,64,256", "numbers of clients")
	flags.DurationVar(&o.duration, "for", 10*time.Second, "how long each measurement takes")
	flags.DurationVar(&o.warmup, "warmup", 2*time.Second, "how long each is loaded before")
	flags.StringVar(&o.out, "out", "results/latest", "directory for the table, the plots and the figures")
	flags.StringVar(&o.quorate, "quorate", "", "the quorate program; empty: built from the repository around this module")
	flags.StringVar(&o.postgres, "postgres", "", "directory of initdb and postgres; empty: PATH, then Debian's places")
	flags.StringVar(&o.user, "user", "postgres", "who runs PostgreSQL, which refuses root, if this is root")
	flags.StringVar(&o.dtm, "dtm", "", "base URL of a running dtm server, as http://127.0.0.1:36789/api/dtmsvr")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("%q: there are only flags", flags.Args())
	case o.duration <= 0 || o.warmup < 0:
		return nil, fmt.Errorf("--for %v --warmup %v: a measurement takes some time", o.duration, o.warmup)
	}
	o.systems = strings.Split(*systems, ",")
	for _, name := range o.systems {
		if !slices.Contains(systemNames, name) {
			return nil, fmt.Errorf("unknown system %q; there are %s", name, strings.Join(systemNames, ", "))
		}
	}
	for _, text := range strings.Split(*clients, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("--clients: %q is no number of clients", text)
		}
		o.clients = append(o.clients, n)
	}
	return o, nil
}

func run(ctx context.Context, args []string) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.scratch, err = os.MkdirTemp("", "quorate-rivals-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.scratch)
	if err := os.Chmod(o.scratch, 0o755); err != nil { // another user's processes pass through
		return err
	}
	if o.quorate == "" {
		if o.quorate, err = buildQuorate(ctx, o.scratch); err != nil {
			return err
		}
	}
	report := newReport(o)
	var systems []system
	defer func() {
		for _, s := range systems {
			err = errors.Join(err, s.stop())
		}
	}()
	for _, name := range o.systems {
		if name == "dtm" && o.dtm == "" {
			fmt.Println("dtm: skipped, no --dtm URL given")
			report.Skipped = append(report.Skipped, "dtm: no server was named")
			continue
		}
		s := newSystem(name, o)
		systems = append(systems, s)
		if err := s.start(ctx); err != nil {
			return fmt.Errorf("start %s: %w", name, err)
		}
	}
	// Every number of clients goes round all systems before the next: what else the machine does meets all of them.
	for _, clients := range o.clients {
		for _, s := range systems {
			m, err := s.measure(ctx, clients)
			if err != nil {
				return fmt.Errorf("%s with %d clients: %w", s.name(), clients, err)
			}
			fmt.Println(m.line())
			report.Measurements = append(report.Measurements, m)
		}
	}
	return report.write(o.out)
}

func buildQuorate(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "quorate")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/quorate")
	build.Dir = ".."
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("build quorate (run bench in its own directory, or name a program with --quorate): %w", err)
	}
	return program, nil
}
