package pubsub

import (
	"encoding/json"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/feed"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
)

// mount registers what the server sends.
func (c *Client) mount(h *arpc.Handler) {
	h.Handle(routePublish, c.deliver, arpc.Ordered)
	h.HandleConnected(c.restore)
	h.HandleResumed(c.restore)
	h.Extend(arpc.Extension{
		Capability: capability,
		Routes: []arpc.ExtensionRoute{
			{Method: feed.Method, Mode: arpc.Ordered, Handler: c.event},
			{Method: methodSubscribe, Mode: arpc.Ordered, Handler: c.answered},
			{Method: methodUnsubscribe, Mode: arpc.Ordered, Handler: c.unsubscribed},
		},
		Greet:    c.greet,
		Welcomed: c.welcomed,
		Pushed:   c.pushed,
	})
}

// maxGreet is how many bytes of subscriptions go into a hello, which is bounded
// and may have a long token; the others follow it.
const maxGreet = 7 << 10

// greet is the client's part of hello: where it is in what is broadcast, and in
// its topics. With a password the server does not know yet who asks.
func (c *Client) greet(*arpc.Client) any {
	subscriptions, _ := c.subscriptions()
	c.mu.Lock()
	defer c.mu.Unlock()
	everything := feed.Request{}
	if c.broadcast.Epoch != "" {
		at := c.broadcast
		everything.Epoch, everything.Offset = &at.Epoch, &at.Offset
	}
	list := []feed.Request{everything}
	c.greeted = nil
	clear(c.leaving)
	size := 0
	for _, s := range subscriptions {
		s.lost()
		r := s.body()
		text, err := json.Marshal(r)
		if size += len(text) + 1; err != nil || size > maxGreet || c.cfg.password != "" {
			continue
		}
		c.greeted = append(c.greeted, s)
		list = append(list, r)
	}
	return list
}

// helloAnswer is an element of the answer: one or the other.
type helloAnswer struct {
	feed.Answer
	Error *struct {
		Code    arpc.Code `json:"code"`
		Message string    `json:"message"`
	} `json:"error"`
}

// welcomed takes the answer, on the goroutine that reads the connection. Behind it
// may be what is for handlers: the first one makes the client whole.
func (c *Client) welcomed(on *arpc.Client, agreed bool, said json.RawMessage) {
	c.mu.Lock()
	if c.Client == nil {
		c.Client = on
	}
	greeted := c.greeted
	c.greeted, c.extended = nil, agreed
	c.mu.Unlock()
	var answers []helloAnswer
	if !agreed || json.Unmarshal(said, &answers) != nil || len(answers) != len(greeted)+1 {
		return // they subscribe again when the connection is open
	}
	if a := &answers[0]; a.Error == nil {
		c.placeBroadcasts(&a.Answer)
	}
	for i, s := range greeted {
		a := &answers[i+1]
		if a.Error == nil {
			s.welcomed(&a.Answer)
			continue
		}
		err := arpc.Errorf(a.Error.Code, "%s", a.Error.Message)
		if a.Error.Code != arpc.CodeUnauthenticated {
			go s.refused(err)
		}
	}
}

func (c *Client) placeBroadcasts(a *feed.Answer) {
	c.mu.Lock()
	before := c.broadcast
	c.broadcast = Position{Epoch: a.Epoch, Offset: a.Offset}
	c.mu.Unlock()
	if a.Recovered || before.Epoch == "" || c.cfg.onGap == nil {
		return
	}
	gap := Gap{Epoch: a.Epoch, From: a.Offset + 1}
	if before.Epoch == a.Epoch && a.Offset > before.Offset {
		gap.Missed = a.Offset - before.Offset
	}
	go c.cfg.onGap(gap)
}

// pushed keeps the place in what is broadcast, on the goroutine that reads the
// connection. Publications and events have places of their own.
func (c *Client) pushed(_ *arpc.Client, method []byte, offset uint64) bool {
	switch string(method) {
	case routePublish, feed.Method:
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broadcast.Epoch == "" {
		return true
	}
	if offset <= c.broadcast.Offset {
		return false
	}
	c.broadcast.Offset = offset // a hole was told of by an event before
	return true
}

// deliver hands a publication to its subscription.
func (c *Client) deliver(ctx *arpc.Context) {
	p, err := parsePublication(ctx.Body())
	if err != nil {
		c.cfg.onError(p.topic, err)
		return
	}
	if s := c.follower(p.topic); s != nil {
		s.push(newMessage(p, ctx.Kind(), Position{Offset: ctx.Seq()}, c.Handler.Codec()))
	}
}

// follower is the subscription that pushes of a topic are for, nil if there is
// none. Before the answer to an unsubscribe they are those of one that is over.
func (c *Client) follower(topic string) *Subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving[topic] > 0 {
		return nil
	}
	return c.topics[topic]
}

// unsubscribes counts an unsubscribe that waits for its answer.
func (c *Client) unsubscribes(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving[topic]++
}

// unsubscribed takes the answer to arpc.unsubscribe in order with what is before it.
func (c *Client) unsubscribed(ctx *arpc.Context) {
	if ctx.IsRequest() {
		refuse(ctx, arpc.ErrMethodNotFound)
		return
	}
	var a struct {
		Topic string `json:"topic"`
	}
	if json.Unmarshal(ctx.Body(), &a) == nil {
		c.left(a.Topic)
	}
}

// left counts an unsubscribe less. What comes of the topic now is for another
// subscription, which the server may make by itself.
func (c *Client) left(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving[topic]--; c.leaving[topic] <= 0 {
		delete(c.leaving, topic)
	}
	if s := c.topics[topic]; s != nil && s.isOver() {
		delete(c.topics, topic)
	}
}

// answered takes the answer to arpc.subscribe in order with what is behind it. An
// error is for whoever asked. Like pushes, one that is before the answer to an
// unsubscribe is for the subscription that is over.
func (c *Client) answered(ctx *arpc.Context) {
	if ctx.IsRequest() {
		refuse(ctx, arpc.ErrMethodNotFound)
		return
	}
	var a feed.Answer
	if json.Unmarshal(ctx.Body(), &a) != nil || a.Topic == "" {
		return
	}
	if s := c.follower(a.Topic); s != nil {
		s.answered(&a, ctx.Seq())
	}
}

// clientEvent is a feed.Event as a client reads it.
type clientEvent struct {
	Topic   string          `json:"topic"`
	Event   string          `json:"event"`
	Epoch   string          `json:"epoch"`
	Offset  uint64          `json:"offset"`
	Missed  uint64          `json:"missed"`
	Code    arpc.Code       `json:"code"`
	Message string          `json:"message"`
	Member  broker.Member   `json:"member"`
	Members []broker.Member `json:"members"`
	Version uint64          `json:"version"`
}

// event takes what a server tells of a topic, in order with its publications.
func (c *Client) event(ctx *arpc.Context) {
	var e clientEvent
	if err := json.Unmarshal(ctx.Body(), &e); err != nil {
		c.cfg.onError("", err)
		return
	}
	if e.Topic == "" {
		c.broadcastEvent(&e)
		return
	}
	s := c.find(e.Topic)
	if s == nil && e.Event == feed.Subscribed {
		s = c.joined(e.Topic)
	}
	if s != nil {
		s.event(&e)
	}
}

func (c *Client) broadcastEvent(e *clientEvent) {
	c.mu.Lock()
	if e.Offset > c.broadcast.Offset {
		c.broadcast = Position{Epoch: e.Epoch, Offset: e.Offset}
	}
	c.mu.Unlock()
	if e.Event == feed.Gap && c.cfg.onGap != nil {
		c.cfg.onGap(Gap{Epoch: e.Epoch, From: e.Offset + 1, Missed: e.Missed})
	}
}

// joined makes a subscription of a topic that the server put the client into.
func (c *Client) joined(topic string) *Subscription {
	if c.cfg.onJoined == nil {
		return nil
	}
	f := c.cfg.onJoined(topic)
	if f == nil {
		return nil
	}
	o, err := newSubscribeOptions(topic, nil)
	if err != nil {
		return nil
	}
	s := newSubscription(c, o, f)
	c.add(s)
	return c.find(topic)
}

// event takes what concerns one subscription.
func (s *Subscription) event(e *clientEvent) {
	switch e.Event {
	case feed.Join, feed.Leave:
		s.changed(e.Member, e.Event == feed.Join, e.Version)
	case feed.Ended:
		s.ended(arpc.Errorf(e.Code, "%s", e.Message))
	default:
		s.moved(e)
	}
}

// moved takes an event that says where the subscription is now.
func (s *Subscription) moved(e *clientEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Event == feed.Members {
		if e.Version > s.version {
			s.setMembersLocked(e.Members, e.Version)
		}
		return
	}
	if s.awaiting != 0 || s.hole {
		return
	}
	switch e.Event {
	case feed.Gap, feed.Epoch:
		s.missedLocked(e.Epoch, e.Offset)
	case feed.Skip:
		if e.Epoch != s.epoch || e.Offset <= s.offset {
			return
		}
	case feed.Subscribed:
		s.readyLocked()
	default:
		return // of a later version
	}
	s.epoch, s.offset, s.placed, s.live = e.Epoch, e.Offset, true, true
}
