package arpc_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-fbfaa03e/arpc"
)

// world is two peers and what the model knows of them. Everything runs in a
// bubble of synctest, where time passes only when nothing else can happen.
type world struct {
	near, far *arpc.Client
	arrived   chan *arpc.Client
	resumed   chan struct{} // nil where sessions end with their connection
	cut       func()

	mu      sync.Mutex
	handled map[string]int // requests by the far peer, by name
	outcome map[string]int // results of calls, by name
	notes   []int          // notifies in the order they were handled
	next    int
	said    int // notifies sent
	running sync.WaitGroup
}

func newWorld(t *rapid.T, hello arpc.HelloMode, lasting bool) *world {
	w := &world{handled: map[string]int{}, outcome: map[string]int{}, arrived: make(chan *arpc.Client, 1)}
	far, near := arpc.NewHandler(), arpc.NewHandler()
	if lasting {
		w.resumed = make(chan struct{}, 1)
		near.HandleResumed(func(*arpc.Client) { w.resumed <- struct{}{} })
	} else {
		far.SetLimits(arpc.Limits{Grace: -1})
	}
	far.SetLogger(discard)
	far.Handle("/fast", func(ctx *arpc.Context) { w.handle(ctx); _ = ctx.Write(ctx.Raw()) })
	far.Handle("/slow", func(ctx *arpc.Context) {
		w.handle(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		_ = ctx.Write(ctx.Raw())
	})
	far.Handle("/back", func(ctx *arpc.Context) {
		w.handle(ctx)
		var got arpc.Raw
		if err := ctx.Client.CallWith(ctx, "/leaf", ctx.Raw(), &got); err != nil {
			_ = ctx.Error(err)
			return
		}
		_ = ctx.Write(got)
	})
	far.Handle("/panic", func(ctx *arpc.Context) { w.handle(ctx); panic("as told") })
	far.Handle("/note", func(ctx *arpc.Context) {
		var n int
		if _, err := fmt.Sscan(string(ctx.Body()), &n); err != nil {
			t.Errorf("note %q", ctx.Body())
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.notes = append(w.notes, n)
	})
	far.HandleStream("/stream", echoStream)
	near.Handle("/leaf", echo)
	dial := func() (net.Conn, error) {
		a, b := net.Pipe()
		w.cut = func() { b.Close() }
		far.ServeConn(b, arpc.Accepted{Connected: func(c *arpc.Client) { w.arrived <- c }})
		return a, nil
	}
	c, err := arpc.NewClient(dial, arpc.WithHandler(near), arpc.WithHello(hello), arpc.WithBackoff(soon))
	if err != nil {
		t.Fatal(err)
	}
	w.near, w.far = c, <-w.arrived
	return w
}

func (w *world) handle(ctx *arpc.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handled[string(ctx.Body())]++
}

// call makes a call beside everything else, and notes its one outcome.
func (w *world) call(t *rapid.T, method string, timeout time.Duration) {
	w.next++
	name := fmt.Sprint(w.next)
	w.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		var got arpc.Raw
		err := w.near.CallWith(ctx, method, name, &got)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.outcome[name]++
		if w.resumed != nil && arpc.CodeOf(err) == arpc.CodeUnavailable {
			t.Errorf("%s of %s: %v", method, name, err)
		}
		if err == nil && string(got.Data) != name {
			t.Errorf("%s of %s was answered %q", method, name, got.Data)
		}
		var coded *arpc.Error
		if errors.As(err, &coded) && !coded.Sent && w.handled[name] > 0 {
			t.Errorf("%s of %s was handled and is said not to have left: %v", method, name, err)
		}
	})
}

// stream sends n messages, and gets them back in order unless the connection ends.
func (w *world) stream(t *rapid.T, n int, leave bool) {
	w.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		s := w.near.NewStream("/stream")
		defer s.Close()
		for i := range n {
			if s.SendWith(ctx, fmt.Sprint(i)) != nil {
				return
			}
			var got string
			if s.RecvWith(ctx, &got) != nil {
				return
			}
			if got != fmt.Sprint(i) {
				t.Errorf("stream sent %d and got %s", i, got)
			}
		}
		if !leave && s.CloseSend() == nil {
			_ = s.RecvWith(ctx, nil) // the end, or that of the connection
		}
	})
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		hello := rapid.SampledFrom([]arpc.HelloMode{arpc.HelloRequire, arpc.HelloNever}).Draw(rt, "hello")
		lasting := hello == arpc.HelloRequire && rapid.Bool().Draw(rt, "lasting")
		var thrown any // rapid ends a run early by a panic, which has to leave the bubble
		synctest.Test(t, func(*testing.T) {
			w := newWorld(rt, hello, lasting)
			defer func() {
				thrown = recover()
				w.stop()
			}()
			rt.Repeat(w.actions())
			w.end(rt)
		})
		if thrown != nil {
			panic(thrown)
		}
	})
}

func (w *world) actions() map[string]func(*rapid.T) {
	methods := rapid.SampledFrom([]string{"/fast", "/slow", "/back", "/panic", "/none"})
	return map[string]func(*rapid.T){
		"call": func(t *rapid.T) { w.call(t, methods.Draw(t, "method"), time.Minute) },
		"timeout": func(t *rapid.T) {
			w.call(t, "/slow", time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms"))*time.Millisecond)
		},
		"stream": func(t *rapid.T) { w.stream(t, rapid.IntRange(0, 5).Draw(t, "messages"), rapid.Bool().Draw(t, "leave")) },
		"note": func(*rapid.T) {
			if w.near.Notify("/note", fmt.Sprint(w.said), time.Minute) == nil {
				w.said++
			}
		},
		"settle": func(*rapid.T) { synctest.Wait() },
		"pass":   func(*rapid.T) { time.Sleep(500 * time.Millisecond) }, // in a bubble: it takes no time
		"cut": func(*rapid.T) {
			if w.resumed != nil {
				w.cut()
				<-w.resumed
				return
			}
			synctest.Wait() // what was said has arrived
			w.cut()
			w.far = <-w.arrived
		},
		"": w.check,
	}
}

// check holds what is true at any time.
func (w *world) check(t *rapid.T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, n := range w.handled {
		if n > 1 {
			t.Errorf("request %s was handled %d times", name, n)
		}
	}
	for i := 1; i < len(w.notes); i++ {
		if w.notes[i] != w.notes[i-1]+1 {
			t.Errorf("notifies arrived as %v", w.notes)
			break
		}
	}
}

// end waits for everything, and holds that nothing is left.
func (w *world) end(t *rapid.T) {
	w.running.Wait()
	synctest.Wait()
	w.check(t)
	w.mu.Lock()
	for i := range w.next {
		if n := w.outcome[fmt.Sprint(i+1)]; n != 1 {
			t.Errorf("call %d had %d outcomes", i+1, n)
		}
	}
	if len(w.notes) != w.said {
		t.Errorf("%d of %d notifies arrived", len(w.notes), w.said)
	}
	w.mu.Unlock()
	for _, c := range []*arpc.Client{w.near, w.far} {
		if calls, streams := c.PendingCalls(), c.OpenStreams(); calls != 0 || streams != 0 {
			t.Errorf("%d calls and %d streams are left", calls, streams)
		}
	}
}

// stop ends everything, so that the bubble can end.
func (w *world) stop() {
	w.near.Stop()
	<-w.near.Done()
	w.running.Wait()
	<-w.far.Done()
	synctest.Wait()
}
