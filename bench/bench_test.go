package main

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseRefusesWhatItCannotMeasure(t *testing.T) {
	for _, args := range [][]string{
		{"--systems", "quorate-unary,oracle"}, {"--clients", "0"}, {"--clients", "many"}, {"--clients", ""}, {"--for", "0s"}, {"--warmup", "-1s"}, {"more"},
	} {
		if o, err := parse(args); err == nil {
			t.Errorf("%q gave %+v", args, o)
		}
	}
	o, err := parse([]string{"--systems", "etcd,quorate-sdk", "--clients", "1,256"})
	if err != nil || len(o.systems) != 2 || len(o.clients) != 2 || o.clients[1] != 256 {
		t.Fatalf("%+v, %v", o, err)
	}
}

// sleeper is a worker whose speed is known; every tenth thing fails.
type sleeper struct{ done int }

func (s *sleeper) close() {}

func (s *sleeper) do(context.Context) error {
	time.Sleep(time.Millisecond)
	if s.done++; s.done%10 == 0 {
		return errors.New("refused")
	}
	return nil
}

func TestLoopCountsWhatWasDoneAndWhatFailed(t *testing.T) {
	m, err := loop(t.Context(), &options{duration: 300 * time.Millisecond}, "sleeper", []worker{&sleeper{}, &sleeper{}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.Clients != 2 || m.Rate <= 0 || m.Failed == 0 || m.P50 < 1 || m.P99 < m.P50 {
		t.Fatalf("%+v", m)
	}
	if ratio := float64(m.Failed) / (m.Rate * 0.3); ratio < 0.01 || ratio > 0.3 {
		t.Errorf("%d failed and %.0f/s were done: the failures belong to one in ten", m.Failed, m.Rate)
	}
}

type broken struct{}

func (broken) close()                   {}
func (broken) do(context.Context) error { time.Sleep(time.Millisecond); return io.ErrUnexpectedEOF }

func TestLoopThatDoesNothingIsAnError(t *testing.T) {
	if _, err := loop(t.Context(), &options{duration: 50 * time.Millisecond}, "broken", []worker{broken{}}, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("got %v", err)
	}
}

func TestReportPutsEverySystemBesideUnary(t *testing.T) {
	r := newReport(&options{duration: time.Second})
	r.Measurements = []measurement{
		{System: "quorate-unary", Clients: 16, Rate: 3000, P50: 5, P99: 9, CPUMicros: 400},
		{System: "postgres-2pc", Clients: 16, Rate: 1000, P50: 15, P99: 30},
		{System: "etcd", Clients: 64, Rate: 1000, P50: 15, P99: 30},
	}
	r.Skipped = []string{"dtm: no server was named"}
	dir := filepath.Join(t.TempDir(), "new")
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile(filepath.Join(dir, "table.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| postgres-2pc | 16 | 1000 | 15.00 | 30.00 | – | 0 | 3.0× |", // three times as many
		"| etcd | 64 | 1000 | 15.00 | 30.00 | – | 0 |  |",             // nothing to compare with
		"Not measured: dtm: no server was named.",
	} {
		if !strings.Contains(string(table), want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	for _, name := range []string{"throughput.svg", "latency.svg"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(text), "postgres-2pc") {
			t.Errorf("%s: %v, %d bytes", name, err, len(text))
		}
		if err := xml.Unmarshal(text, new(struct{})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseStat(t *testing.T) {
	parent, used, err := parseStat("12 (a ) b) S 7 12 12 0 -1 4194304 1 2 3 4 150 50 0 0 20 0 1 0 100")
	if err != nil || parent != 7 || used != 2*time.Second {
		t.Fatalf("parent %d, %v, %v", parent, used, err)
	}
	for _, bad := range []string{"", "12 (a) S 7", "12 (a) S x 12 12 0 -1 4194304 1 2 3 4 150 50 0"} {
		if _, _, err := parseStat(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
