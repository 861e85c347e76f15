package pubsub

import (
	"context"
	"encoding/json"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/feed"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// capability is what both ends list that know topics with positions.
const capability = "topics"

// The methods of the capability.
const (
	methodSubscribe   = "arpc.subscribe"
	methodUnsubscribe = "arpc.unsubscribe"
	methodPublish     = "arpc.publish"
	methodHistory     = "arpc.history"
	methodPresence    = "arpc.presence"
)

// Bounds of one answer to arpc.history.
const (
	historyDefault = 100
	historyEntries = 300
	historyBytes   = 256 << 10
)

func (h *Hub) mountExtended(on *arpc.Handler) {
	on.Extend(arpc.Extension{
		Capability: capability,
		Routes: []arpc.ExtensionRoute{
			{Method: methodSubscribe, Mode: arpc.Ordered, Handler: h.extended(h.subscribeTo)},
			{Method: methodUnsubscribe, Mode: arpc.Ordered, Handler: h.extended(h.unsubscribeFrom)},
			{Method: methodPublish, Mode: arpc.Ordered, Handler: h.extended(h.publish)},
			{Method: methodHistory, Mode: arpc.Concurrent, Handler: h.extended(h.history)},
			{Method: methodPresence, Mode: arpc.Concurrent, Handler: h.extended(h.roster)},
		},
		Subscriptions: h.cfg.maxSubscriptions,
		Welcome:       h.welcome,
		Paused:        h.paused,
		Resumed:       h.resumed,
		Refreshed: func(c *arpc.Client) {
			ctx, cancel := h.within()
			defer cancel()
			h.Reauthorize(ctx, c)
		},
	})
}

// extended is the handler of a method for clients that may use the topics.
func (h *Hub) extended(f func(*arpc.Context, *session) error) arpc.HandlerFunc {
	return func(ctx *arpc.Context) {
		m, err := h.sessionOf(ctx.Client)
		if err == nil {
			err = f(ctx, m)
		}
		if err != nil {
			refuse(ctx, err)
		}
	}
}

// bind reads a body that is JSON whatever the codec is.
func bind(ctx *arpc.Context, v any) error {
	if err := json.Unmarshal(ctx.Body(), v); err != nil {
		return arpc.Errorf(arpc.CodeInvalidArgument, "%s: the body is not the JSON that it must be", ctx.Method())
	}
	return nil
}

// reply answers with JSON whatever the codec is.
func reply(ctx *arpc.Context, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		refuse(ctx, err)
		return
	}
	_ = ctx.Write(arpc.Raw{Kind: wire.Value, Data: body}) // on a lost connection the hook cleans up
}

// subscribeTo handles arpc.subscribe.
func (h *Hub) subscribeTo(ctx *arpc.Context, m *session) error {
	var r feed.Request
	if err := bind(ctx, &r); err != nil {
		return err
	}
	within, cancel := h.within()
	defer cancel()
	s, answer, err := h.accept(within, m, &r)
	if err == nil && ctx.Err() != nil { // who asked does not know of it
		m.leave(s)
		err = errGivenUp
	}
	if err != nil {
		return err
	}
	reply(ctx, answer)
	s.start()
	return nil
}

// accept subscribes a client that knows events, and may ask for anything.
func (h *Hub) accept(ctx context.Context, m *session, r *feed.Request) (*subscription, feed.Answer, error) {
	err := checkTopic(r.Topic)
	if err == nil {
		err = r.Check()
	}
	if err == nil {
		err = checkPresence(r)
	}
	if err != nil {
		return nil, feed.Answer{}, err
	}
	return h.subscribe(ctx, m, r, true)
}

// welcome takes the topics of a hello. "" belongs to whoever broadcasts. Behind the
// answer come the topics that the client was put into.
func (h *Hub) welcome(c *arpc.Client, said json.RawMessage) (answer any, then func()) {
	answer, starts := h.welcomeAll(c, said)
	return answer, func() {
		for _, start := range starts {
			start()
		}
		if m := h.session(c); m != nil {
			ctx, cancel := h.within()
			defer cancel()
			m.tellUntold(ctx)
		}
	}
}

func (h *Hub) welcomeAll(c *arpc.Client, said json.RawMessage) (answer any, starts []func()) {
	var list []json.RawMessage
	if said == nil || json.Unmarshal(said, &list) != nil {
		return nil, nil
	}
	ctx, cancel := h.within() // for all of them: who says hello waits
	defer cancel()
	answers := make([]any, len(list))
	for i, one := range list {
		var start func()
		if answers[i], start = h.welcomeOne(ctx, c, one); start != nil {
			starts = append(starts, start)
		}
	}
	return answers, starts
}

func (h *Hub) welcomeOne(ctx context.Context, c *arpc.Client, said json.RawMessage) (answer any, start func()) {
	var r feed.Request
	if err := json.Unmarshal(said, &r); err != nil {
		return feed.Refuse(arpc.Errorf(arpc.CodeInvalidArgument, "not the JSON that it must be")), nil
	}
	if r.Topic == "" {
		return h.welcomeBroadcasts(c, said)
	}
	m, err := h.sessionOf(c)
	if err != nil {
		return feed.Refuse(asError(err)), nil
	}
	s, granted, err := h.accept(ctx, m, &r)
	if err != nil {
		return feed.Refuse(asError(err)), nil
	}
	return granted, s.start
}

func (h *Hub) welcomeBroadcasts(c *arpc.Client, said json.RawMessage) (answer any, start func()) {
	h.mu.Lock()
	under := h.under.Welcome
	h.mu.Unlock()
	if under != nil {
		list, start := under(c, json.RawMessage("["+string(said)+"]"))
		if answers, ok := list.([]any); ok && len(answers) == 1 {
			return answers[0], start
		}
	}
	return feed.Refuse(arpc.Errorf(arpc.CodeNotFound, "nothing is broadcast here")), nil
}

// unsubscribeFrom handles arpc.unsubscribe. After its answer nothing of the topic is
// sent.
func (h *Hub) unsubscribeFrom(ctx *arpc.Context, m *session) error {
	var r struct {
		Topic string `json:"topic"`
	}
	if err := bind(ctx, &r); err != nil {
		return err
	}
	m.unsubscribe(r.Topic)
	reply(ctx, r)
	return nil
}

// positionReply is the answer to arpc.publish.
type positionReply struct {
	Epoch  string `json:"epoch"`
	Offset uint64 `json:"offset"`
}

// publish handles arpc.publish.
func (h *Hub) publish(ctx *arpc.Context, m *session) error {
	var o publishOptions
	data, err := splitOptions(ctx.Body(), &o)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	within, cancel := h.within()
	defer cancel()
	if err := h.allow(within, OpPublish, o.Topic, m.client); err != nil {
		return err
	}
	flags := wire.Outside
	if o.One {
		flags = 0
	}
	origin := m.origin
	if o.noEcho() {
		origin |= 1
	}
	h.send(ctx, &o, pushOf(o.Topic, data, flags, ctx.Kind()), origin)
	return nil
}

// send publishes a frame, to all or to one, and answers when the broker did.
func (h *Hub) send(ctx *arpc.Context, o *publishOptions, frame []byte, origin uint64) {
	if o.One {
		if err := h.toOne(o.Topic, frame); err != nil {
			refuse(ctx, shown(err, errBroker))
			return
		}
		reply(ctx, struct{}{})
		return
	}
	h.appendThen(o, frame, origin, func(p Position, err error) {
		switch {
		case err != nil:
			refuse(ctx, shown(err, errBroker))
		case ctx.IsRequest():
			reply(ctx, positionReply{p.Epoch, p.Offset})
		}
	})
}

// historyRequest is the body of arpc.history, and historyReply its answer's
// options.
type historyRequest struct {
	Topic  string  `json:"topic"`
	After  *uint64 `json:"after,omitempty"`
	Before uint64  `json:"before,omitempty"`
	Limit  int     `json:"limit,omitempty"`
}

type historyReply struct {
	Epoch string `json:"epoch"`
	From  uint64 `json:"from"`
	Last  uint64 `json:"last"`
	More  bool   `json:"more"`
}

// history handles arpc.history.
func (h *Hub) history(ctx *arpc.Context, m *session) error {
	var r historyRequest
	if err := bind(ctx, &r); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	within, cancel := h.within()
	defer cancel()
	if err := h.allow(within, OpHistory, r.Topic, m.client); err != nil {
		return err
	}
	page, more, err := h.page(within, &r)
	if err != nil {
		return err
	}
	var frames []byte
	for _, e := range page.Entries {
		frames = append(frames, e.Frame...)
	}
	s := page.State
	body, err := appendOptions(frames, historyReply{Epoch: s.Epoch, From: s.First, Last: s.Last, More: more})
	if err != nil {
		return err
	}
	_ = ctx.Write(arpc.Raw{Kind: wire.Bytes, Data: body}) // see reply
	return nil
}

// roster handles arpc.presence.
func (h *Hub) roster(ctx *arpc.Context, m *session) error {
	var r struct {
		Topic string `json:"topic"`
	}
	if err := bind(ctx, &r); err != nil {
		return err
	}
	if err := checkTopic(r.Topic); err != nil {
		return err
	}
	within, cancel := h.within()
	defer cancel()
	if err := h.allow(within, OpPresence, r.Topic, m.client); err != nil {
		return err
	}
	found, err := h.broker.Members(within, r.Topic)
	if err != nil {
		return shown(err, errBroker)
	}
	if found.Members == nil {
		found.Members = []broker.Member{}
	}
	reply(ctx, found)
	return nil
}
