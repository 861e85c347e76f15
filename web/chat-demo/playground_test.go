package main

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

func TestPlayground(t *testing.T) {
	arpctest.EachWay(t, playground, func(t *testing.T, near *arpc.Client) {
		near.Handler.Handle("/name", func(ctx *arpc.Context) { _ = ctx.Write("ann") })
		if text, err := arpc.Invoke[string](t.Context(), near, "/hello", "Ada"); err != nil || text != "hello, Ada" {
			t.Errorf("/hello: %q, %v", text, err)
		}
		if name, err := arpc.Invoke[string](t.Context(), near, "/call-back", "/name"); err != nil || name != "ann" {
			t.Errorf("/call-back: %q, %v", name, err)
		}
		if err := near.Call("/call-back", "/nothing", nil, arpctest.Wait); err == nil {
			t.Error("/call-back of a method that is not there succeeded")
		}
		if ms, err := arpc.Invoke[string](t.Context(), near, "/sleep", "1"); err != nil || ms != "1" {
			t.Errorf("/sleep: %q, %v", ms, err)
		}
		for _, bad := range []string{"", "x", "-1", "60001"} {
			if err := near.Call("/sleep", bad, nil, arpctest.Wait); err == nil {
				t.Errorf("/sleep %q succeeded", bad)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := near.CallWith(ctx, "/sleep", "60000", nil); arpc.CodeOf(err) != arpc.CodeDeadlineExceeded {
			t.Errorf("/sleep given up: %v", err)
		}
		s := near.NewStream("/echo")
		if err := s.SendAndClose("last"); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := s.Recv(&got); err != nil || got != "last" {
			t.Errorf("stream: %q, %v", got, err)
		}
		if err := s.Recv(nil); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
}
