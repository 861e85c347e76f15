// Package brokertest says what a broker has to hold. An implementation runs it
// in its own tests:
//
//	func TestConformance(t *testing.T) {
//		brokertest.Run(t, func(t *testing.T) broker.Broker { … })
//	}
//
// Every test opens a broker of its own and closes it, so open returns one that is
// empty, whatever was in another.
package brokertest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/topic"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// Open returns an empty broker. It may end what is below it in t.Cleanup; the
// broker itself is closed by the test before that.
type Open func(t *testing.T) broker.Broker

// Wait is how long a test waits for what must happen.
const Wait = 10 * time.Second

// Run runs the whole suite.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"entries are delivered in order", testDelivery},
		{"nobody follows", testNobodyFollows},
		{"publishing creates what is kept", testKeep},
		{"reading", testRead},
		{"retention by entries", testRetentionEntries},
		{"retention by bytes", testRetentionBytes},
		{"retention by age", testRetentionAge},
		{"settings change", testSettingsChange},
		{"a key lands once", testKey},
		{"a key of many at once lands once", testKeyRace},
		{"keys are forgotten", testKeysForgotten},
		{"many publishers", testManyPublishers},
		{"subscribing leaves no hole", testSubscribeRace},
		{"canceling", testCancel},
		{"a forgotten topic begins a new epoch", testNewEpoch},
		{"topics do not know each other", testTopics},
		{"members", testMembers},
		{"who came back elsewhere stays", testHolder},
		{"one of many", testSendToOne},
		{"closing", testClose},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bench{T: t, broker: open(t)}
			t.Cleanup(func() {
				if err := b.broker.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.test(t, b)
		})
	}
}

// Settings are those the suite uses where nothing else matters.
var Settings = broker.Settings{
	Retention: topic.Limits{Entries: 1000, Bytes: 1 << 20, Age: time.Hour},
	Keys:      time.Hour,
	MaxKeys:   1000,
}

func kept(s broker.Settings) broker.Settings {
	s.Keep = true
	return s
}

// bench is a broker under test.
type bench struct {
	*testing.T
	broker broker.Broker
}

// Frame is a frame that carries a text, as a publication does.
func Frame(text string) []byte {
	h := wire.Header{Cmd: wire.Notify, Flags: wire.Outside.WithKind(wire.Text)}
	return wire.Append(nil, h, "in_P", []byte(text))
}

// Text is what a Frame carries.
func Text(frame []byte) string {
	f, err := wire.Split(frame)
	if err != nil {
		return fmt.Sprintf("%v: %x", err, frame)
	}
	return string(f.Body)
}

// appended is what an Append led to.
type appended struct {
	position broker.Position
	err      error
}

// start appends and returns what done will be told. It fails where done is
// called twice.
func (b *bench) start(a broker.Append) <-chan appended {
	told := make(chan appended, 1)
	b.broker.Append(a, func(p broker.Position, err error) {
		select {
		case told <- appended{p, err}:
		default:
			b.Error("done was called twice")
		}
	})
	return told
}

func (b *bench) await(told <-chan appended) appended {
	b.Helper()
	select {
	case got := <-told:
		return got
	case <-time.After(Wait):
		b.Fatal("done was not called")
		panic("unreachable")
	}
}

// append appends a text and waits for its position.
func (b *bench) append(name, text string, s broker.Settings) broker.Position {
	b.Helper()
	return b.put(broker.Append{Topic: name, Frame: Frame(text), Settings: s})
}

func (b *bench) put(a broker.Append) broker.Position {
	b.Helper()
	got := b.await(b.start(a))
	if got.err != nil {
		b.Fatalf("append to %s: %v", a.Topic, got.err)
	}
	return got.position
}

func (b *bench) read(name string, q broker.Query) broker.Page {
	b.Helper()
	page, err := b.broker.Read(context.Background(), name, q)
	if err != nil {
		b.Fatalf("read %s: %v", name, err)
	}
	return page
}

// all is a query of everything.
var all = broker.Query{Entries: 100_000, Bytes: 1 << 30}

func (b *bench) state(name string) broker.State {
	b.Helper()
	s, err := b.broker.State(context.Background(), name)
	if err != nil {
		b.Fatalf("state of %s: %v", name, err)
	}
	return s
}

func (b *bench) follow(name string, s broker.Settings) *node {
	b.Helper()
	n := &node{t: b.T}
	state, cancel, err := b.broker.Subscribe(context.Background(), name, s, n)
	if err != nil {
		b.Fatalf("subscribe to %s: %v", name, err)
	}
	n.began(state, cancel)
	return n
}

// texts are what entries carry, as "offset:text".
func texts(entries []broker.Entry) []string {
	got := make([]string, 0, len(entries))
	for _, e := range entries {
		got = append(got, fmt.Sprintf("%d:%s", e.Offset, Text(e.Frame)))
	}
	return got
}

func numbered(from, to int) []string {
	var want []string
	for i := from; i <= to; i++ {
		want = append(want, fmt.Sprintf("%d:%d", i, i))
	}
	return want
}

func (b *bench) equal(what string, got, want []string) {
	b.Helper()
	if !slices.Equal(got, want) {
		b.Errorf("%s: %q, want %q", what, got, want)
	}
}

// eventually waits until a condition holds.
func (b *bench) eventually(what string, holds func() bool) {
	b.Helper()
	for end := time.Now().Add(Wait); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("%s: not within %v", what, Wait)
		}
	}
}

// node is a Receiver that writes down what it is told, and finds fault with what
// must not be.
type node struct {
	t *testing.T

	mu      sync.Mutex // guards what follows
	state   broker.State
	cancel  func()
	known   bool           // state is, because Subscribe has returned
	early   []broker.Entry // what came before that
	entries []broker.Entry
	changes []broker.Change
	taken   []string
	refuses bool // to take one
	ended   bool
}

func (n *node) began(s broker.State, cancel func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state, n.cancel, n.known = s, cancel, true
	for _, e := range n.early {
		n.takeLocked(e)
	}
}

// Deliver implements broker.Receiver.
func (n *node) Deliver(e broker.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.known {
		n.early = append(n.early, e)
		return
	}
	n.takeLocked(e)
}

func (n *node) takeLocked(e broker.Entry) {
	want := n.state.Last + uint64(len(n.entries)) + 1
	if e.Offset != want {
		n.t.Errorf("delivered offset %d, want %d", e.Offset, want)
	}
	if seq := wire.ParseHeader(e.Frame).Seq; seq != e.Offset {
		n.t.Errorf("the frame of offset %d has seq %d", e.Offset, seq)
	}
	if n.ended {
		n.t.Errorf("offset %d was delivered after the end", e.Offset)
	}
	n.entries = append(n.entries, e)
}

// Reset implements broker.Receiver. Nothing in the suite makes a broker lose its
// place.
func (n *node) Reset(s broker.State) { n.t.Errorf("reset to %+v", s) }

// Changed implements broker.Receiver.
func (n *node) Changed(c broker.Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changes = append(n.changes, c)
}

// TakeOne implements broker.Receiver.
func (n *node) TakeOne(frame []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.refuses {
		n.taken = append(n.taken, Text(frame))
	}
	return !n.refuses
}

func (n *node) end() {
	n.cancel()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
}

func (n *node) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.entries)
}

func (n *node) texts() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return texts(n.entries)
}
