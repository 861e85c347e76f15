//go:build !race

package arpc_test

import (
	"context"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

// TestAllocations holds the ceilings of what a message allocates, on both sides
// together. Under the race detector pools lose things on purpose, so it is not
// for it.
func TestAllocations(t *testing.T) {
	far := arpc.NewHandler()
	far.Handle("/bytes", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Body()) }, arpc.Inline)
	arpc.Route(far, "/typed", func(_ *arpc.Context, n note) (note, error) { return n, nil })
	noted := make(chan struct{}, 1)
	far.Handle("/note", func(*arpc.Context) { noted <- struct{}{} })
	near, _ := arpctest.Transports[1].Connect(t, arpc.NewHandler(), far)
	message, err := far.NewMessage(arpc.CmdNotify, "/note", note{"pushed"})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	body, value, long := any([]byte("0123456789")), any(note{"typed"}), any(note{strings.Repeat("typed", 200)})
	for _, c := range []struct {
		name    string
		ceiling float64
		why     string
		message func() error
	}{
		{"bytes, inline", 4, "Context, and its body as an any; the answer and its slice", func() error {
			var back []byte
			return near.CallWith(ctx, "/bytes", body, &back)
		}},
		{"bytes, inline, with a timeout", 4, "no timer of its own", func() error {
			var back []byte
			return near.Call("/bytes", body, &back, arpctest.Wait)
		}},
		{"typed, as it comes", 6, "Context with its body, request, its text, reply as an any; answer and its text", func() error {
			var back note
			return near.CallWith(ctx, "/typed", value, &back)
		}},
		{"typed, 1 KiB", 6, "the same: the body is lent", func() error {
			var back note
			return near.CallWith(ctx, "/typed", long, &back)
		}},
		{"notify", 2, "Context, and the queue of what is in order", func() error {
			err := near.NotifyWith(ctx, "/note", value)
			<-noted
			return err
		}},
		{"push of what is encoded", 2, "as notify", func() error {
			err := near.PushMsg(message, arpc.TimeForever)
			<-noted
			return err
		}},
	} {
		var failure error
		got := testing.AllocsPerRun(2000, func() {
			if err := c.message(); err != nil {
				failure = err
			}
		})
		t.Logf("%s: %v", c.name, got)
		if failure != nil || got > c.ceiling {
			t.Errorf("%s: %v allocations, error %v; ceiling %v: %s", c.name, got, failure, c.ceiling, c.why)
		}
	}
}
