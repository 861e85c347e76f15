// Package server accepts arpc connections: over any net.Listener, and over
// WebSocket through an http.Handler that mounts in any mux. Both doors lead to
// the same routes and the same clients.
package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// ErrClosed is returned by Serve and Run after Shutdown.
var ErrClosed = errors.New("server closed")

// Server is a set of listeners and connections that share a Handler. Its
// methods are safe for concurrent use.
type Server struct {
	// Handler has the routes and hooks of the server: a clone of
	// arpc.DefaultHandler. It is not to be replaced.
	Handler *arpc.Handler

	cfg        config
	broadcasts *broadcasts

	connected, ended func(*arpc.Client) // add and remove, bound once for all connections

	mu        sync.Mutex // guards what follows
	listeners map[net.Listener]struct{}
	clients   map[*arpc.Client]struct{} // those that were admitted
	all       map[*arpc.Client]struct{} // and those that were not yet
	users     users                     // clients by who they are
	load      int                       // connections, handshakes under way included
	shutdown  *shutdown                 // nil until Shutdown
	closing   chan struct{}             // closed then

	open sync.WaitGroup // connections that were let in and are not over
}

// New returns a server.
func New(opts ...Option) *Server {
	s := &Server{
		Handler:   arpc.DefaultHandler.Clone(),
		listeners: map[net.Listener]struct{}{},
		clients:   map[*arpc.Client]struct{}{},
		all:       map[*arpc.Client]struct{}{},
		users:     newUsers(),
		closing:   make(chan struct{}),
	}
	s.cfg.history = topic.Limits{Entries: 1000, Bytes: 4 << 20, Age: time.Minute}
	s.cfg.httpTimeout = DefaultHTTPTimeout
	for _, o := range opts {
		o(&s.cfg)
	}
	s.broadcasts = newBroadcasts(s.Handler, s.cfg.history)
	s.connected, s.ended = s.add, s.remove
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
			s.accept(conn)
		case s.isClosed():
			return ErrClosed
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept: %w", err)
		default:
			// Out of descriptors, mostly: those who are connected go on.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.Handler.Logger().Warn("arpc: accept", "error", err, "retry", pause)
			select {
			case <-time.After(pause):
			case <-s.closing:
			}
		}
	}
}

// serveConn gives a connection that was let in to the engine.
func (s *Server) serveConn(conn net.Conn, a arpc.Accepted) {
	a.Connected, a.Ended = s.connected, s.ended
	s.keep(s.Handler.ServeConn(conn, a))
}

// accept lets a connection in, or closes it if the server is full or closing.
func (s *Server) accept(conn net.Conn) {
	if err := s.letIn(); err != nil {
		conn.Close()
		return
	}
	s.serveConn(conn, arpc.Accepted{})
}

// letIn takes a place for one connection more, which letOut or the end of the
// connection gives back.
func (s *Server) letIn() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.shutdown != nil:
		return ErrClosed
	case s.cfg.maxLoad > 0 && s.load-s.Handler.Parked() >= s.cfg.maxLoad:
		return fmt.Errorf("%d connections, limit %d", s.load-s.Handler.Parked(), s.cfg.maxLoad)
	}
	s.load++
	s.open.Add(1)
	return nil
}

func (s *Server) letOut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load--
	s.open.Done()
}

// keep counts a connection in, whether it is admitted yet or not. It may be over
// already, and removed before it was kept.
func (s *Server) keep(c *arpc.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.State() == arpc.StateClosed {
		return
	}
	s.all[c] = struct{}{}
	if s.shutdown != nil { // Shutdown went through the connections before this one was there
		s.open.Add(1)
		go func() {
			defer s.open.Done()
			s.shutdown.drain(c)
		}()
	}
}

// add makes a client one that broadcasts reach, unless it is over, and removed
// before it was added.
func (s *Server) add(c *arpc.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.State() == arpc.StateClosed {
		return
	}
	s.clients[c] = struct{}{}
	s.users.add(c)
	s.broadcasts.add(c)
}

func (s *Server) remove(c *arpc.Client) {
	defer s.letOut()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c)
	delete(s.all, c)
	s.users.remove(c)
	s.broadcasts.remove(c)
}

func (s *Server) addListener(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shutdown != nil {
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
	return s.shutdown != nil
}

// Clients returns the connected clients, in no order.
func (s *Server) Clients() []*arpc.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.clients))
}

// connections are the clients, and those that have not said who they are.
func (s *Server) connections() []*arpc.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.all))
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
	this := &shutdown{ctx: ctx}
	var all sync.WaitGroup
	for _, c := range s.begin(this) {
		all.Go(func() { this.drain(c) })
	}
	all.Wait()
	s.open.Wait() // for those that came in while this went on
	return this.failures.join()
}

// begin stops accepting. It returns the connections there are, those included that
// have not said who they are; the first shutdown sees to those that are kept later.
func (s *Server) begin(this *shutdown) []*arpc.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shutdown == nil {
		s.shutdown = this
		close(s.closing)
	}
	for ln := range s.listeners {
		ln.Close()
	}
	return slices.Collect(maps.Keys(s.all))
}

// shutdown is one call of Shutdown.
type shutdown struct {
	ctx      context.Context
	failures errorList
}

// drain waits until what a connection has under way is done, or the context ends.
func (s *shutdown) drain(c *arpc.Client) {
	s.failures.add(c.Drain(s.ctx))
	<-c.Done()
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
