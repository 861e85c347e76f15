// Package mixed runs subscribers and publishers of arpc-js, in Node, beside Go
// ones, and connections that are cut: for tests of what holds between them all.
package mixed

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/pubsub/checker"
)

// patience is how long a process may take for what it was told.
const patience = 5 * time.Minute

// A Task is what one Node process does. Every subscriber and publisher has a
// connection of its own, to a WebSocket URL.
type Task struct {
	Subscribers []Subscriber `json:"subscribers"`
	Publishers  []Publisher  `json:"publishers"`
}

// A Subscriber follows topics, whose epochs it is given, from their start.
type Subscriber struct {
	Name   string            `json:"name"`
	URL    string            `json:"url"`
	Epochs map[string]string `json:"epochs"`
	Total  int               `json:"total"` // messages until it is done
}

// A Publisher publishes Count times, to each topic in turn, one after the other.
// Each publication has a key, and what was lost with a connection is repeated.
type Publisher struct {
	Name   string   `json:"name"`
	URL    string   `json:"url"`
	Topics []string `json:"topics"`
	Count  int      `json:"count"`
}

// A Process is a Node that does a task.
type Process struct {
	commands io.WriteCloser
	said     chan string // lines
	failed   chan error
}

// Start starts a Node process and waits until its subscribers are subscribed.
// The process ends with the test.
func Start(t testing.TB, task Task) *Process {
	t.Helper()
	program, err := filepath.Abs("peer.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("../../web/arpc-js/dist/index.js"); err != nil {
		t.Fatalf("arpc-js is not built (make build): %v", err)
	}
	cmd := exec.Command("node", program)
	cmd.Stderr = os.Stderr
	commands, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Process{commands: commands, said: make(chan string, 1), failed: make(chan error, 1)}
	go func() {
		p.failed <- p.listen(output)
		close(p.said)
	}()
	t.Cleanup(func() {
		_ = commands.Close() // which ends it
		for range p.said {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("node: %v", err)
		}
	})
	text, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	p.tell(t, string(text))
	p.hear(t, "ready")
	return p
}

// listen reads lines, however long they are.
func (p *Process) listen(output io.Reader) error {
	in := bufio.NewReader(output)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return fmt.Errorf("node said no more: %w", err)
		}
		p.said <- line[:len(line)-1]
	}
}

func (p *Process) tell(t testing.TB, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.commands, line); err != nil {
		t.Fatalf("tell node: %v", err)
	}
}

func (p *Process) line(t testing.TB) string {
	t.Helper()
	select {
	case line, ok := <-p.said:
		if !ok {
			t.Fatal(<-p.failed)
		}
		return line
	case <-time.After(patience):
		t.Fatalf("node said nothing for %v", patience)
	}
	return ""
}

func (p *Process) hear(t testing.TB, want string) {
	t.Helper()
	if line := p.line(t); line != want {
		t.Fatalf("node said %.100q, not %q", line, want)
	}
}

// Publish has the publishers begin.
func (p *Process) Publish(t testing.TB) { t.Helper(); p.tell(t, "publish") }

// Report waits until all is published and has come, or for minutes, and returns
// what was published and what came.
func (p *Process) Report(t testing.TB) (published []checker.Publication, heard []checker.Subscriber) {
	t.Helper()
	select {
	case line := <-p.said:
		if line != "done" {
			t.Fatalf("node said %.100q, not that it is done", line)
		}
	case <-time.After(patience):
		t.Errorf("node is not done after %v", patience)
	}
	p.tell(t, "report")
	for {
		line := p.line(t)
		if line == "end" {
			return published, heard
		}
		var part struct {
			Published  []checker.Publication
			Subscriber *checker.Subscriber
		}
		if err := json.Unmarshal([]byte(line), &part); err != nil {
			t.Fatalf("report of node: %v", err)
		}
		published = append(published, part.Published...)
		if part.Subscriber != nil {
			heard = append(heard, *part.Subscriber)
		}
	}
}
