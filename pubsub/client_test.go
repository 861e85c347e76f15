package pubsub_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/topic"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// TestSubscribingInAHandler does not wait for that handler to end.
func TestSubscribingInAHandler(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open(), pubsub.Topics(keepAll))
	at := mustPublish(t, s, "inner", 1, 2)
	c := dial(t, tcp)
	heard := make(chan string, 10)
	subscribed := make(chan error, 1)
	hear := func(m *pubsub.Message) { heard <- string(m.Data.Data) }
	if _, err := c.Subscribe("outer", func(*pubsub.Message) {
		inner, err := c.Subscribe("inner", hear, pubsub.Since(pubsub.Position{Epoch: at.Epoch, Offset: 1}))
		if err == nil && inner.Position() != (pubsub.Position{Epoch: at.Epoch, Offset: 1}) {
			err = fmt.Errorf("at %+v", inner.Position())
		}
		subscribed <- err
	}); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, s, "outer", 1, 1)
	if err := arpctest.Receive(t, subscribed, "the subscription"); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, s, "inner", 3, 3)
	expect(t, heard, "2", "3")
}

// TestSubscribingAgain: what was pushed for the subscription before is not for
// the next one, though it is still to be handled.
func TestSubscribingAgain(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open())
	c := dial(t, tcp)
	busy, release := make(chan bool), make(chan bool)
	if _, err := c.Subscribe("busy", func(*pubsub.Message) { busy <- true; <-release }); err != nil {
		t.Fatal(err)
	}
	old, err := c.Subscribe("t", func(*pubsub.Message) { t.Error("it was unsubscribed") })
	if err != nil {
		t.Fatal(err)
	}
	mustPublish(t, s, "busy", 1, 1)
	arpctest.Receive(t, busy, "a busy client")
	at := mustPublish(t, s, "t", 1, 3)
	arpctest.Eventually(t, "pushes that wait", func() bool { _, err := c.Presence("t"); return err == nil })
	if err := old.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	var heard []uint64
	var mu sync.Mutex
	again, err := c.Subscribe("t", func(m *pubsub.Message) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, m.Offset)
	}, pubsub.Since(pubsub.Position{Epoch: at.Epoch}))
	if err != nil {
		t.Fatal(err)
	}
	close(release)
	arpctest.Eventually(t, "all of it", func() bool { return again.Position() == at })
	mu.Lock()
	defer mu.Unlock()
	if fmt.Sprint(heard) != "[1 2 3]" {
		t.Errorf("heard %v", heard)
	}
}

// TestALoopEndsWithItsClient, and lets its client end.
func TestALoopEndsWithItsClient(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open(), pubsub.History(topic.Limits{Entries: 3000}))
	c := dial(t, tcp)
	sub, err := c.Subscribe("t", nil)
	if err != nil {
		t.Fatal(err)
	}
	mustPublish(t, s, "t", 1, 2500) // more than wait for the loop
	next := uint64(1)
	for m, err := range sub.All(t.Context()) {
		if err != nil {
			if !errors.Is(err, arpc.ErrStopped) {
				t.Errorf("ended: %v", err)
			}
			break
		}
		if m.Offset != next {
			t.Fatalf("%d, want %d", m.Offset, next)
		}
		if next++; next == 100 {
			c.Stop()
		}
	}
	if next < 100 {
		t.Errorf("ended before %d", next)
	}
}

// TestABaseClientComesBack though it says no hello.
func TestABaseClientComesBack(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open())
	c := dial(t, tcp, quickly, pubsub.WithClientOptions(arpc.WithHello(arpc.HelloNever)))
	heard := make(chan string, 1000)
	if _, err := c.Subscribe("t", func(m *pubsub.Message) { heard <- string(m.Data.Data) }); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		old := s.Clients()[0]
		old.Stop()
		arpctest.Eventually(t, "back", func() bool {
			all := s.Hub.Subscribers("t")
			return len(all) == 1 && all[0] != old
		})
		mustPublish(t, s, "t", 1, 1)
		expect(t, heard, "1")
	}
}

// TestWhileThereIsNoConnection: what is asked meanwhile is asked in the way that
// the server knows, with a key and for a position.
func TestWhileThereIsNoConnection(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open(), pubsub.Topics(keepAll))
	away := arpc.Backoff{First: 300 * time.Millisecond, Max: 300 * time.Millisecond}
	lost := make(chan error, 1)
	h := arpc.NewHandler()
	h.HandleDisconnected(func(_ *arpc.Client, err error) { lost <- err })
	c := dial(t, tcp, pubsub.WithHandler(h), pubsub.WithClientOptions(arpc.WithBackoff(away)))
	lose := func() { // however soon it is back
		for _, one := range s.Clients() {
			one.Stop()
		}
		arpctest.Receive(t, lost, "the end of the connection")
	}
	lose()
	first, err := c.Publish("t", "x", pubsub.Key("k"))
	if err != nil || first.Offset != 1 {
		t.Fatalf("published: %+v, %v", first, err)
	}
	lose()
	if again, err := c.Publish("t", "x", pubsub.Key("k")); err != nil || again != first {
		t.Errorf("again: %+v, %v", again, err)
	}
	lose()
	heard, sub := hear(t, c, "t", pubsub.Last(1))
	expect(t, heard, "1:x")
	lose()
	if err := sub.Unsubscribe(); err != nil {
		t.Error(err)
	}
}

// TestALongTokenAndManyTopics fit into hello, or the client would never come back.
func TestALongTokenAndManyTopics(t *testing.T) {
	s := pubsub.NewServer(pubsub.Open())
	s.Handler.HandleAuthenticate(whoTheirTokenSays)
	tcp, _ := serve(t, s)
	c := dial(t, tcp, tokenOf(strings.Repeat("t", 8000)), quickly)
	const topics = 600
	for i := range topics {
		hear(t, c, fmt.Sprint("topic number ", i))
	}
	c.Restart()
	arpctest.Eventually(t, "all topics", func() bool {
		for i := range topics {
			subscribers := s.Hub.Subscribers(fmt.Sprint("topic number ", i))
			if len(subscribers) != 1 || subscribers[0].State() != arpc.StateOpen {
				return false
			}
		}
		return true
	})
}

// TestAHoleIsAskedForAgain when the server could not answer just then.
func TestAHoleIsAskedForAgain(t *testing.T) {
	var failing atomic.Int64
	s, tcp, _ := start(t, pubsub.Authorize(func(context.Context, pubsub.Access) error {
		if failing.Add(-1) >= 0 {
			return arpc.Errorf(arpc.CodeUnavailable, "ask me later")
		}
		return nil
	}))
	c := dial(t, tcp, pubsub.WithErrorHandler(func(string, error) {}))
	heard, _ := hear(t, c, "t")
	mustPublish(t, s, "t", 1, 2)
	expect(t, heard, "1:1", "2:2")
	failing.Store(1)
	body := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint16([]byte("xt"), 1), 0)
	h := wire.Header{Cmd: wire.Notify, Flags: wire.Outside, Seq: 50}
	if err := s.Clients()[0].PushMsg(arpc.EncodedMessage(wire.Append(nil, h, "in_P", body)), arpc.TimeZero); err != nil {
		t.Fatal(err)
	}
	arpctest.Eventually(t, "the question", func() bool { return failing.Load() < 1 })
	mustPublish(t, s, "t", 3, 5)
	expect(t, heard, "3:3", "4:4", "5:5")
}

// TestBroadcastsAreCounted: connections that end while broadcasts come lose none
// and double none.
func TestBroadcastsAreCounted(t *testing.T) {
	messages := arpctest.Scaled(20_000)
	s, tcp, web := start(t, pubsub.Open())
	var heard [2]atomic.Int64
	var clients []*pubsub.Client
	for i, address := range []string{tcp, web} {
		h := arpc.NewHandler()
		var mu sync.Mutex // two connections may be at work: the one before has what it took
		seen := make([]bool, messages)
		h.Handle("/news", func(ctx *arpc.Context) {
			var n int
			if err := json.Unmarshal(ctx.Body(), &n); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if seen[n] {
				t.Errorf("%d came twice", n)
			}
			seen[n] = true
			heard[i].Add(1)
		})
		clients = append(clients, dial(t, address, quickly, pubsub.WithHandler(h),
			pubsub.WithBroadcastGap(func(g pubsub.Gap) { t.Errorf("gap %+v", g) })))
	}
	arpctest.Eventually(t, "both", func() bool { return len(s.Clients()) == 2 })
	for n := range messages {
		if err := s.Broadcast("/news", n); err != nil {
			t.Fatal(err)
		}
		if n%50 == 49 {
			clients[n/50%2].Restart()
			arpctest.EventuallyWithin(t, 5*time.Minute, "not too far behind", func() bool { return heard[0].Load()+500 > int64(n) && heard[1].Load()+500 > int64(n) })
		}
	}
	for i := range heard {
		arpctest.EventuallyWithin(t, 5*time.Minute, "all broadcasts", func() bool { return heard[i].Load() == int64(messages) })
	}
	arpctest.Figure(t, "broadcast_restarts", messages/50)
}
