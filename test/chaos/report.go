package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/transfer"
)

// result is the summary of a run. Its JSON is stable.
type result struct {
	Seed         uint64                `json:"seed"`
	Seconds      float64               `json:"seconds"`
	Audits       int                   `json:"audits"`
	Tally        tally                 `json:"clients"`
	AbortReasons map[transfer.Code]int `json:"abort_reasons"`
	Faults       map[string]int        `json:"faults"`
	Skipped      int                   `json:"faults_skipped"`
	LongestGapMs float64               `json:"longest_gap_ms"` // without any acknowledged commit, while payments were asked for
	LongestGapAt float64               `json:"longest_gap_at_s"`
	P50Ms        float64               `json:"quiet_p50_ms"`
	P99Ms        float64               `json:"quiet_p99_ms"`
	RSSPeakMiB   []int64               `json:"rss_peak_mib"`
	Starts       []int                 `json:"starts"`
	Disks        []string              `json:"disks"`
	Violation    string                `json:"violation,omitempty"`
	Replay       string                `json:"replay"`
}

func (x *expedition) result(err error) *result {
	r := &result{Seed: x.o.seed, Seconds: time.Since(x.j.began).Seconds(), Audits: x.audits, Replay: x.o.replay(), Faults: map[string]int{}}
	if isViolation(err) {
		r.Violation = err.Error()
	}
	x.book.mu.Lock()
	defer x.book.mu.Unlock()
	r.Tally, r.AbortReasons = x.book.tally, x.book.reasons
	r.LongestGapMs, r.LongestGapAt = milliseconds(time.Duration(x.book.gap)), time.Duration(x.book.gapAt).Seconds()
	if x.load != nil {
		r.P50Ms, r.P99Ms = milliseconds(x.load.quiet.quantile(50)), milliseconds(x.load.quiet.quantile(99))
	}
	if x.nemesis != nil {
		r.Faults = x.nemesis.injected
		for _, missed := range x.nemesis.missed {
			r.Skipped += missed
		}
	}
	if x.cluster != nil {
		for _, s := range x.cluster.servers {
			r.RSSPeakMiB = append(r.RSSPeakMiB, s.rssPeak>>20)
			r.Starts = append(r.Starts, s.starts)
			r.Disks = append(r.Disks, s.disk.String())
		}
	}
	return r
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (r *result) print(w io.Writer, asJSON bool) {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(r) // to stdout: who doesn't read it has the exit code
		return
	}
	t := r.Tally
	fmt.Fprintf(w, "seed             %d, %.0f s, %d audits\n", r.Seed, r.Seconds, r.Audits)
	fmt.Fprintf(w, "payments         %d: %d committed, %d aborted%s\n", t.Payments, t.Committed, t.Aborted, counts(r.AbortReasons))
	fmt.Fprintf(w, "answers          %d unknown, %d refused; %d asked again, %d cancelled, %d with other content, %d resolved at audits\n", t.Unknown, t.Refused, t.Retries, t.Cancels, t.Conflicts, t.Resolved)
	fmt.Fprintf(w, "reads            %d of transfers, %d stale ones, %d of accounts\n", t.Reads, t.StaleReads, t.Looks)
	fmt.Fprintf(w, "histories        %d linearizable or not, %d undecided\n", t.Histories, t.Undecidable)
	fmt.Fprintf(w, "faults          %s; %d found nobody to hit\n", counts(r.Faults), r.Skipped)
	fmt.Fprintf(w, "longest gap      %.0f ms without a commit, at %.0f s\n", r.LongestGapMs, r.LongestGapAt)
	fmt.Fprintf(w, "quiet latency    p50 %.1f ms, p99 %.1f ms\n", r.P50Ms, r.P99Ms)
	fmt.Fprintf(w, "memory           %v MiB at most, of each server\n", r.RSSPeakMiB)
	fmt.Fprintf(w, "starts           %v of each server; disks: %s\n", r.Starts, strings.Join(r.Disks, ", "))
	if r.Violation == "" {
		fmt.Fprintln(w, "violations       none")
	} else {
		fmt.Fprintf(w, "violation        %s\n", r.Violation)
	}
}

// counts lists names with numbers, in the order of the names.
func counts[K ~string](m map[K]int) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, " %s %d", k, m[k])
	}
	return b.String()
}
