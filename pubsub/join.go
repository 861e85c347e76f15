package pubsub

import (
	"context"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/feed"
)

// Join subscribes a client to a topic without its asking: nobody is asked whether
// it may. It is told, and gets what is published, if it speaks our protocol; a
// base client gets the publications. A client that reconnects has to be put into
// its topics again, in a connected hook, unless it subscribes itself.
func (h *Hub) Join(ctx context.Context, c *arpc.Client, topic string, opts ...SubscribeOption) error {
	o, err := newSubscribeOptions(topic, opts)
	if err != nil {
		return err
	}
	if err := o.request.Check(); err != nil {
		return err
	}
	answer, start, err := h.join(c).subscribe(ctx, &o.request, c.Capable(capability))
	if err != nil {
		return err
	}
	h.tellJoined(c, answer)
	start()
	return nil
}

// tellJoined says so before anything is pushed.
func (h *Hub) tellJoined(c *arpc.Client, a feed.Answer) {
	if m := h.session(c); m != nil {
		if s := m.find(a.Topic); s != nil {
			s.Tell(feed.Event{Topic: a.Topic, Event: feed.Subscribed, Epoch: a.Epoch, Offset: a.Offset}.Frame())
		}
	}
}

// Kick ends a client's subscription of a topic and tells the client why, if it
// speaks our protocol. It reports whether there was one.
func (h *Hub) Kick(c *arpc.Client, topic string, why *arpc.Error) bool {
	m := h.session(c)
	if m == nil {
		return false
	}
	s := m.find(topic)
	if s == nil {
		return false
	}
	m.end(s, why)
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
