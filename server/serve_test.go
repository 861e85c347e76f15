package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/server"
	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

func TestBothDoorsLeadToTheSameRoutesAndClients(t *testing.T) {
	h := open(t, nil)
	for _, door := range doors {
		mustEcho(t, dial(t, h.address(door)))
	}
	if n := len(h.Clients()); n != 2 {
		t.Errorf("%d clients", n)
	}
	seen := 0
	h.ForEach(func(c *arpc.Client) {
		seen++
		if c.Handler != h.Handler || c.State() != arpc.StateOpen {
			t.Errorf("client %+v", c)
		}
	})
	if seen != 2 {
		t.Errorf("ForEach saw %d clients", seen)
	}
}

// TestARequestComesFromAKnownClient: who asks for something is among the
// clients by then, or a broadcast of the handler would pass it by.
func TestARequestComesFromAKnownClient(t *testing.T) {
	eachDoor(t, nil, func(t *testing.T, h *house, door string) {
		h.Handler.Handle("/known", func(ctx *arpc.Context) {
			_ = ctx.Write(fmt.Sprint(slices.Contains(h.Clients(), ctx.Client)))
		}, arpc.Inline)
		for range 200 {
			p := h.knock(t, door)
			p.send(t, request(1, "/known", ""))
			if f := p.until(t, wire.Response); string(f.Body) != "true" {
				t.Fatalf("known: %s", f.Body)
			}
			p.Close()
		}
	})
}

func TestARouteMayBeAddedWhileServing(t *testing.T) {
	h := open(t, nil)
	c := dial(t, h.tcp)
	mustEcho(t, c)
	h.Handler.Handle("/late", func(ctx *arpc.Context) { _ = ctx.Write("here now") })
	var got string
	if err := c.Call("/late", nil, &got, arpctest.Wait); err != nil || got != "here now" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAServerIsACloneOfTheDefaultHandler(t *testing.T) {
	s := server.New()
	s.Handler.Handle("/only here", func(*arpc.Context) {})
	arpc.DefaultHandler.Clone().Handle("/only here", func(*arpc.Context) {}) // panics if it is there too
	if s.Handler == arpc.DefaultHandler {
		t.Error("the default handler itself")
	}
}

func TestSeveralListenersServeOneServer(t *testing.T) {
	h := open(t, nil)
	second := arpctest.Listen(t)
	serving := make(chan error, 1)
	go func() { serving <- h.Serve(second) }()
	mustEcho(t, dial(t, h.tcp))
	mustEcho(t, dial(t, "tcp://"+second.Addr().String()))
	if n := len(h.Clients()); n != 2 {
		t.Errorf("%d clients", n)
	}
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for _, s := range []chan error{serving, h.serving} {
		if err := arpctest.Receive(t, s, "Serve"); !errors.Is(err, server.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
	}
}

func TestTwoServersShareAMux(t *testing.T) {
	mux := http.NewServeMux()
	for _, name := range []string{"one", "other"} {
		s := server.New()
		s.Handler.Handle("/name", func(ctx *arpc.Context) { _ = ctx.Write(name) })
		mux.Handle("/"+name, s.WebSocket())
		t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	}
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	for _, want := range []string{"one", "other"} {
		var got string
		c := dial(t, "ws"+strings.TrimPrefix(web.URL, "http")+"/"+want)
		if err := c.Call("/name", nil, &got, arpctest.Wait); err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
		c.Stop()
	}
}

func TestServingEndsWithErrClosed(t *testing.T) {
	s := server.New()
	running := make(chan error, 1)
	go func() { running <- s.Run("127.0.0.1:0") }()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := arpctest.Receive(t, running, "Run"); !errors.Is(err, server.ErrClosed) {
		t.Errorf("Run: %v", err)
	}
	ln := arpctest.Listen(t)
	if err := s.Serve(ln); !errors.Is(err, server.ErrClosed) {
		t.Errorf("Serve after Shutdown: %v", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}
	if err := s.Run("127.0.0.1:0"); !errors.Is(err, server.ErrClosed) {
		t.Errorf("Run after Shutdown: %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown again: %v", err)
	}
}

func TestRunSaysWhyItCannotListen(t *testing.T) {
	taken := arpctest.Listen(t)
	if err := server.New().Run(taken.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
}

func TestAListenerThatIsClosedFromOutside(t *testing.T) {
	s := server.New()
	s.Handler.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	ln := arpctest.Listen(t)
	serving := make(chan error, 1)
	go func() { serving <- s.Serve(ln) }()
	c := dial(t, "tcp://"+ln.Addr().String())
	mustEcho(t, c)
	ln.Close()
	if err := arpctest.Receive(t, serving, "Serve"); !errors.Is(err, net.ErrClosed) || errors.Is(err, server.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	mustEcho(t, c) // who is connected goes on
}

// flakyListener fails a few times, as one does when descriptors run out.
type flakyListener struct {
	net.Listener
	mu       sync.Mutex
	failures int
}

func (l *flakyListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures > 0 {
		l.failures--
		return nil, fmt.Errorf("accept: %w", syscall.EMFILE)
	}
	return l.Listener.Accept()
}

func TestServingOutlivesAcceptsThatFail(t *testing.T) {
	s := server.New()
	h := open(t, nil)
	s.Handler.SetLogger(h.Handler.Logger())
	s.Handler.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
	ln := arpctest.Listen(t)
	serving := make(chan error, 1)
	go func() { serving <- s.Serve(&flakyListener{Listener: ln, failures: 3}) }()
	c := dial(t, "tcp://"+ln.Addr().String())
	mustEcho(t, c)
	c.Stop()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := arpctest.Receive(t, serving, "Serve"); !errors.Is(err, server.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
}

func TestMaxLoadHoldsOnBothDoors(t *testing.T) {
	for _, door := range doors {
		t.Run(door, func(t *testing.T) {
			h := open(t, nil, server.MaxLoad(2))
			first, second := dial(t, h.tcp), dial(t, h.web) // they share the room there is
			mustEcho(t, first)
			mustEcho(t, second)
			switch p, err := h.tryKnock(door); {
			case door == "tcp" && err == nil:
				if end := p.end(t); end == nil {
					t.Error("let in")
				}
				p.Close()
			case door == "tcp":
				t.Errorf("tcp: %v", err)
			case err == nil:
				p.Close()
				t.Error("let in")
			case !strings.Contains(err.Error(), "503"):
				t.Errorf("websocket: %v", err)
			}
			mustEcho(t, first)
			mustEcho(t, second)
			first.Stop()
			var third *arpc.Client
			arpctest.Eventually(t, "room", func() bool { // a moment after the first is not among the clients any more
				var err error
				third, err = tryDial(t, h.address(door))
				return err == nil
			})
			mustEcho(t, third)
		})
	}
}

// TestMaxLoadHoldsForHandshakesAtOnce: the check and the counting are one step,
// or as many get in as arrive between the two.
func TestMaxLoadHoldsForHandshakesAtOnce(t *testing.T) {
	const room, callers = 5, 40
	var in atomic.Int64
	h := open(t, nil, server.MaxLoad(room))
	var knocking sync.WaitGroup
	for range callers {
		knocking.Go(func() {
			if c, err := ws.Dial(t.Context(), h.web, ws.DialOptions{}); err == nil {
				in.Add(1)
				t.Cleanup(func() { c.Close() })
			}
		})
	}
	knocking.Wait()
	if n := in.Load(); n != room {
		t.Errorf("%d handshakes were answered, limit %d", n, room)
	}
}

func TestARefusedHandshakeSaysWhenToComeBack(t *testing.T) {
	h := open(t, nil, server.MaxLoad(1))
	mustEcho(t, dial(t, h.tcp))
	answer := handshake(t, h, http.Header{}, "")
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, header %v", answer.StatusCode, answer.Header)
	}
}

func TestSubprotocols(t *testing.T) {
	h := open(t, nil, server.Subprotocols("arpc.2", "arpc.1"))
	c, err := ws.Dial(t.Context(), h.web, ws.DialOptions{Subprotocols: []string{"arpc.1", "other"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Subprotocol() != "arpc.1" {
		t.Errorf("subprotocol %q", c.Subprotocol())
	}
}

// TestWhatServersSeeOfARequest: the upgrade request is there, with what a
// browser sends by itself and what came through a door without one.
func TestWhatServersSeeOfARequest(t *testing.T) {
	type seen struct{ path, query, cookie, agent, remote string }
	got := make(chan seen, 1)
	h := open(t, func(s *server.Server) {
		s.Handler.Handle("/who", func(ctx *arpc.Context) {
			one := seen{remote: ctx.Client.RemoteAddr().String()}
			if r := ctx.Client.Request(); r != nil {
				one.path, one.query, one.agent = r.URL.Path, r.URL.Query().Get("room"), r.UserAgent()
				if r.Header.Get("Sec-WebSocket-Key") != "" || r.Header.Get("Upgrade") != "" {
					t.Errorf("headers of the handshake are kept: %v", r.Header)
				}
				if c, err := r.Cookie("session"); err == nil {
					one.cookie = c.Value
				}
				if r.RemoteAddr != one.remote {
					t.Errorf("the request is from %s, the client from %s", r.RemoteAddr, one.remote)
				}
			}
			got <- one
			_ = ctx.Write(nil)
		})
	})
	header := http.Header{"Cookie": {"session=s3cret; theme=dark"}, "User-Agent": {"a browser"}}
	var local string
	c, err := arpc.NewClient(func() (net.Conn, error) {
		conn, err := ws.Dial(t.Context(), h.web+"/chat?room=blue", ws.DialOptions{Header: header})
		if err != nil {
			return nil, err
		}
		local = conn.LocalAddr().String()
		return conn, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") })
	if err := c.Call("/who", nil, nil, arpctest.Wait); err != nil {
		t.Fatal(err)
	}
	want := seen{path: "/chat", query: "blue", cookie: "s3cret", agent: "a browser", remote: local}
	if one := arpctest.Receive(t, got, "request"); one != want {
		t.Errorf("saw %+v, want %+v", one, want)
	}
	if err := dial(t, h.tcp).Call("/who", nil, nil, arpctest.Wait); err != nil {
		t.Fatal(err)
	}
	if one := arpctest.Receive(t, got, "request"); one.path != "" || !strings.HasPrefix(one.remote, "127.0.0.1:") {
		t.Errorf("over TCP: %+v", one)
	}
}
