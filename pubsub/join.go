package pubsub

import (
	"cmp"
	"context"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/feed"
)

// Join subscribes a client to a topic without its asking: nobody is asked whether
// it may, also when it asks for another place there. It is told, and gets what is
// published, if it speaks our protocol; a base client gets the publications. One
// that is subscribed already stays as it is. A client that reconnects has to be
// put into its topics again. Connected and resumed hooks are places for that: the one
// of a new session may run before hello, and then the client is told once that is
// answered, and misses nothing.
func (h *Hub) Join(ctx context.Context, c *arpc.Client, topic string, opts ...SubscribeOption) error {
	o, err := newSubscribeOptions(topic, opts)
	if err != nil {
		return err
	}
	if err := o.request.Check(); err != nil {
		return err
	}
	m := h.join(c)
	if m.find(topic) != nil {
		return nil
	}
	events := c.Capable(capability)
	s, answer, err := m.subscribe(ctx, &o.request, manner{events: events, joined: true})
	if err != nil {
		return err
	}
	s.tellJoined(answer)
	s.start()
	if !events && c.Capable(capability) { // hello was answered meanwhile
		m.tellUntold(ctx)
	}
	return nil
}

// tellUntold tells a client that knows events of the topics that it was put into
// before that was known. It goes on there from where it was put: what it was sent
// since, it did not know what to do with.
func (m *session) tellUntold(ctx context.Context) {
	for _, old := range m.subscriptions() {
		r := m.settle(old)
		if r == nil {
			continue
		}
		s, answer, err := m.subscribe(ctx, r, manner{events: true, joined: true, instead: old})
		if err != nil {
			m.client.Handler.Logger().Warn("arpc: tell of a topic", "topic", r.Topic, "client", m.client.RemoteAddr(), "error", err)
			continue
		}
		s.tellJoined(answer)
		s.start()
	}
}

// settle is what a client is to be told of a subscription, for the one who asks first.
func (m *session) settle(s *subscription) *feed.Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := s.untold
	s.untold = nil
	return r
}

// tellJoined says so before anything is pushed.
func (s *subscription) tellJoined(a feed.Answer) {
	s.Tell(feed.Event{Topic: a.Topic, Event: feed.Subscribed, Epoch: a.Epoch, Offset: a.Offset}.Frame())
	if a.Members != nil {
		s.Tell(feed.Event{Topic: a.Topic, Event: feed.Members, Members: a.Members, Version: a.Version}.Frame())
	}
}

// Kick ends a client's subscription of a topic and tells the client why, if it
// speaks our protocol; nil is permission_denied. It reports whether there was one.
// It may subscribe again: AuthorizeFunc keeps it out.
func (h *Hub) Kick(c *arpc.Client, topic string, why *arpc.Error) bool {
	m := h.session(c)
	if m == nil {
		return false
	}
	s := m.find(topic)
	if s == nil {
		return false
	}
	m.end(s, cmp.Or(why, errKicked))
	return true
}

// Subscribers are the clients of this node that are subscribed to a topic, in no
// order.
func (h *Hub) Subscribers(topic string) []*arpc.Client {
	r := h.find(topic)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	clients := make([]*arpc.Client, 0, len(r.subscribers))
	for _, s := range r.subscribers {
		clients = append(clients, s.session.client)
	}
	return clients
}

// Members returns who is in a topic, on all nodes.
func (h *Hub) Members(ctx context.Context, topic string) ([]Member, error) {
	roster, err := h.broker.Members(ctx, topic)
	if err != nil {
		return nil, shown(err, errBroker)
	}
	return roster.Members, nil
}
