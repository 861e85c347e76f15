// Package server accepts arpc connections: over any net.Listener, and over
// WebSocket through an http.Handler that mounts in any mux. Both doors lead to
// the same routes and the same clients.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc"
)

// ErrClosed is returned by Serve and Run after Shutdown.
var ErrClosed = errors.New("server closed")

// Server is a set of listeners and connections that share a Handler. Its
// methods are safe for concurrent use.
type Server struct {
	// Handler has the routes and hooks of the server: a clone of
	// arpc.DefaultHandler. It is not to be replaced.
	Handler *arpc.Handler

	cfg config

	mu        sync.Mutex // guards what follows
	listeners map[net.Listener]struct{}
	clients   map[*arpc.Client]struct{}
	closed    bool
}

// New returns a server.
func New(opts ...Option) *Server {
	s := &Server{
		Handler:   arpc.DefaultHandler.Clone(),
		listeners: map[net.Listener]struct{}{},
		clients:   map[*arpc.Client]struct{}{},
	}
	for _, o := range opts {
		o(&s.cfg)
	}
	return s
}

// Run listens on a TCP address and serves it until Shutdown.
func (s *Server) Run(address string) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("run server: %w", err)
	}
	return s.Serve(ln)
}

// Serve accepts connections from ln until Shutdown, and closes it then. It
// returns ErrClosed, or the error that made accepting impossible.
func (s *Server) Serve(ln net.Listener) error {
	if !s.addListener(ln) {
		ln.Close()
		return ErrClosed
	}
	defer s.removeListener(ln)
	var pause time.Duration
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			s.serveConn(conn, arpc.Accepted{})
		case s.isClosed():
			return ErrClosed
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept: %w", err)
		default:
			// Out of descriptors, mostly: those who are connected go on.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.Handler.Logger().Warn("arpc: accept", "error", err, "retry", pause)
			time.Sleep(pause)
		}
	}
}

// serveConn gives a connection to the engine, or closes it if the server is
// full or closing.
func (s *Server) serveConn(conn net.Conn, a arpc.Accepted) {
	if err := s.admit(); err != nil {
		conn.Close()
		return
	}
	a.Connected, a.Disconnected = s.add, s.remove
	s.Handler.ServeConn(conn, a)
}

// admit says whether there is room for one connection more.
func (s *Server) admit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.cfg.maxLoad > 0 && len(s.clients) >= s.cfg.maxLoad:
		return fmt.Errorf("%d connections, limit %d", len(s.clients), s.cfg.maxLoad)
	}
	return nil
}

func (s *Server) add(c *arpc.Client) {
	s.mu.Lock()
	s.clients[c] = struct{}{}
	closed := s.closed
	s.mu.Unlock()
	if closed { // Shutdown went through the clients before this one was there
		c.Stop()
	}
}

func (s *Server) remove(c *arpc.Client, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c)
}

func (s *Server) addListener(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.listeners[ln] = struct{}{}
	return true
}

func (s *Server) removeListener(ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, ln)
	ln.Close()
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Clients returns the connected clients, in no order.
func (s *Server) Clients() []*arpc.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	clients := make([]*arpc.Client, 0, len(s.clients))
	for c := range s.clients {
		clients = append(clients, c)
	}
	return clients
}

// ForEach calls f for each client connected at the moment of the call.
func (s *Server) ForEach(f func(*arpc.Client)) {
	for _, c := range s.Clients() {
		f(c)
	}
}

// Shutdown stops accepting, refuses new requests, waits until those under way
// are answered, and closes the connections. When ctx ends first it closes them
// all the same and returns the reason. It returns after the last connection ended.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for ln := range s.listeners {
		ln.Close()
	}
	s.mu.Unlock()
	var all sync.WaitGroup
	var failures errorList
	for _, c := range s.Clients() {
		all.Go(func() {
			failures.add(c.Drain(ctx))
			<-c.Done()
		})
	}
	all.Wait()
	return failures.join()
}

// errorList collects the errors of goroutines.
type errorList struct {
	mu  sync.Mutex
	all []error
}

func (l *errorList) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.all = append(l.all, err)
	}
}

func (l *errorList) join() error { return errors.Join(l.all...) }
