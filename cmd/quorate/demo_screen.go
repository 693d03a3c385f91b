package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/quorate/quorate/transfer"
)

// show tells what goes on until ctx ends: a live screen on a terminal, a line a second elsewhere.
func (d *demoRun) show(ctx context.Context, w io.Writer, quit func()) {
	if isTerminal(w) && isTerminal(os.Stdin) && os.Getenv("TERM") != "dumb" {
		d.showScreen(ctx, w, quit)
		return
	}
	d.mu.Lock()
	d.printEvent = func(text string) { fmt.Fprintln(w, "• "+text) }
	d.mu.Unlock()
	d.showLines(ctx, w)
}

// lineWriter lets several goroutines write whole lines.
type lineWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}

func (d *demoRun) showLines(ctx context.Context, w io.Writer) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		f := d.tally.figures()
		done := f.committed + f.aborted
		fmt.Fprintf(w, "%5.0fs  leader %s  %6d/s  p50 %s  p99 %s  committed %d  aborted %d  in doubt %d  Δ %s%s\n",
			time.Since(d.started).Seconds(), d.leaderText(), done-before, shortDuration(f.p50), shortDuration(f.p99),
			f.committed, f.aborted, d.inDoubtNow(), d.deltaText(), d.progressText())
		before = done
	}
}

// showScreen redraws four times a second and obeys keys.
func (d *demoRun) showScreen(ctx context.Context, w io.Writer, quit func()) {
	in := int(os.Stdin.Fd())
	old, err := term.MakeRaw(in)
	if err != nil {
		d.showLines(ctx, w)
		return
	}
	defer term.Restore(in, old)
	fmt.Fprint(w, "\x1b[?1049h\x1b[?25l") // another screen, no cursor
	defer fmt.Fprint(w, "\x1b[?25h\x1b[?1049l")
	keys := make(chan byte)
	go readKeys(ctx, keys) // ends with the process: a read from a terminal can't be interrupted
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	rate := newRate()
	for {
		select {
		case <-ctx.Done():
			return
		case key := <-keys:
			d.obey(key, quit)
		case <-tick.C:
		}
		fmt.Fprint(w, "\x1b[H"+strings.ReplaceAll(d.screen(rate), "\n", "\x1b[K\r\n")+"\x1b[J")
	}
}

func readKeys(ctx context.Context, keys chan<- byte) {
	var b [1]byte
	for {
		if n, err := os.Stdin.Read(b[:]); n == 0 || err != nil {
			return
		}
		select {
		case keys <- b[0]:
		case <-ctx.Done():
			return
		}
	}
}

// obey does what a key asks for.
func (d *demoRun) obey(key byte, quit func()) {
	var err error
	switch key {
	case 'l':
		_, err = d.killLeader()
	case 'b':
		_, err = d.killBank()
	case 'p':
		_, err = d.partitionLeader()
	case 'r':
		d.event("restarting and connecting everybody")
		err = d.cluster.heal()
	case 'q', 3: // ^C comes as a byte in raw mode
		d.event("stopping")
		quit()
	}
	if err != nil {
		d.event("%v", err)
	}
}

// screen is everything there is to see.
func (d *demoRun) screen(rate *rate) string {
	f := d.tally.figures()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("\x1b[1mQuorate\x1b[0m  three coordinators, %d banks, real disks  %s", len(d.auditor.banks), time.Since(d.started).Truncate(time.Second))
	line("")
	line("  leader      %s", d.leaderText())
	line("  nodes       %s", d.nodesText())
	line("  transfers   %.0f/s%s", rate.next(f.committed+f.aborted), d.progressText())
	line("  latency     p50 %s   p99 %s", shortDuration(f.p50), shortDuration(f.p99))
	line("  committed   %d", f.committed)
	line("  aborted     %d", f.aborted)
	line("  asked again %d", f.unknown+f.refused)
	line("  in doubt    %d", d.inDoubtNow())
	line("  money Δ     %s", d.deltaText())
	line("")
	for _, e := range d.lastEvents(8) {
		line("  %s", e)
	}
	line("")
	b.WriteString("  [l] kill the leader  [b] kill a bank  [p] cut the leader off  [r] restart and connect all  [q] quit")
	return b.String()
}

func (d *demoRun) leaderText() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.leader == 0 {
		return "none, electing"
	}
	return fmt.Sprintf("node %d, term %d", d.leader, d.term)
}

func (d *demoRun) nodesText() string {
	down := d.cluster.down()
	if len(down) == 0 {
		return "all up"
	}
	return fmt.Sprintf("down or cut off: %v", down)
}

func (d *demoRun) inDoubtNow() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inDoubt
}

// deltaText prints the money invariant and how old the audit is that it comes from.
func (d *demoRun) deltaText() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.audited.IsZero() {
		return "not audited yet"
	}
	var parts []string
	for _, currency := range sortedKeys(d.delta.Minor) {
		parts = append(parts, transfer.FormatMinor(d.delta.Minor[currency], currency)+" "+string(currency))
	}
	if age := time.Since(d.audited); age > 3*time.Second {
		parts = append(parts, fmt.Sprintf("(%d s ago: a bank can't be read)", int(age.Seconds())))
	}
	return strings.Join(parts, " ")
}

func (d *demoRun) progressText() string {
	if len(d.source.list) == 0 {
		return ""
	}
	return fmt.Sprintf("  %3.0f %% of %d rows", 100*d.source.share(), len(d.source.list))
}

func (d *demoRun) lastEvents(n int) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.events[max(0, len(d.events)-n):]
}

func shortDuration(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", milliseconds(d))
}

// rate is transfers per second over the last second or so.
type rate struct {
	at    [5]time.Time
	count [5]int
	n     int
}

func newRate() *rate { return &rate{} }

func (r *rate) next(count int) float64 {
	slot := r.n % len(r.at)
	before, at := r.count[slot], r.at[slot]
	r.count[slot], r.at[slot] = count, time.Now()
	r.n++
	if at.IsZero() {
		return 0
	}
	return float64(count-before) / time.Since(at).Seconds()
}
