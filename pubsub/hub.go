package pubsub

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/codec"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// Position is a place in a topic.
type Position = broker.Position

// Hub holds topics and who is subscribed to them. It mounts on the handler of
// any server. Its methods are safe for concurrent use.
type Hub struct {
	cfg    config
	broker broker.Broker
	ctx    context.Context // ends with the hub
	cancel context.CancelFunc

	mu      sync.Mutex // guards what follows; may be taken under a session's, never the other way round
	handler *arpc.Handler
	under   arpc.Extension // what knows the topic ""
	topics  map[string]*room
	closed  bool
	end     time.Time // when all has to be over that it does at its end

	rules atomic.Uint64 // how often they were said to have changed

	sessions sync.Map // *arpc.Client -> *session
	leaving  leaving
	working  sync.WaitGroup // loaders and the check
}

// brokerTimeout is how long the hub waits for the broker where somebody waits for
// the hub.
const brokerTimeout = 5 * time.Second

// NewHub returns a hub. Unless one of the options opens it, every request is
// answered with permission_denied.
func NewHub(opts ...Option) *Hub {
	h := &Hub{cfg: newConfig(opts), topics: map[string]*room{}, handler: arpc.DefaultHandler}
	h.broker = h.cfg.broker
	if h.broker == nil {
		h.broker = broker.NewMemory(h.cfg.maxTopics)
	}
	h.leaving.hub = h
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.working.Go(h.check)
	return h
}

// Mount registers the routes of the hub on a handler, and its part of the
// protocol.
func (h *Hub) Mount(on *arpc.Handler) {
	under, _ := on.Extension(capability)
	h.mu.Lock()
	h.handler, h.under = on, under
	h.mu.Unlock()
	if h.cfg.access == nil {
		on.Logger().Warn("arpc: pub/sub answers permission_denied; give it pubsub.Open, pubsub.Password or pubsub.Authorize")
	}
	h.mountBase(on)
	h.mountExtended(on)
	for _, method := range h.cfg.publishRoutes {
		on.Handle(method, h.publishPlainly)
	}
	on.HandleDisconnected(func(c *arpc.Client, _ error) { h.leave(c) })
}

// paused ends what a client has here with its connection: it says anew what it
// wants when it comes back.
func (h *Hub) paused(c *arpc.Client) {
	if m := h.session(c); m != nil && m.mayAsk.Load() { // it is the same client, and what it asked may come again before its password
		h.sessions.Store(c, m.again()) // first: what still runs for it is not to begin another one
		h.depart(m)
	} else {
		h.leave(c)
	}
	h.mu.Lock()
	under := h.under.Paused
	h.mu.Unlock()
	if under != nil {
		under(c)
	}
}

func (h *Hub) resumed(c *arpc.Client) {
	h.mu.Lock()
	under := h.under.Resumed
	h.mu.Unlock()
	if under != nil {
		under(c)
	}
}

func (h *Hub) mountedOn() *arpc.Handler {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.handler
}

func (h *Hub) codec() codec.Codec { return h.mountedOn().Codec() }

// work runs f on a goroutine of its own, unless the hub is closed.
func (h *Hub) work(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.working.Go(f)
	}
	return !h.closed
}

// within is a context for what somebody waits for.
func (h *Hub) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(h.ctx, brokerTimeout)
}

// Publish appends v to a topic and returns its place there, when the broker has
// taken it. A topic that nobody subscribed to lately does not exist, unless its
// settings keep it: what is published to it goes nowhere, and the position is
// zero. It waits for the broker at most 5 seconds; after that, as after any error
// of the code unavailable, the publication may be in the topic or not: with a Key
// it can be tried again.
func (h *Hub) Publish(name string, v any, opts ...PublishOption) (Position, error) {
	o := newPublishOptions(name, opts)
	frame, err := h.encode(&o, v, wire.Outside)
	if err != nil {
		return Position{}, err
	}
	type result struct {
		p   Position
		err error
	}
	told := make(chan result, 1)
	h.append(&o, frame, 0, func(p Position, err error) { told <- result{p, err} })
	timeout := time.NewTimer(brokerTimeout)
	defer timeout.Stop()
	select {
	case r := <-told:
		return r.p, r.err
	case <-timeout.C:
		return Position{}, errBroker
	}
}

// PublishToOne sends v to one of the current subscribers, in turn. It fails
// with not_found if there is none.
func (h *Hub) PublishToOne(name string, v any) error {
	o := newPublishOptions(name, nil)
	frame, err := h.encode(&o, v, 0)
	if err != nil {
		return err
	}
	return h.toOne(name, frame)
}

// encode is the frame of a publication of v.
func (h *Hub) encode(o *publishOptions, v any, flags wire.Flags) ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	data, kind, err := arpc.Encode(h.codec(), v)
	if err != nil {
		return nil, fmt.Errorf("publish to %q: %w", o.Topic, err)
	}
	return pushOf(o.Topic, data, flags, kind), nil
}

// append gives a publication to the broker.
func (h *Hub) append(o *publishOptions, frame []byte, origin uint64, done func(Position, error)) {
	h.broker.Append(broker.Append{
		Topic:    o.Topic,
		Frame:    frame,
		Origin:   origin,
		Key:      o.Key,
		Settings: h.cfg.of(o.Topic),
	}, done)
}

// appendThen is append with a done that may block, because an answer waits while
// the client does not read: it is called here where the broker answers at once,
// and otherwise on a goroutine of its own.
func (h *Hub) appendThen(o *publishOptions, frame []byte, origin uint64, done func(Position, error)) {
	var (
		mu       sync.Mutex
		returned bool
		early    func()
	)
	h.append(o, frame, origin, func(p Position, err error) {
		mu.Lock()
		defer mu.Unlock()
		if returned {
			go done(p, err)
			return
		}
		early = func() { done(p, err) }
	})
	mu.Lock()
	returned = true
	mu.Unlock()
	if early != nil {
		early()
	}
}

func (h *Hub) toOne(name string, frame []byte) error {
	ctx, cancel := h.within()
	defer cancel()
	return h.broker.SendToOne(ctx, name, frame)
}

// Topics returns how many topics exist on this node.
func (h *Hub) Topics() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.topics)
}

// Close ends the hub and its broker: subscriptions end, which their clients are
// told, nobody can subscribe any more, and no timer and goroutine is left. For
// those who are members it waits at most 5 seconds for the broker.
func (h *Hub) Close() {
	h.mu.Lock()
	again := h.closed
	h.closed = true
	h.end = time.Now().Add(brokerTimeout)
	rooms := h.topics
	h.topics = map[string]*room{}
	h.mu.Unlock()
	if again {
		return
	}
	h.cancel()
	h.endAll()
	h.leaving.all()
	for _, r := range rooms {
		r.keep()
		r.shut()
	}
	h.working.Wait()
	if err := h.broker.Close(); err != nil {
		h.mountedOn().Logger().Error("arpc: close the broker", "error", err)
	}
}

// endAll ends every subscription.
func (h *Hub) endAll() {
	h.sessions.Range(func(_, m any) bool {
		for _, s := range m.(*session).subscriptions() {
			m.(*session).end(s, errClosed)
		}
		return true
	})
}
