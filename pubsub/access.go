package pubsub

import (
	"context"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/feed"
)

// Operation is what a client wants to do with a topic.
type Operation string

// The operations.
const (
	OpSubscribe Operation = "subscribe"
	OpPublish   Operation = "publish"
	OpHistory   Operation = "history"
	OpPresence  Operation = "presence" // to be a member, or to see who is
)

// Access is what an AuthorizeFunc is asked about.
type Access struct {
	// Operation is what the client wants to do.
	Operation Operation
	// Topic is what it wants to do it with.
	Topic string
	// Client is who wants it; its Identity says who that is.
	Client *arpc.Client
}

// AuthorizeFunc says whether a client may do something with a topic, on either
// protocol: nil lets it. An *arpc.Error reaches the client as it is, any other as
// permission_denied without a word more. It may block, and holds up only that
// client; ctx ends when the hub does not wait any longer, 5 seconds for what a client
// asks, and an error then is unavailable.
type AuthorizeFunc func(ctx context.Context, a Access) error

// Authorize asks f for each operation of clients, behind the password if there
// is one. What the server does itself is not asked for. A subscription is asked
// for once; see Hub.Reauthorize.
func Authorize(f AuthorizeFunc) Option { return func(c *config) { c.authorize = f } }

// allow asks whether a client may do something.
func (h *Hub) allow(ctx context.Context, op Operation, topic string, c *arpc.Client) error {
	if h.cfg.authorize == nil {
		return nil
	}
	err := h.cfg.authorize(ctx, Access{Operation: op, Topic: topic, Client: c})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return shown(err, errUndecided)
	}
	return shown(err, errDenied)
}

// allowSubscription asks whether a client may subscribe, and be a member.
func (h *Hub) allowSubscription(ctx context.Context, topic string, presence bool, c *arpc.Client) error {
	err := h.allow(ctx, OpSubscribe, topic, c)
	if err == nil && presence {
		err = h.allow(ctx, OpPresence, topic, c)
	}
	return err
}

// subscribe puts a client into a topic if it may be there; if not, it has nothing of
// the topic any more. Where the server put it, it may ask for another place.
func (h *Hub) subscribe(ctx context.Context, m *session, r *feed.Request, events bool) (*subscription, feed.Answer, error) {
	old := m.find(r.Topic)
	how := manner{events: events, joined: old != nil && old.joined}
	for {
		rules := h.rules.Load()
		if !how.joined {
			err := h.allowSubscription(ctx, r.Topic, r.Presence, m.client)
			if err != nil && old != nil && arpc.CodeOf(err) != arpc.CodeUnavailable {
				m.leave(old)
			}
			if err != nil {
				return nil, feed.Answer{}, err
			}
		}
		s, answer, err := m.subscribe(ctx, r, how)
		if err != nil || h.rules.Load() == rules {
			return s, answer, err
		}
		m.leave(s) // Reauthorize may have been too early to see it
	}
}

// Reauthorize asks again for every subscription of some clients, of all if none
// is given, and ends those that are not allowed any more, or of which that is not
// known when ctx ends: when it returns
// nothing more is sent of them, and their clients are told. What the server put
// clients into stays. It is called when rules changed; for a client that showed a
// new token it happens by itself.
func (h *Hub) Reauthorize(ctx context.Context, clients ...*arpc.Client) {
	if h.cfg.authorize == nil {
		return
	}
	h.rules.Add(1)
	if len(clients) == 0 {
		h.sessions.Range(func(c, _ any) bool {
			clients = append(clients, c.(*arpc.Client))
			return true
		})
	}
	for _, c := range clients {
		if m := h.session(c); m != nil {
			m.reauthorize(ctx)
		}
	}
}

func (m *session) reauthorize(ctx context.Context) {
	for _, s := range m.subscriptions() {
		if s.joined {
			continue
		}
		if err := m.hub.allowSubscription(ctx, s.room.name, s.holder != "", m.client); err != nil {
			m.end(s, asError(err))
		}
	}
}
