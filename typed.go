package arpc

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/seed-fbfaa03e/arpc/codec"
)

// RouteInfo describes a route.
type RouteInfo struct {
	// Method is what it is called by.
	Method string
	// Mode says where it runs.
	Mode Mode
	// Codec is the route's own, WithCodec; nil is that of the connection.
	Codec codec.Codec
	// Request and Reply are the types of a typed handler, nil for another.
	Request, Reply reflect.Type
}

// Routes describes the routes of the handler, in the order of their methods.
func (h *Handler) Routes() []RouteInfo {
	routes := h.router.Load().routes
	all := make([]RouteInfo, 0, len(routes))
	for _, r := range routes {
		all = append(all, r.info())
	}
	slices.SortFunc(all, func(a, b RouteInfo) int { return cmp.Compare(a.Method, b.Method) })
	return all
}

// RouteOf describes the route of a method, and reports whether there is one.
func (h *Handler) RouteOf(method string) (RouteInfo, bool) {
	r, ok := h.router.Load().routes[method]
	if !ok {
		return RouteInfo{}, false
	}
	return r.info(), true
}

func (r *route) info() RouteInfo {
	return RouteInfo{Method: r.method, Mode: r.mode, Codec: r.codec, Request: r.request, Reply: r.reply}
}

// Route registers a handler with types: the body is decoded into a Request, and
// what f returns is the answer. The options are those of Handle.
//
// A body that is no Request is answered with invalid_argument. An error that is
// or wraps an *Error reaches the peer; any other is logged, and the peer gets
// internal. The answer to a notify is dropped.
func Route[Request, Reply any](h *Handler, method string, f func(*Context, Request) (Reply, error), option ...any) {
	h.Handle(method, func(ctx *Context) {
		var req Request
		if err := ctx.Bind(&req); err != nil {
			ctx.finish(nil, err)
			return
		}
		reply, err := f(ctx, req)
		ctx.finish(reply, err)
	}, option...)
	h.describe(method, reflect.TypeFor[Request](), reflect.TypeFor[Reply]())
}

// describe remembers the types of a route.
func (h *Handler) describe(method string, request, reply reflect.Type) {
	h.reroute(func(r *router) *router { return r.withTypes(method, request, reply) })
}

// finish answers with what a typed handler returned.
func (ctx *Context) finish(reply any, err error) {
	if err != nil {
		reply = ctx.failure(err)
	}
	switch {
	case !ctx.IsRequest():
	case err != nil:
		_ = ctx.Error(reply) // a lost connection is told to the hooks
	default:
		_ = ctx.Write(reply) // and what cannot be encoded is logged and answered
	}
}

// failure is what the peer gets to know of an error.
func (ctx *Context) failure(err error) *Error {
	var coded *Error
	if errors.As(err, &coded) {
		return coded
	}
	ctx.session.log().Error("arpc: handler failed", "method", ctx.method, "error", err)
	return errInternal
}

// Register registers the methods of a value: each exported one that is a
//
//	func(*Context)
//	func(*Context, Request) (Reply, error)
//
// under the name of its type, a dot and its own name: "Chat.Say". It returns the
// methods it registered, and panics if there is none.
func (h *Handler) Register(service any, option ...any) []string {
	value := reflect.ValueOf(service)
	name := reflect.Indirect(value).Type().Name()
	var registered []string
	for i := range value.NumMethod() {
		method := name + "." + value.Type().Method(i).Name
		if h.registerMethod(method, value.Method(i), option) {
			registered = append(registered, method)
		}
	}
	if len(registered) == 0 {
		panic(fmt.Sprintf("arpc: register %T: no method is a handler", service))
	}
	return registered
}

var (
	contextType = reflect.TypeFor[*Context]()
	errorType   = reflect.TypeFor[error]()
)

func (h *Handler) registerMethod(method string, f reflect.Value, option []any) bool {
	if plain, ok := f.Interface().(func(*Context)); ok {
		h.Handle(method, plain, option...)
		return true
	}
	t := f.Type()
	if t.NumIn() != 2 || t.NumOut() != 2 || t.In(0) != contextType || t.Out(1) != errorType || t.IsVariadic() {
		return false
	}
	h.Handle(method, func(ctx *Context) {
		req := reflect.New(t.In(1))
		if err := ctx.Bind(req.Interface()); err != nil {
			ctx.finish(nil, err)
			return
		}
		out := f.Call([]reflect.Value{reflect.ValueOf(ctx), req.Elem()})
		err, _ := out[1].Interface().(error)
		ctx.finish(out[0].Interface(), err)
	}, option...)
	h.describe(method, t.In(1), t.Out(0))
	return true
}
