package arpc

import (
	"log/slog"
	"strings"
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
	hooks  atomic.Pointer[hooks]
	codec  atomic.Pointer[codec.Codec]
	limits atomic.Pointer[Limits] // what it points to is never changed

	extensions atomic.Pointer[extensions] // nil where there is none
	coders     atomic.Pointer[coderSet]   // nil where there is none

	mu           sync.Mutex // guards what follows, and writes to router, hooks and limits
	logger       *slog.Logger
	authenticate AuthenticateFunc

	workers  workers
	flushers flushers
	rounds   rounds
	sessions sessions
	arrivals arrivals
}

// NewHandler returns a Handler without routes, with the JSON codec, the default
// logger and DefaultLimits.
func NewHandler() *Handler {
	h := &Handler{}
	h.SetLimits(DefaultLimits())
	h.SetCodec(codec.JSON)
	h.router.Store(newRouter())
	h.hooks.Store(&hooks{})
	return h
}

// Clone returns a Handler with the same routes, middleware, hooks and
// settings. What is registered on one later is not seen by the other.
func (h *Handler) Clone() *Handler {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &Handler{
		logger:       h.logger,
		authenticate: h.authenticate,
	}
	c.router.Store(h.router.Load()) // a table is never changed, only replaced
	c.hooks.Store(h.hooks.Load())
	c.codec.Store(h.codec.Load())
	c.limits.Store(h.limits.Load())
	c.extensions.Store(h.extensions.Load())
	c.coders.Store(h.coders.Load())
	return c
}

// Handle registers the handler of a method: 1 to 127 bytes of UTF-8. It panics
// if the method is not that, or has a handler already.
//
// Options may follow: a Mode, or a bool as the original takes it, which means
// Concurrent where it is true; and WithCodec.
func (h *Handler) Handle(method string, f HandlerFunc, option ...any) {
	checkName(method)
	r := &route{method: method}
	for _, o := range option {
		r.set(o)
	}
	h.reroute(func(all *router) *router { return all.withRoute(r, f) })
}

// checkName keeps the protocol's own methods out of the application's reach.
func checkName(method string) {
	if strings.HasPrefix(method, protocolPrefix) {
		panic("arpc: handle " + method + ": methods that begin with " + protocolPrefix + " are the protocol's")
	}
}

// set applies an option of Handle.
func (r *route) set(option any) {
	switch o := option.(type) {
	case Mode:
		r.mode = o
	case bool:
		if o {
			r.mode = Concurrent
		}
	case RouteOption:
		o(r)
	default:
		panic("arpc: handle " + r.method + ": an option is a Mode, a bool or a RouteOption")
	}
}

// RouteOption is an option of Handle.
type RouteOption func(*route)

// WithCodec makes a route bind and write the values of its bodies with a codec of
// its own, whatever the connection's is. A caller encodes for it with Encode, sends
// a Raw, and decodes the answer that it takes as a Raw with Decode.
func WithCodec(c codec.Codec) RouteOption { return func(r *route) { r.codec = c } }

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

// HandleStream registers the handler of the streams that peers open under a
// method; a call and a stream may share a name. It runs on a goroutine of its own,
// and the stream ends when it returns. It panics as Handle does.
func (h *Handler) HandleStream(method string, f func(*Stream)) {
	checkName(method)
	h.reroute(func(r *router) *router { return r.withStream(method, f) })
}

func (h *Handler) reroute(change func(*router) *router) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.router.Store(change(h.router.Load()))
}

// SetLimits sets the limits of connections that are made later. Fields that
// are zero keep their default.
func (h *Handler) SetLimits(l Limits) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setLimitsLocked(l)
}

func (h *Handler) setLimitsLocked(l Limits) {
	l = l.orDefault()
	h.limits.Store(&l)
}

// Limits returns the limits in force.
func (h *Handler) Limits() Limits { return *h.limits.Load() }

// SetSendQueueSize sets how many frames the send queue of a connection holds;
// it is Limits.SendFrames.
func (h *Handler) SetSendQueueSize(frames int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.Limits()
	l.SendFrames = frames
	h.setLimitsLocked(l)
}

// SetCodec sets the codec of values for connections that are made later.
func (h *Handler) SetCodec(c codec.Codec) {
	h.codec.Store(&c)
}

// Codec returns the codec of values.
func (h *Handler) Codec() codec.Codec { return *h.codec.Load() }

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
