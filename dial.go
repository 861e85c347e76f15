package arpc

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"

	"github.com/seed-fbfaa03e/arpc/ws"
)

// Dial connects to a server and returns a client that reconnects by itself:
//
//	tcp://host:port   tls://host:port   unix:///path/of/socket
//	ws://host/path    wss://host/path
//
// It fails if the first connection cannot be made before ctx ends or the
// handshake limit passes.
func Dial(ctx context.Context, address string, opts ...ClientOption) (*Client, error) {
	cfg := newClientConfig(opts)
	dial, err := dialerOf(address, cfg.handler.Limits())
	if err != nil {
		return nil, err
	}
	return connect(ctx, cfg, dial)
}

// NewClient connects through a function that opens connections: it is called
// once now, and again each time the connection was lost.
func NewClient(dial func() (net.Conn, error), opts ...ClientOption) (*Client, error) {
	return connect(context.Background(), newClientConfig(opts), func(context.Context) (net.Conn, error) { return dial() })
}

// ClientOption is a setting of NewClient and Dial.
type ClientOption func(*clientConfig)

type clientConfig struct {
	handler *Handler
	backoff Backoff
}

func newClientConfig(opts []ClientOption) clientConfig {
	cfg := clientConfig{backoff: DefaultBackoff()}
	for _, o := range opts {
		o(&cfg)
	}
	if cfg.handler == nil {
		cfg.handler = DefaultHandler.Clone()
	}
	return cfg
}

// WithHandler makes the client use h; the default is a clone of DefaultHandler.
func WithHandler(h *Handler) ClientOption { return func(c *clientConfig) { c.handler = h } }

// WithBackoff sets how long the client waits before it dials again; the
// default is DefaultBackoff.
func WithBackoff(b Backoff) ClientOption { return func(c *clientConfig) { c.backoff = b } }

// dialerOf is what opens connections to an address.
func dialerOf(address string, l Limits) (dialFunc, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, Errorf(CodeInvalidArgument, "dial %q: %w", address, err)
	}
	var d net.Dialer
	switch u.Scheme {
	case "tcp":
		return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", u.Host) }, nil
	case "unix":
		return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "unix", u.Path) }, nil
	case "tls":
		t := &tls.Dialer{NetDialer: &d, Config: &tls.Config{MinVersion: tls.VersionTLS12}}
		return func(ctx context.Context) (net.Conn, error) { return t.DialContext(ctx, "tcp", u.Host) }, nil
	case "ws", "wss":
		o := ws.DialOptions{Limits: l.WebSocket()}
		return func(ctx context.Context) (net.Conn, error) {
			conn, err := ws.Dial(ctx, address, o)
			if err != nil { // a nil *ws.Conn would be a net.Conn that is not nil
				return nil, err
			}
			return conn, nil
		}, nil
	}
	return nil, Errorf(CodeInvalidArgument, "dial %q: scheme %q is none of tcp, tls, unix, ws, wss", address, u.Scheme)
}

func connect(ctx context.Context, cfg clientConfig, dial dialFunc) (*Client, error) {
	c := newClient(cfg.handler)
	c.dialer = newRedialer(c, dial, cfg.backoff)
	nc, err := c.dialer.dialOnce(ctx)
	if err != nil {
		c.dialer.cancel(err)
		return nil, fmt.Errorf("connect: %w", err)
	}
	cn := c.dialer.attach(nc)
	go c.dialer.run(cn)
	return c, nil
}
