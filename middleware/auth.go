package middleware

import (
	"errors"

	"github.com/seed-fbfaa03e/arpc"
)

// Auth lets only those requests and notifies through for which allow returns
// nil. A request that is refused is answered with the error if it is or wraps an
// *arpc.Error, else with permission_denied; nothing behind the middleware runs.
//
// Middleware does not guard the routes that were registered before it, so Auth
// panics if the handler has any: it comes first. What a peer sends before it said
// who it is never gets here; see arpc.Handler.HandleAuthenticate.
func Auth(h *arpc.Handler, allow func(*arpc.Context) error) {
	if routes := h.Routes(); len(routes) > 0 {
		panic("middleware: Auth must be used before the first route, and " + routes[0].Method + " is there")
	}
	h.Use(func(ctx *arpc.Context) {
		err := allow(ctx)
		if err == nil {
			return
		}
		ctx.Abort()
		var coded *arpc.Error
		if !errors.As(err, &coded) { // it is not for the peer
			coded = arpc.Errorf(arpc.CodePermissionDenied, "not allowed")
		}
		if ctx.IsRequest() {
			_ = ctx.Error(coded) // a lost connection is told to the hooks
		}
	})
}
