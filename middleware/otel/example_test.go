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

	ended := make(chan struct{})
	s := server.New()
	s.Handler.Use(otel.Trace(provider))
	s.Handler.Handle("/order", func(ctx *arpc.Context) {
		traced := otel.Context(ctx) // what the handler does with it becomes part of the span
		_ = ctx.Write(place(traced))
	})
	s.Handler.Use(func(ctx *arpc.Context) { ctx.OnAnswered(func(error) { close(ended) }) }) // behind the span

	call, answer := httptest.NewRequest("POST", "/order", nil), httptest.NewRecorder()
	call.Header.Set("Content-Type", "application/json")
	s.HTTP().ServeHTTP(answer, call)
	fmt.Println(answer.Body)
	fmt.Println(s.Shutdown(context.Background()))
	<-ended
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

	answered := make(chan struct{})
	s := arpc.NewHandler()
	s.UseCoder(otel.Coder())
	s.Use(otel.Trace(provider)) // the span ends when the answer has left
	s.Use(func(ctx *arpc.Context) { ctx.OnAnswered(func(error) { close(answered) }) })
	s.Handle("/order", func(ctx *arpc.Context) { _ = ctx.Write("placed") })

	h := arpc.NewHandler()
	h.UseCoder(otel.Coder()) // in front of other coders
	client, err := arpc.NewClient(func() (net.Conn, error) {
		near, far := net.Pipe()
		s.ServeConn(far, arpc.Accepted{})
		return near, nil
	}, arpc.WithHandler(h))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, span := provider.Tracer("shop").Start(context.Background(), "buy")
	var placed string
	err = client.CallWith(ctx, "/order", "tea", &placed) // with the span that is in ctx
	<-answered
	span.End()
	client.Stop()
	<-client.Done()
	fmt.Println(placed, err)
	for _, ended := range spans.Ended() {
		fmt.Println(ended.Name(), ended.SpanContext().TraceID() == span.SpanContext().TraceID())
	}
	// Output:
	// placed <nil>
	// /order true
	// buy true
}
