package middleware

import (
	"runtime/debug"

	"github.com/seed-fbfaa03e/arpc"
)

// Recover gives panics of what runs behind it to report, for an error tracker:
// the message, what was panicked with and the stack. The request is answered
// with internal.
//
// A handler does not need it to be safe. Without it the engine recovers, logs the
// stack and answers the same; with it the engine sees no panic and logs none.
func Recover(report func(ctx *arpc.Context, panicked any, stack []byte)) arpc.HandlerFunc {
	return func(ctx *arpc.Context) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			ctx.Abort()
			if ctx.IsRequest() {
				_ = ctx.Error(arpc.Errorf(arpc.CodeInternal, "internal error")) // it may have its answer
			}
			report(ctx, v, debug.Stack())
		}()
		ctx.Next()
	}
}
