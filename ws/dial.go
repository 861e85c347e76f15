package ws

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
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
	// NetDial opens the connection below; nil is net.Dialer.DialContext.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Dial connects to a ws or wss URL.
func Dial(ctx context.Context, url string, o DialOptions) (*Conn, error) {
	netDial := o.NetDial
	if netDial == nil {
		netDial = new(net.Dialer).DialContext
	}
	below := &socket{}
	dialer := websocket.Dialer{
		HandshakeTimeout: o.HandshakeTimeout,
		ReadBufferSize:   readAhead,
		WriteBufferPool:  writeBuffers,
		Subprotocols:     o.Subprotocols,
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := netDial(ctx, network, address)
			below.Conn = conn
			return below, err
		},
		NetDialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialTLS(ctx, netDial, network, address, o.TLS)
			below.Conn = conn
			return below, err
		},
	}
	conn, answer, err := dialer.DialContext(ctx, url, o.Header)
	if err != nil && answer != nil {
		return nil, fmt.Errorf("dial %s: %w: %s", url, err, answer.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", url, err)
	}
	return newConn(conn, below, true, o.Limits), nil
}

func dialTLS(
	ctx context.Context, netDial func(ctx context.Context, network, address string) (net.Conn, error),
	network, address string, config *tls.Config,
) (net.Conn, error) {
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
