package pubsub

import (
	"encoding/json"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/codec"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// PublishRoute registers a route of the application that publishes what it is
// called with, for those who have no connection: Server.HTTP of package server
// reaches it by POST. Its body is JSON, {"topic", "data", "key", "one"}: data is
// what is published, a string as text; with the same key it is published once,
// however often the request is repeated; with one it goes to one of the
// subscribers, as PublishToOne sends it. The answer is {"epoch", "offset"}, or {}
// with one; the epoch is "" where the topic does not exist, see Hub.Publish.
//
// Whoever asks has to be allowed to: Authorize is asked for OpPublish, with the
// client whose identity is that of the request. A hub with a password answers
// unauthenticated: a request cannot show it.
func PublishRoute(method string) Option {
	return func(c *config) { c.publishRoutes = append(c.publishRoutes, method) }
}

// plainPublication is the body of a PublishRoute.
type plainPublication struct {
	Topic string          `json:"topic"`
	Data  json.RawMessage `json:"data"`
	Key   string          `json:"key"`
	One   bool            `json:"one"`
}

// value is the data, as a client of ours would send it.
func (p *plainPublication) value(c codec.Codec) (any, error) {
	var text string
	switch {
	case len(p.Data) == 0:
		return nil, nil
	case p.Data[0] == '"' && json.Unmarshal(p.Data, &text) == nil:
		return text, nil
	case c == codec.JSON:
		return arpc.Raw{Kind: wire.Value, Data: p.Data}, nil
	}
	var v any
	err := json.Unmarshal(p.Data, &v)
	return v, err
}

// publishPlainly handles a PublishRoute.
func (h *Hub) publishPlainly(ctx *arpc.Context) {
	if err := h.tryPublishPlainly(ctx); err != nil {
		refuse(ctx, err)
	}
}

func (h *Hub) tryPublishPlainly(ctx *arpc.Context) error {
	origin, err := h.publisher(ctx.Client)
	if err != nil {
		return err
	}
	var p plainPublication
	if err := bind(ctx, &p); err != nil {
		return err
	}
	o := publishOptions{Topic: p.Topic, Key: p.Key, One: p.One}
	v, err := p.value(h.codec())
	if err != nil {
		return arpc.Errorf(arpc.CodeInvalidArgument, "%s: the data is not JSON", ctx.Method())
	}
	var flags wire.Flags
	if !p.One {
		flags = wire.Outside
	}
	frame, err := h.encode(&o, v, flags)
	if err != nil {
		return err
	}
	within, cancel := h.within()
	defer cancel()
	if err := h.allow(within, OpPublish, o.Topic, ctx.Client); err != nil {
		return err
	}
	h.send(ctx, &o, frame, origin)
	return nil
}

// publisher says whether a client may have a session, and marks what it publishes.
// Who is behind a request over HTTP is gone with it, and gets none.
func (h *Hub) publisher(c *arpc.Client) (origin uint64, err error) {
	if m := h.session(c); m != nil {
		return m.origin, nil
	}
	switch {
	case h.cfg.access == nil:
		return 0, errRefused
	case h.cfg.open:
		return newOrigin(), nil
	}
	return 0, errUnauthenticated
}
