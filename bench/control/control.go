// Package control is what the processes of a measurement say to each other: one
// JSON value a line, commands on standard input, answers on standard output.
// The end of standard input ends the process.
package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Ready is the first line of a process: it listens, or all its connections are
// open.
type Ready struct {
	// Address is where a server listens.
	Address string `json:"address,omitempty"`
	// Orders is where a server that fans out takes orders: it publishes once for
	// each byte that comes.
	Orders string `json:"orders,omitempty"`
	// Versions are of what only the process itself knows.
	Versions map[string]string `json:"versions,omitempty"`
	// Seconds is how long it took to get ready, of a process that holds connections.
	Seconds float64 `json:"seconds,omitempty"`
}

// What a process is asked to do.
const (
	// Count asks a server for its Counts.
	Count = "count"
	// Collect asks a server to collect its garbage and give memory back; it
	// answers with its Counts.
	Collect = "collect"
	// Run asks a load for an Outcome.
	Run = "run"
)

// Command is one request to a process.
type Command struct {
	// Do is one of the constants.
	Do string `json:"do"`
	// Seconds is how long to Run.
	Seconds float64 `json:"seconds,omitempty"`
}

// Counts are what a server counted since it started.
type Counts struct {
	// Allocations is the number of objects, nil where the language does not tell.
	Allocations *uint64 `json:"allocations,omitempty"`
}

// Outcome is what a load did.
type Outcome struct {
	// Calls is how many were answered; of a fan-out, how many deliveries there
	// were. A failed call ends the process instead.
	Calls int64 `json:"calls"`
	// Lost is how many deliveries of a fan-out there should have been and were not.
	Lost int64 `json:"lost,omitempty"`
	// Seconds is from the first call to the last answer.
	Seconds float64 `json:"seconds"`
	// P50, P99 and P999 are percentiles of the time of a call, or until all
	// subscribers have a publication, in microseconds.
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
}

// Obey says that the process is ready, then answers each command with what obey
// makes of it, until in ends.
func Obey(in io.Reader, out io.Writer, ready Ready, obey func(Command) (any, error)) error {
	answers := json.NewEncoder(out)
	if err := answers.Encode(ready); err != nil {
		return fmt.Errorf("say ready: %w", err)
	}
	commands := json.NewDecoder(bufio.NewReader(in))
	for {
		var c Command
		if err := commands.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read command: %w", err)
		}
		answer, err := obey(c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Do, err)
		}
		if err := answers.Encode(answer); err != nil {
			return fmt.Errorf("answer %s: %w", c.Do, err)
		}
	}
}
