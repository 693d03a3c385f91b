package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// quorate is measured by its own `quorate bench`: three servers, two banks of one replica each, fsync on, and the money checked at the end.
type quorate struct {
	o  *options
	as string // quorate- and the kind of client
}

func (q *quorate) name() string                { return q.as }
func (q *quorate) start(context.Context) error { return nil }
func (q *quorate) stop() error                 { return nil }

func (q *quorate) measure(ctx context.Context, clients int) (measurement, error) {
	m := measurement{System: q.as, Clients: clients, Load: loadAverage()}
	kind := strings.TrimPrefix(q.as, "quorate-")
	bench := exec.CommandContext(ctx, q.o.quorate, "bench", "--client", kind, "--clients", strconv.Itoa(clients),
		"--for", q.o.duration.String(), "--warmup", q.o.warmup.String(), "-o", "json")
	bench.Cancel = func() error { return bench.Process.Signal(os.Interrupt) } // so that it ends its servers
	text, err := bench.Output()
	if err != nil {
		return m, fmt.Errorf("%w: %s", err, text)
	}
	var found struct {
		Rate      float64 `json:"transfers_per_second"`
		CPUMicros float64 `json:"cpu_us_per_transfer"`
		Refused   int64   `json:"refused"`
		Unknown   int64   `json:"unknown"`
		Latency   struct {
			P50 float64 `json:"p50"`
			P99 float64 `json:"p99"`
		} `json:"latency_us"`
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return m, err
	}
	m.Rate, m.CPUMicros, m.Failed = found.Rate, found.CPUMicros, found.Refused+found.Unknown
	m.P50, m.P99 = found.Latency.P50/1000, found.Latency.P99/1000
	return m, nil
}
