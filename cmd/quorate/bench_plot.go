package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
)

// The picture: throughput over time above, latency by percentile below.
const (
	plotWidth, plotHeight = 800, 640
	panelLeft, panelWidth = 80, 690
	panelHeight           = 220
)

// panel is one chart of a picture.
type panel struct {
	top        float64
	title      string
	xMax, yMax float64
	xUnit      string
	points     []plotPoint
	xTicks     []plotTick
	colour     string
}

type plotPoint struct{ x, y float64 }

type plotTick struct {
	at   float64
	text string
}

// writePlot draws the result as SVG.
func (r *benchResult) writePlot(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n",
		plotWidth, plotHeight, plotWidth, plotHeight)
	fmt.Fprintf(b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	fmt.Fprintf(b, `<text x="%d" y="22" font-size="14">%d %s clients, %d in a request, %d banks: %.0f transfers/s, p50 %.2f ms, p99 %.2f ms</text>`+"\n",
		panelLeft, r.Setup.Clients, r.Setup.Client, r.Setup.Batch, r.Setup.Banks, r.RatePerSecond, float64(r.Latency.P50)/1000, float64(r.Latency.P99)/1000)
	r.throughputPanel().draw(b)
	r.latencyPanel().draw(b)
	fmt.Fprintln(b, "</svg>")
	return b.Flush()
}

func (r *benchResult) throughputPanel() *panel {
	p := &panel{top: 60, title: "transfers per second, by second", xMax: math.Max(1, float64(len(r.Seconds))), xUnit: "s", colour: "#1f6f43"}
	for _, s := range r.Seconds {
		p.points = append(p.points, plotPoint{float64(s.Second), float64(s.Transfers)})
		p.yMax = math.Max(p.yMax, float64(s.Transfers))
	}
	for i := 0; i <= 5; i++ {
		x := p.xMax * float64(i) / 5
		p.xTicks = append(p.xTicks, plotTick{x, fmt.Sprintf("%.0f", x)})
	}
	return p
}

// latencyPanel stretches the upper percentiles: each step to the right is ten times rarer.
func (r *benchResult) latencyPanel() *panel {
	p := &panel{top: 360, title: "latency in ms, by percentile", xMax: 4, xUnit: "%", colour: "#2f4b8f"}
	for x := 0.0; x <= p.xMax; x += 0.05 {
		percentile := 100 * (1 - math.Pow(10, -x))
		y := float64(r.latency.ValueAtQuantile(percentile)) / 1000
		p.points = append(p.points, plotPoint{x, y})
		p.yMax = math.Max(p.yMax, y)
	}
	p.xTicks = []plotTick{{0, "0"}, {math.Log10(2), "50"}, {1, "90"}, {2, "99"}, {3, "99.9"}, {4, "99.99"}}
	return p
}

func (p *panel) draw(w io.Writer) {
	top := niceTop(p.yMax)
	x := func(at float64) float64 { return panelLeft + panelWidth*at/p.xMax }
	y := func(at float64) float64 { return p.top + panelHeight*(1-at/top) }
	fmt.Fprintf(w, `<text x="%d" y="%.0f">%s</text>`+"\n", panelLeft, p.top-8, p.title)
	for i := 0; i <= 4; i++ {
		at := top * float64(i) / 4
		fmt.Fprintf(w, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#dddddd"/>`+"\n", panelLeft, panelLeft+panelWidth, y(at), y(at))
		fmt.Fprintf(w, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", panelLeft-6, y(at)+4, shortNumber(at))
	}
	for _, t := range p.xTicks {
		fmt.Fprintf(w, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", x(t.at), p.top+panelHeight+18, t.text)
	}
	fmt.Fprintf(w, `<text x="%d" y="%.1f">%s</text>`+"\n", panelLeft+panelWidth+4, p.top+panelHeight+18, p.xUnit)
	fmt.Fprintf(w, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, p.colour)
	for _, at := range p.points {
		fmt.Fprintf(w, "%.1f,%.1f ", x(at.x), y(at.y))
	}
	fmt.Fprintln(w, `"/>`)
}

// niceTop is the next of 1, 2 or 5 times a power of ten.
func niceTop(most float64) float64 {
	if most <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(most)))
	for _, times := range []float64{1, 2, 5, 10} {
		if most <= times*unit {
			return times * unit
		}
	}
	return most
}

func shortNumber(x float64) string {
	switch {
	case x >= 10_000:
		return fmt.Sprintf("%.0fk", x/1000)
	case x >= 10 || x == 0:
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.2g", x)
}
