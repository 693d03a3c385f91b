package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/transfer"
)

// benchResult is what a run found, as -o json and result.json say it.
type benchResult struct {
	Setup         setupJSON     `json:"setup"`
	Machine       machineJSON   `json:"machine"`
	RatePerSecond float64       `json:"transfers_per_second"`
	Committed     int64         `json:"committed"` // these four: answered within the measurement
	Aborted       int64         `json:"aborted"`
	Refused       int64         `json:"refused"`
	Unknown       int64         `json:"unknown"`
	NeverSent     int64         `json:"never_sent"` // were due, and the clients were too far behind
	Acknowledged  acknowledged  `json:"acknowledged"`
	Latency       latencyJSON   `json:"latency_us"`
	Processes     []processJSON `json:"processes"` // empty where nobody tells
	CPUMicros     float64       `json:"cpu_us_per_transfer"`
	BytesWritten  float64       `json:"bytes_written_per_transfer"`
	Seconds       []secondJSON  `json:"seconds"`
	Money         moneyJSON     `json:"money"`

	latency *hdrhistogram.Histogram
}

type setupJSON struct {
	Client        string  `json:"client"`
	Clients       int     `json:"clients"`
	Batch         int     `json:"batch"`
	TargetRate    float64 `json:"target_rate"` // 0: closed loop
	Seconds       float64 `json:"seconds"`
	WarmupSeconds float64 `json:"warmup_seconds"`
	Banks         int     `json:"banks"`
	BankReplicas  int     `json:"bank_replicas"`
	Shards        int     `json:"shards"`
	Accounts      int     `json:"accounts_per_bank"`
	Skew          float64 `json:"skew"`
	Legs          int     `json:"legs"`
	Seed          uint64  `json:"seed"`
	Procs         int     `json:"procs,omitempty"` // GOMAXPROCS of each process; none of a cluster that was there already
}

type machineJSON struct {
	CPUs        int    `json:"cpus"`
	CPU         string `json:"cpu,omitempty"`
	OS          string `json:"os"`
	Arch        string `json:"arch"`
	Go          string `json:"go"`
	Version     string `json:"version"`
	LoadAverage string `json:"load_average,omitempty"` // when the measurement began
}

type latencyJSON struct {
	P50  int64   `json:"p50"`
	P90  int64   `json:"p90"`
	P99  int64   `json:"p99"`
	P999 int64   `json:"p99_9"`
	Max  int64   `json:"max"`
	Mean float64 `json:"mean"`
}

// processJSON is what one process used within the measurement.
type processJSON struct {
	Name         string  `json:"name"`
	UserMicros   float64 `json:"user_us_per_transfer"`
	SystemMicros float64 `json:"system_us_per_transfer"`
	CPUShare     float64 `json:"cpu_share"` // 1 is one processor, all the time
	BytesWritten float64 `json:"bytes_written_per_transfer"`
	PeakMemory   uint64  `json:"peak_memory_bytes"` // since the process started
}

type secondJSON struct {
	Second    int   `json:"second"`
	Transfers int64 `json:"transfers"`
	P50US     int64 `json:"p50_us"`
	P99US     int64 `json:"p99_us"`
}

func (o *benchOptions) setup(banks []transfer.BankID, status client.Status) setupJSON {
	s := setupJSON{
		Client: o.how, Clients: o.clients, Batch: o.batch, TargetRate: o.rate, Seconds: o.duration.Seconds(), WarmupSeconds: o.warmup.Seconds(),
		Banks: len(banks), Accounts: o.accounts, Skew: o.skew, Legs: o.legs, Seed: o.seed, Procs: o.procs,
	}
	for _, g := range status.Groups {
		if lane.IsCoordinator(lane.GroupID(g.Group)) {
			s.Shards++
		}
	}
	for _, b := range status.Banks {
		s.BankReplicas = max(s.BankReplicas, len(b.Nodes))
	}
	return s
}

func latencyJSONOf(h *hdrhistogram.Histogram) latencyJSON {
	return latencyJSON{
		P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9),
		Max: h.Max(), Mean: math.Round(h.Mean()),
	}
}

// use says what the processes used between two looks, for each transfer.
func (r *benchResult) use(processes []process, before, after []usage, lasted time.Duration) {
	transfers := float64(max(1, r.Committed+r.Aborted))
	for i := range after {
		name := "load"
		if i < len(processes) {
			name = processes[i].name
		}
		user, system := after[i].user-before[i].user, after[i].system-before[i].system
		p := processJSON{
			Name:         name,
			UserMicros:   round2(float64(user.Microseconds()) / transfers),
			SystemMicros: round2(float64(system.Microseconds()) / transfers),
			CPUShare:     round2((user + system).Seconds() / lasted.Seconds()),
			BytesWritten: math.Round(float64(after[i].written-before[i].written) / transfers),
			PeakMemory:   after[i].peakMemory,
		}
		r.Processes = append(r.Processes, p)
		r.CPUMicros += p.UserMicros + p.SystemMicros
		r.BytesWritten += p.BytesWritten
	}
	r.CPUMicros = round2(r.CPUMicros)
	r.RatePerSecond = math.Round(r.RatePerSecond)
}

func round2(x float64) float64 { return math.Round(100*x) / 100 }

func (r *benchResult) tables() []table {
	loop := "closed"
	if r.Setup.TargetRate > 0 {
		loop = fmt.Sprintf("%.0f/s due", r.Setup.TargetRate)
	}
	micros := func(n int64) string { return (time.Duration(n) * time.Microsecond).String() }
	l := r.Latency
	all := []table{{
		header: []string{"CLIENT", "CLIENTS", "BATCH", "LOOP", "TRANSFERS/S", "P50", "P90", "P99", "P99.9", "MAX"},
		rows: [][]string{{
			r.Setup.Client, strconv.Itoa(r.Setup.Clients), strconv.Itoa(r.Setup.Batch), loop, fmt.Sprintf("%.0f", r.RatePerSecond),
			micros(l.P50), micros(l.P90), micros(l.P99), micros(l.P999), micros(l.Max),
		}},
	}, {
		header: []string{"COMMITTED", "ABORTED", "REFUSED", "UNKNOWN", "NEVER SENT", "HOLDS LEFT", "MONEY"},
		rows: [][]string{{
			digits(r.Committed), digits(r.Aborted), digits(r.Refused), digits(r.Unknown), digits(r.NeverSent),
			strconv.FormatUint(r.Money.OpenHolds, 10), moneyWord(&r.Money),
		}},
	}}
	if len(r.Processes) == 0 {
		return all
	}
	used := table{header: []string{"PROCESS", "USER µS/TRANSFER", "SYSTEM", "PROCESSORS", "BYTES WRITTEN/TRANSFER", "PEAK MEMORY"}}
	for _, p := range r.Processes {
		used.rows = append(used.rows, []string{
			p.Name, twoDigits(p.UserMicros), twoDigits(p.SystemMicros), twoDigits(p.CPUShare), fmt.Sprintf("%.0f", p.BytesWritten), fmt.Sprintf("%d MiB", p.PeakMemory>>20),
		})
	}
	used.rows = append(used.rows, []string{"all, user and system", twoDigits(r.CPUMicros), "", "", fmt.Sprintf("%.0f", r.BytesWritten), ""})
	return append(all, used)
}

func moneyWord(m *moneyJSON) string {
	if m.verdict() != nil {
		return "WRONG"
	}
	return "right"
}

func twoDigits(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) }

func (r *benchResult) writeJSON(w io.Writer) error {
	p := printer{out: w}
	return p.json(r, "  ")
}

// writeLatency writes the percentiles in milliseconds, in the form that HdrHistogram's plotters read.
func (r *benchResult) writeLatency(w io.Writer) error {
	b := bufio.NewWriter(w)
	if _, err := r.latency.PercentilesPrint(b, 5, 1000); err != nil {
		return err
	}
	return b.Flush()
}
