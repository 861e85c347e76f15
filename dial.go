package arpc

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
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
	dial, err := dialerOf(address, cfg)
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
	handler      *Handler
	backoff      Backoff
	hello        HelloMode
	token        TokenFunc
	failFast     bool
	header       http.Header
	tls          *tls.Config
	subprotocols []string
	proxy        func(*http.Request) (*url.URL, error)
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
// default is DefaultBackoff, also for the fields of b that are zero.
func WithBackoff(b Backoff) ClientOption { return func(c *clientConfig) { c.backoff = b.orDefault() } }

// WithHello sets whether the client says hello; the default is HelloAuto.
func WithHello(m HelloMode) ClientOption { return func(c *clientConfig) { c.hello = m } }

// WithToken makes the client show who it is: f is asked for each connection,
// and again before a token expires. The server has to understand hello.
func WithToken(f TokenFunc) ClientOption { return func(c *clientConfig) { c.token = f } }

// WithFailFast makes calls and notifies fail at once while there is no
// connection, instead of waiting for one as long as their timeout allows.
func WithFailFast() ClientOption { return func(c *clientConfig) { c.failFast = true } }

// FailsFast reports whether the client was dialed WithFailFast.
func (c *Client) FailsFast() bool { return c.dialer != nil && c.dialer.failFast }

// WithHeader adds headers to the upgrade request of Dial to ws and wss: Origin,
// Authorization, Cookie and the like.
func WithHeader(h http.Header) ClientOption { return func(c *clientConfig) { c.header = h.Clone() } }

// WithTLS sets the configuration of Dial to tls and wss; the default verifies
// the server against the system's roots, from TLS 1.2.
func WithTLS(t *tls.Config) ClientOption { return func(c *clientConfig) { c.tls = t.Clone() } }

// WithSubprotocols offers subprotocols in Dial to ws and wss, the preferred first.
func WithSubprotocols(names ...string) ClientOption {
	return func(c *clientConfig) { c.subprotocols = names }
}

// WithProxy makes Dial to ws and wss go through the HTTP proxy that f names for
// the server's address, which has the scheme http or https: http.ProxyFromEnvironment,
// http.ProxyURL. The default uses none.
func WithProxy(f func(*http.Request) (*url.URL, error)) ClientOption {
	return func(c *clientConfig) { c.proxy = f }
}

// dialerOf is what opens connections to an address.
func dialerOf(address string, cfg clientConfig) (dialFunc, error) {
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
		t := &tls.Dialer{NetDialer: &d, Config: cfg.tls}
		if t.Config == nil {
			t.Config = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		return func(ctx context.Context) (net.Conn, error) { return t.DialContext(ctx, "tcp", u.Host) }, nil
	case "ws", "wss":
		return cfg.dialWebSocket(address), nil
	}
	return nil, Errorf(CodeInvalidArgument, "dial %q: scheme %q is none of tcp, tls, unix, ws, wss", address, u.Scheme)
}

func (cfg clientConfig) dialWebSocket(address string) dialFunc {
	o := ws.DialOptions{
		Limits:       cfg.handler.Limits().WebSocket(),
		Header:       cfg.header,
		TLS:          cfg.tls,
		Subprotocols: cfg.subprotocols,
		Proxy:        cfg.proxy,
	}
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := ws.Dial(ctx, address, o)
		if err != nil { // a nil *ws.Conn would be a net.Conn that is not nil
			return nil, err
		}
		return conn, nil
	}
}

func connect(ctx context.Context, cfg clientConfig, dial dialFunc) (*Client, error) {
	c := newClient(cfg.handler)
	c.dialer = newRedialer(c, dial, cfg)
	cn, err := c.dialer.connect(ctx)
	if err != nil {
		c.dialer.cancel(err)
		return nil, fmt.Errorf("connect: %w", err)
	}
	go c.dialer.run(cn)
	return c, nil
}
