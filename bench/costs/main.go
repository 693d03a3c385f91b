// Command costs says where the time and the memory of a run went:
//
//	quorate bench --client stream --profile DIR
//	cd bench && go run ./costs DIR
//
// It prints the largest costs of every profile in DIR: of CPU time, and of bytes allocated. A sample counts once: collecting garbage and writing
// checkpoints are known by any function on its stack, all else by the innermost function that belongs to a cost.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// cost is a name for what functions do.
type cost struct {
	name      string
	functions *regexp.Regexp
}

// around are costs that whatever they call is a part of.
var around = []cost{
	{"garbage collector", regexp.MustCompile(`^runtime\.(gcBgMarkWorker|gcAssistAlloc|bgsweep|bgscavenge|gcStart|gcMarkTermination)`)},
	{"checkpoints: gathering and writing them", regexp.MustCompile(`^quorate/(storage\.\(\*(Store\)\.Checkpoint|files\))|replica\.\(\*checkpoint\)|(coordinator|ledger)\.\(\*\w+\)\.(Checkpoint|Sealed)$)`)},
}

// costs are asked in order of each function, from the innermost out.
var costs = []cost{
	{"allocation", regexp.MustCompile(`^runtime\.(mallocgc|growslice|newobject|makeslice)`)},
	{"threads woken and put to sleep", regexp.MustCompile(`^runtime\.(schedule|findRunnable|park_m|mcall|ready|startm|stopm|netpoll|futex|notesleep|notewakeup|sysmon|goschedImpl|gopreempt_m)`)},
	{"HTTP and JSON", regexp.MustCompile(`^(net/http|net/textproto|encoding/json|github\.com/danielgtaylor/huma)`)},
	{"network: reads and writes", regexp.MustCompile(`^net\.|^google\.golang\.org/grpc/internal/transport/readyreader\.sys`)},
	{"disk: log writes and syncs", regexp.MustCompile(`^os\.\(\*File\)|^github\.com/cockroachdb/pebble/v2/(vfs|record)|^quorate/storage\.`)},
	{"Pebble: the rest", regexp.MustCompile(`^github\.com/cockroachdb/pebble`)},
	{"gRPC", regexp.MustCompile(`^google\.golang\.org/grpc|^golang\.org/x/net/`)},
	{"protobuf", regexp.MustCompile(`^google\.golang\.org/protobuf|^quorate/proto/`)},
	{"coordinator's driver", regexp.MustCompile(`^quorate/coordinator/driver\.`)},
	{"coordinator's records", regexp.MustCompile(`^quorate/coordinator\.`)},
	{"bank", regexp.MustCompile(`^quorate/(ledger|bank)\.`)},
	{"raft and replica", regexp.MustCompile(`^quorate/(raft|replica)[./]`)},
	{"lane and node: routing, messages, answers", regexp.MustCompile(`^quorate/(lane|node|transport)\.`)},
	{"api: reading requests, making answers", regexp.MustCompile(`^quorate/(api|backend)\.`)},
	{"SDK", regexp.MustCompile(`^quorate/client\.`)},
	{"the load itself", regexp.MustCompile(`^main\.|^quorate/sim/workload\.|^github\.com/HdrHistogram`)},
}

// most is how many costs of a profile are printed.
const most = 8

func main() {
	flag.Usage = func() { fmt.Fprintln(os.Stderr, "usage: go run ./costs DIR, after quorate bench --profile DIR") }
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(dir string, out io.Writer) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.pprof"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%s has no *.pprof: quorate bench --profile DIR writes them", dir)
	}
	for _, file := range files {
		p, err := read(file)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		fmt.Fprintf(out, "%s: %s\n", strings.TrimSuffix(filepath.Base(file), ".pprof"), describe(p))
	}
	return nil
}

func read(file string) (*profile.Profile, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return profile.Parse(f)
}

// describe adds up the samples by cost, the largest first.
func describe(p *profile.Profile) string {
	value := len(p.SampleType) - 1 // CPU: samples, nanoseconds
	for i, t := range p.SampleType {
		if t.Type == "alloc_space" {
			value = i
		}
	}
	sums, all := map[string]int64{}, int64(0)
	for _, s := range p.Sample {
		sums[costOf(s)] += s.Value[value]
		all += s.Value[value]
	}
	if all == 0 {
		return "no samples"
	}
	names := slices.SortedFunc(maps.Keys(sums), func(a, b string) int {
		return cmp.Or(cmp.Compare(sums[b], sums[a]), cmp.Compare(a, b))
	})
	var said []string
	for _, name := range names[:min(most, len(names))] {
		said = append(said, fmt.Sprintf("%s %.0f %%", name, 100*float64(sums[name])/float64(all)))
	}
	return strings.Join(said, "; ")
}

func costOf(s *profile.Sample) string {
	var functions []string // innermost first
	for _, l := range s.Location {
		for _, line := range l.Line {
			functions = append(functions, strings.TrimPrefix(line.Function.Name, "github.com/quorate/"))
		}
	}
	for _, c := range around {
		if slices.ContainsFunc(functions, c.functions.MatchString) {
			return c.name
		}
	}
	for _, f := range functions {
		for _, c := range costs {
			if c.functions.MatchString(f) {
				return c.name
			}
		}
	}
	return "else"
}
