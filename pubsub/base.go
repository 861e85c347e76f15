package pubsub

import (
	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/feed"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// The routes of the base protocol.
const (
	routeAuthenticate = "in_A"
	routeSubscribe    = "in_S"
	routeUnsubscribe  = "in_U"
	routePublish      = "in_P"
	routePublishToOne = "in_P1"
)

func (h *Hub) mountBase(on *arpc.Handler) {
	on.Handle(routeAuthenticate, h.authenticate, arpc.Ordered)
	on.Handle(routeSubscribe, h.base(h.baseSubscribe), arpc.Ordered)
	on.Handle(routeUnsubscribe, h.base(h.baseUnsubscribe), arpc.Ordered)
	on.Handle(routePublish, h.base(h.basePublish), arpc.Ordered)
	on.Handle(routePublishToOne, h.base(h.basePublishToOne), arpc.Ordered)
}

// authenticate handles in_A. Doing it again is harmless and keeps subscriptions.
func (h *Hub) authenticate(ctx *arpc.Context) {
	switch {
	case h.cfg.access == nil:
		refuse(ctx, errRefused)
	case !h.cfg.access(ctx.Body()):
		refuse(ctx, errPassword)
	default:
		h.admit(ctx.Client)
		accept(ctx)
	}
}

// refuse answers a request with an error. A notify has no answer, so the log
// says what it was refused for.
func refuse(ctx *arpc.Context, err error) {
	if ctx.IsRequest() {
		_ = ctx.Error(err) // on a lost connection nobody is there to be told
		return
	}
	ctx.Client.Handler.Logger().Warn("arpc: pub/sub notify refused",
		"method", ctx.Method(), "client", ctx.Client.RemoteAddr(), "error", err)
}

// accept says yes to a request; a notify is content with less.
func accept(ctx *arpc.Context) {
	if ctx.IsRequest() {
		_ = ctx.Write(nil) // on a lost connection the hook cleans up
	}
}

// base is the handler of a base route, with the body parsed.
func (h *Hub) base(f func(*arpc.Context, *session, publication) error) arpc.HandlerFunc {
	return func(ctx *arpc.Context) {
		m, err := h.sessionOf(ctx.Client)
		var p publication
		if err == nil {
			p, err = parsePublication(ctx.Body())
		}
		if err == nil {
			err = f(ctx, m, p)
		}
		if err != nil {
			refuse(ctx, err)
		}
	}
}

// baseSubscribe handles in_S. A second subscription of the same topic changes nothing.
func (h *Hub) baseSubscribe(ctx *arpc.Context, m *session, p publication) error {
	if m.find(p.topic) != nil {
		accept(ctx)
		return nil
	}
	within, cancel := h.within()
	defer cancel()
	s, _, err := h.subscribe(within, m, &feed.Request{Topic: p.topic}, false)
	if err != nil {
		return err
	}
	accept(ctx)
	s.start()
	return nil
}

// baseUnsubscribe handles in_U. After its answer nothing of the topic is sent.
func (h *Hub) baseUnsubscribe(ctx *arpc.Context, m *session, p publication) error {
	m.unsubscribe(p.topic)
	accept(ctx)
	return nil
}

// basePublish handles in_P.
func (h *Hub) basePublish(ctx *arpc.Context, m *session, p publication) error {
	within, cancel := h.within()
	defer cancel()
	if err := h.allow(within, OpPublish, p.topic, m.client); err != nil {
		return err
	}
	frame := push(ctx.Body(), wire.Outside, ctx.Kind())
	o := publishOptions{Topic: p.topic}
	h.appendThen(&o, frame, m.origin, func(_ Position, err error) {
		if err != nil {
			refuse(ctx, shown(err, errBroker))
			return
		}
		accept(ctx)
	})
	return nil
}

// basePublishToOne handles in_P1.
func (h *Hub) basePublishToOne(ctx *arpc.Context, m *session, p publication) error {
	within, cancel := h.within()
	defer cancel()
	if err := h.allow(within, OpPublish, p.topic, m.client); err != nil {
		return err
	}
	if err := h.toOne(p.topic, push(ctx.Body(), 0, ctx.Kind())); err != nil {
		return shown(err, errBroker)
	}
	accept(ctx)
	return nil
}
