package ws

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/websocket"
)

// DialOptions are the settings of one dial.
type DialOptions struct {
	Limits
	// HandshakeTimeout bounds connecting and the handshake. Zero leaves it to the context.
	HandshakeTimeout time.Duration
	// Header is sent with the request: Origin, Authorization, Cookie and the like.
	Header http.Header
	// TLS is used for wss URLs; nil is the default configuration.
	TLS *tls.Config
	// Subprotocols are offered to the server, the preferred first.
	Subprotocols []string
	// Proxy returns the HTTP proxy to go through, or nil: http.ProxyFromEnvironment,
	// http.ProxyURL. Nil uses none.
	Proxy func(*http.Request) (*url.URL, error)
	// NetDial opens the connection below; nil is net.Dialer.DialContext.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)
}

// netDial is what opens the connection below, through the proxy if there is one.
func (o DialOptions) netDial(address string) (dialFunc, error) {
	dial := dialFunc(o.NetDial)
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	if o.Proxy == nil {
		return dial, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	u.Scheme = map[string]string{"ws": "http", "wss": "https"}[u.Scheme] // as the rules for proxies know them
	proxy, err := o.Proxy(&http.Request{URL: u})
	if err != nil || proxy == nil {
		return dial, err
	}
	if proxy.Scheme != "http" {
		return nil, fmt.Errorf("proxy %s: only http proxies are known", proxy.Redacted())
	}
	return dial.through(proxy), nil
}

// Dial connects to a ws or wss URL.
func Dial(ctx context.Context, address string, o DialOptions) (*Conn, error) {
	netDial, err := o.netDial(address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	below := &socket{}
	dialer := websocket.Dialer{
		HandshakeTimeout: o.HandshakeTimeout,
		ReadBufferSize:   headersAhead,
		WriteBufferPool:  writeBuffers,
		Subprotocols:     o.Subprotocols,
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := netDial(ctx, network, address)
			below.over(conn)
			return below, err
		},
		NetDialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialTLS(ctx, netDial, network, address, o.TLS)
			below.over(conn)
			return below, err
		},
	}
	conn, answer, err := dialer.DialContext(ctx, address, o.Header)
	if err != nil && answer != nil {
		return nil, fmt.Errorf("dial %s: %w: %s", address, err, answer.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	return newConn(conn, below, true, o.Limits), nil
}

func dialTLS(ctx context.Context, netDial dialFunc, network, address string, config *tls.Config) (net.Conn, error) {
	plain, err := netDial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		config = config.Clone()
		config.ServerName = host
	}
	conn := tls.Client(plain, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		plain.Close()
		return nil, fmt.Errorf("TLS handshake with %s: %w", address, err)
	}
	return conn, nil
}
