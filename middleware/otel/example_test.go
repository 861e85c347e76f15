package otel_test

import (
	"context"
	"fmt"
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
