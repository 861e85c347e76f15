package arpc

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/seed-fbfaa03e/arpc/codec"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// HandlerFunc handles one request or notify.
type HandlerFunc func(*Context)

// Mode says where the messages of a route are handled.
type Mode byte

const (
	// Auto runs requests concurrently and the notifies of one connection in
	// the order they arrived. It is what a route without a mode has.
	Auto Mode = iota
	// Inline runs on the goroutine that reads the connection: the fastest, for
	// handlers that never block. The body is valid until the handler returns.
	Inline
	// Ordered runs the messages of all Ordered routes of one connection one
	// after the other, as they arrived, together with its notifies.
	Ordered
	// Concurrent runs every message on its own, requests and notifies alike.
	Concurrent
)

// route is a method with its chain: the middleware registered before it, its
// handler, the middleware registered after it.
type route struct {
	method string
	mode   Mode
	codec  codec.Codec // nil is the connection's
	chain  []HandlerFunc

	request, reply reflect.Type // of a typed handler
}

// modeOf is the mode that a message of the given command runs in.
func (r *route) modeOf(cmd wire.Cmd) Mode {
	switch {
	case r.mode != Auto:
		return r.mode
	case cmd.Command() == wire.Notify:
		return Ordered
	}
	return Concurrent
}

// codec is what the values of a message are encoded with.
func (ctx *Context) codec() codec.Codec {
	if ctx.route != nil && ctx.route.codec != nil { // an answer has no route
		return ctx.route.codec
	}
	return ctx.session.codec
}

// router maps methods to routes. A table is never changed once it is
// published, so that readers need no lock.
type router struct {
	routes   map[string]*route
	streams  map[string]func(*Stream)
	notFound *route
	before   []HandlerFunc // middleware, in the order of Use
}

func newRouter() *router {
	return &router{
		routes:   map[string]*route{},
		streams:  map[string]func(*Stream){},
		notFound: &route{mode: Inline, chain: []HandlerFunc{answerNotFound}},
	}
}

func answerNotFound(ctx *Context) {
	if ctx.IsRequest() {
		_ = ctx.Error(ErrMethodNotFound) // a lost connection is told to the hooks
	}
}

// find is the route of a method, or the one for methods that have none.
func (r *router) find(method []byte) *route {
	if found, ok := r.routes[string(method)]; ok {
		return found
	}
	return r.notFound
}

func (r *router) clone() *router {
	return &router{routes: maps.Clone(r.routes), streams: maps.Clone(r.streams), notFound: r.notFound, before: slices.Clip(r.before)}
}

// withRoute is r with one route more. A method is registered once: a second
// handler for it is a mistake of the program and panics.
func (r *router) withRoute(added *route, f HandlerFunc) *router {
	method := added.method
	if err := wire.CheckMethod(method); err != nil {
		panic(fmt.Sprintf("arpc: handle %q: %v", method, err))
	}
	if f == nil {
		panic(fmt.Sprintf("arpc: handle %q: nil handler", method))
	}
	if _, ok := r.routes[method]; ok {
		panic(fmt.Sprintf("arpc: handle %q: the method has a handler", method))
	}
	next := r.clone()
	added.chain = append(slices.Clone(r.before), f)
	next.routes[method] = added
	return next
}

// withTypes is r with the types of a route.
func (r *router) withTypes(method string, request, reply reflect.Type) *router {
	next := r.clone()
	typed := *r.routes[method]
	typed.request, typed.reply = request, reply
	next.routes[method] = &typed
	return next
}

// withStream is r with one stream handler more.
func (r *router) withStream(method string, f func(*Stream)) *router {
	if err := wire.CheckMethod(method); err != nil {
		panic(fmt.Sprintf("arpc: handle stream %q: %v", method, err))
	}
	if f == nil || r.streams[method] != nil {
		panic(fmt.Sprintf("arpc: handle stream %q: nil handler, or the method has one", method))
	}
	next := r.clone()
	next.streams[method] = f
	return next
}

// withNotFound is r with a handler for methods that have no route.
func (r *router) withNotFound(f HandlerFunc) *router {
	next := r.clone()
	next.notFound = &route{mode: Auto, chain: append(slices.Clone(r.before), f)}
	return next
}

// with is r with a middleware more: in front of every later route, behind
// every route that is there.
func (r *router) with(f HandlerFunc) *router {
	next := r.clone()
	next.before = append(slices.Clone(r.before), f)
	for method, old := range r.routes {
		next.routes[method] = old.with(f)
	}
	next.notFound = r.notFound.with(f)
	return next
}

func (r *route) with(f HandlerFunc) *route {
	next := *r
	next.chain = append(slices.Clone(r.chain), f)
	return &next
}
