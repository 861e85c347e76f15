package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-fbfaa03e/arpc/bench/control"
	"github.com/seed-fbfaa03e/arpc/bench/report"
)

// grace bounds what a measurement takes beside the time it measures.
const grace = time.Minute

// A meter measures contenders.
type meter struct {
	programs
	warmup, seconds float64
	versions        map[string]string // of all programs that said them
}

// measure puts one contender under one load, in processes of their own.
func (m meter) measure(ctx context.Context, who party, l load) (measured report.Measurement, err error) {
	bound := grace + time.Duration((m.warmup+m.seconds)*float64(time.Second))
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	server, err := start(ctx, m.server(ctx, who, l))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	for name, version := range server.ready.Versions {
		m.versions[name] = version
	}
	if l.idle {
		return m.holdIdle(ctx, who, l, server)
	}
	return m.makeCalls(ctx, who, l, server)
}

func (m meter) makeCalls(ctx context.Context, who party, l load, server *child) (_ report.Measurement, err error) {
	client, err := start(ctx, m.load(ctx, who, l, server.ready))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.stop()) }()
	var outcome control.Outcome
	if err := client.ask(control.Command{Do: control.Run, Seconds: m.warmup}, &outcome); err != nil {
		return nil, err
	}
	before, err := readingOf(server, client)
	if err != nil {
		return nil, err
	}
	if err := client.ask(control.Command{Do: control.Run, Seconds: m.seconds}, &outcome); err != nil {
		return nil, err
	}
	after, err := readingOf(server, client)
	if err != nil {
		return nil, err
	}
	if outcome.Calls == 0 {
		return nil, fmt.Errorf("%s answered nothing", who.name)
	}
	result := measurement(outcome, before, after)
	if l.fansOut() {
		result[report.Lost] = float64(outcome.Lost)
	}
	return result, nil
}

// reading is what both sides have used so far.
type reading struct {
	server, client usage
	counts         control.Counts
}

func readingOf(server, client *child) (r reading, err error) {
	if r.counts, err = server.count(); err != nil {
		return r, err
	}
	if r.server, err = server.usage(); err != nil {
		return r, err
	}
	r.client, err = client.usage()
	return r, err
}

func measurement(o control.Outcome, before, after reading) report.Measurement {
	server, client := after.server.since(before.server), after.client.since(before.client)
	calls := float64(o.Calls)
	m := report.Measurement{
		report.Rate:      rounded(calls / o.Seconds),
		report.P50:       rounded(o.P50),
		report.P99:       rounded(o.P99),
		report.P999:      rounded(o.P999),
		report.ServerCPU: rounded(float64(server.cpu.Microseconds()) / calls),
		report.ClientCPU: rounded(float64(client.cpu.Microseconds()) / calls),
		report.Reads:     rounded(float64(server.reads) / calls),
		report.Writes:    rounded(float64(server.writes) / calls),
		report.Syscalls:  rounded(float64(server.reads+server.writes) / calls),
	}
	if before.counts.Allocations != nil && after.counts.Allocations != nil {
		m[report.Allocations] = rounded(float64(*after.counts.Allocations-*before.counts.Allocations) / calls)
	}
	return m
}

// holdIdle opens connections that do nothing after one call, and looks at what
// the server grew by.
func (m meter) holdIdle(ctx context.Context, who party, l load, server *child) (_ report.Measurement, err error) {
	empty, err := residentCollected(server)
	if err != nil {
		return nil, err
	}
	before, err := server.usage()
	if err != nil {
		return nil, err
	}
	holder, err := start(ctx, m.load(ctx, who, l, server.ready))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, holder.stop()) }()
	after, err := server.usage()
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, m.seconds); err != nil {
		return nil, err
	}
	resident, err := residentOf(server.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	collected, err := residentCollected(server)
	if err != nil {
		return nil, err
	}
	n := float64(l.connections)
	return report.Measurement{
		report.Resident:  rounded((float64(resident) - float64(empty)) / n),
		report.Collected: rounded((float64(collected) - float64(empty)) / n),
		report.Opened:    rounded(n / holder.ready.Seconds),
		report.ServerCPU: rounded(float64(after.since(before).cpu.Microseconds()) / n),
	}, nil
}

func residentCollected(server *child) (uint64, error) {
	var counts control.Counts
	if err := server.ask(control.Command{Do: control.Collect}, &counts); err != nil {
		return 0, err
	}
	return residentOf(server.cmd.Process.Pid)
}

// sleep lets an idle server settle: its timers fire, its pools age.
func sleep(ctx context.Context, seconds float64) error {
	select {
	case <-time.After(time.Duration(seconds * float64(time.Second))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rounded keeps what a reader of the results can use.
func rounded(v float64) float64 { return float64(int64(v*1000+0.5)) / 1000 }
