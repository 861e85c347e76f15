// Package witness writes down what subscribers hand to their applications, and
// fails the test for what the checker finds in it.
package witness

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/pubsub/checker"
)

// A Witness writes down what one subscriber gets. Its methods are safe for
// concurrent use.
type Witness struct {
	mu     sync.Mutex // guards what follows
	record checker.Subscriber
	heard  int // messages
}

// New is the witness of a subscriber.
func New(name string) *Witness { return &Witness{record: checker.Subscriber{Name: name}} }

// Subscribe follows a topic, whose epoch it is given, from its start.
func (w *Witness) Subscribe(t testing.TB, c *pubsub.Client, topic, epoch string) {
	t.Helper()
	w.Add(checker.Event{Kind: checker.Started, Topic: topic, Epoch: epoch})
	_, err := c.Subscribe(topic, w.Take, pubsub.Since(pubsub.Position{Epoch: epoch}), pubsub.OnGap(func(g pubsub.Gap) {
		kind := checker.Gap
		if g.Epoch != epoch {
			kind = checker.Epoch
		}
		w.Add(checker.Event{Kind: kind, Topic: topic, Epoch: g.Epoch, Offset: g.From - 1})
	}))
	if err != nil {
		t.Fatal(err)
	}
}

// Take writes down a message.
func (w *Witness) Take(m *pubsub.Message) {
	w.Add(checker.Event{Kind: checker.Message, Topic: m.Topic, Epoch: m.Epoch, Offset: m.Offset, Payload: string(m.Data.Data)})
}

// Add writes down an event.
func (w *Witness) Add(e checker.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.record.Events = append(w.record.Events, e)
	if e.Kind == checker.Message {
		w.heard++
	}
}

// Heard is how many messages have come.
func (w *Witness) Heard() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heard
}

// Record is what was written down so far.
func (w *Witness) Record() checker.Subscriber {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.record
	s.Events = slices.Clip(s.Events)
	return s
}

// Report waits until so many messages have come, for minutes unless the test has
// failed, and returns what was written down. complete are the offsets up to which
// nothing may be missing.
func (w *Witness) Report(t testing.TB, messages int, complete map[string]uint64) checker.Subscriber {
	t.Helper()
	if !arpctest.Within(5*time.Minute, func() bool { return w.Heard() >= messages || t.Failed() }) {
		t.Errorf("%s has got %d messages of %d", w.record.Name, w.Heard(), messages)
	}
	s := w.Record()
	s.Complete = complete
	return s
}

// Epochs are those of topics, which a client creates by subscribing to them.
func Epochs(t testing.TB, c *pubsub.Client, topics ...string) map[string]string {
	t.Helper()
	epochs := map[string]string{}
	for _, topic := range topics {
		sub, err := c.Subscribe(topic, func(*pubsub.Message) {})
		if err != nil {
			t.Fatal(err)
		}
		epochs[topic] = sub.Position().Epoch
	}
	return epochs
}

// NoGaps fails the test where a subscriber was told that something is missing.
func NoGaps(t testing.TB, run checker.Run) {
	t.Helper()
	for _, s := range run.Subscribers {
		for _, e := range s.Events {
			if e.Kind == checker.Gap || e.Kind == checker.Epoch {
				t.Errorf("%s was told of %+v", s.Name, e)
			}
		}
	}
}

// Verify fails the test for what the checker finds, and returns how many deliveries
// it looked at.
func Verify(t testing.TB, run checker.Run) (deliveries int) {
	t.Helper()
	for i, v := range checker.Check(run) {
		if i == 20 {
			t.Error("and more")
			break
		}
		t.Error(v)
	}
	for _, s := range run.Subscribers {
		for _, e := range s.Events {
			if e.Kind == checker.Message {
				deliveries++
			}
		}
	}
	return deliveries
}
