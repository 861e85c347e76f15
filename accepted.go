package arpc

import (
	"math"
	"net"
	"net/http"
	"time"

	"github.com/seed-fbfaa03e/arpc/codec"
)

// Accepted describes a connection that a server gives to ServeConn.
type Accepted struct {
	// Request is the HTTP request that the connection began with.
	Request *http.Request
	// RemoteAddr is the peer's address, if it is not that of the connection:
	// behind a proxy.
	RemoteAddr net.Addr
	// Arrived is when the connection was accepted, before any upgrade; zero is now.
	// Of two that ask for one session, the one that arrived later has it.
	Arrived time.Time
	// Codec is the codec of values on this connection; nil is the Handler's.
	Codec codec.Codec
	// Detached says that the peer takes answers and nothing else. What is sent to
	// its Client fails with ErrDetached, and the hooks for connections and states
	// do not run: it was never there.
	Detached bool
	// Connected runs once the peer is admitted, before anything more is read
	// from it and before the hooks of the Handler, and again if hello says anew who
	// the peer is when that was known before. It must not block.
	Connected func(*Client)
	// Ended runs when nothing of the client runs any more, whether it was
	// admitted or not.
	Ended func(*Client)
}

// ServeConn serves an accepted connection and returns its client at once.
// Reading happens on a goroutine of its own, so that the caller's stack can go.
func (h *Handler) ServeConn(nc net.Conn, a Accepted) *Client {
	c := newClient(h)
	c.request, c.remote, c.detached, c.quiet = a.Request, a.RemoteAddr, a.Detached, true
	c.connected, c.gone = a.Connected, a.Ended
	cn := newConn(c, h, nc)
	if cn.arrived = a.Arrived.Sub(epoch); a.Arrived.IsZero() {
		cn.arrived = time.Since(epoch)
	}
	if a.Codec != nil {
		cn.session().codec = a.Codec
	}
	c.setState(StateOpen, cn, nil) // which no hook tells of yet
	if cn.admitted.Load() && (c.detached || !cn.limits.lasts()) {
		cn.introduce() // before anything is read: who has an answer gets broadcasts too
	}
	cn.start()
	return c
}

// admit tells those who want to know that an accepted client is there.
func (c *Client) admit() {
	c.speak()
	if c.connected != nil {
		c.connected(c)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = true
	c.Handler.arrivals.came()
	c.hook(func() { c.Handler.runConnected(c) })
}

// speak says from now on what becomes of the client, and that it is there.
func (c *Client) speak() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.quiet && c.isLocked(StateOpen) {
		c.hook(func() { c.Handler.runStateChanged(c, StateOpen, nil) })
	}
	c.quiet = false
}

// lost is called at the end of each session: on the goroutine that read its
// connection, cn, or when it had none any more.
func (c *Client) lost(s *session, cn *conn, err error) {
	if !c.accepted() {
		c.dialer.ended(s, cn, err)
		return
	}
	if cn != nil && cn.wasSomebody(err) {
		s.introduce()
	}
	c.speak()
	c.close(err)
}

// close is the end of an accepted client, which is told to those who were told of
// its beginning.
func (c *Client) close(err error) {
	c.setState(StateClosed, nil, err)
	c.mu.Lock()
	told := c.told
	c.mu.Unlock()
	if told {
		c.Handler.arrivals.went()
		c.ended(err)
	}
	c.hooks.add(func() {
		c.done.happens()
		if c.gone != nil {
			c.gone(c)
		}
	})
}

// dismiss is the end of a client whose connection turned out to be that of another.
func (c *Client) dismiss(own, other *session) {
	own.introduced.Store(true) // not any more
	c.close(errReplaced)
	own.streams.close(errReplaced)
	for _, of := range []any{own, other} { // calls of its own that met the connection as it is now
		c.pending.fail(errReplaced, math.MaxUint64, of)
	}
}

// paused is called when a connection of a session that goes on was lost.
func (c *Client) paused(s *session, err error) {
	c.mu.Lock()
	still := c.parked == s // the connection was an attempt that nobody was told of
	c.parked = s
	c.mu.Unlock()
	if !c.accepted() {
		c.dialer.stopRefresh()
	}
	if still {
		return
	}
	c.setState(StateWaiting, nil, err)
	c.hook(func() { c.Handler.runPaused(c, err) })
}

// parkedSession is the session without a connection, if there is one.
func (c *Client) parkedSession() *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parked
}

// unpark is called when a session is over.
func (c *Client) unpark(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parked == s {
		c.parked = nil
	}
}

// cameBack takes what the server learned of a client from the connection that
// takes its session up, and that seemed to be another's.
func (c *Client) cameBack(as *Client, who *Identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remote = as.remote
	if who != nil {
		c.identity = who
	}
}
