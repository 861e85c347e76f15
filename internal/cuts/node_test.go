package cuts_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"

	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/child"
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

// reported waits until all has come that a process is told of.
func reported(t *testing.T, by *child.Process, of told) (r report) {
	t.Helper()
	by.Tell(t, of)
	if err := json.Unmarshal([]byte(by.Line(t)), &r); err != nil {
		t.Fatalf("report of node: %v", err)
	}
	return r
}

// TestChaosNode: clients of arpc-js in Node, and everything under way at once.
func TestChaosNode(t *testing.T) {
	x := newChaos(t, arpctest.Scaled(10_000))
	do := task{URL: "ws://" + x.doors[1].Address + "/", Seed: uint32(x.seed), All: topicAll, One: topicOne}
	for i := range 12 {
		do.Names = append(do.Names, fmt.Sprint("n", i))
	}
	n := child.StartNode(t, "peer.mjs", do)
	run := newPublications()
	n.Tell(t, "go")
	x.working.Go(func() { x.publishing("server", x.server, run) })
	x.cutEnough(t)
	n.Tell(t, "stop")
	x.working.Wait()
	n.Hear(t, "stopped")
	x.mu.Lock()
	said := told{Said: maps.Clone(x.Said), Newest: run.newest()} // a tap may say yet that who listened left
	x.mu.Unlock()
	r := reported(t, n, said)
	x.add(r.Account)
	run.Published = append(run.Published, r.Published...)
	run.Subscribers = r.Subscribers
	if r.Resumed == 0 {
		t.Error("no session was resumed at the clients")
	}
	x.verify(t, "chaos_node", 0, len(do.Names), run.Run)
}
