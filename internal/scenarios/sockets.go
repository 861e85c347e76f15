package scenarios

import (
	"net"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc"
)

// Sockets are the connections that listeners accepted, for routes that cut them.
// Those that end in another way are kept: whoever plays the table is soon done.
type Sockets struct {
	mu       sync.Mutex
	accepted map[string]*net.TCPConn // guarded by mu; by the address of the other end
}

// NewSockets returns none yet.
func NewSockets() *Sockets { return &Sockets{accepted: map[string]*net.TCPConn{}} }

// Watch returns a listener whose connections can be cut.
func (s *Sockets) Watch(l net.Listener) net.Listener { return watched{l, s} }

type watched struct {
	net.Listener
	sockets *Sockets
}

func (w watched) Accept() (net.Conn, error) {
	conn, err := w.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		w.sockets.add(tcp)
	}
	return conn, err
}

func (s *Sockets) add(conn *net.TCPConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted[conn.RemoteAddr().String()] = conn
}

// take returns the connection from an address, once; nil if there is none.
func (s *Sockets) take(from net.Addr) *net.TCPConn {
	if from == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	conn := s.accepted[from.String()]
	delete(s.accepted, from.String())
	return conn
}

// cut ends the connection of a client as a network does that lost it: nobody says
// farewell, and what was not read yet is gone. Between two connections it waits
// for the next.
func (s *Sockets) cut(c *arpc.Client) error {
	late := time.After(patience)
	for {
		if conn := s.take(c.RemoteAddr()); conn != nil {
			_ = conn.SetLinger(0) // fails only if it is closed
			return conn.Close()
		}
		select {
		case <-time.After(time.Millisecond):
		case <-c.Done():
			return arpc.Errorf(arpc.CodeUnavailable, "the client is gone")
		case <-late:
			return arpc.Errorf(arpc.CodeDeadlineExceeded, "there is no connection to cut")
		}
	}
}
