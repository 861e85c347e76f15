package run

import (
	"fmt"
	"io"
	"time"

	"github.com/seed-fbfaa03e/arpc/bench/report"
)

// progress tells what was measured, and how long it will go on.
type progress struct {
	out       io.Writer
	done, all int
	start     time.Time
}

func newProgress(out io.Writer, all int) *progress {
	return &progress{out: out, all: all, start: time.Now()}
}

// tell writes a line about a measurement.
func (p *progress) tell(l load, name string, round, rounds int, m report.Measurement) {
	p.done++
	left := time.Since(p.start) / time.Duration(p.done) * time.Duration(p.all-p.done)
	fmt.Fprintf(p.out, "%3d/%d  %-20s round %d/%d  %-15s %s  (%v left)\n",
		p.done, p.all, l.name, round, rounds, name, figures(l, m), left.Round(time.Second))
}

// figures are those that say most.
func figures(l load, m report.Measurement) string {
	if l.idle {
		return fmt.Sprintf("%8.0f bytes/connection  %6.0f opened/s", m[report.Collected], m[report.Opened])
	}
	if l.fansOut() {
		return fmt.Sprintf("%8.0f deliveries/s  p50 %6.0f µs  p99 %6.0f µs  server %6.2f µs/delivery  lost %.0f",
			m[report.Rate], m[report.P50], m[report.P99], m[report.ServerCPU], m[report.Lost])
	}
	return fmt.Sprintf("%8.0f calls/s  p50 %6.0f µs  p99 %6.0f µs  server %6.2f µs/call",
		m[report.Rate], m[report.P50], m[report.P99], m[report.ServerCPU])
}
