package cuts_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/pubsub/checker"
)

// task is what a Node process does: clients of some names, at a URL.
type task struct {
	URL   string   `json:"url"`
	Names []string `json:"names"`
	Seed  uint32   `json:"seed"`
	All   string   `json:"all"`
	One   string   `json:"one"`
}

// told is what the report of a Node process is to wait for.
type told struct {
	Said   map[string]int `json:"said"`
	Newest uint64         `json:"newest"`
}

// report is what a Node process did and got.
type report struct {
	Account     account
	Published   []checker.Publication
	Subscribers []checker.Subscriber
	Resumed     int
}

// node is a Node process with clients of arpc-js.
type node struct {
	commands io.WriteCloser
	said     chan string // lines
}

// startNode starts a process, which ends with the test, and waits until its clients
// are there.
func startNode(t *testing.T, do task) *node {
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
	n := &node{commands: commands, said: make(chan string, 1)}
	go func() {
		defer close(n.said)
		for in := bufio.NewReader(output); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			n.said <- strings.TrimSuffix(line, "\n")
		}
	}()
	t.Cleanup(func() {
		_ = commands.Close() // which ends it
		for range n.said {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("node: %v", err)
		}
	})
	n.tell(t, do)
	n.hear(t, "ready")
	return n
}

// tell says a line: text, or JSON.
func (n *node) tell(t *testing.T, what any) {
	t.Helper()
	line, isText := what.(string)
	if !isText {
		text, err := json.Marshal(what)
		if err != nil {
			t.Fatal(err)
		}
		line = string(text)
	}
	if _, err := fmt.Fprintln(n.commands, line); err != nil {
		t.Fatalf("tell node: %v", err)
	}
}

func (n *node) line(t *testing.T) string {
	t.Helper()
	select {
	case line, ok := <-n.said:
		if !ok {
			t.Fatal("node said no more")
		}
		return line
	case <-time.After(2 * patience):
		t.Fatal("node says nothing")
	}
	return ""
}

func (n *node) hear(t *testing.T, want string) {
	t.Helper()
	if line := n.line(t); line != want {
		t.Fatalf("node said %.100q, not %q", line, want)
	}
}

// report waits until all has come that it is told of.
func (n *node) report(t *testing.T, of told) (r report) {
	t.Helper()
	n.tell(t, of)
	if err := json.Unmarshal([]byte(n.line(t)), &r); err != nil {
		t.Fatalf("report of node: %v", err)
	}
	return r
}

// TestChaosNode: clients of arpc-js in Node, and everything under way at once.
func TestChaosNode(t *testing.T) {
	x := newChaos(t, scaled(10_000))
	do := task{URL: "ws://" + x.doors[1].Address + "/", Seed: uint32(x.seed), All: topicAll, One: topicOne}
	for i := range 12 {
		do.Names = append(do.Names, fmt.Sprint("n", i))
	}
	n := startNode(t, do)
	run := newPublications()
	n.tell(t, "go")
	x.working.Go(func() { x.publishing("server", x.server, run) })
	x.cutEnough(t)
	n.tell(t, "stop")
	x.working.Wait()
	n.hear(t, "stopped")
	x.mu.Lock()
	said := told{Said: maps.Clone(x.Said), Newest: run.newest()} // a tap may say yet that who listened left
	x.mu.Unlock()
	r := n.report(t, said)
	x.add(r.Account)
	run.Published = append(run.Published, r.Published...)
	run.Subscribers = r.Subscribers
	if r.Resumed == 0 {
		t.Error("no session was resumed at the clients")
	}
	x.verify(t, "chaos_node", 0, len(do.Names), run.Run)
}
