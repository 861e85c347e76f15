// Package child runs programs beside a test, which tells them what to do, and hears
// from them, in lines.
package child

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

// A Process is one that runs.
type Process struct {
	// Pid is what the system calls it.
	Pid int

	commands io.WriteCloser
	said     chan string // lines
}

// StartNode runs a program of arpc-js in Node: a file of the test's folder, which is
// two below the root. It tells it a task, and waits until it says "ready".
func StartNode(t testing.TB, program string, task any) *Process {
	t.Helper()
	path, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("../../web/arpc-js/dist/index.js"); err != nil {
		t.Fatalf("arpc-js is not built (make build): %v", err)
	}
	p := Start(t, exec.Command("node", path))
	p.Tell(t, task)
	p.Hear(t, "ready")
	return p
}

// Start starts a process, which ends with its standard input, when the test does.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
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
	p := &Process{Pid: cmd.Process.Pid, commands: commands, said: make(chan string, 1)}
	go p.listen(output)
	t.Cleanup(func() {
		_ = commands.Close() // which ends it
		for range p.said {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", cmd, err)
		}
	})
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
		t.Fatalf("tell the child: %v", err)
	}
}

// Next is the next line that it says, within minutes.
func (p *Process) Next() (string, error) {
	select {
	case line, ok := <-p.said:
		if !ok {
			return "", errors.New("the child said no more")
		}
		return line, nil
	case <-time.After(patience):
		return "", fmt.Errorf("the child said nothing for %v", patience)
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
		t.Fatalf("the child said %.100q, not %q", line, want)
	}
}
