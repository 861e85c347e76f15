package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A column shows one thing of each contender, "" where there is nothing.
type column struct {
	head string
	cell func(Load, Contender) string
}

// columns are those of each benchmark's tables. One that is empty for a load is
// left out.
var columns = map[string][]column{
	"echo": append([]column{
		median("calls/s", Rate), spread("min–max", Rate),
		ratio("× gRPC", Rate, "grpc"), ratio("× raw", Rate, "raw"),
	}, append(costs, ratio("p50 × ping-pong", P50, "ping-pong"))...),
	"ws": append([]column{
		median("calls/s", Rate), spread("min–max", Rate),
		ratio("× gorilla", Rate, "gorilla"), ratio("× socket.io", Rate, "socket.io"),
	}, costs...),
	"latency": {
		median("calls/s", Rate),
		median("p50 µs", P50), median("p99 µs", P99), spread("p99 min–max", P99), median("p99.9 µs", P999),
		ratio("p99 × gRPC", P99, "grpc"),
		median("server µs/call", ServerCPU), median("client µs/call", ClientCPU),
	},
	"idle": {
		median("bytes/connection", Collected), spread("min–max", Collected),
		median("before a collection", Resident), median("opened/s", Opened),
		median("server µs/open", ServerCPU),
	},
	"sessions": append([]column{median("calls/s", Rate), spread("min–max", Rate)}, append(costs, median("reads and writes/call", Syscalls))...),
	"durable": {
		median("publications/s", Rate), spread("min–max", Rate), ratio("× redis-always", Rate, "redis-always"),
		median("p50 µs", P50), median("p99 µs", P99), spread("p99 min–max", P99),
	},
	"fanout": {
		median("deliveries/s", Rate), spread("min–max", Rate),
		ratio("× gorilla-hub", Rate, "gorilla-hub"), ratio("× socket.io", Rate, "socket.io"), ratio("× raw-coalesced", Rate, "raw-coalesced"),
		median("server µs/delivery", ServerCPU), ratio("µs × raw", ServerCPU, "raw"), median("load µs/delivery", ClientCPU),
		median("writes/delivery", Writes),
		median("p50 µs to all", P50), median("p99 µs to all", P99),
		most("lost", Lost),
	},
}

// costs are what a call takes.
var costs = []column{
	median("server µs/call", ServerCPU), median("client µs/call", ClientCPU),
	median("reads/call", Reads), median("writes/call", Writes), median("allocs/call", Allocations),
	median("p50 µs", P50), median("p99 µs", P99),
}

func median(head string, m Metric) column {
	return column{head, func(_ Load, c Contender) string {
		v, ok := c.Median(m)
		return number(v, ok)
	}}
}

func spread(head string, m Metric) column {
	return column{head, func(_ Load, c Contender) string {
		values := c.sorted(m)
		if len(values) < 2 {
			return ""
		}
		return number(values[0], true) + "–" + number(values[len(values)-1], true)
	}}
}

// most is of the worst round.
func most(head string, m Metric) column {
	return column{head, func(_ Load, c Contender) string {
		v, ok := c.Most(m)
		if !ok {
			return ""
		}
		return thousands(int64(math.Round(v)))
	}}
}

// ratio is to another contender under the same load.
func ratio(head string, m Metric, base string) column {
	return column{head, func(l Load, c Contender) string {
		of, ok := c.Median(m)
		over, baseOK := l.median(base, m)
		if !ok || !baseOK || over == 0 {
			return ""
		}
		return fmt.Sprintf("%.2f", of/over)
	}}
}

// number is as exact as it is worth reading.
func number(v float64, ok bool) string {
	switch {
	case !ok:
		return ""
	case math.Abs(v) >= 999.5:
		return thousands(int64(math.Round(v)))
	case math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// table is a load in Markdown.
func table(benchmark string, l Load) string {
	rows := make([]strings.Builder, len(l.Contenders)+2)
	rows[0].WriteString("| |")
	rows[1].WriteString("|---|")
	for i, c := range l.Contenders {
		fmt.Fprintf(&rows[i+2], "| %s |", c.Name)
	}
	for _, column := range columns[benchmark] {
		appendColumn(rows, column, l)
	}
	var text strings.Builder
	for i := range rows {
		text.WriteString(rows[i].String() + "\n")
	}
	return text.String()
}

func appendColumn(rows []strings.Builder, column column, l Load) {
	cells := make([]string, len(l.Contenders))
	for i, c := range l.Contenders {
		cells[i] = column.cell(l, c)
	}
	if strings.Join(cells, "") == "" {
		return
	}
	fmt.Fprintf(&rows[0], " %s |", column.head)
	rows[1].WriteString("---:|")
	for i, cell := range cells {
		if cell == "" {
			cell = "–"
		}
		fmt.Fprintf(&rows[i+2], " %s |", cell)
	}
}
