package otel_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/middleware/otel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorded waits for spans that ended.
func recorded(t *testing.T, spans *tracetest.SpanRecorder, n int) []trace.ReadOnlySpan {
	t.Helper()
	arpctest.Eventually(t, fmt.Sprint(n, " spans"), func() bool { return len(spans.Ended()) == n })
	return spans.Ended()
}

func TestSpans(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	h := arpc.NewHandler()
	h.SetLogger(slog.New(slog.DiscardHandler))
	h.Use(otel.Trace(provider))
	h.Handle("/good", func(ctx *arpc.Context) {
		_, inner := provider.Tracer("").Start(otel.Context(ctx), "inner")
		inner.End()
		go func() { _ = ctx.Write(nil) }() // later
	})
	h.Handle("/bad", func(ctx *arpc.Context) { _ = ctx.Error(arpc.ErrOverstock) })
	h.Handle("/panics", func(*arpc.Context) { panic("of a test") })
	h.Handle("/note", func(*arpc.Context) {})
	c, _ := arpctest.Transports[1].Connect(t, arpc.NewHandler(), h)
	for _, tt := range []struct {
		method, name string
		status       codes.Code
		text         string
	}{
		{"/good", "/good", codes.Unset, ""},
		{"/bad", "/bad", codes.Error, "resource_exhausted"},
		{"/panics", "/panics", codes.Error, "internal"},
	} {
		t.Run(tt.method, func(t *testing.T) {
			spans.Reset()
			_ = c.Call(tt.method, nil, nil, arpctest.Wait)
			arpctest.Eventually(t, "the end of the span", func() bool {
				all := spans.Ended()
				return len(all) > 0 && all[len(all)-1].Name() == tt.name
			})
			all := spans.Ended()
			outer := all[len(all)-1]
			if got := outer.Status(); got.Code != tt.status || got.Description != tt.text || outer.SpanKind() != api.SpanKindServer {
				t.Errorf("status %v, kind %v", got, outer.SpanKind())
			}
			if len(all) == 2 && all[0].Parent().SpanID() != outer.SpanContext().SpanID() {
				t.Error("what the handler did is not part of the span")
			} else if tt.method == "/good" && len(all) != 2 {
				t.Errorf("%d spans", len(all))
			}
		})
	}
	spans.Reset()
	if err := c.Notify("/note", nil, arpctest.Wait); err != nil {
		t.Fatal(err)
	}
	if note := recorded(t, spans, 1)[0]; note.Name() != "/note" || note.SpanKind() != api.SpanKindConsumer {
		t.Errorf("%s, kind %v", note.Name(), note.SpanKind())
	}
}

// The names of spans are bounded, whatever a peer asks for.
func TestUnknownMethodsShareAName(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	h := arpc.NewHandler()
	h.Use(otel.Trace(trace.NewTracerProvider(trace.WithSpanProcessor(spans))))
	h.HandleNotFound(func(ctx *arpc.Context) { _ = ctx.Error(arpc.ErrMethodNotFound) })
	c, _ := arpctest.Transports[1].Connect(t, arpc.NewHandler(), h)
	for i := range 3 {
		_ = c.Call(fmt.Sprint("/made up ", i), nil, nil, arpctest.Wait)
	}
	for _, span := range recorded(t, spans, 3) {
		if span.Name() != "unknown method" {
			t.Errorf("span %q", span.Name())
		}
	}
}

func TestContextWithoutTraceIsItself(t *testing.T) {
	same := make(chan bool, 1)
	h := arpc.NewHandler()
	h.Handle("/m", func(ctx *arpc.Context) {
		same <- otel.Context(ctx) == context.Context(ctx)
		_ = ctx.Write(nil)
	})
	c, _ := arpctest.Transports[1].Connect(t, arpc.NewHandler(), h)
	if err := c.Call("/m", nil, nil, arpctest.Wait); err != nil || !<-same {
		t.Error(err)
	}
}

// A span of the caller, the one of the handler, and one of a second server that
// the handler calls, are one trace.
func TestTraceGoesOnThroughCalls(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	handler := func() *arpc.Handler {
		h := arpc.NewHandler()
		h.UseCoder(otel.Coder())
		h.Use(otel.Trace(provider))
		return h
	}
	last := handler()
	last.Handle("/last", func(ctx *arpc.Context) { _ = ctx.Write(nil) })
	next, _ := arpctest.Transports[1].Connect(t, handler(), last)
	first := handler()
	first.Handle("/first", func(ctx *arpc.Context) {
		if err := next.CallWith(otel.Context(ctx), "/last", nil, nil); err != nil {
			t.Error(err)
		}
		_ = ctx.Write(nil)
	})
	c, _ := arpctest.Transports[2].Connect(t, handler(), first)
	ctx, root := provider.Tracer("").Start(context.Background(), "root")
	if err := c.CallWith(ctx, "/first", nil, nil); err != nil {
		t.Fatal(err)
	}
	root.End()
	parents := map[string]api.SpanID{}
	ids := map[string]api.SpanID{}
	for _, span := range recorded(t, spans, 3) {
		if span.SpanContext().TraceID() != root.SpanContext().TraceID() {
			t.Errorf("%s is of another trace", span.Name())
		}
		ids[span.Name()], parents[span.Name()] = span.SpanContext().SpanID(), span.Parent().SpanID()
	}
	if parents["/first"] != ids["root"] || parents["/last"] != ids["/first"] {
		t.Errorf("spans %v have the parents %v", ids, parents)
	}
}
