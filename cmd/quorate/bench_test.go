package main

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/transfer"
)

func TestUsageIsReadFromProc(t *testing.T) {
	const stat = "4242 (a name) with (parens) S 1 4242 4242 0 -1 4194560 1 2 3 4 250 31 0 0 20 0 9 0 1 2 3\n"
	const io = "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n"
	const status = "Name:\tquorate\nVmPeak:\t  9 kB\nVmHWM:\t    2048 kB\n"
	got, err := parseUsage(stat, io, status)
	want := usage{user: 2500 * time.Millisecond, system: 310 * time.Millisecond, written: 4096, peakMemory: 2 << 20}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for name, texts := range map[string][3]string{
		"no times":   {"1 (x) S 1", io, status},
		"no bytes":   {stat, "rchar: 1\n", status},
		"no memory":  {stat, io, "Name: x\n"},
		"no numbers": {strings.Replace(stat, "250", "soon", 1), io, status},
	} {
		if _, err := parseUsage(texts[0], texts[1], texts[2]); err == nil {
			t.Errorf("%s: read all the same", name)
		}
	}
}

// newTestLoad is a run that began just now, of two clients that are due every second together.
func newTestLoad(t *testing.T, rate float64) *load {
	t.Helper()
	o := &benchOptions{clients: 2, batch: 10, rate: rate, duration: time.Minute, legs: 2}
	l := newLoad(o, nil, workload.Config{}, nil)
	l.begin = time.Now()
	l.end = l.begin.Add(o.duration)
	return l
}

// A server that stalled must not be measured by the requests that clients didn't send meanwhile.
func TestOpenLoopCountsFromWhenARequestWasDue(t *testing.T) {
	l := newTestLoad(t, 20) // a batch of 10 every half second, a client's own every second
	l.begin = l.begin.Add(-5 * time.Second)
	p := l.pace(1)
	for i, want := range []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 2500 * time.Millisecond} {
		due, ok := p.wait(t.Context())
		if got := due.Sub(l.begin); !ok || got != want {
			t.Fatalf("request %d was due after %v, want %v", i+1, got, want)
		}
	}
	r := l.records[0]
	due := l.begin.Add(2500 * time.Millisecond)
	r.add(l, due, due.Add(2*time.Second), make([]verdict, 0))
	r.add(l, due, due.Add(2*time.Second), []verdict{benchCommitted, benchAborted})
	if got := r.latency.Max(); got < 1_990_000 || r.latency.TotalCount() != 2 {
		t.Errorf("latency %d µs of %d transfers, want 2 s of 2", got, r.latency.TotalCount())
	}
	if got := r.seconds[4].answered; got != 2 {
		t.Errorf("%d transfers in the fifth second, want 2", got)
	}
}

func TestClosedLoopSendsUntilTheEnd(t *testing.T) {
	l := newTestLoad(t, 0)
	if _, ok := l.pace(0).wait(t.Context()); !ok {
		t.Error("the measurement has begun, and nothing is sent")
	}
	l.end = l.begin
	if _, ok := l.pace(0).wait(t.Context()); ok {
		t.Error("the measurement is over, and something is sent")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, ok := newTestLoad(t, 20).pace(0).wait(ended); ok {
		t.Error("the run was interrupted, and something is sent")
	}
}

func TestWhatWasAnsweredOutsideTheMeasurementCountsForTheMoneyOnly(t *testing.T) {
	l := newTestLoad(t, 0)
	r := l.records[0]
	r.add(l, l.begin.Add(-2*time.Second), l.begin.Add(-time.Second), []verdict{benchCommitted}) // warm-up
	r.add(l, l.end.Add(-time.Second), l.end.Add(time.Second), []verdict{benchCommitted})        // the last request
	r.add(l, l.begin, l.begin.Add(time.Second), []verdict{benchCommitted, benchUnknown, benchRefused})
	got := l.result(client.Status{})
	if got.Committed != 1 || got.Unknown != 1 || got.Refused != 1 || got.Acknowledged != (acknowledged{Committed: 3, Unknown: 1}) {
		t.Errorf("got %+v", got)
	}
	if n := got.latency.TotalCount(); n != 2 {
		t.Errorf("%d latencies, want those of the two that began within the measurement and have an outcome", n)
	}
}

func TestMoneyThatIsNotWhereItMustBeEndsTheBench(t *testing.T) {
	right := moneyJSON{Delta: map[transfer.Currency]string{"EUR": "0"}, Entries: 20, Least: 20, Most: 22}
	for name, change := range map[string]func(*moneyJSON){
		"right":                         func(*moneyJSON) {},
		"money was made":                func(m *moneyJSON) { m.Delta = map[transfer.Currency]string{"CZK": "0", "EUR": "1"} },
		"a hold is left":                func(m *moneyJSON) { m.OpenHolds = 1 },
		"a committed transfer is lost":  func(m *moneyJSON) { m.Entries = 18 },
		"a transfer was carried out 2×": func(m *moneyJSON) { m.Entries = 24 },
	} {
		t.Run(name, func(t *testing.T) {
			m := right
			change(&m)
			want := api.ExitBroken
			if name == "right" {
				want = api.ExitOK
			}
			err := m.verdict()
			if err != nil {
				err = &ranError{err}
			}
			if got := exitCode(t.Context(), err); got != want {
				t.Errorf("exit code %d after %v, want %d", got, err, want)
			}
		})
	}
}

func TestPlotIsWellFormed(t *testing.T) {
	l := newTestLoad(t, 0)
	l.records[0].add(l, l.begin, l.begin.Add(time.Second), []verdict{benchCommitted})
	var b strings.Builder
	if err := l.result(client.Status{}).writePlot(&b); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(b.String()))
	lines := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
			lines++
		}
	}
	if lines != 2 {
		t.Errorf("%d curves, want 2", lines)
	}
}

func TestClientsAskTheLeaderFirst(t *testing.T) {
	status := client.Status{Groups: []client.GroupStatus{{Group: "bank/A", Leader: 3}, {Group: "coordinator/0", Leader: 2}}}
	servers := []string{"one", "two", "three"}
	rotate(servers, leaderPlace(&status, len(servers)))
	if servers[0] != "two" || servers[1] != "three" || servers[2] != "one" {
		t.Errorf("asked in the order %v", servers)
	}
	status.Groups[1].Leader = 7
	if got := leaderPlace(&status, len(servers)); got != 0 {
		t.Errorf("a leader that isn't among the servers is looked for at place %d", got)
	}
}

func TestClientsShareConnections(t *testing.T) {
	for _, c := range []struct {
		how           string
		clients, want int
	}{
		{"unary", 1, 1}, {"unary", 16, 1}, {"unary", 100, 1}, {"unary", 101, 2}, {"unary", 256, 3}, {"unary", 100_000, 8},
		{"stream", 2, 2}, {"stream", 16, 8}, {"batch", 16, 8}, {"sdk", 1000, 1}, {"rest", 256, 1},
	} {
		if got := connections(&benchOptions{how: c.how, clients: c.clients}); got != c.want {
			t.Errorf("%d clients of kind %s share %d, want %d", c.clients, c.how, got, c.want)
		}
	}
}

// TestBenchServersAreGivenWhatItWasGiven has a program in the server's place say how many processors it may use.
func TestBenchServersAreGivenWhatItWasGiven(t *testing.T) {
	t.Setenv("GOMAXPROCS", "7")
	dir := t.TempDir()
	program := filepath.Join(dir, "server")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho procs $GOMAXPROCS >&2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := startBenchServer(program, dir, 1, []node.NodeConfig{{ID: 1}}, &benchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-s.exited; err != nil {
		t.Fatal(err)
	}
	if got := s.lastWords(); got != "procs 7\n" {
		t.Errorf("the server was given %q, want 7", got)
	}
}

func TestBenchOfARunningCluster(t *testing.T) {
	c := startProcesses(t)
	var addresses, http []string
	for _, p := range c.places {
		addresses, http = append(addresses, p.GRPC), append(http, p.HTTP)
	}
	for _, how := range [][]string{{"--clients", "2", "--batch", "4"}, {"--client", "rest", "--http", http[1]}} {
		args := append([]string{"bench", "--server", strings.Join(addresses, ","), "--for", "1s", "--warmup", "0s", "--accounts", "5", "-o", "json"}, how...)
		text, err := exec.Command("quorate", args...).Output()
		if err != nil {
			t.Fatalf("quorate %s: %v\n%s", strings.Join(args, " "), err, text)
		}
		var got benchResult
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got.Committed == 0 || got.Unknown > 0 || got.Setup.BankReplicas != 3 || len(got.Processes) > 1 {
			t.Errorf("got %s", text)
		}
	}
}
