package arpc

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
)

const (
	// TimeZero does not wait at all.
	TimeZero time.Duration = 0
	// TimeForever waits without an end.
	TimeForever time.Duration = math.MaxInt64
)

// State is where a client stands with its connection.
type State string

// The states. A dialed client goes from Connecting to Open, from there to
// Waiting and back to Connecting when its connection is lost, and to Closed for
// good. An accepted client is Open and then Closed, and where sessions may be taken
// up Waiting as long as its connection is lost.
const (
	StateConnecting State = "connecting"
	StateOpen       State = "open"
	StateWaiting    State = "waiting"
	StateClosed     State = "closed"
)

// states are all of them, so that a client has its own in a byte.
var states = [...]State{StateConnecting, StateOpen, StateWaiting, StateClosed}

// Client is one peer, as the application holds it: on the side that dialed, where
// it outlives its connections, and on the side that accepted. Both can call,
// notify and be called. All methods are safe for concurrent use.
type Client struct {
	// Handler is what the client does with what it receives. It is not to be
	// replaced.
	Handler *Handler

	pending  pending
	request  *http.Request // the upgrade request, on accepted WebSockets
	remote   net.Addr      // who the peer is, where the socket does not tell
	detached bool          // the peer only asks: nothing can be sent to it
	state    byte          // guarded by mu: where in states it stands
	quiet    bool          // guarded by mu: nobody knows of it yet, no hook tells of its state
	told     bool          // guarded by mu, of an accepted client: the connected hooks run, or ran
	dialer   *redialer     // nil on accepted clients

	connected, gone func(*Client) // of Accepted

	mu             sync.Mutex    // guards what follows
	current        *conn         // nil while there is no connection
	parked         *session      // whose connection was lost, and that the next may take up
	changed        chan struct{} // closed when state or connection change; nil if nobody waits
	err            error         // why the last connection ended
	values         map[any]any
	identity       *Identity
	onDisconnected func(*Client) // nil if nobody asked
	done           signal        // nothing runs any more

	hooks hookQueue
}

func newClient(h *Handler) *Client {
	return &Client{Handler: h}
}

func (c *Client) accepted() bool { return c.dialer == nil }

// hook runs hooks of the application, unless the peer is none that they tell of.
func (c *Client) hook(f func()) {
	if !c.detached {
		c.hooks.add(f)
	}
}

// setState is the only place where state and connection change. With a connection
// no session waits for one any more: there is no moment without either.
func (c *Client) setState(s State, cn *conn, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isLocked(StateClosed) {
		return
	}
	c.state, c.current = byte(slices.Index(states[:], s)), cn
	if cn != nil {
		c.parked = nil
	}
	if err != nil {
		c.err = err
	}
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
	if !c.quiet {
		c.hook(func() { c.Handler.runStateChanged(c, s, err) })
	}
}

func (c *Client) isLocked(s State) bool { return states[c.state] == s }

// State returns where the client stands.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return states[c.state]
}

// Err is why the last connection ended; nil before one did.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Done is closed when the client has ended for good and nothing of it runs any
// more, except handlers that have not returned.
func (c *Client) Done() <-chan struct{} { return c.done.wait() }

// Request is the HTTP request that a WebSocket began with, on the accepting
// side; nil elsewhere. Package server drops the headers that only the handshake
// needed, and net/http ends its context with the handshake: its values remain.
func (c *Client) Request() *http.Request { return c.request }

// RemoteAddr is the address of the peer, nil while there is no connection.
func (c *Client) RemoteAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.current == nil:
		return nil
	}
	return c.fromLocked(c.current)
}

// from is where a connection of the client came from.
func (c *Client) from(cn *conn) net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fromLocked(cn)
}

func (c *Client) fromLocked(cn *conn) net.Addr {
	if c.remote != nil {
		return c.remote
	}
	return cn.raw.RemoteAddr()
}

// Set keeps a value with the client, for Get.
func (c *Client) Set(key, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values == nil {
		c.values = map[any]any{}
	}
	c.values[key] = value
}

// Get returns a value that was Set.
func (c *Client) Get(key any) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.values[key]
	return v, ok
}

// Delete forgets a value that was Set.
func (c *Client) Delete(key any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.values, key)
}

// OnDisconnected adds a hook for this client alone. It runs after those of the
// Handler, each time a session of the client ended.
func (c *Client) OnDisconnected(f func(*Client)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.onDisconnected
	c.onDisconnected = func(c *Client) {
		if before != nil {
			before(c)
		}
		c.Handler.protect("disconnected hook", func() { f(c) })
	}
}

// ended sees to it that the disconnected hooks run.
func (c *Client) ended(err error) {
	c.hook(func() {
		c.Handler.runDisconnected(c, err)
		c.mu.Lock()
		own := c.onDisconnected
		c.mu.Unlock()
		if own != nil {
			own(c)
		}
	})
}

// Notify sends a message that is not answered. It waits at most timeout for a
// connection and for room in the send queue; nil means that the message is
// queued in order behind what was sent before. Errors: ErrOverstock,
// ErrDisconnected, ErrStopped, and invalid_argument for a message that cannot
// be encoded or sent.
func (c *Client) Notify(method string, v any, timeout time.Duration) error {
	return c.notify(newWait(timeout, nil), method, v)
}

// NotifyWith is Notify with a context instead of a timeout.
func (c *Client) NotifyWith(ctx context.Context, method string, v any) error {
	w := newWait(TimeForever, ctx.Done())
	w.ctx = ctx
	return contextual(ctx, c.notify(w, method, v))
}

func (c *Client) notify(w wait, method string, v any) error {
	defer w.stop()
	b, err := c.encode(method, v)
	if err != nil {
		return err
	}
	defer b.free()
	for {
		s, err := c.connection(&w)
		if err != nil {
			return err
		}
		if err := s.checkBody(method, b.b); err != nil {
			return err
		}
		h := wire.Header{Cmd: wire.Notify, Flags: wire.Async | s.requestFlags(b.kind)} // as the original does
		_, err = s.send(h, method, b.b, w.sendOptions())
		if err == nil || !s.lostWith(err) || c.accepted() {
			return err
		}
	}
}

// PushMsg sends a message that is encoded already. timeout bounds the waiting
// for a connection and for room in the send queue; TimeZero does not wait. It
// fails with ErrOverstock, ErrDisconnected or ErrStopped, and is not tried again
// on another connection.
func (c *Client) PushMsg(m *Message, timeout time.Duration) error {
	w := newWait(timeout, nil)
	defer w.stop()
	s, err := c.connection(&w)
	if err != nil {
		return err
	}
	_, err = s.sendEncoded(m.frame, w.sendOptions())
	return err
}

// encode checks a method and encodes the body for it.
func (c *Client) encode(method string, v any) (body, error) {
	if err := wire.CheckMethod(method); err != nil {
		return body{}, Errorf(CodeInvalidArgument, "method %q: %w", method, err)
	}
	b, err := encode(c.Handler.Codec(), v)
	if err == nil && len(b.b)+len(method) > wire.MaxBody {
		err = fmt.Errorf("body of %d bytes, limit %d", len(b.b), wire.MaxBody)
	}
	if err != nil {
		b.free()
		return body{}, Errorf(CodeInvalidArgument, "%w", err)
	}
	return b, nil
}

// connection is the session that new work goes to. A client that dials waits until
// that has a connection; an accepted one has one until its session is over.
func (c *Client) connection(w *wait) (*session, error) {
	for {
		s, changed, cause := c.usableNow()
		switch {
		case c.detached:
			return nil, ErrDetached
		case s != nil:
			return s, nil
		case c.accepted():
			return nil, ErrDisconnected.withSent(false, cause)
		case c.dialer.ctx.Err() != nil:
			return nil, ErrStopped
		case c.dialer.failFast:
			return nil, ErrDisconnected.withSent(false, cause)
		}
		if err := w.until(changed, c.dialer.ctx.Done()); err != nil {
			return nil, ErrDisconnected.withSent(false, cause)
		}
	}
}

// usableNow is the session, if calls may go there. If not it is nil, and there is
// the reason and, for a client that dials, a channel that is closed when that
// changes.
func (c *Client) usableNow() (s *session, changed <-chan struct{}, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.current != nil && (c.current.usable() || c.accepted() && c.current.session().outlives()):
		return c.current.session(), nil, nil
	case c.parked != nil && c.accepted():
		return c.parked, nil, nil
	}
	if c.changed == nil && !c.accepted() {
		c.changed = make(chan struct{})
	}
	return nil, c.changed, c.err
}

// Stop ends the client for good: what was sent before leaves, pending calls
// fail, nothing connects again. It does not wait; see Done. Further calls do nothing.
func (c *Client) Stop() {
	c.stop(ErrStopped)
}

func (c *Client) stop(reason *Error) {
	if s := c.parkedSession(); s != nil {
		s.terminate(reason) // its hooks run before Done is told
	}
	if c.dialer != nil {
		c.dialer.cancel(reason)
	}
	c.terminate(reason)
}

// terminate ends the session of the client, and the connection that it has.
func (c *Client) terminate(reason *Error) {
	c.mu.Lock()
	cn, parked := c.current, c.parked
	c.mu.Unlock()
	if cn != nil {
		cn.session().terminate(reason)
		cn.shut(reason)
	}
	if parked != nil {
		parked.terminate(reason)
	}
}

// Disconnect is Stop with a reason, which a peer on a WebSocket reads in the
// close frame and the disconnected hooks get.
func (c *Client) Disconnect(reason *Error) { c.stop(reason) }

// Restart ends the connection of a dialed client, as Stop does, and makes the
// next one at once. On an accepted client it is Stop.
func (c *Client) Restart() {
	c.mu.Lock()
	cn := c.current
	c.mu.Unlock()
	if cn != nil {
		cn.leave(0)
	}
	c.terminate(errRestart)
}

// Drain refuses new requests of the peer, waits until those that run are
// answered or ctx ends, and stops the client. A peer that knows the word is asked
// to go and dial again, and does so when its own work is done.
func (c *Client) Drain(ctx context.Context) error {
	c.mu.Lock()
	cn := c.current
	c.mu.Unlock()
	if cn == nil {
		c.Stop()
		return nil
	}
	err := cn.drain(ctx)
	if c.dialer != nil {
		c.dialer.cancel(errDraining)
	}
	if err != nil {
		cn.shutWithin(errDraining, closeLinger)
		cn.session().terminate(errDraining)
		return err
	}
	cn.shutWithin(errDraining, drainLinger)
	cn.session().terminate(errDraining) // which the connection may have left meanwhile
	select {
	case <-cn.ended.wait():
	case <-ctx.Done(): // the last answers had their time to leave
		cn.die(nil)
	}
	return nil
}

// drainLinger is how long the last bytes of a drained connection may take to
// leave if the context of the drain sets no bound.
const drainLinger = time.Hour

// drain waits until nothing is under way, in both directions.
func (c *conn) drain(ctx context.Context) error {
	var hangsUp <-chan time.Time
	s := c.session()
	if s.client.accepted() && s.has(capGoaway) {
		until, err := c.sendGoaway(ctx)
		if err == nil {
			timer := time.NewTimer(until)
			defer timer.Stop()
			hangsUp = timer.C
		}
	}
	select {
	case <-s.inbox.drain():
	case <-c.ended.wait():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain %s: %w", c.raw.RemoteAddr(), context.Cause(ctx))
	}
	if hangsUp != nil { // it was asked to, when its own work is done
		select {
		case <-c.ended.wait():
		case <-hangsUp:
		case <-ctx.Done():
		}
	}
	return nil
}

// scheduleRefresh sees to a new token before this one expires.
func (c *Client) scheduleRefresh(in time.Duration) {
	if c.dialer != nil {
		c.dialer.scheduleRefresh(in)
	}
}
