package pubsub

import (
	"context"
	"sync"

	"github.com/seed-fbfaa03e/arpc"
)

// Errors that requests are answered with.
var (
	errRefused         = arpc.Errorf(arpc.CodePermissionDenied, "pub/sub is not open here")
	errUnauthenticated = arpc.Errorf(arpc.CodeUnauthenticated, "not authenticated")
	errPassword        = arpc.Errorf(arpc.CodeUnauthenticated, "wrong password")
	errNobody          = arpc.Errorf(arpc.CodeNotFound, "nobody is subscribed")
	errClosed          = arpc.Errorf(arpc.CodeUnavailable, "pub/sub is closed")
)

// member is a client that may use the topics.
type member struct {
	client *arpc.Client

	mu     sync.Mutex // guards what follows
	topics map[string]*subscription
	gone   bool
}

// authenticate handles in_A. Doing it again is harmless and keeps subscriptions.
func (h *Hub) authenticate(ctx *arpc.Context) {
	switch {
	case h.cfg.access == nil:
		h.refuse(ctx, errRefused)
	case !h.cfg.access(ctx.Body()):
		h.refuse(ctx, errPassword)
	default:
		h.join(ctx)
		_ = answer(ctx)
	}
}

// refuse answers a request with an error. A notify has no answer, so the log
// says what it was refused for.
func (h *Hub) refuse(ctx *arpc.Context, err error) {
	if ctx.IsRequest() {
		_ = ctx.Error(err) // on a lost connection nobody is there to be told
		return
	}
	ctx.Client.Handler.Logger().Warn("arpc: pub/sub notify refused",
		"method", ctx.Method(), "client", ctx.Client.RemoteAddr(), "error", err)
}

// join makes the client a member. If its connection ended meanwhile, the hook
// that would have cleaned up may have run before.
func (h *Hub) join(ctx *arpc.Context) *member {
	c := ctx.Client
	m, _ := h.members.LoadOrStore(c, &member{client: c, topics: map[string]*subscription{}})
	if ctx.Err() != nil && arpc.CodeOf(context.Cause(ctx)) != arpc.CodeCanceled {
		h.leave(c, nil)
	}
	return m.(*member)
}

// member is the handler of a route for members, with the body parsed.
func (h *Hub) member(f func(*arpc.Context, *member, publication) error) arpc.HandlerFunc {
	return func(ctx *arpc.Context) {
		m, err := h.memberOf(ctx)
		var p publication
		if err == nil {
			p, err = parsePublication(ctx.Body())
		}
		if err == nil {
			err = f(ctx, m, p)
		}
		if err != nil {
			h.refuse(ctx, err)
		}
	}
}

func (h *Hub) memberOf(ctx *arpc.Context) (*member, error) {
	if m, ok := h.members.Load(ctx.Client); ok {
		return m.(*member), nil
	}
	switch {
	case h.cfg.access == nil:
		return nil, errRefused
	case h.cfg.open:
		return h.join(ctx), nil
	}
	return nil, errUnauthenticated
}

// subscribe handles in_S. A second subscription of the same topic changes nothing.
func (h *Hub) subscribe(ctx *arpc.Context, m *member, p publication) error {
	s, err := h.addSubscription(m, p.topic)
	if err != nil {
		return err
	}
	err = answer(ctx)
	if s != nil {
		s.start()
	}
	return err
}

func (h *Hub) addSubscription(m *member, name string) (*subscription, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.gone:
		return nil, errClosed
	case m.topics[name] != nil:
		return nil, nil
	case h.cfg.maxSubscriptions > 0 && len(m.topics) >= h.cfg.maxSubscriptions:
		return nil, arpc.Errorf(arpc.CodeResourceExhausted, "%d subscriptions, limit %d", len(m.topics), h.cfg.maxSubscriptions)
	}
	s := &subscription{client: m.client}
	if err := h.enter(name, s); err != nil {
		return nil, err
	}
	m.topics[name] = s
	return s, nil
}

// unsubscribe handles in_U. After its answer nothing of the topic is sent.
func (h *Hub) unsubscribe(ctx *arpc.Context, m *member, p publication) error {
	m.mu.Lock()
	s := m.topics[p.topic]
	delete(m.topics, p.topic)
	m.mu.Unlock()
	if s != nil {
		h.exit(s)
	}
	return answer(ctx)
}

// publish handles in_P.
func (h *Hub) publish(ctx *arpc.Context, _ *member, p publication) error {
	h.append(p.topic, ctx.Body(), ctx.Kind())
	return answer(ctx)
}

// publishToOne handles in_P1.
func (h *Hub) publishToOne(ctx *arpc.Context, _ *member, p publication) error {
	if err := h.toOne(p.topic, ctx.Body(), ctx.Kind()); err != nil {
		return err
	}
	return answer(ctx)
}

// answer says yes to a request; a notify is content with less.
func answer(ctx *arpc.Context) error {
	if ctx.IsRequest() {
		_ = ctx.Write(nil) // on a lost connection the hook cleans up
	}
	return nil
}

// leave ends the subscriptions of a client that is gone.
func (h *Hub) leave(c *arpc.Client, _ error) {
	v, ok := h.members.LoadAndDelete(c)
	if !ok {
		return
	}
	m := v.(*member)
	m.mu.Lock()
	topics := m.topics
	m.topics, m.gone = nil, true
	m.mu.Unlock()
	for _, s := range topics {
		h.exit(s)
	}
}
