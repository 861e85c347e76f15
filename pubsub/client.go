package pubsub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc"
)

// Message is one publication, as a subscriber gets it.
type Message struct {
	// Topic is where it was published.
	Topic string
	// Data is the body with its kind; Bind decodes it.
	Data arpc.Raw
	// Offset is its place in the topic, 0 if it was sent to one subscriber.
	// Servers that speak only the base protocol may put any number here.
	Offset uint64
	// Time is when it was published, by the publisher's clock.
	Time time.Time

	client *Client
}

// Bind decodes the data into what v points to, as arpc.Context.Bind does.
func (m *Message) Bind(v any) error {
	if err := arpc.Decode(m.client.Handler.Codec(), m.Data, v); err != nil {
		return arpc.Errorf(arpc.CodeInvalidArgument, "publication in %q: %w", m.Topic, err)
	}
	return nil
}

// Client is an arpc.Client that subscribes and publishes. After a reconnect it
// authenticates and subscribes again by itself. Its methods are safe for
// concurrent use.
type Client struct {
	*arpc.Client

	cfg clientConfig

	mu     sync.Mutex // guards what follows
	topics map[string]*Subscription
	ready  bool // the first connection is made
}

// Subscription is one topic of a Client.
type Subscription struct {
	client  *Client
	topic   string
	handler func(*Message)
}

// ClientOption is a setting of Dial and NewClient.
type ClientOption func(*clientConfig)

type clientConfig struct {
	password string
	timeout  time.Duration
	onError  func(topic string, err error)
	client   []arpc.ClientOption
	handler  *arpc.Handler
}

// WithPassword authenticates with a password on every connection.
func WithPassword(p string) ClientOption { return func(c *clientConfig) { c.password = p } }

// WithTimeout bounds each request to the server: 10 s by default.
func WithTimeout(d time.Duration) ClientOption { return func(c *clientConfig) { c.timeout = d } }

// WithErrorHandler is told when authenticating or subscribing again after a
// reconnect fails; topic is "" for authentication. It runs on the goroutine
// that reconnected. By default such errors are logged.
func WithErrorHandler(f func(topic string, err error)) ClientOption {
	return func(c *clientConfig) { c.onError = f }
}

// WithHandler makes the client use a clone of h instead of one of
// arpc.DefaultHandler.
func WithHandler(h *arpc.Handler) ClientOption { return func(c *clientConfig) { c.handler = h } }

// WithClientOptions passes options to the arpc.Client below.
func WithClientOptions(opts ...arpc.ClientOption) ClientOption {
	return func(c *clientConfig) { c.client = append(c.client, opts...) }
}

// Dial connects to an address that arpc.Dial takes.
func Dial(ctx context.Context, address string, opts ...ClientOption) (*Client, error) {
	return newClient(opts, func(o ...arpc.ClientOption) (*arpc.Client, error) { return arpc.Dial(ctx, address, o...) })
}

// NewClient connects through a function that opens connections.
func NewClient(dial func() (net.Conn, error), opts ...ClientOption) (*Client, error) {
	return newClient(opts, func(o ...arpc.ClientOption) (*arpc.Client, error) { return arpc.NewClient(dial, o...) })
}

func newClient(opts []ClientOption, connect func(...arpc.ClientOption) (*arpc.Client, error)) (*Client, error) {
	c := &Client{cfg: clientConfig{timeout: 10 * time.Second, handler: arpc.DefaultHandler}, topics: map[string]*Subscription{}}
	for _, o := range opts {
		o(&c.cfg)
	}
	h := c.cfg.handler.Clone()
	if c.cfg.onError == nil {
		c.cfg.onError = func(topic string, err error) {
			h.Logger().Error("arpc: subscribe again", "topic", topic, "error", err)
		}
	}
	h.Handle(routePublish, c.deliver, arpc.Ordered)
	h.HandleConnected(c.restore)
	c.cfg.client = append(c.cfg.client, arpc.WithHandler(h))
	below, err := connect(c.cfg.client...)
	if err != nil {
		return nil, err
	}
	if err := c.authenticate(below); err != nil {
		below.Stop()
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Client, c.ready = below, true
	return c, nil
}

// authenticate sends the password, if there is one.
func (c *Client) authenticate(on *arpc.Client) error {
	if c.cfg.password == "" {
		return nil
	}
	if err := on.Call(routeAuthenticate, c.cfg.password, nil, c.cfg.timeout); err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	return nil
}

// restore runs on every connection and brings back what the one before had.
func (c *Client) restore(on *arpc.Client) {
	subscriptions, ready := c.subscriptions()
	if !ready {
		return
	}
	if err := c.authenticate(on); err != nil {
		c.cfg.onError("", err)
		return
	}
	for _, s := range subscriptions {
		err := s.subscribe(on)
		if errors.Is(err, arpc.ErrDisconnected) {
			return // the next connection restores them all
		}
		if err != nil {
			c.cfg.onError(s.topic, err)
		}
	}
}

func (c *Client) subscriptions() (all []*Subscription, ready bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.topics {
		all = append(all, s)
	}
	return all, c.ready
}

// Subscribe calls f for every publication of a topic from now on, one after the
// other in their order, on a goroutine that all topics of the client share.
func (c *Client) Subscribe(topic string, f func(*Message)) (*Subscription, error) {
	if err := checkTopic(topic); err != nil {
		return nil, err
	}
	s := &Subscription{client: c, topic: topic, handler: f}
	if !c.add(s) {
		return nil, arpc.Errorf(arpc.CodeAlreadyExists, "subscribed to %q already", topic)
	}
	if err := s.subscribe(c.Client); err != nil {
		c.drop(s)
		return nil, err
	}
	return s, nil
}

func (c *Client) add(s *Subscription) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topics[s.topic] != nil {
		return false
	}
	c.topics[s.topic] = s
	return true
}

func (c *Client) drop(s *Subscription) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topics[s.topic] != s {
		return false
	}
	delete(c.topics, s.topic)
	return true
}

func (s *Subscription) subscribe(on *arpc.Client) error {
	return s.client.request(on, routeSubscribe, s.topic, arpc.Raw{})
}

// Topic is the name of the topic.
func (s *Subscription) Topic() string { return s.topic }

// Unsubscribe ends the subscription. Its handler is not called any more, except
// for a publication that it is handling.
func (s *Subscription) Unsubscribe() error {
	if !s.client.drop(s) {
		return nil
	}
	return s.client.request(s.client.Client, routeUnsubscribe, s.topic, arpc.Raw{})
}

// Publish sends v to everybody who is subscribed to a topic, and returns when
// the server has taken it.
func (c *Client) Publish(topic string, v any) error { return c.send(routePublish, topic, v) }

// PublishToOne sends v to one of the subscribers of a topic, in turn.
func (c *Client) PublishToOne(topic string, v any) error { return c.send(routePublishToOne, topic, v) }

func (c *Client) send(route, topic string, v any) error {
	if err := checkTopic(topic); err != nil {
		return err
	}
	data, kind, err := arpc.Encode(c.Handler.Codec(), v)
	if err != nil {
		return fmt.Errorf("publish to %q: %w", topic, err)
	}
	return c.request(c.Client, route, topic, arpc.Raw{Kind: kind, Data: data})
}

// request makes one request about a topic. On a connection that is so new that
// it is not authenticated yet, it sees to that first.
func (c *Client) request(on *arpc.Client, route, topic string, data arpc.Raw) error {
	body := publication{topic, data.Data, time.Now().UnixNano()}.append(nil)
	call := func() error { return on.Call(route, arpc.Raw{Kind: data.Kind, Data: body}, nil, c.cfg.timeout) }
	err := call()
	if unauthenticated(err) && c.cfg.password != "" {
		if err = c.authenticate(on); err == nil {
			err = call()
		}
	}
	if err != nil {
		return fmt.Errorf("%s %q: %w", verbs[route], topic, err)
	}
	return nil
}

// unauthenticated recognises our server's answer, which the base protocol
// carries as a text.
func unauthenticated(err error) bool {
	var coded *arpc.Error
	return errors.As(err, &coded) && coded.Remote() && coded.Message == errUnauthenticated.Message
}

// verbs say in errors what a route does.
var verbs = map[string]string{
	routeSubscribe:    "subscribe to",
	routeUnsubscribe:  "unsubscribe from",
	routePublish:      "publish to",
	routePublishToOne: "publish to one of",
}

// deliver hands a publication to its subscription.
func (c *Client) deliver(ctx *arpc.Context) {
	p, err := parsePublication(ctx.Body())
	if err != nil {
		c.cfg.onError(p.topic, err)
		return
	}
	c.mu.Lock()
	s := c.topics[p.topic]
	c.mu.Unlock()
	if s == nil {
		return // unsubscribed meanwhile
	}
	s.handler(&Message{
		Topic:  p.topic,
		Data:   arpc.Raw{Kind: ctx.Kind(), Data: p.data},
		Offset: ctx.Seq(),
		Time:   time.Unix(0, p.time),
		client: c,
	})
}
