package audience

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// Link is a WebSocket while its subscriber comes in: calls wait for the server.
// It is for one goroutine. When the subscriber is in, an Audience reads it.
type Link struct {
	conn *net.TCPConn
	r    *bufio.Reader
}

// handshakeKey need not be random: it shows only that the server knows RFC 6455.
const handshakeKey = "dGhlIHNhbXBsZSBub25jZQ=="

// Open opens a WebSocket at a path. What is done with the link until it is
// given away has the deadline of ctx.
func Open(ctx context.Context, dialer *net.Dialer, address, path string) (*Link, error) {
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	l := newLink(conn.(*net.TCPConn))
	if err := l.shake(ctx, address, path); err != nil {
		return nil, errors.Join(fmt.Errorf("upgrade: %w", err), l.Close())
	}
	return l, nil
}

func newLink(conn *net.TCPConn) *Link { return &Link{conn: conn, r: bufio.NewReader(conn)} }

func (l *Link) shake(ctx context.Context, address, path string) error {
	if until, ok := ctx.Deadline(); ok {
		if err := l.conn.SetDeadline(until); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, http.NoBody)
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket",
		"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": handshakeKey,
	} {
		request.Header.Set(name, value)
	}
	if err := request.Write(l.conn); err != nil {
		return err
	}
	response, err := http.ReadResponse(l.r, request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the server answers %s", response.Status)
	}
	return nil
}

// Send sends one message.
func (l *Link) Send(opcode byte, payload []byte) error {
	_, err := l.conn.Write(appendFrame(nil, opcode, payload))
	return err
}

// Receive waits for one message. Control frames are not expected so early.
func (l *Link) Receive() ([]byte, error) {
	for have := 2; ; have = l.r.Buffered() + 1 {
		b, err := l.r.Peek(have)
		if err != nil {
			return nil, err
		}
		if more := l.r.Buffered(); more > have {
			b, _ = l.r.Peek(more) // it is there
		}
		m, ok, err := cut(b)
		switch {
		case err != nil:
			return nil, err
		case ok && m.opcode != Text && m.opcode != Binary:
			return nil, fmt.Errorf("opcode %d: %q", m.opcode, m.payload)
		case ok:
			payload := bytes.Clone(m.payload)
			_, err := l.r.Discard(m.size)
			return payload, err
		}
	}
}

// Close closes the socket.
func (l *Link) Close() error { return l.conn.Close() }

// release gives the socket away: its descriptor, without the runtime's poller,
// and what was received from it already.
func (l *Link) release() (fd int, received []byte, err error) {
	received, err = l.r.Peek(l.r.Buffered())
	if err != nil {
		return 0, nil, err
	}
	if fd, err = duplicate(l.conn); err != nil {
		return 0, nil, fmt.Errorf("take the socket from the runtime: %w", err)
	}
	return fd, bytes.Clone(received), l.conn.Close()
}
