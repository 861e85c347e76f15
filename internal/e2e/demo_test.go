package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

const demoSource = "../../web/chat-demo"

var binaryFolder string

// build makes the binary, once for all tests.
var build = sync.OnceValues(func() (path string, err error) {
	// The go command caches the result of a test, and knows of the folders a
	// test reads, but not of what a program that it starts is built from.
	for _, folder := range []string{"", "ui/dist"} {
		if _, err := os.ReadDir(filepath.Join(demoSource, folder)); err != nil {
			return "", err
		}
	}
	if binaryFolder, err = os.MkdirTemp("", "arpc-e2e-"); err != nil {
		return "", err
	}
	path = filepath.Join(binaryFolder, "chat-demo")
	if output, err := exec.Command("go", "build", "-o", path, demoSource).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", demoSource, err, output)
	}
	return path, nil
})

// demo is the demo as a process of its own.
type demo struct {
	process   *exec.Cmd
	http, tcp string // addresses it printed
	stderr    arpctest.Log
	ended     chan struct{} // closed when it has; then status is valid
	status    int
}

// start runs the demo on free ports, unless args say otherwise, until the test ends.
func start(t testing.TB, args ...string) *demo {
	t.Helper()
	d := launch(t, args...)
	lines := make(chan string)
	stdout, err := d.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.run(t, func() {
		defer close(lines)
		for text := bufio.NewScanner(stdout); text.Scan(); {
			lines <- text.Text()
		}
	})
	late := time.After(patience)
	for d.http == "" || d.tcp == "" {
		select {
		case line, more := <-lines:
			if !more {
				<-d.ended
				t.Fatalf("the demo ended with status %d: %s%s", d.status, d.stderr.String(), d.hint())
			}
			if address, ok := strings.CutPrefix(line, "arpc chat demo: http://"); ok {
				d.http = address
			}
			if address, ok := strings.CutPrefix(line, "raw TCP: "); ok {
				d.tcp = address
			}
		case <-late:
			t.Fatalf("the demo printed no addresses: %s", d.stderr.String())
		}
	}
	go func() { // whatever else it prints must not hold it up
		for range lines {
		}
	}()
	return d
}

// startHere is start on ports that nobody else is given while there is no demo.
func startHere(t testing.TB) *demo {
	t.Helper()
	return start(t, "-http", arpctest.Address(t, "127.0.0.1"), "-tcp", arpctest.Address(t, "127.0.0.1"))
}

// hint is what to do about an end that is not the demo's fault.
func (d *demo) hint() string {
	if strings.Contains(d.stderr.String(), "not built") {
		return "\nthe page is not built: run `make build`"
	}
	return ""
}

// launch prepares a process, which run starts.
func launch(t testing.TB, args ...string) *demo {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	d := &demo{ended: make(chan struct{})}
	args = append([]string{"-http", "localhost:0", "-tcp", "localhost:0"}, args...)
	ctx, cancel := context.WithCancel(context.Background())
	d.process = exec.CommandContext(ctx, path, args...)
	d.process.Stderr = &d.stderr
	t.Cleanup(cancel)
	return d
}

// run starts the process; read has its standard output, and returns at its end.
func (d *demo) run(t testing.TB, read func()) {
	t.Helper()
	if err := d.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.ended)
		read()
		_ = d.process.Wait() // the status says it
		d.status = d.process.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = d.process.Process.Kill()
		<-d.ended
	})
}

// exit waits for the process to end by itself.
func (d *demo) exit(t testing.TB) (status int) {
	t.Helper()
	select {
	case <-d.ended:
		return d.status
	case <-time.After(patience):
		t.Fatalf("the demo did not end: %s", d.stderr.String())
		panic("unreachable")
	}
}

func (d *demo) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := d.process.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
