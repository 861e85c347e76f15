package report

import (
	"fmt"
	"math"
)

// A goal is a bound that the project holds itself to: on a metric of a
// contender, or on its ratio to that of another.
type goal struct {
	says            string
	benchmark, load string
	metric          Metric
	of, over        string
	atLeast, atMost float64 // zero is no bound
	none            bool    // not even in the worst round
}

var goals = []goal{
	{says: "64 B, 8 × 10: JSON as it comes, calls/s over gRPC's", benchmark: "echo", load: "64 B, 8 × 10", metric: Rate, of: "arpc", over: "grpc", atLeast: 8},
	{says: "64 B, 8 × 10: bytes inline, calls/s over the raw limit", benchmark: "echo", load: "64 B, 8 × 10", metric: Rate, of: "arpc-bytes", over: "raw", atLeast: 0.6},
	{says: "1 KiB, 8 × 10: JSON as it comes, calls/s over gRPC's", benchmark: "echo", load: "1 KiB, 8 × 10", metric: Rate, of: "arpc", over: "grpc", atLeast: 3},
	{says: "64 B, 1 × 1: bytes inline, median over the bare ping-pong", benchmark: "echo", load: "64 B, 1 × 1", metric: P50, of: "arpc-bytes", over: "ping-pong", atMost: 1.25},
	{says: "64 B, 8 × 10: JSON as it comes, writes per call", benchmark: "echo", load: "64 B, 8 × 10", metric: Writes, of: "arpc", atMost: 0.15},
	{says: "64 B, 8 × 10: bytes inline, writes per call", benchmark: "echo", load: "64 B, 8 × 10", metric: Writes, of: "arpc-bytes", atMost: 0.15},
	{says: "64 B, 8 × 10: bytes inline, allocations per call", benchmark: "echo", load: "64 B, 8 × 10", metric: Allocations, of: "arpc-bytes", atMost: 2},
	{says: "WebSocket, 64 B, 8 × 10: bytes inline, calls/s over gorilla's loop", benchmark: "ws", load: "64 B, 8 × 10", metric: Rate, of: "arpc-ws-bytes", over: "gorilla", atLeast: 2},
	{says: "WebSocket, 64 B, 8 × 10: JSON as it comes, calls/s over socket.io's", benchmark: "ws", load: "64 B, 8 × 10", metric: Rate, of: "arpc-ws", over: "socket.io", atLeast: 3},
	{says: "5,000 calls/s: JSON as it comes, p99 over gRPC's", benchmark: "latency", load: "64 B, 5,000 calls/s", metric: P99, of: "arpc", over: "grpc", atMost: 0.4},
	{says: "Idle, TCP: bytes per connection", benchmark: "idle", load: "10,000 connections", metric: Collected, of: "arpc", atMost: 6000},
	{says: "Idle, WebSocket: bytes per connection", benchmark: "idle", load: "10,000 connections", metric: Collected, of: "arpc-ws", atMost: 9000},
	{says: "Sessions, 64 B, 8 × 10: JSON as it comes, server CPU per call over the same without", benchmark: "sessions", load: "64 B, 8 × 10", metric: ServerCPU, of: "arpc", over: "arpc-brief", atMost: 1.03},
	{says: "Sessions, 64 B, 8 × 10: JSON as it comes, system calls per call over the same without", benchmark: "sessions", load: "64 B, 8 × 10", metric: Syscalls, of: "arpc", over: "arpc-brief", atMost: 1.03},
	{says: "Sessions, 64 B, 8 × 10: bytes inline, server CPU per call over the same without", benchmark: "sessions", load: "64 B, 8 × 10", metric: ServerCPU, of: "arpc-bytes", over: "arpc-bytes-brief", atMost: 1.03},
	{says: "Sessions, 64 B, 8 × 10: bytes inline, system calls per call over the same without", benchmark: "sessions", load: "64 B, 8 × 10", metric: Syscalls, of: "arpc-bytes", over: "arpc-bytes-brief", atMost: 1.03},
	{says: "Sessions, 64 B, 8 × 10: bytes inline over WebSocket, server CPU per call over the same without", benchmark: "sessions", load: "64 B, 8 × 10", metric: ServerCPU, of: "arpc-ws-bytes", over: "arpc-ws-bytes-brief", atMost: 1.03},
	{says: "Sessions, 64 B, 8 × 10: bytes inline over WebSocket, system calls per call over the same without", benchmark: "sessions", load: "64 B, 8 × 10", metric: Syscalls, of: "arpc-ws-bytes", over: "arpc-ws-bytes-brief", atMost: 1.03},
	{says: "Sessions, fan-out to 1,000: server CPU per delivery over the same without", benchmark: "sessions", load: "1,000 subscribers, 16 in flight", metric: ServerCPU, of: "arpc-lasting", over: "arpc", atMost: 1.03},
	{says: "Sessions, fan-out to 1,000: system calls per delivery over the same without", benchmark: "sessions", load: "1,000 subscribers, 16 in flight", metric: Syscalls, of: "arpc-lasting", over: "arpc", atMost: 1.03},
	{says: "Fan-out to 1,000, 16 in flight: deliveries/s over the limit", benchmark: "fanout", load: "1,000 subscribers, 16 in flight", metric: Rate, of: "arpc", over: "raw-coalesced", atLeast: 0.8},
	{says: "Fan-out to 5,000, 16 in flight: deliveries/s over the limit", benchmark: "fanout", load: "5,000 subscribers, 16 in flight", metric: Rate, of: "arpc", over: "raw-coalesced", atLeast: 0.8},
	{says: "Fan-out to 1,000, 16 in flight: deliveries/s over the gorilla hub's", benchmark: "fanout", load: "1,000 subscribers, 16 in flight", metric: Rate, of: "arpc", over: "gorilla-hub", atLeast: 4},
	{says: "Fan-out to 5,000, 16 in flight: deliveries/s over the gorilla hub's", benchmark: "fanout", load: "5,000 subscribers, 16 in flight", metric: Rate, of: "arpc", over: "gorilla-hub", atLeast: 4},
	{says: "Fan-out to 1,000, 1 in flight: server CPU per delivery over one raw write", benchmark: "fanout", load: "1,000 subscribers, 1 in flight", metric: ServerCPU, of: "arpc", over: "raw", atMost: 1.15},
	{says: "Fan-out to 5,000, 1 in flight: server CPU per delivery over one raw write", benchmark: "fanout", load: "5,000 subscribers, 1 in flight", metric: ServerCPU, of: "arpc", over: "raw", atMost: 1.15},
	{says: "Fan-out to 1,000, 16 in flight: lost deliveries", benchmark: "fanout", load: "1,000 subscribers, 16 in flight", metric: Lost, of: "arpc", none: true},
	{says: "Fan-out to 5,000, 16 in flight: lost deliveries", benchmark: "fanout", load: "5,000 subscribers, 16 in flight", metric: Lost, of: "arpc", none: true},
}

// value is what the goal bounds; false if it was not measured.
func (g goal) value(r Results) (float64, bool) {
	l, ok := r[g.benchmark].load(g.load)
	if !ok {
		return 0, false
	}
	if g.none {
		return l.most(g.of, g.metric)
	}
	of, ok := l.median(g.of, g.metric)
	if g.over == "" || !ok {
		return of, ok
	}
	over, ok := l.median(g.over, g.metric)
	return of / over, ok && over != 0
}

// bound is the goal in a cell of a table.
func (g goal) bound() string {
	switch {
	case g.none:
		return "none"
	case g.atLeast > 0:
		return "≥ " + number(g.atLeast, true)
	}
	return "≤ " + number(g.atMost, true)
}

// verdict is the value, and whether it is within the bound.
func (g goal) verdict(r Results) (measured, reached string) {
	v, ok := g.value(r)
	v = math.Round(v*100) / 100 // judged as it is shown
	switch {
	case !ok:
		return "–", "not measured"
	case g.none && v > 0, g.atLeast > 0 && v < g.atLeast, g.atMost > 0 && v > g.atMost:
		return number(v, true), "**no**"
	default:
		return number(v, true), "yes"
	}
}

// goalTable is all goals in Markdown.
func goalTable(r Results) string {
	text := "| Goal | Bound | Measured | Reached |\n|---|---:|---:|---|\n"
	for _, g := range goals {
		measured, reached := g.verdict(r)
		text += fmt.Sprintf("| %s | %s | %s | %s |\n", g.says, g.bound(), measured, reached)
	}
	return text
}
