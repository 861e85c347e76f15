// Package otel makes OpenTelemetry spans of what an arpc.Handler handles, as part
// of the trace of whoever called.
package otel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-fbfaa03e/arpc"
	coder "github.com/seed-fbfaa03e/arpc/coder/trace"
)

const scope = "github.com/seed-fbfaa03e/arpc/middleware/otel"

// spanKey finds the context of the span in a Context.
type spanKey struct{}

// Trace makes a span of each message: of a request until it is answered, of a
// notify until its handler returned. provider is that of the application, or
// the global one: otel.GetTracerProvider().
//
// The span has the name of the method, and one name for all methods without a
// route, which a peer could make up. An error of a request sets its status; that
// of a panic does too.
func Trace(provider trace.TracerProvider) arpc.HandlerFunc {
	tracer := provider.Tracer(scope)
	return func(ctx *arpc.Context) {
		name := ctx.Method()
		if _, ok := ctx.Client.Handler.RouteOf(name); !ok {
			name = "unknown method"
		}
		traced, span := tracer.Start(callersOf(ctx), name, trace.WithSpanKind(kindOf(ctx)), trace.WithAttributes(
			attribute.String("rpc.system", "arpc"),
			attribute.String("rpc.method", name),
		))
		ctx.Set(spanKey{}, traced)
		if ctx.IsRequest() {
			ctx.OnAnswered(func(err error) { end(span, err) })
			return
		}
		defer span.End()
		ctx.Next()
	}
}

// traceparent is the field of a trace, as the W3C has it.
const traceparent = "traceparent"

// Coder carries the span of the context that CallWith or NotifyWith is given to
// the other end: give it to Handler.UseCoder, in front of what compresses and
// encrypts.
func Coder(opts ...coder.Option) *coder.Coder {
	return coder.New(append([]coder.Option{coder.From(func(ctx context.Context) string {
		carrier := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(ctx, carrier)
		return carrier[traceparent]
	})}, opts...)...)
}

// callersOf is ctx in the trace of the caller, if it sent one.
func callersOf(ctx *arpc.Context) context.Context {
	parent := coder.Parent(ctx)
	if parent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{traceparent: parent})
}

func kindOf(ctx *arpc.Context) trace.SpanKind {
	if ctx.IsRequest() {
		return trace.SpanKindServer
	}
	return trace.SpanKindConsumer
}

func end(span trace.Span, err error) {
	if err != nil {
		code := string(arpc.CodeOf(err))
		span.SetAttributes(attribute.String("rpc.arpc.code", code))
		span.SetStatus(codes.Error, code)
	}
	span.End()
}

// Context is ctx as a context.Context with the span in it: for what the handler
// calls, so that its spans belong to this one. It ends with ctx. Without Trace it
// is ctx itself.
func Context(ctx *arpc.Context) context.Context {
	if traced, ok := ctx.Get(spanKey{}); ok {
		return traced.(context.Context)
	}
	return ctx
}
