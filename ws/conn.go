// Package ws is RFC 6455 and nothing else: upgrade, dial, and one connection
// whose binary messages are read as one byte stream.
//
// gorilla/websocket does the handshakes and the reading. Writing is different:
// a connection has one writer at a time, and that is not gorilla. Frames are
// built in place with AppendMessage and AppendControl and leave through NetConn,
// many of them in one write. What gorilla itself wants to send (a pong, the
// answer to a close) goes through the function given to Attach.
package ws

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gorilla/websocket"

	"github.com/seed-fbfaa03e/arpc/internal/quiet"
)

// Close codes of RFC 6455 section 7.4.1 that this project uses.
const (
	CloseNormal      = websocket.CloseNormalClosure
	CloseGoingAway   = websocket.CloseGoingAway
	CloseProtocol    = websocket.CloseProtocolError
	CloseUnsupported = websocket.CloseUnsupportedData
	ClosePolicy      = websocket.ClosePolicyViolation
	CloseTooBig      = websocket.CloseMessageTooBig
	CloseInternal    = websocket.CloseInternalServerErr
)

// CloseError is a reason to end the connection that has a WebSocket close code.
type CloseError struct {
	// Code is the close code to send, or the one that was received.
	Code int
	// Reason is at most 123 bytes of UTF-8.
	Reason string
	// Remote is true when the peer closed.
	Remote bool
}

// Error says who closed, and why.
func (e *CloseError) Error() string {
	who := "closing"
	if e.Remote {
		who = "closed by the peer"
	}
	return fmt.Sprintf("websocket %s: %d %s", who, e.Code, e.Reason)
}

// Limits bound what a peer can make a connection hold and wait for.
type Limits struct {
	// MaxMessage is the largest message in bytes, all its fragments together.
	// Zero is no limit.
	MaxMessage int
	// MessageTimeout is how long a message may take from its first frame to
	// its last byte. Zero is for ever.
	MessageTimeout time.Duration
}

// Conn is one WebSocket connection. Read is for one goroutine at a time; Close
// is safe for concurrent use; the Append methods keep no state and are too.
type Conn struct {
	socket  *socket
	reader  *websocket.Conn
	message io.Reader // the message being read, nil between messages
	masked  bool      // we are the client

	buffered *bufio.Reader // gorilla's, if it is known
	awaits   bool          // the reader calls Await, and no Read is to wait between messages
}

func newConn(gorilla *websocket.Conn, s *socket, masked bool, limits Limits) *Conn {
	c := &Conn{socket: s, reader: gorilla, masked: masked}
	s.messageTimeout = limits.MessageTimeout
	gorilla.SetReadLimit(int64(limits.MaxMessage))
	return c
}

// Attach hands writing over. From now on what RFC 6455 requires to be answered
// goes to control, as whole frames that are to be copied and sent in order with
// everything else; beforeRead is called on the reading goroutine each time
// before the socket is read. Attach is called once, before the first Read.
func (c *Conn) Attach(control func(frame []byte) error, beforeRead func()) {
	c.socket.control, c.socket.beforeRead = control, beforeRead
}

// Ready reports whether the next Read may find something without waiting, or
// has to be the one that waits, because there is no plain socket below.
func (c *Conn) Ready() bool {
	return c.message != nil || c.buffered == nil || c.buffered.Buffered() > 0 ||
		!c.socket.ahead.empty() || c.socket.ahead.reader == nil
}

// Await waits until there is something to read, and while it does holds little
// memory for it. It is for a connection that is not Ready and that somebody
// attached to, on the goroutine that calls Read next. After a while without a
// byte it fails with quiet.ErrSilent, and may be called again, by another
// goroutine then.
func (c *Conn) Await() error {
	c.awaits = true
	switch err := c.socket.await(); {
	case errors.Is(err, quiet.ErrSilent):
		*c.buffered = bufio.Reader{} // its memory too: nothing is in it
		return err
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF // as gorilla has it: there was no close frame
	default:
		return err
	}
}

// Read reads the payload of binary messages, one after the other, as a stream.
// A text message ends it with a CloseError of code 1003. To a reader that calls
// Await it may return no bytes, at the end of a message.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		if c.message == nil {
			if err := c.nextMessage(); err != nil {
				return 0, err
			}
		}
		n, err := c.message.Read(p)
		c.socket.payload += n
		if errors.Is(err, io.EOF) {
			c.message, err = nil, c.socket.endMessage()
		}
		if n > 0 || err != nil || c.awaits && !c.Ready() {
			return n, closeError(err)
		}
	}
}

func (c *Conn) nextMessage() error {
	if c.buffered != nil && c.buffered.Size() == 0 { // it was silent
		*c.buffered = *bufio.NewReaderSize(c.socket, headersAhead)
	}
	kind, r, err := c.reader.NextReader()
	if err != nil {
		return closeError(err)
	}
	if kind != websocket.BinaryMessage {
		return &CloseError{Code: CloseUnsupported, Reason: "binary messages only"}
	}
	c.message = r
	c.socket.beginMessage()
	return nil
}

// closeError turns gorilla's words into ours.
func closeError(err error) error {
	var remote *websocket.CloseError
	switch {
	case errors.As(err, &remote) && remote.Code == websocket.CloseAbnormalClosure:
		return io.ErrUnexpectedEOF
	case errors.As(err, &remote):
		return &CloseError{Code: remote.Code, Reason: remote.Text, Remote: true}
	case errors.Is(err, websocket.ErrReadLimit):
		return &CloseError{Code: CloseTooBig, Reason: "message too big"}
	}
	return err
}

// Write sends p as one binary message. It is for a connection that nobody
// attached to; concurrent calls are not safe.
func (c *Conn) Write(p []byte) (int, error) {
	if _, err := c.socket.Conn.Write(c.AppendMessage(nil, p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close closes the socket, without a close frame.
func (c *Conn) Close() error { return c.socket.Conn.Close() }

// NetConn is the connection below: what AppendMessage built is written to it.
func (c *Conn) NetConn() net.Conn { return c.socket.Conn }

// Subprotocol is the protocol both ends agreed to, or "".
func (c *Conn) Subprotocol() string { return c.reader.Subprotocol() }

// LocalAddr is the local address of the socket.
func (c *Conn) LocalAddr() net.Addr { return c.socket.LocalAddr() }

// RemoteAddr is the address of the peer's end of the socket.
func (c *Conn) RemoteAddr() net.Addr { return c.socket.RemoteAddr() }

// SetDeadline sets both deadlines of the socket.
func (c *Conn) SetDeadline(t time.Time) error { return c.socket.Conn.SetDeadline(t) }

// SetReadDeadline sets the read deadline of the socket.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.socket.Conn.SetReadDeadline(t) }

// SetWriteDeadline sets the write deadline of the socket.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.socket.Conn.SetWriteDeadline(t) }
