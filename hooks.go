package arpc

import (
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"slices"
)

// hooks are what an application wants to know. A set is never changed once it
// is published, so that whoever runs hooks needs no lock.
type hooks struct {
	connected    []func(*Client)
	disconnected []func(*Client, error)
	paused       []func(*Client, error)
	resumed      []func(*Client)
	stateChanged []func(*Client, State, error)
	overstock    []func(*Client, *Message)
	dropped      []func(*Client, *Message)
	sessionMiss  []func(*Client, *Message)
	beforeRecv   []func(net.Conn) error
	beforeSend   []func(net.Conn) error
	wrapReader   func(net.Conn) io.Reader
}

func (h *Handler) hook(add func(*hooks)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := *h.hooks.Load()
	add(&next)
	h.hooks.Store(&next)
}

// with is hooks with one more, in an array of its own.
func with[F any](hooks []F, f F) []F { return append(slices.Clone(hooks), f) }

// HandleConnected adds a hook that runs once for each session, which is as long
// as one connection unless both ends know how to go on with the next: when the peer
// is admitted, before the disconnected hook of that session and possibly beside its
// first handlers. It may call the peer. Where sessions may be taken up, a peer that
// says nothing is pinged a second after it connected, and admitted when it answers:
// if the network loses it before that, no hook tells of it.
//
// Connected, paused, resumed, disconnected and state hooks of one client run one
// after the other, in the order of what they tell of, on a goroutine of their own.
// By the time a hook runs more may have happened.
func (h *Handler) HandleConnected(f func(*Client)) {
	h.hook(func(all *hooks) { all.connected = with(all.connected, f) })
}

// HandleDisconnected adds a hook that runs once for each session whose connected
// hooks ran, after it ended, with the reason, when nothing more is read from its
// last connection. See HandleConnected.
func (h *Handler) HandleDisconnected(f func(*Client, error)) {
	h.hook(func(all *hooks) { all.disconnected = with(all.disconnected, f) })
}

// HandlePaused adds a hook that runs when the connection of a session was lost
// that may go on with another one, with the reason. The resumed hooks follow, or
// the disconnected ones after Limits.Grace. See HandleConnected.
func (h *Handler) HandlePaused(f func(*Client, error)) {
	h.hook(func(all *hooks) { all.paused = with(all.paused, f) })
}

// HandleResumed adds a hook that runs when a session that was paused goes on:
// what was sent meanwhile, in both directions, is on its way. See HandleConnected.
func (h *Handler) HandleResumed(f func(*Client)) {
	h.hook(func(all *hooks) { all.resumed = with(all.resumed, f) })
}

// HandleStateChange adds a hook that runs when a client changes its state, with
// the error that led there if there is one. See HandleConnected.
func (h *Handler) HandleStateChange(f func(*Client, State, error)) {
	h.hook(func(all *hooks) { all.stateChanged = with(all.stateChanged, f) })
}

// HandleOverstock adds a hook that runs when a message is refused because the
// send queue of a client is full, on the goroutine that wanted to send it.
func (h *Handler) HandleOverstock(f func(*Client, *Message)) {
	h.hook(func(all *hooks) { all.overstock = with(all.overstock, f) })
}

// HandleMessageDropped adds a hook that runs for a request that was received and
// will not be handled, because its connection ended while it waited for its
// turn. It runs like the disconnected hooks, before them.
func (h *Handler) HandleMessageDropped(f func(*Client, *Message)) {
	h.hook(func(all *hooks) { all.dropped = with(all.dropped, f) })
}

// HandleSessionMiss adds a hook that runs for an answer nobody waits for: it came
// too late, or twice. It runs on the goroutine that reads the connection.
func (h *Handler) HandleSessionMiss(f func(*Client, *Message)) {
	h.hook(func(all *hooks) { all.sessionMiss = with(all.sessionMiss, f) })
}

// BeforeRecv adds a hook that runs before the socket of a connection is read, on
// the goroutine that reads it. An error ends the connection. It holds for
// connections that are made later.
func (h *Handler) BeforeRecv(f func(net.Conn) error) {
	h.hook(func(all *hooks) { all.beforeRecv = with(all.beforeRecv, f) })
}

// BeforeSend adds a hook that runs before the socket of a connection is written
// to, on the goroutine that writes, one call at a time for a connection. An error
// ends the connection. It holds for connections that are made later.
func (h *Handler) BeforeSend(f func(net.Conn) error) {
	h.hook(func(all *hooks) { all.beforeSend = with(all.beforeSend, f) })
}

// SetReaderWrapper sets what connections that are made later are read through;
// on a WebSocket it gets the stream of its messages.
func (h *Handler) SetReaderWrapper(f func(net.Conn) io.Reader) {
	h.hook(func(all *hooks) { all.wrapReader = f })
}

func (h *Handler) runConnected(c *Client) {
	for _, f := range h.hooks.Load().connected {
		h.protect("connected hook", func() { f(c) })
	}
}

func (h *Handler) runDisconnected(c *Client, err error) {
	for _, f := range h.hooks.Load().disconnected {
		h.protect("disconnected hook", func() { f(c, err) })
	}
}

func (h *Handler) runPaused(c *Client, err error) {
	for _, f := range h.hooks.Load().paused {
		h.protect("paused hook", func() { f(c, err) })
	}
}

func (h *Handler) runResumed(c *Client) {
	for _, f := range h.hooks.Load().resumed {
		h.protect("resumed hook", func() { f(c) })
	}
}

func (h *Handler) runStateChanged(c *Client, s State, err error) {
	for _, f := range h.hooks.Load().stateChanged {
		h.protect("state hook", func() { f(c, s, err) })
	}
}

// runMessage runs hooks that get a message, which is made only if there are any.
func (h *Handler) runMessage(what string, hooks []func(*Client, *Message), c *Client, frame func() []byte) {
	if len(hooks) == 0 {
		return
	}
	m := EncodedMessage(frame())
	for _, f := range hooks {
		h.protect(what, func() { f(c, m) })
	}
}

// protect runs a hook of the application: a panic in it is logged and harms nothing else.
func (h *Handler) protect(what string, f func()) {
	defer func() {
		if v := recover(); v != nil {
			h.Logger().Error("arpc: "+what+" panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	f()
}

// runEach runs hooks that may end a connection, by an error or a panic.
func runEach(hooks []func(net.Conn) error, conn net.Conn) (err error) {
	if len(hooks) == 0 {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("hook panicked: %v", v)
		}
	}()
	for _, f := range hooks {
		if err := f(conn); err != nil {
			return err
		}
	}
	return nil
}
