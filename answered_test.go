package arpc_test

import (
	"errors"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

func TestOnAnsweredTellsWhatTheAnswerWas(t *testing.T) {
	told := make(chan error, 8)
	watch := func(ctx *arpc.Context) { ctx.OnAnswered(func(err error) { told <- err }) }
	tests := map[string]struct {
		setup func(h *arpc.Handler)
		code  arpc.Code
	}{
		"success": {func(h *arpc.Handler) { h.Use(watch); h.Handle("/m", func(ctx *arpc.Context) { _ = ctx.Write(1) }) }, ""},
		"behind":  {func(h *arpc.Handler) { h.Handle("/m", func(ctx *arpc.Context) { _ = ctx.Write(1) }); h.Use(watch) }, ""},
		"error": {func(h *arpc.Handler) {
			h.Use(watch)
			h.Handle("/m", func(ctx *arpc.Context) { _ = ctx.Error(arpc.ErrStopped) })
		}, arpc.CodeUnavailable},
		"panic":    {func(h *arpc.Handler) { h.Use(watch); h.Handle("/m", func(*arpc.Context) { panic("boo") }) }, arpc.CodeInternal},
		"no route": {func(h *arpc.Handler) { h.Use(watch) }, arpc.CodeNotFound},
		"unencodable": {func(h *arpc.Handler) {
			h.Use(watch)
			h.Handle("/m", func(ctx *arpc.Context) { _ = ctx.Write(make(chan int)) })
		}, arpc.CodeInternal},
		"later": {func(h *arpc.Handler) {
			h.Use(watch)
			h.Handle("/m", func(ctx *arpc.Context) { go func() { _ = ctx.Error(errors.New("late")) }() })
		}, arpc.CodeUnknown},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := arpc.NewHandler()
			h.SetLogger(discard)
			tt.setup(h)
			c, _ := arpctest.Transports[0].Connect(t, arpc.NewHandler(), h)
			_ = c.Call("/m", nil, nil, arpctest.Wait)
			if got := arpc.CodeOf(arpctest.Receive(t, told, "the answer")); got != tt.code {
				t.Errorf("told %q, want %q", got, tt.code)
			}
			if len(told) != 0 {
				t.Errorf("told %d times", 1+len(told))
			}
		})
	}
}
