package server_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/server"
	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

// quiet is for tests that provoke what is logged.
var quiet = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a server with both doors open.
type house struct {
	*server.Server
	tcp, web string     // addresses as arpc.Dial takes them
	serving  chan error // what Serve returns
	ended    chan ended // what the disconnected hook hears
}

// ended is a connection that the server has seen the end of.
type ended struct {
	client *arpc.Client
	err    error
}

// open serves an echo on both doors, with everything else that setup adds.
func open(t testing.TB, setup func(*server.Server), opts ...server.Option) *house {
	t.Helper()
	h := &house{Server: server.New(opts...), serving: make(chan error, 1), ended: make(chan ended, 2000)}
	h.Handler.SetLogger(quiet)
	h.Handler.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
	h.Handler.HandleDisconnected(func(c *arpc.Client, err error) { h.ended <- ended{c, err} })
	if setup != nil {
		setup(h.Server)
	}
	ln := arpctest.Listen(t)
	h.tcp = "tcp://" + ln.Addr().String()
	go func() { h.serving <- h.Serve(ln) }()
	web := httptest.NewServer(h.WebSocket())
	h.web = "ws" + strings.TrimPrefix(web.URL, "http")
	t.Cleanup(func() {
		web.Close() // first, so that no handshake is under way any more
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // what a test left running is not waited for
		_ = h.Shutdown(ctx)
	})
	return h
}

// doors are the names of both ways in.
var doors = []string{"tcp", "websocket"}

func (h *house) address(door string) string {
	if door == "tcp" {
		return h.tcp
	}
	return h.web
}

// eachDoor runs a test on either door of a house of its own.
func eachDoor(t *testing.T, setup func(*server.Server), test func(t *testing.T, h *house, door string)) {
	for _, door := range doors {
		t.Run(door, func(t *testing.T) { test(t, open(t, setup), door) })
	}
}

// limits sets limits on a server.
func limits(l arpc.Limits) func(*server.Server) {
	return func(s *server.Server) { s.Handler.SetLimits(l) }
}

// dial connects a client of the project.
func dial(t testing.TB, address string, opts ...arpc.ClientOption) *arpc.Client {
	t.Helper()
	h := arpc.NewHandler()
	h.SetLogger(quiet)
	return dialWith(t, address, h, opts...)
}

func dialWith(t testing.TB, address string, h *arpc.Handler, opts ...arpc.ClientOption) *arpc.Client {
	t.Helper()
	c, err := tryDial(t, address, append(opts, arpc.WithHandler(h))...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tryDial is dial where it may be that there is no room. A client ends with the test.
func tryDial(t testing.TB, address string, opts ...arpc.ClientOption) (*arpc.Client, error) {
	c, err := arpc.Dial(t.Context(), address, opts...)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") })
	return c, nil
}

// mustEcho is an honest client's call.
func mustEcho(t testing.TB, c *arpc.Client) {
	t.Helper()
	var got string
	if err := c.Call("/echo", "honest", &got, arpctest.Wait); err != nil || got != "honest" {
		t.Errorf("echo: %q, %v", got, err)
	}
}

// peer is a socket behind a door, on which a test sends what it likes.
type peer struct {
	net.Conn
	in *wire.Decoder
}

// knock opens a raw connection through a door. It ends with the test.
func (h *house) knock(t testing.TB, door string) *peer {
	t.Helper()
	p, err := h.tryKnock(door)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func (h *house) tryKnock(door string) (*peer, error) {
	var conn net.Conn
	var err error
	if door == "tcp" {
		conn, err = net.Dial("tcp", strings.TrimPrefix(h.tcp, "tcp://"))
	} else {
		var c *ws.Conn
		c, err = ws.Dial(context.Background(), h.web, ws.DialOptions{})
		conn = c
	}
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(arpctest.Wait))
	return &peer{conn, wire.NewDecoder(wire.MaxBody)}, nil
}

// below is the socket itself, where a door has a layer above it.
func (p *peer) below() net.Conn {
	if c, ok := p.Conn.(*ws.Conn); ok {
		return c.NetConn()
	}
	return p.Conn
}

func request(seq uint64, method, body string) []byte {
	return wire.Append(nil, wire.Header{Cmd: wire.Request, Seq: seq}, method, []byte(body))
}

func (p *peer) send(t testing.TB, frame []byte) {
	t.Helper()
	if _, err := p.Write(frame); err != nil {
		t.Fatal(err)
	}
}

// next reads a frame.
func (p *peer) next() (wire.Frame, error) {
	for {
		f, ok, err := p.in.Next()
		if ok || err != nil {
			f.Method, f.Body = bytes.Clone(f.Method), bytes.Clone(f.Body)
			return f, err
		}
		n, err := p.Read(p.in.Buffer())
		p.in.Advance(n)
		if n == 0 && err != nil {
			return f, err
		}
	}
}

// until reads frames up to one with the command, which has to come.
func (p *peer) until(t testing.TB, cmd wire.Cmd) wire.Frame {
	t.Helper()
	for {
		f, err := p.next()
		if err != nil {
			t.Fatalf("waiting for command %d: %v", cmd, err)
		}
		if f.Cmd == cmd {
			return f
		}
	}
}

// end reads until the connection ends, and returns what the peer was told.
func (p *peer) end(t testing.TB) error {
	t.Helper()
	for {
		_, err := p.next()
		if err == nil {
			continue
		}
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Fatalf("not closed within %v", arpctest.Wait)
		}
		return err
	}
}

// expectEnd waits for the server to see the end of a connection, for a reason.
func (h *house) expectEnd(t testing.TB, reason string) {
	t.Helper()
	e := arpctest.Receive(t, h.ended, "end of a connection")
	if e.err == nil || !strings.Contains(e.err.Error(), reason) {
		t.Errorf("ended with %v, want %q", e.err, reason)
	}
}
