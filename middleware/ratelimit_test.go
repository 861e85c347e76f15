package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/middleware"
)

// tcp connects over a real socket.
var tcp = arpctest.Transports[1]

func mustCall(t *testing.T, c *arpc.Client, times int) {
	t.Helper()
	for range times {
		if err := c.Call("/work", nil, nil, arpctest.Wait); err != nil {
			t.Fatal(err)
		}
	}
}

func mustBeLimited(t *testing.T, c *arpc.Client) *arpc.Error {
	t.Helper()
	err := c.Call("/work", nil, nil, arpctest.Wait)
	var told *arpc.Error
	if !errors.As(err, &told) || told.Code != arpc.CodeResourceExhausted || !told.Remote() {
		t.Fatalf("got %v, want resource_exhausted", err)
	}
	return told
}

func answering(limit arpc.HandlerFunc) *arpc.Handler {
	h := arpc.NewHandler()
	h.Use(limit)
	h.Handle("/work", func(ctx *arpc.Context) { _ = ctx.Write(nil) })
	return h
}

func TestRateLimitIsOfAConnection(t *testing.T) {
	h := answering(middleware.RateLimit(rate.Every(time.Hour), 2))
	one, _ := tcp.Connect(t, arpc.NewHandler(), h)
	other, _ := tcp.Connect(t, arpc.NewHandler(), h)
	mustCall(t, one, 2)
	told := mustBeLimited(t, one)
	var data struct{ RetryAfter int64 }
	if err := json.Unmarshal(told.Data, &data); err != nil {
		t.Fatal(err)
	}
	if hour := time.Hour.Milliseconds(); data.RetryAfter < hour/2 || data.RetryAfter > hour+1 {
		t.Errorf("retry after %d ms, want about an hour", data.RetryAfter)
	}
	mustCall(t, other, 2)
}

func TestTwoRateLimitsDoNotShareBuckets(t *testing.T) {
	h := arpc.NewHandler()
	h.Use(middleware.RateLimit(rate.Every(time.Hour), 2))
	h.Use(middleware.RateLimit(rate.Every(time.Hour), 3))
	h.Handle("/work", func(ctx *arpc.Context) { _ = ctx.Write(nil) })
	c, _ := tcp.Connect(t, arpc.NewHandler(), h)
	mustCall(t, c, 2)
	mustBeLimited(t, c)
}

func TestRateLimitByIdentityCountsAllItsConnections(t *testing.T) {
	h := answering(middleware.RateLimitBy(rate.Every(time.Hour), 2, middleware.ByIdentity))
	h.HandleAuthenticate(func(_ context.Context, cr arpc.Credentials) (*arpc.Identity, error) {
		if cr.Token == "" {
			return nil, nil
		}
		return &arpc.Identity{ID: cr.Token}, nil
	})
	connect := func(token string) *arpc.Client {
		c, _ := tcp.Connect(t, arpc.NewHandler(), h, arpc.WithToken(func(context.Context) (string, error) { return token, nil }))
		return c
	}
	mustCall(t, connect("ann"), 1)
	mustCall(t, connect("ann"), 1)
	mustBeLimited(t, connect("ann"))
	mustCall(t, connect("bob"), 2)
}

func TestRateLimitByAddressKnowsNoPort(t *testing.T) {
	h := answering(middleware.RateLimitBy(rate.Every(time.Hour), 1, middleware.ByAddress))
	one, _ := tcp.Connect(t, arpc.NewHandler(), h)
	other, _ := tcp.Connect(t, arpc.NewHandler(), h)
	mustCall(t, one, 1)
	mustBeLimited(t, other)
}

func TestRateLimitSaysThatNotifiesAreDropped(t *testing.T) {
	var log arpctest.Log
	var ran atomic.Int32
	h := arpc.NewHandler()
	h.SetLogger(slog.New(slog.NewTextHandler(&log, nil)))
	h.Use(middleware.RateLimit(rate.Every(time.Hour), 1))
	h.Handle("/note", func(*arpc.Context) { ran.Add(1) })
	h.Handle("/work", func(ctx *arpc.Context) { _ = ctx.Write(nil) }, arpc.Ordered) // behind the notifies
	c, _ := tcp.Connect(t, arpc.NewHandler(), h)
	for range 100 {
		if err := c.Notify("/note", nil, arpctest.Wait); err != nil {
			t.Fatal(err)
		}
	}
	mustBeLimited(t, c)
	arpctest.Eventually(t, "the log", func() bool { return strings.Contains(log.String(), "notify dropped") })
	if n := ran.Load(); n != 1 {
		t.Errorf("%d notifies were handled, limit 1", n)
	}
	if n := strings.Count(log.String(), "\n"); n > 20 {
		t.Errorf("%d lines for 99 notifies", n)
	}
}

func ExampleRateLimit() {
	h := arpc.NewHandler()
	h.Use(middleware.RateLimit(20, 40))                             // a connection
	h.Use(middleware.RateLimitBy(100, 200, middleware.ByIdentity))  // a user, on all of them
	h.Use(middleware.RateLimitBy(1000, 2000, middleware.ByAddress)) // a network
	h.Handle("/search", func(ctx *arpc.Context) { _ = ctx.Write("found") })
	fmt.Println(len(h.Routes()), "route")
	// Output: 1 route
}
