package metrics_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/middleware/metrics"
	"github.com/seed-fbfaa03e/arpc/server"
)

func Example() {
	s := server.New()
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.New(s.Handler, s)) // which count when the answer has left
	counted := make(chan struct{})
	s.Handler.Use(func(ctx *arpc.Context) { ctx.OnAnswered(func(error) { close(counted) }) })
	s.Handler.Handle("/hello", func(ctx *arpc.Context) { _ = ctx.Write("hello") })
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))

	call := httptest.NewRequest("POST", "/hello", nil)
	call.Header.Set("Content-Type", "application/json")
	s.HTTP().ServeHTTP(httptest.NewRecorder(), call)
	fmt.Println(s.Shutdown(context.Background()))
	<-counted

	page := httptest.NewRecorder()
	http.DefaultServeMux.ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, "arpc_calls_total") {
			fmt.Print(line)
		}
	}
	// Output:
	// <nil>
	// arpc_calls_total{code="ok",method="/hello"} 1
}
