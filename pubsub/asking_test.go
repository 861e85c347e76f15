package pubsub_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub"
)

// A gate is a server that looks long at who subscribes to what.
type gate struct {
	mu     sync.Mutex
	closed func(topic string) bool // guarded by mu; nil is none
	asked  chan string             // topics that are held
	open   chan struct{}
}

func newGate() *gate { return &gate{asked: make(chan string, 100), open: make(chan struct{})} }

// hold has those wait for open who subscribe to some topics from now on.
func (g *gate) hold(topics func(string) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = topics
}

func (g *gate) authorize(_ context.Context, a pubsub.Access) error {
	g.mu.Lock()
	held := g.closed != nil && a.Operation == pubsub.OpSubscribe && g.closed(a.Topic)
	g.mu.Unlock()
	if held {
		g.asked <- a.Topic
		<-g.open
	}
	return nil
}

func only(topic string) func(string) bool { return func(name string) bool { return name == topic } }

func everything(string) bool { return true }

// subscribeAgain subscribes as soon as the topic is free.
func subscribeAgain(t *testing.T, c *pubsub.Client, name string, f func(*pubsub.Message), opts ...pubsub.SubscribeOption) (s *pubsub.Subscription) {
	t.Helper()
	arpctest.Eventually(t, "a subscription of "+name, func() (subscribed bool) {
		var err error
		s, err = c.Subscribe(name, f, opts...)
		return err == nil
	})
	return s
}

// TestUnsubscribingWithoutAConnection: the request that waits for the next one does
// not end a subscription that is made meanwhile.
func TestUnsubscribingWithoutAConnection(t *testing.T) {
	const topics = 20
	s, tcp, _ := start(t, pubsub.Open())
	back := make(chan struct{})
	var dialed atomic.Int64
	dial := func() (net.Conn, error) {
		if dialed.Add(1) > 1 {
			<-back
		}
		return net.Dial("tcp", strings.TrimPrefix(tcp, "tcp://"))
	}
	c, err := pubsub.NewClient(dial, quickly)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") })
	var before []*pubsub.Subscription
	for i := range topics {
		_, sub := hear(t, c, fmt.Sprint("t", i))
		before = append(before, sub)
	}
	s.Clients()[0].Stop()
	arpctest.Eventually(t, "another attempt", func() bool { return dialed.Load() > 1 })

	heard := make(chan string, topics)
	var working sync.WaitGroup
	for i, sub := range before {
		working.Go(func() {
			if err := sub.Unsubscribe(); err != nil {
				t.Error(err)
			}
		})
		working.Go(func() {
			subscribeAgain(t, c, fmt.Sprint("t", i), func(m *pubsub.Message) { heard <- m.Topic })
		})
	}
	for i, sub := range before { // until each has begun to unsubscribe
		for range sub.All(t.Context()) {
			t.Errorf("t%d had something", i)
		}
	}
	close(back)
	working.Wait()
	for i := range topics {
		mustPublish(t, s, fmt.Sprint("t", i), 1, 1)
		expect(t, heard, fmt.Sprint("t", i))
	}
}

// TestAnAnswerIsForTheOneThatAsked, and not for its successor.
func TestAnAnswerIsForTheOneThatAsked(t *testing.T) {
	g := newGate()
	s, tcp, _ := start(t, pubsub.Authorize(g.authorize), pubsub.Topics(keepAll))
	c := dial(t, tcp)
	busy, release := make(chan bool), make(chan bool)
	if _, err := c.Subscribe("busy", func(*pubsub.Message) { busy <- true; <-release }); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, s, "busy", 1, 1)
	arpctest.Receive(t, busy, "a busy client")
	_, old := hear(t, c, "t")
	if err := old.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, s, "busy", 2, 2)
	at := mustPublish(t, s, "t", 1, 3)
	g.hold(only("t"))
	type result struct {
		*pubsub.Subscription
		error
	}
	subscribed := make(chan result, 1)
	go func() {
		sub, err := c.Subscribe("t", func(*pubsub.Message) { t.Error("nothing new was published") })
		subscribed <- result{sub, err}
	}()
	arpctest.Receive(t, g.asked, "the question")
	release <- true
	arpctest.Receive(t, busy, "what is behind the answer to the first") // which is handled by now
	close(g.open)
	again := arpctest.Receive(t, subscribed, "the subscription")
	if again.error != nil || again.Position() != at {
		t.Errorf("at %+v, %v, want %+v", again.Position(), again.error, at)
	}
	close(release)
}

// TestWhatWasUnsubscribedIsNotBroughtBack by the one who brings all of them back.
func TestWhatWasUnsubscribedIsNotBroughtBack(t *testing.T) {
	g := newGate()
	s, tcp, _ := start(t, pubsub.Password("p"), pubsub.Authorize(g.authorize))
	c := dial(t, tcp, pubsub.WithPassword("p"), quickly) // with one hello brings nothing back
	subscriptions := map[string]*pubsub.Subscription{}
	for _, name := range []string{"a", "b"} {
		_, subscriptions[name] = hear(t, c, name)
	}
	restored := make(chan bool, 1)
	c.Handler.HandleConnected(func(*arpc.Client) { restored <- true }) // behind the client's own
	g.hold(everything)
	c.Restart()
	kept := arpctest.Receive(t, g.asked, "the first of them")
	arpctest.Eventually(t, "the last connection is gone", func() bool { return len(s.Clients()) == 1 })
	g.hold(nil)
	delete(subscriptions, kept)
	for name, other := range subscriptions {
		unsubscribed := make(chan error, 1)
		go func() { unsubscribed <- other.Unsubscribe() }()
		for range other.All(t.Context()) {
			t.Error("something came of", name)
		}
		close(g.open)
		if err := arpctest.Receive(t, unsubscribed, "the end of "+name); err != nil {
			t.Error(err)
		}
		arpctest.Receive(t, restored, "the end of bringing back")
		if n := len(s.Hub.Subscribers(name)); n > 0 {
			t.Errorf("%d subscribe to %s", n, name)
		}
	}
	if n := len(s.Hub.Subscribers(kept)); n != 1 {
		t.Errorf("%d subscribe to %s", n, kept)
	}
}

// TestAClientThatWasStoppedTellsOfNoError, though it was about to subscribe again.
func TestAClientThatWasStoppedTellsOfNoError(t *testing.T) {
	for name, opts := range map[string][]pubsub.ClientOption{
		"subscribing":    nil,
		"authenticating": {pubsub.WithPassword("p")},
	} {
		t.Run(name, func(t *testing.T) {
			_, tcp, _ := start(t, pubsub.Password("p"))
			h := arpc.NewHandler()
			var connected atomic.Int64
			again, stopped := make(chan struct{}), make(chan struct{})
			h.HandleConnected(func(*arpc.Client) { // before the client's own
				if connected.Add(1) == 2 {
					close(again)
					<-stopped
				}
			})
			c, err := pubsub.Dial(t.Context(), tcp, append(opts, quickly, pubsub.WithHandler(h),
				pubsub.WithClientOptions(arpc.WithHello(arpc.HelloNever)),
				pubsub.WithErrorHandler(func(_ string, err error) { t.Error(err) }))...)
			if err != nil {
				t.Fatal(err)
			}
			if opts == nil { // by itself, once
				if err := c.Call("in_A", "p", nil, arpctest.Wait); err != nil {
					t.Fatal(err)
				}
			}
			hear(t, c, "t")
			c.Restart()
			arpctest.Closed(t, again, "another connection")
			c.Stop()
			close(stopped)
			arpctest.Closed(t, c.Done(), "client")
		})
	}
}

// TestAnUnsubscribeThatWasGivenUpHoldsUpNothing: the server never did it.
func TestAnUnsubscribeThatWasGivenUpHoldsUpNothing(t *testing.T) {
	g := newGate()
	s, tcp, _ := start(t, pubsub.Authorize(g.authorize))
	c := dial(t, tcp, pubsub.WithTimeout(100*time.Millisecond))
	nothing := func(*pubsub.Message) {}
	old := subscribeAgain(t, c, "t", nothing)
	g.hold(only("slow"))
	slow := make(chan error, 1)
	go func() {
		_, err := c.Subscribe("slow", nothing)
		slow <- err
	}()
	arpctest.Receive(t, g.asked, "the question")
	if err := old.Unsubscribe(); arpc.CodeOf(err) != arpc.CodeDeadlineExceeded {
		t.Fatalf("unsubscribed: %v", err)
	}
	arpctest.Receive(t, slow, "the end of patience")
	close(g.open)
	heard := make(chan uint64, 1)
	subscribeAgain(t, c, "t", func(m *pubsub.Message) { heard <- m.Offset })
	mustPublish(t, s, "t", 1, 1)
	if got := arpctest.Receive(t, heard, "a publication"); got != 1 {
		t.Errorf("heard %d", got)
	}
}
