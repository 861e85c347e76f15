package report

import (
	"fmt"
	"html"
	"strings"
)

// A plot is one metric of all contenders under a load, as bars.
type plot struct {
	file, title     string
	benchmark, load string
	metric          Metric
}

var plots = []plot{
	{file: "bench-echo-64.svg", title: "Calls/s over TCP, 64 B, 8 connections × 10 callers", benchmark: "echo", load: "64 B, 8 × 10", metric: Rate},
	{file: "bench-echo-1k.svg", title: "Calls/s over TCP, 1 KiB, 8 connections × 10 callers", benchmark: "echo", load: "1 KiB, 8 × 10", metric: Rate},
	{file: "bench-echo-1x1.svg", title: "Median of one call at a time over TCP, 64 B, µs", benchmark: "echo", load: "64 B, 1 × 1", metric: P50},
	{file: "bench-ws-64.svg", title: "Calls/s over WebSocket, 64 B, 8 connections × 10 callers", benchmark: "ws", load: "64 B, 8 × 10", metric: Rate},
	{file: "bench-latency.svg", title: "99 % of 5,000 calls/s took at most, µs", benchmark: "latency", load: "64 B, 5,000 calls/s", metric: P99},
	{file: "bench-idle.svg", title: "Resident bytes per idle connection", benchmark: "idle", load: "10,000 connections", metric: Collected},
	{file: "bench-fanout-1k.svg", title: "Deliveries/s to 1,000 subscribers, 16 publications in flight", benchmark: "fanout", load: "1,000 subscribers, 16 in flight", metric: Rate},
	{file: "bench-fanout-5k.svg", title: "Deliveries/s to 5,000 subscribers, 16 publications in flight", benchmark: "fanout", load: "5,000 subscribers, 16 in flight", metric: Rate},
	{file: "bench-fanout-1k-1.svg", title: "Server's CPU time per delivery to 1,000 subscribers, one publication at a time, µs", benchmark: "fanout", load: "1,000 subscribers, 1 in flight", metric: ServerCPU},
}

// PlotCount is how many plots a page with all results has.
func PlotCount() int { return len(plots) }

// Sizes in pixels.
const (
	plotWidth  = 760
	plotTop    = 44
	plotRow    = 26
	plotBar    = 16
	plotLabels = 130 // names, left of the bars
	plotValues = 90  // values, right of the longest
)

// plotStyle follows the reader's choice of light or dark.
const plotStyle = `text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600;font-size:14px}` +
	`.bar{fill:#8c959f}.ours{fill:#0969da}.spread{stroke:#24292f;stroke-width:1.5}` +
	`@media(prefers-color-scheme:dark){text{fill:#e6edf3}.bar{fill:#6e7681}.ours{fill:#4493f8}.spread{stroke:#e6edf3}}`

// draw is the plot as SVG; false if there is nothing to draw.
func (p plot) draw(r Results) (string, bool) {
	l, _ := r[p.benchmark].load(p.load)
	var most float64
	for _, c := range l.Contenders {
		if values := c.sorted(p.metric); len(values) > 0 {
			most = max(most, values[len(values)-1])
		}
	}
	if most == 0 {
		return "", false
	}
	scale := (plotWidth - plotLabels - plotValues) / most
	var bars strings.Builder
	y := plotTop
	for _, c := range l.Contenders {
		if value, ok := c.Median(p.metric); ok {
			bars.WriteString(bar(c, value, c.sorted(p.metric), scale, y))
			y += plotRow
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n"+
		"<style>%s</style>\n<text class=\"title\" x=\"8\" y=\"22\">%s</text>\n%s</svg>\n",
		plotWidth, y+6, plotWidth, y+6, html.EscapeString(p.title), plotStyle, html.EscapeString(p.title), bars.String()), true
}

// bar is one contender: its name, its median, and from its least to its most.
func bar(c Contender, value float64, values []float64, scale float64, y int) string {
	class := "bar"
	if strings.HasPrefix(c.Name, "arpc") {
		class = "bar ours"
	}
	least, most := values[0]*scale, values[len(values)-1]*scale
	middle := y + plotBar/2
	text := fmt.Sprintf(`<text x="%d" y="%d" text-anchor="end">%s</text>`, plotLabels-8, middle+5, html.EscapeString(c.Name))
	text += fmt.Sprintf(`<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, class, plotLabels, y, value*scale, plotBar)
	if len(values) > 1 {
		text += fmt.Sprintf(`<line class="spread" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, plotLabels+least, plotLabels+most, middle, middle)
	}
	return text + fmt.Sprintf(`<text x="%.1f" y="%d">%s</text>`+"\n", plotLabels+max(value*scale, most)+8, middle+5, number(value, true))
}
