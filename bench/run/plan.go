package run

import (
	"fmt"
	"slices"
)

// A benchmark is a question: which contenders, under which loads.
type benchmark struct {
	name       string
	contenders []string
	loads      []load
}

// A load is what the contenders are put under.
type load struct {
	name        string
	size        int // bytes of text in a call, or a publication
	connections int
	callers     int      // calls in flight on each
	window      int      // publications in flight to all connections, which are subscribers; zero makes calls
	rate        int      // calls a second in all; zero makes as many as answers come
	idle        bool     // connections are only held
	also        []string // contenders of this load alone
}

// single are the contenders that can have one call in flight and no more.
var single = []string{"ping-pong"}

// sessionsBeside are pairs: with sessions that outlive the connection, and without.
var sessionsBeside = []string{"arpc", "arpc-brief", "arpc-bytes", "arpc-bytes-brief", "arpc-ws-bytes", "arpc-ws-bytes-brief"}

// calls are the loads of echo and ws: the classic one, one call at a time, and
// many connections, each with small and larger texts.
func calls(single []string) []load {
	return []load{
		{name: "64 B, 8 × 10", size: 64, connections: 8, callers: 10},
		{name: "1 KiB, 8 × 10", size: 1024, connections: 8, callers: 10},
		{name: "64 B, 1 × 1", size: 64, connections: 1, callers: 1, also: single},
		{name: "1 KiB, 1 × 1", size: 1024, connections: 1, callers: 1, also: single},
		{name: "64 B, 64 × 10", size: 64, connections: 64, callers: 10},
		{name: "1 KiB, 64 × 10", size: 1024, connections: 64, callers: 10},
	}
}

// fansOut says that the connections are subscribers.
func (l load) fansOut() bool { return l.window > 0 }

var benchmarks = []benchmark{
	{
		name:       "echo",
		contenders: []string{"arpc", "arpc-inline", "arpc-bytes", "grpc", "net-rpc", "raw"},
		loads:      calls(single),
	},
	{
		name:       "ws",
		contenders: []string{"arpc-ws", "arpc-ws-inline", "arpc-ws-bytes", "gorilla", "socket.io"},
		loads:      calls(nil),
	},
	{
		name:       "latency",
		contenders: []string{"arpc", "arpc-inline", "arpc-bytes", "grpc", "net-rpc"},
		loads:      []load{{name: "64 B, 5,000 calls/s", size: 64, connections: 8, callers: 10, rate: 5000}},
	},
	{
		name:       "idle",
		contenders: []string{"arpc", "arpc-brief", "arpc-ws", "grpc", "net-rpc", "gorilla", "socket.io"},
		loads:      []load{{name: "10,000 connections", connections: 10000, idle: true}},
	},
	{
		name:       "durable",
		contenders: []string{"arpc-memory", "arpc-bolt", "arpc-bolt-never", "redis-always", "redis-everysec"},
		loads: []load{
			{name: "1 publisher", size: 128, connections: 1, callers: 1},
			{name: "64 publishers", size: 128, connections: 64, callers: 1},
		},
	},
	{
		name: "sessions",
		loads: []load{
			{name: "64 B, 8 × 10", size: 64, connections: 8, callers: 10, also: sessionsBeside},
			{name: "1,000 subscribers, 16 in flight", size: 128, connections: 1000, window: 16, also: []string{"arpc-lasting", "arpc"}},
		},
	},
	{
		name: "fanout",
		// Those that goals compare follow each other: what else the machine does changes with time.
		contenders: []string{"raw-coalesced", "arpc", "raw", "gorilla-hub", "arpc-base", "melody", "socket.io"},
		loads: []load{
			{name: "1,000 subscribers, 16 in flight", size: 128, connections: 1000, window: 16},
			{name: "5,000 subscribers, 16 in flight", size: 128, connections: 5000, window: 16},
			{name: "1,000 subscribers, 1 in flight", size: 128, connections: 1000, window: 1},
			{name: "5,000 subscribers, 1 in flight", size: 128, connections: 5000, window: 1},
		},
	},
}

func benchmarkNamed(name string) (benchmark, error) {
	for _, b := range benchmarks {
		if b.name == name {
			return b, nil
		}
	}
	return benchmark{}, fmt.Errorf("no benchmark %q: there are echo, ws, latency, idle, durable, sessions and fanout", name)
}

// narrow keeps the loads and contenders that were asked for.
func (b benchmark) narrow(loads, contenders func(string) bool) (benchmark, error) {
	b.loads = slices.DeleteFunc(slices.Clone(b.loads), func(l load) bool { return !loads(l.name) })
	b.contenders = slices.DeleteFunc(slices.Clone(b.contenders), func(c string) bool { return !contenders(c) })
	for i, l := range b.loads {
		b.loads[i].also = slices.DeleteFunc(slices.Clone(l.also), func(c string) bool { return !contenders(c) })
	}
	if len(b.loads) == 0 || b.measurements() == 0 {
		return b, fmt.Errorf("%s has no such load or contender", b.name)
	}
	return b, nil
}

// measurements is how many there are in a round.
func (b benchmark) measurements() int {
	n := 0
	for _, l := range b.loads {
		n += len(b.under(l))
	}
	return n
}

// under are the contenders of a load.
func (b benchmark) under(l load) []string { return slices.Concat(b.contenders, l.also) }
