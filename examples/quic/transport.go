package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/quic-go/quic-go"
)

// linger is how long the last bytes of a connection have to arrive.
const linger = time.Second

// conn is a QUIC connection with one stream, as the net.Conn that arpc wants.
type conn struct {
	*quic.Stream
	quic *quic.Conn
}

func (c *conn) LocalAddr() net.Addr  { return c.quic.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr { return c.quic.RemoteAddr() }

// Close ends the stream, and the connection when its last bytes had their time.
func (c *conn) Close() error {
	c.CancelRead(0)
	err := c.Stream.Close()
	time.AfterFunc(linger, func() {
		_ = c.quic.CloseWithError(0, "") // the other end may have done so
	})
	return err
}

// dial opens a connection and its stream.
func dial(ctx context.Context, address string, config *tls.Config) (net.Conn, error) {
	q, err := quic.DialAddr(ctx, address, config, nil)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	stream, err := q.OpenStreamSync(ctx)
	if err != nil {
		_ = q.CloseWithError(0, "")
		return nil, fmt.Errorf("open a stream to %s: %w", address, err)
	}
	return &conn{stream, q}, nil
}

// listener is a net.Listener of such connections, for server.Server.Serve.
type listener struct {
	quic   *quic.Listener
	ready  chan net.Conn // connections whose stream was opened
	ctx    context.Context
	cancel context.CancelFunc
}

func listen(address string, config *tls.Config) (*listener, error) {
	q, err := quic.ListenAddr(address, config, nil)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	l := &listener{quic: q, ready: make(chan net.Conn)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	go l.acceptAll()
	return l, nil
}

func (l *listener) acceptAll() {
	for {
		q, err := l.quic.Accept(l.ctx)
		if err != nil {
			l.cancel()
			return
		}
		go l.acceptStream(q) // who opens none must not keep others waiting
	}
}

// acceptStream waits for the first byte of the client, which says hello at once.
func (l *listener) acceptStream(q *quic.Conn) {
	ctx, cancel := context.WithTimeout(l.ctx, 10*time.Second)
	defer cancel()
	stream, err := q.AcceptStream(ctx)
	if err != nil {
		_ = q.CloseWithError(0, "")
		return
	}
	select {
	case l.ready <- &conn{stream, q}:
	case <-l.ctx.Done():
		_ = q.CloseWithError(0, "")
	}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close ends accepting. Connections that were accepted stay.
func (l *listener) Close() error {
	l.cancel()
	return l.quic.Close()
}

func (l *listener) Addr() net.Addr { return l.quic.Addr() }
