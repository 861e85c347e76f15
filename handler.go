package arpc

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed-fbfaa03e/arpc/codec"
)

// DefaultHandler is what servers and clients clone unless they are given a
// handler of their own. Routes and hooks registered here are in all of them.
var DefaultHandler = NewHandler()

// Handler is what an end of a connection does with what arrives: routes,
// middleware, hooks and limits. One Handler serves any number of connections.
//
// All methods are safe for concurrent use; routes may be added while serving.
type Handler struct {
	router atomic.Pointer[router]

	mu           sync.Mutex // guards what follows, and writes to router
	connected    []func(*Client)
	disconnected []func(*Client, error)
	stateChanged []func(*Client, State, error)
	codec        codec.Codec
	logger       *slog.Logger
	limits       Limits

	workers  workers
	flushers flushers
}

// NewHandler returns a Handler without routes, with the JSON codec, the default
// logger and DefaultLimits.
func NewHandler() *Handler {
	h := &Handler{codec: codec.JSON, limits: DefaultLimits()}
	h.router.Store(newRouter())
	return h
}

// Clone returns a Handler with the same routes, middleware, hooks and
// settings. What is registered on one later is not seen by the other.
func (h *Handler) Clone() *Handler {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &Handler{
		connected:    slices.Clone(h.connected),
		disconnected: slices.Clone(h.disconnected),
		stateChanged: slices.Clone(h.stateChanged),
		codec:        h.codec,
		logger:       h.logger,
		limits:       h.limits,
	}
	c.router.Store(h.router.Load().clone())
	return c
}

// Handle registers the handler of a method: 1 to 127 bytes of UTF-8. It panics
// if the method is not that, or has a handler already.
//
// One option may follow: a Mode, or a bool as the original takes it, which
// means Concurrent where it is true.
func (h *Handler) Handle(method string, f HandlerFunc, option ...any) {
	mode := modeOption(method, option)
	h.reroute(func(r *router) *router { return r.withRoute(method, mode, f) })
}

func modeOption(method string, option []any) Mode {
	mode := Auto
	for _, o := range option {
		switch o := o.(type) {
		case Mode:
			mode = o
		case bool:
			if o {
				mode = Concurrent
			}
		default:
			panic("arpc: handle " + method + ": an option is a Mode or a bool")
		}
	}
	return mode
}

// Use adds a middleware: in front of the handlers of all routes registered
// later, and behind those of the routes that are there already. It runs in its
// turn without calling Context.Next; a call of Next runs the rest of the chain
// first. Context.Abort ends the chain.
func (h *Handler) Use(f HandlerFunc) {
	if f != nil {
		h.reroute(func(r *router) *router { return r.with(f) })
	}
}

// HandleNotFound sets the handler for methods without a route. Unless it is
// set, requests are answered with ErrMethodNotFound and notifies dropped.
func (h *Handler) HandleNotFound(f HandlerFunc) {
	h.reroute(func(r *router) *router { return r.withNotFound(f) })
}

func (h *Handler) reroute(change func(*router) *router) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.router.Store(change(h.router.Load()))
}

// HandleConnected adds a hook that runs once for each connection, before the
// disconnected hook of that connection and possibly beside its first handlers.
// It runs on the goroutine that established the connection and may call the
// peer.
func (h *Handler) HandleConnected(f func(*Client)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.connected = append(slices.Clip(h.connected), f)
}

// HandleDisconnected adds a hook that runs once for each connection after it
// ended, with the reason, when nothing more is read from it. It runs on the
// goroutine that read the connection.
func (h *Handler) HandleDisconnected(f func(*Client, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.disconnected = append(slices.Clip(h.disconnected), f)
}

// HandleStateChange adds a hook that runs when a client changes its state, with
// the error that led there if there is one. Calls for one client never overlap.
func (h *Handler) HandleStateChange(f func(*Client, State, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stateChanged = append(slices.Clip(h.stateChanged), f)
}

// SetLimits sets the limits of connections that are made later. Fields that
// are zero keep their default.
func (h *Handler) SetLimits(l Limits) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.limits = l.orDefault()
}

// Limits returns the limits in force.
func (h *Handler) Limits() Limits {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.limits
}

// SetCodec sets the codec of values for connections that are made later.
func (h *Handler) SetCodec(c codec.Codec) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.codec = c
}

// Codec returns the codec of values.
func (h *Handler) Codec() codec.Codec {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.codec
}

// SetLogger sets the logger; nil means slog.Default.
func (h *Handler) SetLogger(l *slog.Logger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logger = l
}

// Logger returns the logger.
func (h *Handler) Logger() *slog.Logger {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.logger == nil {
		return slog.Default()
	}
	return h.logger
}

func (h *Handler) runConnected(c *Client) {
	h.mu.Lock()
	hooks := h.connected
	h.mu.Unlock()
	for _, f := range hooks {
		h.protect("connected hook", func() { f(c) })
	}
}

func (h *Handler) runDisconnected(c *Client, err error) {
	h.mu.Lock()
	hooks := h.disconnected
	h.mu.Unlock()
	for _, f := range hooks {
		h.protect("disconnected hook", func() { f(c, err) })
	}
}

func (h *Handler) runStateChanged(c *Client, s State, err error) {
	h.mu.Lock()
	hooks := h.stateChanged
	h.mu.Unlock()
	for _, f := range hooks {
		h.protect("state hook", func() { f(c, s, err) })
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
