package arpc_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

// longNote is one whose body is lent, and no other's.
func longNote(i int) note { return note{strings.Repeat(string(rune('a'+i%26)), 300+i)} }

// TestNobodyReadsTheBodyOfAnother, however long it is kept and whoever else calls
// meanwhile.
func TestNobodyReadsTheBodyOfAnother(t *testing.T) {
	var mu sync.Mutex
	kept := map[int][]byte{}
	late := make(chan *arpc.Context, 200)
	far := arpc.NewHandler()
	arpc.Route(far, "/keep", func(ctx *arpc.Context, n note) (note, error) {
		mu.Lock()
		defer mu.Unlock()
		kept[len(n.Text)] = ctx.Body()
		return n, nil
	})
	arpc.Route(far, "/late", func(ctx *arpc.Context, n note) (note, error) {
		late <- ctx
		return n, nil
	})
	near, _ := arpctest.Transports[1].Connect(t, arpc.NewHandler(), far)

	// Those who come too late read while others are handed the memory.
	var readers sync.WaitGroup
	readers.Go(func() {
		for ctx := range late {
			var n note
			want := longNote(ctx.BodyLen() - len(`{"text":""}`) - 300)
			if ctx.Bind(&n) == nil && n != want {
				t.Errorf("%v was sent, it reads %v", want, n)
			}
		}
	})
	var callers sync.WaitGroup
	for caller := range 4 {
		callers.Go(func() {
			for i := caller; i < 200; i += 4 {
				method, back := []string{"/keep", "/late"}[i/4%2], note{}
				if err := near.Call(method, longNote(i), &back, arpctest.Wait); err != nil || back != longNote(i) {
					t.Errorf("call %d: %v, %d bytes", i, err, len(back.Text))
				}
			}
		})
	}
	callers.Wait()
	close(late)
	readers.Wait()
	mu.Lock()
	defer mu.Unlock()
	if len(kept) == 0 {
		t.Error("nothing was kept")
	}
	for length, body := range kept {
		if want := `{"text":"` + longNote(length-300).Text + `"}`; string(body) != want {
			t.Errorf("%q was kept, now it is %q", want, body)
		}
	}
}

// TestWhoAsksForABodyTooLate: it is said, however long the body was.
func TestWhoAsksForABodyTooLate(t *testing.T) {
	const around = len(`{"text":""}`)
	asked := make(chan *arpc.Context, 1)
	far := arpc.NewHandler()
	arpc.Route(far, "/typed", func(ctx *arpc.Context, n note) (note, error) {
		asked <- ctx
		return n, nil
	})
	near, _ := arpctest.Transports[1].Connect(t, arpc.NewHandler(), far)
	for _, length := range []int{around, 80, 81, 256, 257, 64 << 10, 64<<10 + 1} {
		body := note{strings.Repeat("x", length-around)}
		for _, send := range []func() error{
			func() error { return near.Call("/typed", body, nil, arpctest.Wait) },
			func() error { return near.Notify("/typed", body, arpctest.Wait) },
		} {
			if err := send(); err != nil {
				t.Fatal(err)
			}
			ctx := arpctest.Receive(t, asked, "message")
			arpctest.Eventually(t, "the end of the handler", func() bool { return ctx.Bind(new(note)) != nil })
			if err := ctx.Bind(new(note)); arpc.CodeOf(err) != arpc.CodeFailedPrecondition {
				t.Errorf("%d bytes: bound with %v", length, err)
			}
			if body, raw := ctx.Body(), ctx.Raw(); body != nil || raw.Data != nil {
				t.Errorf("%d bytes: a body of %d, raw of %d", length, len(body), len(raw.Data))
			}
			if n := ctx.BodyLen(); n != length {
				t.Errorf("length %d, want %d", n, length)
			}
		}
	}
}
