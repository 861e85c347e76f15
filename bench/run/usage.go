package run

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has used since it started.
type usage struct {
	cpu           time.Duration // user and system
	reads, writes uint64        // system calls
}

// tick is the unit of CPU time in /proc: 100 a second on every Linux that Go
// runs on.
const tick = 10 * time.Millisecond

// usageOf reads the usage of a process.
func usageOf(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, err
	}
	cpu, err := cpuOf(string(stat))
	if err != nil {
		return usage{}, err
	}
	io, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return usage{}, err
	}
	reads, err := field(string(io), "syscr:")
	if err != nil {
		return usage{}, err
	}
	writes, err := field(string(io), "syscw:")
	return usage{cpu: cpu, reads: reads, writes: writes}, err
}

// cpuOf reads utime and stime, fields 14 and 15 of proc_pid_stat(5). The name
// of the program is field 2, in parentheses, and may hold anything.
func cpuOf(stat string) (time.Duration, error) {
	const utime, stime = 14 - 3, 15 - 3
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) <= stime {
		return 0, fmt.Errorf("stat has %d fields", len(fields))
	}
	var ticks int64
	for _, f := range []string{fields[utime], fields[stime]} {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// residentOf is the resident memory of a process in bytes.
func residentOf(pid int) (uint64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	kib, err := field(string(status), "VmRSS:")
	return kib << 10, err
}

// field is the number behind a name, at the start of a line.
func field(text, name string) (uint64, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strconv.ParseUint(strings.Fields(value)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("no %q in /proc", name)
}

// since is what was used after an earlier reading.
func (u usage) since(earlier usage) usage {
	return usage{cpu: u.cpu - earlier.cpu, reads: u.reads - earlier.reads, writes: u.writes - earlier.writes}
}
