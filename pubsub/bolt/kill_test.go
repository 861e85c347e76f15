package bolt

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/pubsub/brokertest"
	"github.com/seed-fbfaa03e/arpc/pubsub/checker"
)

// history is what publishers were told in all rounds.
type history struct {
	published []checker.Publication
	delivered []checker.Event
	epochs    map[string]string // of topics
	last      [publishers]checker.Publication
	lost      int
}

// TestKill: a process that is killed at any moment leaves every publication that
// it acknowledged or delivered, at its place, under its key.
func TestKill(t *testing.T) {
	rounds := 10
	if arpctest.Whole {
		rounds = 100
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "topics.db")
	h := &history{epochs: map[string]string{}}
	for round := range rounds {
		c := start(t, "publish", path, fmt.Sprint(round))
		said := []string{<-c.lines}
		time.Sleep(time.Duration(random.IntN(200_000)) * time.Microsecond) // the moment of the kill
		h.take(t, round, append(said, c.kill()...))
		h.check(t, path)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	acked := 0
	for _, p := range h.published {
		if p.Acked {
			acked++
		}
	}
	arpctest.Figure(t, "bolt_kill_rounds", rounds)
	arpctest.Figure(t, "bolt_kill_acknowledged", acked)
	arpctest.Figure(t, "bolt_kill_lost", h.lost)
	arpctest.Figure(t, "bolt_kill_seed", seed)
}

// take reads what a child said.
func (h *history) take(t *testing.T, round int, said []string) {
	t.Helper()
	var n [publishers]int
	for _, line := range said {
		var p checker.Publication
		var publisher int
		switch words := strings.Fields(line); words[0] {
		case "acked":
			scanLine(t, line, "acked %d %d %s %d", &publisher, &p.N, &p.Epoch, &p.Offset)
			n[publisher] = p.N
			p.Acked = true
			h.publish(round, publisher, p)
			h.last[publisher] = h.published[len(h.published)-1]
		case "delivered":
			e := checker.Event{Kind: checker.Message}
			scanLine(t, line, "delivered %s %d %s", &e.Topic, &e.Offset, &e.Payload)
			h.delivered = append(h.delivered, e)
		default:
			t.Fatalf("the child said %q", line)
		}
	}
	for publisher := range n { // whoever waited for an answer may be in the file
		h.publish(round, publisher, checker.Publication{N: n[publisher] + 1})
	}
}

func scanLine(t *testing.T, line, format string, into ...any) {
	t.Helper()
	if _, err := fmt.Sscanf(line, format, into...); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
}

func (h *history) publish(round, publisher int, p checker.Publication) {
	p.Topic, p.Publisher = topicOf(publisher), fmt.Sprint(round, "/", publisher)
	p.Payload = fmt.Sprintf("%d/%d/%d", round, publisher, p.N)
	h.published = append(h.published, p)
}

// check opens the file and looks for all of it.
func (h *history) check(t *testing.T, path string) {
	t.Helper()
	b, err := Open(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	reader := checker.Subscriber{Name: "the file", Complete: map[string]uint64{}}
	held := map[string]map[uint64]string{}
	for i := range topics {
		name := topicOf(i)
		events := readAll(t, b, name)
		held[name] = map[uint64]string{}
		for _, e := range events {
			held[name][e.Offset] = e.Payload
		}
		reader.Events = append(reader.Events, events...)
		reader.Complete[name] = events[len(events)-1].Offset
		if was := h.epochs[name]; was != "" && was != events[0].Epoch {
			t.Errorf("the epoch of %s was %s and is %s", name, was, events[0].Epoch)
		}
		h.epochs[name] = events[0].Epoch
	}
	for _, v := range checker.Check(checker.Run{Published: h.published, Subscribers: []checker.Subscriber{reader}}) {
		t.Error(v)
		if v.Rule == "R4" {
			h.lost++
		}
	}
	for _, e := range h.delivered {
		if got := held[e.Topic][e.Offset]; got != e.Payload {
			t.Errorf("%s %d was delivered as %q and is %q", e.Topic, e.Offset, e.Payload, got)
		}
	}
	h.delivered = nil // it is in the file for good
	for _, p := range h.last {
		if p.Payload == "" {
			continue
		}
		again := put(t, b, broker.Append{Topic: p.Topic, Frame: brokertest.Frame("again"), Key: p.Payload, Settings: killSettings})
		if want := (broker.Position{Epoch: p.Epoch, Offset: p.Offset}); again != want {
			t.Errorf("%s was at %v; its key gives %v", p.Payload, want, again)
		}
	}
}

// readAll is a topic in pages, as a subscriber that began at its start sees it.
func readAll(t *testing.T, b *Broker, name string) []checker.Event {
	t.Helper()
	var events []checker.Event
	for after := uint64(0); ; {
		page, err := b.Read(context.Background(), name, broker.Query{After: after, Entries: 1000, Bytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			events = append(events, checker.Event{Kind: checker.Started, Topic: name, Epoch: page.State.Epoch})
		}
		for _, e := range page.Entries {
			after = e.Offset
			events = append(events, checker.Event{Kind: checker.Message, Topic: name, Epoch: page.State.Epoch, Offset: e.Offset, Payload: brokertest.Text(e.Frame)})
		}
		if after >= page.State.Last {
			return events
		}
	}
}

// told is what an Append led to.
type told struct {
	at  broker.Position
	err error
}

func try(b *Broker, a broker.Append) told {
	done := make(chan told, 1)
	b.Append(a, func(at broker.Position, err error) { done <- told{at, err} })
	return <-done
}

func put(t *testing.T, b *Broker, a broker.Append) broker.Position {
	t.Helper()
	got := try(b, a)
	if got.err != nil {
		t.Fatalf("append to %s: %v", a.Topic, got.err)
	}
	return got.at
}

func TestHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topics.db")
	c := start(t, "hold", path, "")
	<-c.lines
	_, err := Open(path)
	if want := fmt.Sprintf("it is open already by process %d", c.cmd.Process.Pid); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("opening it again: %v, want %s", err, want)
	}
	if lockWait >= time.Second {
		t.Errorf("it takes %v to say so", lockWait)
	}
	c.kill()
	b := openBroker(t, path)
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), fmt.Sprint("by this process, ", os.Getpid())) {
		t.Errorf("opening it twice: %v", err)
	}
	put(t, b, broker.Append{Topic: "t", Frame: brokertest.Frame("1"), Settings: killSettings})
}
