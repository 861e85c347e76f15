package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/witness"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/pubsub/checker"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// engine is a broker that may be away, and that may come back with nothing of
// what it had.
type engine struct {
	mu        sync.RWMutex // held by appends, and by whoever takes everything away
	memory    *broker.Memory
	followers map[*follower]struct{}
	away      atomic.Bool
}

type follower struct {
	topic    string
	settings broker.Settings
	receiver broker.Receiver
	cancel   func()
}

func newEngine() *engine {
	return &engine{memory: broker.NewMemory(0), followers: map[*follower]struct{}{}}
}

func (e *engine) now() (*broker.Memory, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.away.Load() {
		return nil, errAway
	}
	return e.memory, nil
}

func (e *engine) Append(a broker.Append, done func(broker.Position, error)) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.away.Load() {
		go done(broker.Position{}, errAway)
		return
	}
	e.memory.Append(a, done)
}

func (e *engine) Read(ctx context.Context, name string, q broker.Query) (broker.Page, error) {
	m, err := e.now()
	if err != nil {
		return broker.Page{}, err
	}
	return m.Read(ctx, name, q)
}

func (e *engine) State(ctx context.Context, name string) (broker.State, error) {
	m, err := e.now()
	if err != nil {
		return broker.State{}, err
	}
	return m.State(ctx, name)
}

func (e *engine) Subscribe(ctx context.Context, name string, s broker.Settings, r broker.Receiver) (broker.State, func(), error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.away.Load() {
		return broker.State{}, nil, errAway
	}
	state, cancel, err := e.memory.Subscribe(ctx, name, s, r)
	f := &follower{name, s, r, cancel}
	e.followers[f] = struct{}{}
	return state, func() { e.unfollow(f) }, err
}

func (e *engine) unfollow(f *follower) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.followers, f)
	f.cancel()
}

// lose takes everything away.
func (e *engine) lose(t *testing.T) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_ = e.memory.Close()
	e.memory = broker.NewMemory(0)
	for f := range e.followers {
		state, cancel, err := e.memory.Subscribe(t.Context(), f.topic, f.settings, f.receiver)
		if err != nil {
			t.Error(err)
		}
		f.cancel = cancel
		f.receiver.Reset(state)
	}
}

func (e *engine) SendToOne(ctx context.Context, name string, frame []byte) error {
	m, err := e.now()
	if err != nil {
		return err
	}
	return m.SendToOne(ctx, name, frame)
}

func (e *engine) Enter(ctx context.Context, name string, m broker.Member, holder string) error {
	b, err := e.now()
	if err != nil {
		return err
	}
	return b.Enter(ctx, name, m, holder)
}

func (e *engine) Leave(ctx context.Context, name, id, holder string) error {
	b, err := e.now()
	if err != nil {
		return err
	}
	return b.Leave(ctx, name, id, holder)
}

func (e *engine) Members(ctx context.Context, name string) (broker.Roster, error) {
	b, err := e.now()
	if err != nil {
		return broker.Roster{}, err
	}
	return b.Members(ctx, name)
}

func (e *engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.memory.Close()
}

// TestTheEngineGoesAwayAndComesBack: meanwhile whoever asks for something is told,
// those who are subscribed wait, and nothing is lost.
func TestTheEngineGoesAwayAndComesBack(t *testing.T) {
	e := newEngine()
	s, tcp, web := start(t, pubsub.Open(), pubsub.WithBroker(e))
	c := dial(t, tcp, quickly, pubsub.WithErrorHandler(func(string, error) {}))
	other := dial(t, web)
	heard, sub := hear(t, c, "t", pubsub.OnGap(func(g pubsub.Gap) { t.Errorf("gap %+v", g) }))
	for round := range 3 {
		mustPublish(t, s, "t", 2*round+1, 2*round+1)
		e.away.Store(true)
		_, publish := other.Publish("t", "x")
		_, byServer := s.Publish("t", "x")
		_, subscribe := other.Subscribe(fmt.Sprint("new ", round), func(*pubsub.Message) {})
		_, history := other.History("t", pubsub.HistoryQuery{})
		_, historyHere := s.Hub.History(t.Context(), "t", pubsub.HistoryQuery{})
		_, presence := other.Presence("t")
		one := s.PublishToOne("t", "x")
		for what, err := range map[string]error{
			"publish": publish, "publish on the server": byServer, "subscribe": subscribe, "history": history,
			"history on the server": historyHere, "presence": presence, "publish to one": one,
		} {
			if arpc.CodeOf(err) != arpc.CodeUnavailable {
				t.Errorf("%s: %v", what, err)
			}
		}
		c.Restart() // who comes back meanwhile goes on too
		e.away.Store(false)
		mustPublish(t, s, "t", 2*round+2, 2*round+2)
		expect(t, heard, fmt.Sprintf("%d:%[1]d", 2*round+1), fmt.Sprintf("%d:%[1]d", 2*round+2))
	}
	if sub.Err() != nil {
		t.Error(sub.Err())
	}
}

// TestAMemberLeavesThoughTheEngineIsAway when it goes, as soon as it is back.
func TestAMemberLeavesThoughTheEngineIsAway(t *testing.T) {
	for name, goes := range map[string]func(*pubsub.Client, *pubsub.Subscription) error{
		"unsubscribes": func(_ *pubsub.Client, s *pubsub.Subscription) error { return s.Unsubscribe() },
		"stays away":   func(c *pubsub.Client, _ *pubsub.Subscription) error { c.Stop(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine()
			s, tcp, _ := start(t, pubsub.Open(), pubsub.WithBroker(e), pubsub.Grace(time.Millisecond))
			c := dial(t, tcp)
			_, sub := hear(t, c, "t", pubsub.WithPresence(nil))
			watching, _ := hear(t, dial(t, tcp), "t")
			e.away.Store(true)
			if err := goes(c, sub); err != nil {
				t.Fatal(err)
			}
			arpctest.Eventually(t, "not subscribed", func() bool { return len(s.Hub.Subscribers("t")) == 1 })
			e.away.Store(false)
			arpctest.Eventually(t, "no member", func() bool {
				members, err := s.Hub.Members(t.Context(), "t")
				return err == nil && len(members) == 0
			})
			mustPublish(t, s, "t", 1, 1)
			expect(t, watching, "1:1")
		})
	}
}

// TestNoMemberIsLeft of clients that go while they come.
func TestNoMemberIsLeft(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open(), pubsub.Grace(time.Millisecond))
	for range arpctest.Scaled(1000) {
		c := dial(t, tcp)
		var coming sync.WaitGroup
		for i := range 4 {
			coming.Go(func() { _, _ = c.Subscribe(fmt.Sprint("t", i), func(*pubsub.Message) {}, pubsub.WithPresence(i)) })
		}
		for _, one := range s.Clients() {
			one.Stop()
		}
		c.Stop()
		coming.Wait()
	}
	for i := range 4 {
		name := fmt.Sprint("t", i)
		arpctest.Eventually(t, "nobody", func() bool {
			members, err := s.Hub.Members(t.Context(), name)
			return err == nil && len(members) == 0 && len(s.Hub.Subscribers(name)) == 0
		})
	}
}

// TestANewEpochUnderLoad is signalled once to each subscriber, and what is
// published in it comes whole.
func TestANewEpochUnderLoad(t *testing.T) {
	const subscribers = 20
	messages := arpctest.Scaled(20_000)
	e := newEngine()
	s, tcp, web := start(t, pubsub.Open(), pubsub.WithBroker(e), pubsub.History(topic.Limits{Entries: messages}))
	known := witness.Epochs(t, dial(t, tcp), "t")["t"]
	var witnesses []*witness.Witness
	for i := range subscribers {
		w := witness.New(fmt.Sprint("s", i))
		w.Subscribe(t, dial(t, []string{tcp, web}[i%2]), "t", known)
		witnesses = append(witnesses, w)
	}
	var run checker.Run
	var last pubsub.Position
	lost := make(chan struct{})
	for n := range messages {
		switch n {
		case messages / 2:
			go func() { e.lose(t); close(lost) }()
		case messages - 100: // however fast the others were
			arpctest.Closed(t, lost, "what the engine had")
		}
		payload := fmt.Sprint("message ", n)
		at, err := s.Publish("t", payload)
		if err != nil {
			t.Fatal(err)
		}
		last = at
		run.Published = append(run.Published, checker.Publication{Topic: "t", Publisher: "p", N: n, Payload: payload, Acked: true, Epoch: at.Epoch, Offset: at.Offset})
	}
	if last.Epoch == known {
		t.Fatal("it is the same epoch")
	}
	for i, w := range witnesses {
		arpctest.EventuallyWithin(t, 5*time.Minute, "the last", func() bool {
			events := w.Record().Events
			return len(events) > 0 && events[len(events)-1].Offset == last.Offset && events[len(events)-1].Epoch == last.Epoch
		})
		record := w.Record()
		told := 0
		var inNew []uint64
		for _, e := range record.Events {
			if e.Kind == checker.Epoch {
				told++
			}
			if e.Kind == checker.Message && e.Epoch == last.Epoch {
				inNew = append(inNew, e.Offset)
			}
		}
		if told != 1 || uint64(len(inNew)) != last.Offset || !slices.IsSorted(inNew) {
			t.Errorf("subscriber %d: told %d times, %d of %d in the new epoch", i, told, len(inNew), last.Offset)
		}
		run.Subscribers = append(run.Subscribers, record)
	}
	arpctest.Figure(t, "epoch_deliveries", witness.Verify(t, run))
}

// TestTheEndOfAHub: who is subscribed is told, and nobody can do anything any more.
func TestTheEndOfAHub(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open())
	c := dial(t, tcp)
	ended := make(chan error, 1)
	_, sub := hear(t, c, "t", pubsub.WithPresence(nil), pubsub.OnEnd(func(err error) { ended <- err }))
	s.Hub.Close()
	if err := arpctest.Receive(t, ended, "the end"); arpc.CodeOf(err) != arpc.CodeUnavailable || !errors.Is(sub.Err(), err) {
		t.Errorf("ended: %v, %v", err, sub.Err())
	}
	_, subscribe := c.Subscribe("t", func(*pubsub.Message) {})
	_, publish := c.Publish("t", "x")
	for what, err := range map[string]error{"subscribe": subscribe, "publish": publish} {
		if arpc.CodeOf(err) != arpc.CodeUnavailable {
			t.Errorf("%s: %v", what, err)
		}
	}
}
