package ws

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/quiet"
)

// maxOverhead is how many bytes of one message may be something other than its
// payload: frame headers, control frames between fragments, and what gorilla asked
// for beyond it. Without it a peer sends empty fragments for ever; 16 KiB is some
// 2,700 of them.
const maxOverhead = 16 << 10

// socket stands between gorilla and the network. It counts what one message
// costs, gives a message a deadline, and keeps gorilla from writing on its own
// once the connection was handed over. All but Close is called on the reading
// goroutine.
type socket struct {
	net.Conn
	control    func([]byte) error
	beforeRead func()
	ahead      ahead // what was read and gorilla has not asked for

	messageTimeout time.Duration
	inMessage      bool
	armed          bool          // a read deadline is set for the message
	left           time.Duration // how long the message may still take, our own pauses not counted
	raw, payload   int           // bytes of this message: from the socket, and delivered
}

// over makes the socket one over a connection.
func (s *socket) over(conn net.Conn) {
	s.Conn = conn
	s.ahead.reader = quiet.NewReader(conn, &s.ahead)
}

// Read reads what was read ahead, or from the network.
func (s *socket) Read(p []byte) (int, error) {
	if s.inMessage && s.raw-s.payload > maxOverhead {
		return 0, &CloseError{Code: ClosePolicy, Reason: "too many fragments"}
	}
	if n := s.ahead.take(p); n > 0 {
		s.raw += n
		return n, nil
	}
	if s.beforeRead != nil {
		s.beforeRead()
	}
	if s.inMessage {
		if err := s.arm(); err != nil {
			return 0, err
		}
	}
	began := s.clock()
	n, err := s.receive(p)
	s.raw += n
	if s.armed {
		s.left -= time.Since(began)
	}
	if s.armed && errors.Is(err, os.ErrDeadlineExceeded) {
		err = &CloseError{Code: ClosePolicy, Reason: "message not whole in time"}
	}
	return n, err
}

func (s *socket) receive(p []byte) (int, error) {
	err := s.ahead.read(s.Conn)
	return s.ahead.take(p), err
}

// await waits for bytes without memory to put them in, and reads them ahead.
func (s *socket) await() error {
	if s.beforeRead != nil {
		s.beforeRead()
	}
	n, err := s.ahead.reader.Await()
	s.ahead.filled(n)
	return err
}

// arm starts the clock of a message that is not whole yet. Most messages never
// get here: they arrive in one read.
func (s *socket) arm() error {
	if s.messageTimeout <= 0 {
		return nil
	}
	if !s.armed {
		s.armed, s.left = true, s.messageTimeout
	}
	return s.Conn.SetReadDeadline(time.Now().Add(s.left))
}

// clock is the time, where it is needed.
func (s *socket) clock() time.Time {
	if !s.armed {
		return time.Time{}
	}
	return time.Now()
}

func (s *socket) beginMessage() {
	s.inMessage, s.raw, s.payload = true, 0, 0
}

func (s *socket) endMessage() error {
	s.inMessage = false
	if !s.armed {
		return nil
	}
	s.armed = false
	return s.Conn.SetReadDeadline(time.Time{})
}

// Write is called by gorilla alone: during the handshake, and for control frames.
func (s *socket) Write(p []byte) (int, error) {
	if s.control == nil {
		return s.Conn.Write(p)
	}
	if err := s.control(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// SetWriteDeadline is gorilla's too, before each control frame. The deadline of
// a connection that was handed over belongs to its writer.
func (s *socket) SetWriteDeadline(t time.Time) error {
	if s.control != nil {
		return nil
	}
	return s.Conn.SetWriteDeadline(t)
}
