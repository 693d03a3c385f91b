package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	_ "gonum.org/v1/plot/vg/vgsvg"
)

// report is the whole comparison.
type report struct {
	Date         string        `json:"date"`
	Machine      machine       `json:"machine"`
	Seconds      float64       `json:"seconds_each"`
	Measurements []measurement `json:"measurements"`
	Skipped      []string      `json:"skipped,omitempty"`
}

type machine struct {
	CPUs   int    `json:"cpus"`
	CPU    string `json:"cpu"`
	Memory string `json:"memory"`
	OS     string `json:"os"`
	Go     string `json:"go"`
}

func newReport(o *options) *report {
	return &report{
		Date: time.Now().UTC().Format(time.DateOnly), Seconds: o.duration.Seconds(),
		Machine: machine{CPUs: runtime.NumCPU(), CPU: procLine("/proc/cpuinfo", "model name"), Memory: procLine("/proc/meminfo", "MemTotal"), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()},
	}
}

// procLine is what follows a name in a file of /proc; empty if there is none.
func procLine(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), name); ok {
			return strings.TrimSpace(strings.TrimLeft(rest, "\t :"))
		}
	}
	return ""
}

func (r *report) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	figures, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "figures.json"), append(figures, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, "table.md"), []byte(r.table()), 0o644),
		r.plot(filepath.Join(dir, "throughput.svg"), "finished per second", func(m *measurement) float64 { return m.Rate }),
		r.plot(filepath.Join(dir, "latency.svg"), "p50 in ms", func(m *measurement) float64 { return m.P50 }),
	)
}

// table puts every system beside quorate-unary, where both were measured with the same number of clients.
func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d processors (%s), %s of memory, %s, %s; everything on this machine, over loopback, disks synced; %.0f s each.\n\n",
		r.Date, r.Machine.CPUs, r.Machine.CPU, r.Machine.Memory, r.Machine.OS, r.Machine.Go, r.Seconds)
	fmt.Fprintln(&b, "| system | clients | finished/s | p50 ms | p99 ms | CPU µs each | failed | quorate-unary is | load average |")
	fmt.Fprintln(&b, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for i := range r.Measurements {
		m := &r.Measurements[i]
		cpu := "–"
		if m.CPUMicros > 0 {
			cpu = fmt.Sprintf("%.0f", m.CPUMicros)
		}
		fmt.Fprintf(&b, "| %s | %d | %.0f | %.2f | %.2f | %s | %d | %s | %s |\n", m.System, m.Clients, m.Rate, m.P50, m.P99, cpu, m.Failed, r.ratio(m), m.Load)
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, "\nNot measured: %s.\n", s)
	}
	return b.String()
}

// ratio says how many times the rate of another system quorate-unary has.
func (r *report) ratio(other *measurement) string {
	for i := range r.Measurements {
		ours := &r.Measurements[i]
		if ours.System == "quorate-unary" && ours.Clients == other.Clients && ours != other && other.Rate > 0 {
			return fmt.Sprintf("%.1f×", ours.Rate/other.Rate)
		}
	}
	return ""
}

// plot draws one line for each system, over the number of clients, both axes logarithmic.
func (r *report) plot(file, title string, of func(*measurement) float64) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, "clients", title
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	var names []string
	lines := map[string]plotter.XYs{}
	for i := range r.Measurements {
		m := &r.Measurements[i]
		if !slices.Contains(names, m.System) {
			names = append(names, m.System)
		}
		lines[m.System] = append(lines[m.System], plotter.XY{X: float64(m.Clients), Y: of(m)})
	}
	for i, name := range names {
		line, points, err := plotter.NewLinePoints(lines[name])
		if err != nil {
			return err
		}
		line.Color, points.Color, points.Shape = plotutil.Color(i), plotutil.Color(i), plotutil.Shape(i)
		p.Add(line, points)
		p.Legend.Add(name, line, points)
	}
	return p.Save(9*vg.Inch, 6*vg.Inch, file)
}
