// Package report keeps the results of measurements and makes a page of tables and
// plots from them.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Metric is the name of something measured.
type Metric string

// The metrics. Those per call are of the time between the first call and the
// last answer. Where a publication goes to many, a call is one delivery, and
// percentiles are of the time until all have it.
const (
	Rate        Metric = "callsPerSecond"
	P50         Metric = "p50us"             // microseconds that half of the calls took at most
	P99         Metric = "p99us"             // the same of 99 %
	P999        Metric = "p999us"            // the same of 99.9 %
	ServerCPU   Metric = "serverCPUus"       // microseconds of CPU time per call, user and system
	ClientCPU   Metric = "clientCPUus"       // the same of the load
	Reads       Metric = "serverReads"       // system calls of the server that read, per call
	Writes      Metric = "serverWrites"      // the same of those that write
	Syscalls    Metric = "serverSyscalls"    // both together
	Allocations Metric = "serverAllocations" // objects the server allocated per call
	Lost        Metric = "lost"              // deliveries that never came
	Resident    Metric = "residentBytes"     // of the server per connection, as it is
	Collected   Metric = "collectedBytes"    // the same after its garbage was collected
	Opened      Metric = "openedPerSecond"   // connections, each with one call
)

// Results are the last measurement of each benchmark, by its name.
type Results map[string]Section

// Section is one benchmark, measured in one go.
type Section struct {
	// Taken is the day, in UTC.
	Taken string `json:"taken"`
	// Rounds is how often each contender was measured under each load.
	Rounds int `json:"rounds"`
	// Seconds is how long each measurement took.
	Seconds float64 `json:"seconds"`
	// Machine is where.
	Machine Machine `json:"machine"`
	// Versions are of everything that took part, by name.
	Versions map[string]string `json:"versions"`
	// Loads are what was measured.
	Loads []Load `json:"loads"`
}

// Machine is what measurements depend on.
type Machine struct {
	CPU    string  `json:"cpu"`
	Cores  int     `json:"cores"`
	Memory float64 `json:"memoryGiB"`
	System string  `json:"system"`
}

// Load is a kind of work, and what came of it for each contender.
type Load struct {
	Name       string      `json:"name"`
	Contenders []Contender `json:"contenders"`
}

// Contender is one contender under one load.
type Contender struct {
	Name   string        `json:"name"`
	About  string        `json:"about"`
	Rounds []Measurement `json:"rounds"`
}

// Measurement is one round. What could not be measured is not in it.
type Measurement map[Metric]float64

// Read reads results; a file that is not there has none.
func Read(path string) (Results, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Results{}, nil
	}
	if err != nil {
		return nil, err
	}
	var r Results
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return r, nil
}

// Write writes results, one value a line.
func (r Results) Write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// load finds a load by its name.
func (s Section) load(name string) (Load, bool) {
	i := slices.IndexFunc(s.Loads, func(l Load) bool { return l.Name == name })
	if i < 0 {
		return Load{}, false
	}
	return s.Loads[i], true
}

// Contenders are all that were measured, each once.
func (s Section) Contenders() []Contender {
	var all []Contender
	for _, l := range s.Loads {
		for _, c := range l.Contenders {
			if !slices.ContainsFunc(all, func(known Contender) bool { return known.Name == c.Name }) {
				all = append(all, c)
			}
		}
	}
	return all
}

// median is the median of a contender's rounds; false if it was not measured.
func (l Load) median(contender string, m Metric) (float64, bool) {
	for _, c := range l.Contenders {
		if c.Name == contender {
			return c.Median(m)
		}
	}
	return 0, false
}

// most is the largest value of a contender's rounds; false if it was not measured.
func (l Load) most(contender string, m Metric) (float64, bool) {
	for _, c := range l.Contenders {
		if c.Name == contender {
			return c.Most(m)
		}
	}
	return 0, false
}

// Median is the median of the rounds; false if m was not measured.
func (c Contender) Median(m Metric) (float64, bool) {
	values := c.sorted(m)
	n := len(values)
	if n == 0 {
		return 0, false
	}
	return (values[(n-1)/2] + values[n/2]) / 2, true
}

// Most is the largest value of all rounds; false if m was not measured.
func (c Contender) Most(m Metric) (float64, bool) {
	values := c.sorted(m)
	if len(values) == 0 {
		return 0, false
	}
	return values[len(values)-1], true
}

// sorted are the values of all rounds.
func (c Contender) sorted(m Metric) []float64 {
	var values []float64
	for _, round := range c.Rounds {
		if v, ok := round[m]; ok {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	return values
}
