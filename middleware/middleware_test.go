package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/middleware"
)

func TestRecoverReportsAndAnswers(t *testing.T) {
	var log arpctest.Log
	reported := make(chan string, 1)
	h := arpc.NewHandler()
	h.SetLogger(slog.New(slog.NewTextHandler(&log, nil)))
	h.Use(middleware.Recover(func(ctx *arpc.Context, panicked any, stack []byte) {
		reported <- fmt.Sprint(ctx.Method(), " ", panicked, " ", strings.Contains(string(stack), "middleware_test.go"))
	}))
	h.Handle("/bad", func(*arpc.Context) { panic("of a nut") })
	h.Handle("/good", func(ctx *arpc.Context) { _ = ctx.Write(nil) })
	c, _ := tcp.Connect(t, arpc.NewHandler(), h)
	if err := c.Call("/bad", nil, nil, arpctest.Wait); arpc.CodeOf(err) != arpc.CodeInternal || strings.Contains(err.Error(), "nut") {
		t.Errorf("got %v", err)
	}
	if got := arpctest.Receive(t, reported, "report"); got != "/bad of a nut true" {
		t.Errorf("reported %q", got)
	}
	if err := c.Call("/good", nil, nil, arpctest.Wait); err != nil {
		t.Error(err)
	}
	if log.String() != "" {
		t.Errorf("logged %s", log.String())
	}
}

// logged is what Logger writes about a call to h, which is one line.
func logged(t *testing.T, h *arpc.Handler, method string, body any) string {
	t.Helper()
	var log arpctest.Log
	far := h.Clone()
	far.SetLogger(slog.New(slog.NewTextHandler(&log, nil)))
	c, _ := tcp.Connect(t, arpc.NewHandler(), far)
	_ = c.Call(method, body, nil, arpctest.Wait)
	arpctest.Eventually(t, "a line", func() bool { return strings.HasSuffix(log.String(), "\n") })
	line := log.String()
	if n := strings.Count(line, "\n"); n != 1 {
		t.Errorf("%d lines: %s", n, line)
	}
	return line
}

func TestLoggerWritesWhatCameOfACall(t *testing.T) {
	h := arpc.NewHandler()
	h.Use(middleware.Logger(nil))
	h.Handle("/good", func(ctx *arpc.Context) { _ = ctx.Write("fine") })
	h.Handle("/bad", func(ctx *arpc.Context) {
		_ = ctx.Error(arpc.Errorf(arpc.CodeAborted, "a\nlie=level=INFO %s", strings.Repeat("é", 300)))
	})
	h.Handle("/later", func(ctx *arpc.Context) { go func() { _ = ctx.Error("too late") }() })
	h.Handle("/panics", func(*arpc.Context) { panic("in the handler") })
	tests := map[string]struct {
		method string
		want   []string
	}{
		"success":        {"/good", []string{"level=INFO", "method=/good", "kind=request", "bytes=6", "from=127.0.0.1:"}},
		"hostile error":  {"/bad", []string{"level=WARN", "code=aborted", `error="aborted: a\nlie`, "…"}},
		"answered later": {"/later", []string{"level=WARN", "code=unknown", `error="too late"`}},
		"no route":       {"/\nnone level=ERROR", []string{"level=WARN", `method="/\nnone level=ERROR"`, "code=not_found"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			line := logged(t, h, tt.method, "secret")
			for _, want := range tt.want {
				if !strings.Contains(line, want) {
					t.Errorf("%q is not in %s", want, line)
				}
			}
			if strings.Contains(line, "secret") || len(line) > 1000 {
				t.Errorf("%d bytes: %s", len(line), line)
			}
		})
	}
}

func TestLoggerWritesNotifies(t *testing.T) {
	var log arpctest.Log
	h := arpc.NewHandler()
	h.Use(middleware.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	h.Handle("/note", func(*arpc.Context) {})
	c, _ := tcp.Connect(t, arpc.NewHandler(), h)
	if err := c.Notify("/note", nil, arpctest.Wait); err != nil {
		t.Fatal(err)
	}
	arpctest.Eventually(t, "a line", func() bool { return strings.Contains(log.String(), "method=/note kind=notify") })
}

func TestGracefulWaitsForWhatIsUnderWay(t *testing.T) {
	var g middleware.Graceful
	h := arpc.NewHandler()
	h.Use(g.Handle)
	began, finish := make(chan struct{}), make(chan struct{})
	h.Handle("/slow", func(ctx *arpc.Context) {
		go func() { // answered after the handler returned
			close(began)
			<-finish
			_ = ctx.Write("done")
		}()
	})
	h.Handle("/quick", func(ctx *arpc.Context) { _ = ctx.Write(nil) })
	c, _ := tcp.Connect(t, arpc.NewHandler(), h)
	slow := make(chan error, 1)
	go func() { slow <- c.Call("/slow", nil, nil, arpctest.Wait) }()
	arpctest.Closed(t, began, "the slow handler's beginning")

	over, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("impatient"))
	if err := g.Shutdown(over); err == nil || !strings.Contains(err.Error(), "1 messages: impatient") {
		t.Errorf("it did not wait: %v", err)
	}
	if err := c.Call("/quick", nil, nil, arpctest.Wait); arpc.CodeOf(err) != arpc.CodeUnavailable {
		t.Errorf("new work: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Shutdown(context.Background()) }()
	close(finish)
	if err := arpctest.Receive(t, ended, "end of the shutdown"); err != nil {
		t.Error(err)
	}
	if err := arpctest.Receive(t, slow, "answer"); err != nil {
		t.Errorf("what was under way: %v", err)
	}
}

func TestGracefulWaitsForNotifies(t *testing.T) {
	var g middleware.Graceful
	h := arpc.NewHandler()
	h.Use(g.Handle)
	began, finish := make(chan struct{}), make(chan struct{})
	h.Handle("/note", func(*arpc.Context) { close(began); <-finish })
	c, _ := tcp.Connect(t, arpc.NewHandler(), h)
	if err := c.Notify("/note", nil, arpctest.Wait); err != nil {
		t.Fatal(err)
	}
	arpctest.Closed(t, began, "the handler's beginning")
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.Shutdown(over); !errors.Is(err, context.Canceled) {
		t.Errorf("it did not wait: %v", err)
	}
	close(finish)
	if err := g.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

func ExampleLogger() {
	text := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key { // differs from run to run
		case slog.TimeKey, "duration", "from":
			return slog.Attr{}
		}
		return a
	}}))
	written := make(chan struct{})
	h := arpc.NewHandler()
	h.Use(middleware.Logger(text)) // writes when the answer has left
	h.Use(func(ctx *arpc.Context) { ctx.OnAnswered(func(error) { close(written) }) })
	h.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
	c, stop := connect(h)
	_ = c.Call("/echo", "hello", nil, 5*time.Second)
	<-written
	stop()
	// Output: level=INFO msg="arpc: call" method=/echo kind=request bytes=5
}

func ExampleGraceful() {
	var g middleware.Graceful
	h := arpc.NewHandler()
	h.Use(g.Handle)
	h.Handle("/work", func(ctx *arpc.Context) { _ = ctx.Write("done") })
	c, stop := connect(h)
	defer stop()

	fmt.Println(c.Call("/work", nil, nil, 5*time.Second))
	fmt.Println(g.Shutdown(context.Background()))
	fmt.Println(c.Call("/work", nil, nil, 5*time.Second))
	// Output:
	// <nil>
	// <nil>
	// unavailable: shutting down
}
