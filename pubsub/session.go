package pubsub

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/feed"
)

// session is a client that may use the topics, or that the server put into some.
type session struct {
	hub    *Hub
	client *arpc.Client
	origin uint64      // marks what it publishes; even, and never 0
	mayAsk atomic.Bool // for topics; otherwise it gets those that the server puts it into

	mu     sync.Mutex // guards what follows
	topics map[string]*subscription
	gone   bool
}

// subscription is a client's place in a topic.
type subscription struct {
	*feed.Subscription // nil before the room has it

	session *session
	room    *room
	index   int // in room.subscribers, below 0 when it is not there
	noEcho  bool
	joined  bool      // by the server, which asks nobody
	left    sync.Once // the room

	// untold is what a client is to be told that may yet turn out to know events:
	// where it was put. It is guarded by session.mu, nil when it is settled.
	untold *feed.Request

	// Of those who show that they are there.
	holder  string // "" for others
	member  string // its ID
	stays   bool   // it has an ID of its own, by which it is known when it comes back
	watches *feed.Subscription
}

// admit makes a client one that may use the topics.
func (h *Hub) admit(c *arpc.Client) *session {
	m := h.join(c)
	m.mayAsk.Store(true)
	return m
}

// join gives a client a session.
func (h *Hub) join(c *arpc.Client) *session {
	if m := h.session(c); m != nil {
		return m
	}
	m, _ := h.sessions.LoadOrStore(c, &session{hub: h, client: c, origin: newOrigin(), topics: map[string]*subscription{}})
	if c.State() == arpc.StateClosed { // the hook that cleans up may have run before
		h.leave(c)
	}
	return m.(*session)
}

// again is a session of the same client, without its topics.
func (m *session) again() *session {
	next := &session{hub: m.hub, client: m.client, origin: m.origin, topics: map[string]*subscription{}}
	next.mayAsk.Store(true)
	return next
}

func newOrigin() uint64 { return rand.Uint64()<<1 | 1<<63 }

// session is a client's session, nil if it has none.
func (h *Hub) session(c *arpc.Client) *session {
	m, ok := h.sessions.Load(c)
	if !ok {
		return nil
	}
	return m.(*session)
}

// sessionOf is the session of a client that may have one.
func (h *Hub) sessionOf(c *arpc.Client) (*session, error) {
	m := h.session(c)
	switch {
	case m != nil && m.mayAsk.Load():
		return m, nil
	case h.cfg.access == nil:
		return nil, errRefused
	case h.cfg.open:
		return h.admit(c), nil
	}
	return nil, errUnauthenticated
}

// manner is how a client comes into a topic.
type manner struct {
	events  bool          // it knows them
	joined  bool          // the server put it there
	instead *subscription // it takes the place of this one, and has none without it
}

// subscribe puts the client into a topic, where it asks to be, and takes the place
// of a subscription that it has there. Nothing is pushed before start. Others see
// the subscription when all of it is there.
func (m *session) subscribe(ctx context.Context, r *feed.Request, how manner) (*subscription, feed.Answer, error) {
	if err := m.admits(r.Topic); err != nil {
		return nil, feed.Answer{}, err // before a topic is made for it
	}
	room, err := m.hub.enter(ctx, r.Topic)
	if err != nil {
		return nil, feed.Answer{}, err
	}
	s := &subscription{session: m, room: room, index: -1, noEcho: r.Echo != nil && !*r.Echo, joined: how.joined}
	answer, err := m.place(ctx, s, r, how.events)
	if err == nil && r.Presence {
		err = s.show(ctx, r, &answer)
	}
	if err == nil && how.joined && !how.events {
		at := *r
		at.Epoch, at.Offset, at.Last = &answer.Epoch, &answer.Offset, 0
		s.untold = &at
	}
	if err == nil {
		err = m.keep(s, how.instead)
	}
	if err != nil {
		s.close()
		m.hub.leaving.end(s)
		return nil, feed.Answer{}, err
	}
	return s, answer, nil
}

// place finds the place in the topic.
func (m *session) place(ctx context.Context, s *subscription, r *feed.Request, events bool) (feed.Answer, error) {
	o := feed.Options{
		Topic:  r.Topic,
		Events: events,
		Latest: r.Lag == "latest",
		Hides:  s.hides,
		Older:  s.room.loader.ask,
	}
	if !events {
		o.Missed = s.reportMissed
	}
	for {
		state, log := s.room.state()
		if r.Behind(state) {
			held, err := m.hub.broker.State(ctx, r.Topic)
			if err != nil {
				return feed.Answer{}, shown(err, errBroker)
			}
			if held.Epoch == state.Epoch {
				state.First = held.First
			}
		}
		answer := r.Place(state)
		if s.room.add(s, log, answer.Offset, o) {
			return answer, nil
		}
	}
}

// hides says that a publication is not for its own publisher.
func (s *subscription) hides(tag any) bool {
	const noEcho = 1
	origin, _ := tag.(uint64)
	return origin&^noEcho == s.session.origin && (s.noEcho || origin&noEcho != 0)
}

// reportMissed says that the client was slower than the history is long. The
// base protocol has no words for it, so the log of the server has.
func (s *subscription) reportMissed(n uint64) {
	s.session.client.Handler.Logger().Warn("arpc: slow subscriber missed publications",
		"topic", s.room.name, "client", s.session.client.RemoteAddr(), "missed", n)
}

// start begins to push.
func (s *subscription) start() {
	s.Start()
	if s.watches != nil {
		s.watches.Start()
	}
}

// admits says whether the client may have a subscription of a topic.
func (m *session) admits(topic string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.admitsLocked(topic)
}

func (m *session) admitsLocked(topic string) error {
	limit := m.hub.cfg.maxSubscriptions
	switch {
	case m.gone:
		return errClosed
	case m.topics[topic] == nil && limit > 0 && len(m.topics) >= limit:
		return arpc.Errorf(arpc.CodeResourceExhausted, "%d subscriptions, limit %d", len(m.topics), limit)
	}
	return nil
}

// keep adds a subscription, in place of the one that the client has of the topic.
func (m *session) keep(s, instead *subscription) error {
	m.mu.Lock()
	old := m.topics[s.room.name]
	err := m.admitsLocked(s.room.name)
	if err == nil && instead != nil && old != instead {
		err = errKicked // meanwhile, or it asked by itself
	}
	if err != nil {
		m.mu.Unlock()
		return err
	}
	m.topics[s.room.name] = s
	m.mu.Unlock()
	if old != nil {
		old.close()
	}
	if old != nil && old.member != s.member { // otherwise its membership is that of s now
		m.hub.leaving.end(old)
	}
	return nil
}

// drop forgets a subscription, and says whether the client had it.
func (m *session) drop(s *subscription) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.topics[s.room.name] != s {
		return false
	}
	delete(m.topics, s.room.name)
	return true
}

// find is the client's subscription of a topic, nil if it has none.
func (m *session) find(topic string) *subscription {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.topics[topic]
}

func (m *session) subscriptions() []*subscription {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.topics))
}

// unsubscribe ends the subscription of a topic, if there is one: when it returns
// nothing more is pushed.
func (m *session) unsubscribe(topic string) {
	if s := m.find(topic); s != nil {
		m.leave(s)
	}
}

// leave ends a subscription without a word.
func (m *session) leave(s *subscription) {
	if m.drop(s) {
		s.close()
		m.hub.leaving.end(s)
	}
}

// end ends a subscription and tells the client why.
func (m *session) end(s *subscription, why *arpc.Error) {
	if !m.drop(s) {
		return
	}
	s.End(feed.Event{Topic: s.room.name, Event: feed.Ended, Code: string(why.Code), Message: why.Message}.Frame())
	s.closeRest()
	m.hub.leaving.end(s)
}

// close ends what is pushed, once, and leaves the room.
func (s *subscription) close() {
	if s.Subscription != nil {
		s.Close()
	}
	s.closeRest()
}

func (s *subscription) closeRest() {
	s.left.Do(func() {
		if s.watches != nil {
			s.room.unwatch(s.watches)
		}
		s.room.remove(s)
		s.room.hub.exit(s.room)
	})
}

// leave ends the subscriptions of a client that is gone.
func (h *Hub) leave(c *arpc.Client) {
	if m := h.session(c); m != nil {
		h.sessions.Delete(c)
		h.depart(m)
	}
}

// depart ends the subscriptions that a client had.
func (h *Hub) depart(m *session) {
	m.mu.Lock()
	topics := m.topics
	m.topics, m.gone = map[string]*subscription{}, true
	m.mu.Unlock()
	for _, s := range topics {
		s.close()
	}
	leave := func() {
		for _, s := range topics {
			h.leaving.later(s)
		}
	}
	if !h.work(leave) { // the broker may take its time
		leave()
	}
}
