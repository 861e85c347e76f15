package middleware_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/middleware"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func guarded(ran *atomic.Int32) *arpc.Handler {
	h := arpc.NewHandler()
	middleware.Auth(h, func(ctx *arpc.Context) error {
		if ctx.Method() == "/public" || string(ctx.Body()) == "please" {
			return nil
		}
		return arpc.Errorf(arpc.CodePermissionDenied, "say please")
	})
	h.Use(func(*arpc.Context) { ran.Add(1) })
	h.Handle("/public", func(ctx *arpc.Context) { ran.Add(1); _ = ctx.Write("public") })
	h.Handle("/private", func(ctx *arpc.Context) { ran.Add(1); _ = ctx.Write("private") })
	h.HandleNotFound(func(ctx *arpc.Context) { ran.Add(1); _ = ctx.Write("anything") })
	h.Use(func(*arpc.Context) { ran.Add(1) })
	return h
}

func TestAuth(t *testing.T) {
	var ran atomic.Int32
	near, _ := arpctest.Transports[1].Connect(t, arpc.NewHandler(), guarded(&ran))
	for _, method := range []string{"/private", "/no such route"} {
		if err := near.Call(method, "now", nil, arpctest.Wait); arpc.CodeOf(err) != arpc.CodePermissionDenied {
			t.Errorf("%s: %v", method, err)
		}
	}
	if n := ran.Load(); n != 0 {
		t.Errorf("%d functions ran behind a refusal", n)
	}
	for method, body := range map[string]string{"/private": "please", "/public": "now"} {
		if err := near.Call(method, body, nil, arpctest.Wait); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	arpctest.Eventually(t, "all of both chains", func() bool { return ran.Load() == 6 })
}

func TestAuthComesFirst(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it left a route unguarded")
		}
	}()
	h := arpc.NewHandler()
	h.Handle("/open", func(*arpc.Context) {})
	middleware.Auth(h, func(*arpc.Context) error { return nil })
}

func ExampleAuth() {
	h := arpc.NewHandler()
	middleware.Auth(h, func(ctx *arpc.Context) error {
		if who := ctx.Client.Identity(); who == nil || who.ID != "ann" {
			return arpc.Errorf(arpc.CodePermissionDenied, "only ann may %s", ctx.Method())
		}
		return nil
	})
	h.Handle("/delete", func(ctx *arpc.Context) { _ = ctx.Write("deleted") })
	fmt.Println(len(h.Routes()), "route")
	// Output: 1 route
}
