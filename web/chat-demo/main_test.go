package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// binary is the demo as it is shipped, built once for the tests of this file.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "chat-demo-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "chat-demo")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the demo: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// process is a running demo.
type process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	web    string // http://host:port
	tcp    string // host:port
}

// start runs the demo on free ports and waits until it says where.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{}
	given := []string{"-http", "localhost:0", "-tcp", "localhost:0", "-data", t.TempDir()}
	p.cmd = exec.Command(binary, append(given, args...)...)
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	lines := bufio.NewReader(stdout)
	p.web = readLine(t, p, lines, "arpc chat demo: ")
	p.tcp = readLine(t, p, lines, "raw TCP: ")
	return p
}

func readLine(t *testing.T, p *process, lines *bufio.Reader, prefix string) string {
	t.Helper()
	line, err := lines.ReadString('\n')
	rest, ok := strings.CutPrefix(line, prefix)
	if err != nil || !ok {
		_ = p.cmd.Wait()
		t.Fatalf("the demo said %q, want a line with %q (%v)\n%s", line, prefix, err, p.stderr.String())
	}
	return strings.TrimSpace(rest)
}

// webSocket is the address of the demo's WebSocket door.
func (p *process) webSocket() string { return strings.Replace(p.web, "http", "ws", 1) + "/ws" }

// end sends a signal and returns how the demo exited.
func (p *process) end(t *testing.T, signal os.Signal) error {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	return p.cmd.Wait()
}

// get returns the answer to a GET with its body read.
func get(t *testing.T, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestPage(t *testing.T) {
	t.Parallel()
	p := start(t)
	tests := []struct {
		path, contentType, contains string
	}{
		{"/", "text/html; charset=utf-8", `<script src="/app.js" type="module">`},
		{"/app.js", "text/javascript; charset=utf-8", "WebSocket"},
		{"/style.css", "text/css; charset=utf-8", "light-dark("},
		{"/early.js", "text/javascript; charset=utf-8", "data-theme"},
		{"/arpc.js", "text/javascript; charset=utf-8", "arpc"},
		{"/arpc.js.map", "application/json", `"sources"`},
		{"/icon.svg", "image/svg+xml", "<svg"},
		{"/healthz", "application/json; charset=utf-8", `{"status":"ok"}`},
	}
	for _, tt := range tests {
		res, body := get(t, p.web+tt.path)
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != tt.contentType {
			t.Errorf("%s answered %s, %s; want %s", tt.path, res.Status, res.Header.Get("Content-Type"), tt.contentType)
		}
		if !strings.Contains(body, tt.contains) {
			t.Errorf("%s has no %q in it", tt.path, tt.contains)
		}
	}
}

func TestEchoThroughBothDoors(t *testing.T) {
	t.Parallel()
	p := start(t)
	for _, address := range []string{p.webSocket(), "tcp://" + p.tcp} {
		client, err := arpc.Dial(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { client.Stop(); <-client.Done() }()
		for _, body := range []string{"žluťoučký", "", strings.Repeat("x", 200_000)} {
			var echo string
			if err := client.CallWith(t.Context(), "/echo", body, &echo); err != nil {
				t.Fatalf("%s: %v", address, err)
			}
			if echo != body {
				t.Errorf("%s: the echo of %.20q is %.20q", address, body, echo)
			}
		}
	}
}

// The frames are written by hand: what a client of ours tells about its bodies
// depends on the peer.
func TestEchoKeepsTheKind(t *testing.T) {
	t.Parallel()
	p := start(t)
	conn, err := net.Dial("tcp", p.tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, kind := range []wire.Kind{wire.Unknown, wire.Text, wire.Bytes, wire.Value} {
		header := wire.Header{Cmd: wire.Request, Flags: wire.Flags(0).WithKind(kind), Seq: 7}
		if _, err := conn.Write(wire.Append(nil, header, "/echo", []byte("null"))); err != nil {
			t.Fatal(err)
		}
		header.Cmd = wire.Response
		want := wire.Append(nil, header, "/echo", []byte("null"))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conn, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("kind %d: the echo is\n%x, want\n%x", kind, got, want)
		}
	}
}

func TestDoorsShareTopics(t *testing.T) {
	t.Parallel()
	p := start(t)
	page := dial(t, p.webSocket())
	service := dial(t, "tcp://"+p.tcp)
	heard := make(chan string, 1)
	if _, err := page.Subscribe("chat/lobby", func(m *pubsub.Message) { heard <- string(m.Data.Data) }); err != nil {
		t.Fatal(err)
	}
	if _, err := service.Publish("chat/lobby", "hello from the other door"); err != nil {
		t.Fatal(err)
	}
	if got := arpctest.Receive(t, heard, "publication"); got != "hello from the other door" {
		t.Errorf("heard %q", got)
	}
}

func TestPasswordGuardsTopics(t *testing.T) {
	t.Parallel()
	p := start(t, "-password", "sesame")
	stranger := dial(t, p.webSocket())
	if _, err := stranger.Publish("chat/lobby", "hello"); err == nil {
		t.Error("a stranger may publish")
	}
	friend := dial(t, p.webSocket(), pubsub.WithPassword("sesame"))
	if _, err := friend.Publish("chat/lobby", "hello"); err != nil {
		t.Errorf("a friend may not publish: %v", err)
	}
	if _, page := get(t, p.web+"/"); strings.Contains(page, "sesame") {
		t.Error("the page tells the password")
	}
}

func dial(t *testing.T, address string, opts ...pubsub.ClientOption) *pubsub.Client {
	t.Helper()
	client, err := pubsub.Dial(t.Context(), address, opts...)
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	t.Cleanup(func() { client.Stop(); arpctest.Closed(t, client.Done(), "client") })
	return client
}

func TestEndsInOrder(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		p := start(t)
		client, err := arpc.Dial(t.Context(), p.webSocket())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { client.Stop(); <-client.Done() }()
		if err := p.end(t, signal); err != nil {
			t.Errorf("after %v: %v\n%s", signal, err, p.stderr.String())
		}
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, name := range []string{"-http", "-tcp"} {
		args := map[string]string{"-http": "localhost:0", "-tcp": "localhost:0"}
		args[name] = taken.Addr().String()
		status, stderr := runToEnd(t, "-http", args["-http"], "-tcp", args["-tcp"])
		if status != exitFailure || !strings.Contains(stderr, name) || !strings.Contains(stderr, "in use") {
			t.Errorf("%s: status %d and %q", name, status, stderr)
		}
	}
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	p := start(t)
	if status, stderr := runToEnd(t, "-healthcheck", p.web+"/healthz"); status != exitOK {
		t.Errorf("of a healthy demo: status %d, %s", status, stderr)
	}
	if status, _ := runToEnd(t, "-healthcheck", p.web+"/nothing"); status != exitFailure {
		t.Errorf("of a page that is not there: status %d", status)
	}
	_ = p.end(t, os.Kill)
	if status, _ := runToEnd(t, "-healthcheck", p.web+"/healthz"); status != exitFailure {
		t.Errorf("of a dead demo: status %d", status)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	tests := map[string]int{"-help": exitOK, "-nonsense": exitUsage, "stray": exitUsage, "-rate=0": exitUsage, "-ping=0": exitUsage, "-proxy=nginx": exitUsage}
	for arg, want := range tests {
		status, stderr := runToEnd(t, arg)
		if status != want || !strings.Contains(stderr, "-healthcheck") {
			t.Errorf("%s: status %d, want %d with the usage in %q", arg, status, want, stderr)
		}
	}
}

// runToEnd runs the demo and returns its status and what it said.
func runToEnd(t *testing.T, args ...string) (status int, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out bytes.Buffer
	cmd.Stderr = &out
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}
