package arpc

import (
	"errors"
	"io"
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

// err is why the connection ended, or ErrDisconnected.
func (c *conn) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.errLocked()
}

func (c *conn) errLocked() error {
	if c.cause != nil {
		return c.cause
	}
	return ErrDisconnected
}

// usable reports whether the connection still takes what is sent.
func (c *conn) usable() bool { return !c.spent.Load() }

// open makes a dialed connection the client's, unless it is over already. Nobody is
// told of its end before they were told of its beginning.
func (c *conn) open() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.opened = true
	c.useBaseCoders() // unless hello was answered
	c.client().dialer.opened(c)
	return true
}

func (c *conn) wasOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opened
}

// die ends the connection at once. The first cause is kept.
func (c *conn) die(cause error) {
	c.mu.Lock()
	again := c.dead
	c.dead, c.closing = true, true
	c.spent.Store(true)
	if c.cause == nil {
		c.cause = cause
	}
	c.mu.Unlock()
	if again {
		return
	}
	err := c.err()
	c.out.fail(err)
	c.gone.happens()
	c.session().cut(err)
	c.raw.Close()
}

// finish ends a connection of which everything left, or had its time to. Where
// sessions last, the peer may have confirmed something meanwhile: what lies unread
// when a socket is closed makes the system take back what has not arrived. So it is
// the peer that closes, unless that takes too long.
func (c *conn) finish() {
	half, can := c.raw.(interface{ CloseWrite() error })
	can = can && c.session().lasting.Load() != nil
	if again := c.closeHalf(); !again && can && half.CloseWrite() == nil {
		return
	}
	c.die(nil)
}

// closeHalf notes that one direction is over, and says whether one was before.
func (c *conn) closeHalf() (again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	again = c.half
	c.half = true
	return again
}

// closeLinger is how long a connection that ends waits for its last bytes to move.
const closeLinger = time.Second

// shut ends the connection after what was sent has left, and tells the peer
// why where the transport has words for it. It does not wait. A peer that reads
// slowly has as long as a write may be stuck.
func (c *conn) shut(cause error) { c.shutWithin(cause, c.limits.Write) }

// shutWithin is shut with a limit of its own.
func (c *conn) shutWithin(cause error, limit time.Duration) {
	c.mu.Lock()
	again := c.closing
	c.closing = true
	c.spent.Store(true)
	if c.cause == nil {
		c.cause = cause
	}
	if !again {
		c.linger = &linger{moved: c.out.moved.Load(), until: time.Now().Add(limit)}
		c.linger.timer = time.AfterFunc(min(closeLinger, limit), c.lingerOn)
	}
	c.mu.Unlock()
	if !again {
		c.out.close(c.lastWords(cause))
	}
}

// linger watches over the last bytes of a connection.
type linger struct {
	timer *time.Timer // looks whether they move
	moved uint64      // bytes that had left when it last looked
	until time.Time
}

// lingerOn ends a connection whose last bytes do not move any more, or for too long.
func (c *conn) lingerOn() {
	c.mu.Lock()
	moved := c.out.moved.Load()
	left := time.Until(c.linger.until)
	on := moved > c.linger.moved && left > 0 && !c.dead
	c.linger.moved = moved
	if on {
		c.linger.timer.Reset(min(closeLinger, left))
	}
	c.mu.Unlock()
	if !on {
		c.finish()
	}
}

func (c *conn) stopLinger() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.linger != nil {
		c.linger.timer.Stop()
	}
}

// lastWords tell the peer that the connection ends: the goaway of a client whose
// session ends with it, and on a WebSocket a close frame, unless there was one, or
// nobody is there to read it.
func (c *conn) lastWords(cause error) (words []byte) {
	s := c.session()
	if !s.client.accepted() && s.lasting.Load() != nil && (!survives(cause) || !s.introduced.Load()) {
		words = c.goodbye()
	}
	if c.ws == nil || c.closeSent.Load() || errors.Is(cause, io.EOF) {
		return words
	}
	code, reason := closeWords(cause)
	return c.ws.AppendClose(words, code, reason)
}

// closeWords are the WebSocket close code and reason for the end of a
// connection. A cause that has no words for the peer stays with us.
func closeWords(cause error) (code int, reason string) {
	var closing *ws.CloseError
	var bad *wire.FrameError
	var coded *Error
	switch {
	case errors.Is(cause, ErrStopped), errors.Is(cause, errGoaway), errors.Is(cause, errRestart):
		return ws.CloseNormal, ""
	case errors.Is(cause, errDraining):
		return ws.CloseGoingAway, errDraining.Message
	case errors.As(cause, &closing):
		return closing.Code, closing.Reason
	case errors.As(cause, &bad) && bad.Reason == wire.BodyTooLong:
		return ws.CloseTooBig, bad.Error()
	case errors.As(cause, &bad):
		return ws.CloseProtocol, bad.Error()
	case errors.As(cause, &coded):
		return ws.ClosePolicy, coded.Message
	}
	return ws.CloseInternal, ""
}
