package pubsub

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc"
)

// Client is an arpc.Client that subscribes and publishes. After a reconnect it
// authenticates by itself, and its subscriptions go on where they were: nothing
// is lost and nothing comes twice, as long as the topic holds what was missed;
// otherwise they are told of the gap. With a server that speaks only the base
// protocol they begin anew. Its methods are safe for concurrent use.
type Client struct {
	*arpc.Client

	cfg    clientConfig
	secret string // by which the client is the same member after a reconnect

	mu        sync.Mutex // guards what follows
	topics    map[string]*Subscription
	greeted   []*Subscription // those in the hello that waits for its answer
	broadcast Position
	leaving   map[string]int // topics with an unsubscribe that waits for its answer
	extended  bool           // the server that there is, or was last, knows positions
	ready     bool           // the first connection is made
}

// ClientOption is a setting of Dial and NewClient.
type ClientOption func(*clientConfig)

type clientConfig struct {
	password string
	timeout  time.Duration
	onError  func(topic string, err error)
	onGap    func(Gap)
	onJoined func(topic string) func(*Message)
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

// WithBroadcastGap is told when broadcasts of the server were lost: the client was
// away, or slow, for longer than the server keeps them. It must not block.
func WithBroadcastGap(f func(Gap)) ClientOption { return func(c *clientConfig) { c.onGap = f } }

// WithJoined is asked for the handler of a topic that the server subscribes the
// client to, with Hub.Join; nil drops what comes. Without it such topics are
// dropped.
func WithJoined(f func(topic string) func(*Message)) ClientOption {
	return func(c *clientConfig) { c.onJoined = f }
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
	c := &Client{
		cfg:    clientConfig{timeout: 10 * time.Second, handler: arpc.DefaultHandler},
		secret: rand.Text(),
		topics: map[string]*Subscription{}, leaving: map[string]int{},
	}
	for _, o := range opts {
		o(&c.cfg)
	}
	h := c.cfg.handler.Clone()
	if c.cfg.onError == nil {
		c.cfg.onError = func(topic string, err error) {
			h.Logger().Error("arpc: subscribe again", "topic", topic, "error", err)
		}
	}
	c.mount(h)
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
	c.ready = true
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

// restore runs on every connection and brings back what the one before had, and
// what hello did not.
func (c *Client) restore(on *arpc.Client) {
	subscriptions, ready := c.subscriptions()
	if !ready {
		return
	}
	if err := c.authenticate(on); err != nil {
		if !isWithoutConnection(err) {
			c.cfg.onError("", err)
		}
		return
	}
	base := !c.knowsPositions()
	for _, s := range subscriptions {
		if base {
			s.lost() // no hello did it
		}
		if !s.isLost() {
			continue
		}
		err := s.request(on)
		if isWithoutConnection(err) {
			return // the next one restores them all
		}
		if err != nil {
			s.refused(err)
		}
	}
}

// knowsPositions reports whether the server does, while there is no connection
// the last one.
func (c *Client) knowsPositions() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.extended
}

// subscriptions are those that are not over.
func (c *Client) subscriptions() (all []*Subscription, ready bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.topics {
		if !s.isOver() {
			all = append(all, s)
		}
	}
	return all, c.ready
}

// Subscribe calls f for every publication of a topic from now on, or from where
// an option says, one after the other in their order, on a goroutine that all
// topics of the client share. With a nil f they are to be had from
// Subscription.All. It returns when the server has answered. A topic that is
// subscribed already is already_exists, also while Unsubscribe is under way.
func (c *Client) Subscribe(topic string, f func(*Message), opts ...SubscribeOption) (*Subscription, error) {
	o, err := newSubscribeOptions(topic, opts)
	if err != nil {
		return nil, err
	}
	s := newSubscription(c, o, f)
	if !c.add(s) {
		return nil, arpc.Errorf(arpc.CodeAlreadyExists, "subscribed to %q already", topic)
	}
	if err := s.first(); err != nil {
		c.end(s, nil)
		return nil, err
	}
	return s, nil
}

func (c *Client) add(s *Subscription) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topics[s.Topic()] != nil {
		return false
	}
	c.topics[s.Topic()] = s
	return true
}

func (c *Client) drop(s *Subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked(s)
}

func (c *Client) dropLocked(s *Subscription) {
	if c.topics[s.Topic()] == s {
		delete(c.topics, s.Topic())
	}
}

// end ends a subscription that the server does not have, or has no more. It says
// whether it was not over.
func (c *Client) end(s *Subscription, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !s.end(err) {
		return false
	}
	c.dropLocked(s)
	return true
}

func (c *Client) find(topic string) *Subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.topics[topic]
}
