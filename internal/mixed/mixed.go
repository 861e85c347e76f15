// Package mixed runs subscribers and publishers of arpc-js, in Node, beside Go
// ones: for tests of what holds between them all.
package mixed

import (
	"encoding/json"
	"testing"

	"github.com/seed-fbfaa03e/arpc/internal/child"
	"github.com/seed-fbfaa03e/arpc/pubsub/checker"
)

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
type Process struct{ *child.Process }

// Start starts a Node process and waits until its subscribers are subscribed.
// The process ends with the test.
func Start(t testing.TB, task Task) Process {
	t.Helper()
	return Process{child.StartNode(t, "peer.mjs", task)}
}

// Publish has the publishers begin.
func (p Process) Publish(t testing.TB) { t.Helper(); p.Tell(t, "publish") }

// Report waits until all is published and has come, or for minutes, and returns
// what was published and what came.
func (p Process) Report(t testing.TB) (published []checker.Publication, heard []checker.Subscriber) {
	t.Helper()
	if line, err := p.Next(); err != nil {
		t.Error(err)
	} else if line != "done" {
		t.Fatalf("node said %.100q, not that it is done", line)
	}
	p.Tell(t, "report")
	for {
		line := p.Line(t)
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
