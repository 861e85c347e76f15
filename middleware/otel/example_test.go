package otel_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/middleware/otel"
	"github.com/seed-fbfaa03e/arpc/server"
)

func Example() {
	spans := tracetest.NewSpanRecorder() // an exporter in earnest
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	place := func(ctx context.Context) string { // part of the trace
		return fmt.Sprint("placed, traced: ", api.SpanContextFromContext(ctx).IsValid())
	}

	s := server.New()
	s.Handler.Use(otel.Trace(provider))
	s.Handler.Handle("/order", func(ctx *arpc.Context) {
		traced := otel.Context(ctx) // what the handler does with it becomes part of the span
		_ = ctx.Write(place(traced))
	})

	call, answer := httptest.NewRequest("POST", "/order", nil), httptest.NewRecorder()
	call.Header.Set("Content-Type", "application/json")
	s.HTTP().ServeHTTP(answer, call)
	fmt.Println(answer.Body)
	fmt.Println(s.Shutdown(context.Background()))
	for _, span := range spans.Ended() {
		fmt.Println("span", span.Name())
	}
	// Output:
	// "placed, traced: true"
	// <nil>
	// span /order
}

func ExampleCoder() {
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))

	s := server.New()
	s.Handler.UseCoder(otel.Coder())
	s.Handler.Use(otel.Trace(provider))
	s.Handler.Handle("/order", func(ctx *arpc.Context) { _ = ctx.Write("placed") })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = s.Serve(ln) }()
	defer func() { _ = s.Shutdown(context.Background()) }()

	h := arpc.NewHandler()
	h.UseCoder(otel.Coder())
	client, err := arpc.Dial(context.Background(), "tcp://"+ln.Addr().String(), arpc.WithHandler(h))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Stop()

	ctx, span := provider.Tracer("").Start(context.Background(), "checkout")
	var placed string
	fmt.Println(client.CallWith(ctx, "/order", 14, &placed), placed)
	span.End()

	for _, ended := range spans.Ended() {
		fmt.Println(ended.Name(), ended.SpanContext().TraceID() == span.SpanContext().TraceID())
	}
	// Output:
	// <nil> placed
	// /order true
	// checkout true
}
