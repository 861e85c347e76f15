// Package node runs programs of arpc-js in Node, which a test tells what to do, and
// hears from, in lines.
package node

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long a process may take to say a line.
const patience = 5 * time.Minute

// A Process is a Node that runs a program.
type Process struct {
	commands io.WriteCloser
	said     chan string // lines
}

// Start runs a program of the test's folder, which is two below the root, tells it
// a task and waits until it says "ready". The process ends with the test.
func Start(t testing.TB, program string, task any) *Process {
	t.Helper()
	path, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("../../web/arpc-js/dist/index.js"); err != nil {
		t.Fatalf("arpc-js is not built (make build): %v", err)
	}
	cmd := exec.Command("node", path)
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
	p := &Process{commands: commands, said: make(chan string, 1)}
	go p.listen(output)
	t.Cleanup(func() {
		_ = commands.Close() // which ends it
		for range p.said {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("node: %v", err)
		}
	})
	p.Tell(t, task)
	p.Hear(t, "ready")
	return p
}

// listen reads lines, however long they are.
func (p *Process) listen(output io.Reader) {
	defer close(p.said)
	for in := bufio.NewReader(output); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return // what is not a whole line was not said
		}
		p.said <- strings.TrimSuffix(line, "\n")
	}
}

// Tell says a line: text, or what is JSON.
func (p *Process) Tell(t testing.TB, what any) {
	t.Helper()
	line, isText := what.(string)
	if !isText {
		text, err := json.Marshal(what)
		if err != nil {
			t.Fatal(err)
		}
		line = string(text)
	}
	if _, err := fmt.Fprintln(p.commands, line); err != nil {
		t.Fatalf("tell node: %v", err)
	}
}

// Next is the next line that it says, within minutes.
func (p *Process) Next() (string, error) {
	select {
	case line, ok := <-p.said:
		if !ok {
			return "", errors.New("node said no more")
		}
		return line, nil
	case <-time.After(patience):
		return "", fmt.Errorf("node said nothing for %v", patience)
	}
}

// Line is the next line, which must come.
func (p *Process) Line(t testing.TB) string {
	t.Helper()
	line, err := p.Next()
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// Hear waits for a line.
func (p *Process) Hear(t testing.TB, want string) {
	t.Helper()
	if line := p.Line(t); line != want {
		t.Fatalf("node said %.100q, not %q", line, want)
	}
}
