package arpctest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Listen listens at a port of its own until the test ends.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// Accept gives what a listener accepts to serve, one after the other. It ends the
// listener with the test.
func Accept(t testing.TB, ln net.Listener, serve func(net.Conn)) {
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serve(conn)
		}
	}()
	t.Cleanup(func() { ln.Close(); <-accepting })
}

// Sockets are both ends of a TCP connection, which ends with the test.
func Sockets(t testing.TB) (accepted, dialed net.Conn) {
	t.Helper()
	ln := Listen(t)
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close() })
	if accepted, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return accepted, dialed
}

// A Server has two doors: raw TCP and WebSocket.
type Server interface {
	Serve(ln net.Listener) error
	WebSocket() http.Handler
	Shutdown(ctx context.Context) error
}

// Doors opens both doors of a server, and returns what to dial. It shuts the server
// down with the test.
func Doors(t testing.TB, s Server) (tcp, web string) {
	t.Helper()
	ln := Listen(t)
	serving := make(chan error, 1)
	go func() { serving <- s.Serve(ln) }()
	site := httptest.NewServer(s.WebSocket())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Wait)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		Receive(t, serving, "Serve")
		site.Close()
	})
	return "tcp://" + ln.Addr().String(), "ws" + strings.TrimPrefix(site.URL, "http")
}
