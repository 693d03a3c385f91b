package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// Exit codes, the same as those of `quorate sim`.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitBroken      = 9 // a promise is broken
	exitInterrupted = 130
)

const rssMaxDefault = 1024 // MiB

// options are the flags.
type options struct {
	duration time.Duration
	seed     uint64
	binary   string
	next     string
	dir      string
	rate     int
	storm    time.Duration
	kinds    []string
	engine   string
	rssMax   int64
	json     bool
	keep     bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return exitUsage
	}
	if code, done := inOwnMounts(args, stderr); done {
		return code
	}
	result, err := storms(ctx, o, stderr)
	switch {
	case err != nil && ctx.Err() != nil && !isViolation(err):
		fmt.Fprintln(stderr, "interrupted")
		return exitInterrupted
	case err != nil && !isViolation(err):
		fmt.Fprintln(stderr, "error:", err)
		return exitFailed
	}
	result.print(stdout, o.json)
	if err != nil {
		return exitBroken
	}
	return 0
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	var kinds, output string
	var rss int64
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.DurationVar(&o.duration, "for", 2*time.Minute, "how long; a storm that has begun is finished and judged")
	flags.Uint64Var(&o.seed, "seed", 0, "what goes wrong, and when; 0: another one every time")
	flags.StringVar(&o.binary, "binary", "", "the quorate to start; empty: built from this tree")
	flags.StringVar(&o.next, "next-binary", "", "the quorate that the nodes are restarted with, one after the other; empty: this tree again, with another version's name")
	flags.StringVar(&o.dir, "dir", "", "keep data, logs and what was found in this new directory; empty: a temporary one, kept only after a failure")
	flags.IntVar(&o.rate, "rate", 200, "payments begun in a second, at most")
	flags.DurationVar(&o.storm, "storm", 25*time.Second, "how long a storm lasts before everything is healed and audited")
	flags.StringVar(&kinds, "faults", "", "only these, with commas: "+strings.Join(kindNames(), ", "))
	flags.StringVar(&o.engine, "engine", "mixed", "consensus of the nodes: quorate, etcd, or mixed")
	flags.Int64Var(&rss, "rss-max", rssMaxDefault, "how much memory a server may hold, in MiB")
	flags.StringVar(&output, "o", "table", "table or json")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.duration <= 0 || o.storm <= 0 || o.rate < 1 || rss < 1:
		return nil, errors.New("--for, --storm, --rate and --rss-max must be above zero")
	case output != "table" && output != "json":
		return nil, fmt.Errorf("-o %s: table or json", output)
	case !slices.Contains([]string{"quorate", "etcd", "mixed"}, o.engine):
		return nil, fmt.Errorf("--engine %s: quorate, etcd or mixed", o.engine)
	}
	o.kinds = kindNames()
	if kinds != "" {
		o.kinds = strings.Split(kinds, ",")
	}
	for _, k := range o.kinds {
		if !slices.Contains(kindNames(), k) {
			return nil, fmt.Errorf("--faults %s: there are %s", k, strings.Join(kindNames(), ", "))
		}
	}
	o.json, o.rssMax, o.keep = output == "json", rss<<20, o.dir != ""
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1_000_000_000
	}
	return o, nil
}

// replay is the command that runs the same schedule again.
func (o *options) replay() string {
	command := fmt.Sprintf("go run ./test/chaos --seed %d --for %v --storm %v --rate %d --engine %s", o.seed, o.duration, o.storm, o.rate, o.engine)
	if len(o.kinds) != len(kinds) {
		command += " --faults " + strings.Join(o.kinds, ",")
	}
	if o.rssMax != rssMaxDefault<<20 {
		command += fmt.Sprintf(" --rss-max %d", o.rssMax>>20)
	}
	if o.binary != "" {
		command += " --binary " + quoted(o.binary)
	}
	if o.next != "" {
		command += " --next-binary " + quoted(o.next)
	}
	return command
}

// quoted is a path as a shell reads it.
func quoted(path string) string {
	if !strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("/._-+:=@%", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
