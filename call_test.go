package arpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

func echo(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) }

func TestCallAndAnswer(t *testing.T) {
	type pair struct {
		A int
		B string
	}
	arpctest.EachWay(t, func(far *arpc.Handler) {
		far.Handle("/echo", echo)
		far.Handle("/inline", echo, arpc.Inline)
		far.Handle("/ordered", echo, arpc.Ordered)
		far.Handle("/bound", func(ctx *arpc.Context) {
			var p pair
			if err := ctx.Bind(&p); err != nil {
				_ = ctx.Error(err)
				return
			}
			p.A++
			_ = ctx.Write(p)
		})
	}, func(t *testing.T, near *arpc.Client) {
		for _, method := range []string{"/echo", "/inline", "/ordered"} {
			for _, text := range []string{"hello", "", "héllo 世界 🌍", strings.Repeat("x", 200_000)} {
				var got string
				if err := near.Call(method, text, &got, arpctest.Wait); err != nil || got != text {
					t.Fatalf("%s: %.20q, %v", method, got, err)
				}
			}
		}
		var bytesBack []byte
		if err := near.Call("/echo", []byte{0, 255, 1}, &bytesBack, arpctest.Wait); err != nil || !bytes.Equal(bytesBack, []byte{0, 255, 1}) {
			t.Errorf("%v, %v", bytesBack, err)
		}
		var p pair
		if err := near.Call("/bound", pair{7, "x"}, &p, arpctest.Wait); err != nil || p != (pair{8, "x"}) {
			t.Errorf("%+v, %v", p, err)
		}
		if err := near.Call("/bound", "no object", &p, arpctest.Wait); err == nil || !strings.Contains(err.Error(), "/bound") {
			t.Errorf("a body of the wrong type: %v", err)
		}
	})
}

func TestSixHundredCallsInARow(t *testing.T) {
	arpctest.EachWay(t, func(far *arpc.Handler) { far.Handle("/echo", echo) }, func(t *testing.T, near *arpc.Client) {
		for i := range 600 {
			var got string
			if err := near.Call("/echo", fmt.Sprint(i), &got, arpctest.Wait); err != nil || got != fmt.Sprint(i) {
				t.Fatalf("call %d: %q, %v", i, got, err)
			}
		}
	})
}

func TestConcurrentCallsGetTheirOwnAnswers(t *testing.T) {
	arpctest.EachWay(t, func(far *arpc.Handler) {
		far.Handle("/echo", echo)
		far.Handle("/inline", echo, arpc.Inline)
	}, func(t *testing.T, near *arpc.Client) {
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				for j := range 40 {
					method := []string{"/echo", "/inline"}[j%2]
					want := fmt.Sprintf("%d.%d", i, j)
					var got string
					if err := near.Call(method, want, &got, arpctest.Wait); err != nil || got != want {
						t.Errorf("%q, %v; want %q", got, err, want)
						return
					}
				}
			})
		}
		all.Wait()
	})
}

func TestErrorsReachTheCaller(t *testing.T) {
	arpctest.EachWay(t, func(far *arpc.Handler) {
		far.Handle("/fail", func(ctx *arpc.Context) { _ = ctx.Error("boom") })
		far.Handle("/coded", func(ctx *arpc.Context) {
			_ = ctx.Error(arpc.Errorf(arpc.CodePermissionDenied, "not you"))
		})
		far.Handle("/panic", func(*arpc.Context) { panic("secret of the server") })
		far.Handle("/inline-panic", func(*arpc.Context) { panic("secret of the server") }, arpc.Inline)
		far.Handle("/unencodable", func(ctx *arpc.Context) { _ = ctx.Write(make(chan int)) })
		far.SetLogger(discard)
	}, func(t *testing.T, near *arpc.Client) {
		for method, want := range map[string]string{
			"/fail":         "boom",
			"/coded":        "not you",
			"/panic":        "internal error",
			"/inline-panic": "internal error",
			"/unencodable":  "internal error",
			"/missing":      "not_found: method not found",
		} {
			err := near.Call(method, "x", nil, arpctest.Wait)
			var coded *arpc.Error
			if !errors.As(err, &coded) || !strings.HasSuffix(err.Error(), want) || !coded.Remote() || !coded.Sent {
				t.Errorf("%s: %#v, want %q", method, err, want)
			}
		}
		if err := near.Call("/missing", "x", nil, arpctest.Wait); arpc.CodeOf(err) != arpc.CodeNotFound {
			t.Errorf("code %q", arpc.CodeOf(err))
		}
	})
}

func TestARequestIsAnsweredOnce(t *testing.T) {
	second := make(chan error, 1)
	far := arpc.NewHandler()
	far.Handle("/twice", func(ctx *arpc.Context) {
		_ = ctx.Write("first")
		second <- ctx.Write("second")
	})
	far.Handle("/echo", echo)
	near, _ := arpctest.Transports[1].Connect(t, arpc.NewHandler(), far)
	var got string
	if err := near.Call("/twice", nil, &got, arpctest.Wait); err != nil || got != "first" {
		t.Fatalf("%q, %v", got, err)
	}
	if err := arpctest.Receive(t, second, "second answer"); !errors.Is(err, arpc.ErrAnswered) {
		t.Errorf("second answer: %v", err)
	}
	if err := near.Call("/echo", "x", &got, arpctest.Wait); err != nil || got != "x" {
		t.Errorf("after it: %q, %v", got, err)
	}
}

func TestAnAnswerMayComeLaterFromAnotherGoroutine(t *testing.T) {
	arpctest.EachWay(t, func(far *arpc.Handler) {
		later := func(ctx *arpc.Context) {
			go func() {
				runtime.Gosched()
				_ = ctx.Write("later")
			}()
		}
		far.Handle("/later", later)
		far.Handle("/later-inline", later, arpc.Inline)
	}, func(t *testing.T, near *arpc.Client) {
		for i := range 200 {
			var got string
			method := []string{"/later", "/later-inline"}[i%2]
			if err := near.Call(method, nil, &got, arpctest.Wait); err != nil || got != "later" {
				t.Fatalf("%q, %v", got, err)
			}
		}
	})
}

func TestAForgottenRequestIsAnsweredAllTheSame(t *testing.T) {
	far := arpc.NewHandler()
	far.SetLogger(discard)
	far.Handle("/forget", func(*arpc.Context) {})
	near, _ := arpctest.Transports[1].Connect(t, arpc.NewHandler(), far)
	answered := make(chan error, 1)
	go func() { answered <- near.Call("/forget", nil, nil, arpctest.Wait) }()
	arpctest.Eventually(t, "answer", func() bool {
		runtime.GC()
		return len(answered) > 0
	})
	if err := <-answered; arpc.CodeOf(err) != arpc.CodeInternal {
		t.Errorf("got %v", err)
	}
}

func TestTimeoutAndContext(t *testing.T) {
	arpctest.EachWay(t, func(far *arpc.Handler) {
		far.Handle("/never", func(ctx *arpc.Context) { <-ctx.Done() })
		far.Handle("/echo", echo)
	}, func(t *testing.T, near *arpc.Client) {
		if err := near.Call("/never", nil, nil, time.Millisecond); !errors.Is(err, arpc.ErrTimeout) {
			t.Errorf("timeout: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := near.CallWith(ctx, "/never", nil, nil); arpc.CodeOf(err) != arpc.CodeCanceled {
			t.Errorf("canceled: %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := near.CallWith(ctx, "/never", nil, nil); arpc.CodeOf(err) != arpc.CodeDeadlineExceeded {
			t.Errorf("deadline: %v", err)
		}
		var got string
		if err := near.CallWith(t.Context(), "/echo", "after", &got); err != nil || got != "after" {
			t.Errorf("after them: %q, %v", got, err)
		}
	})
}

func TestBadCallsFailBeforeAnythingIsSent(t *testing.T) {
	near, _ := arpctest.Transports[0].Connect(t, arpc.NewHandler(), arpc.NewHandler())
	for name, err := range map[string]error{
		"empty method":       near.Call("", nil, nil, time.Second),
		"long method":        near.Call(strings.Repeat("m", 128), nil, nil, time.Second),
		"method not UTF-8":   near.Call("\xff", nil, nil, time.Second),
		"unencodable":        near.Call("/m", make(chan int), nil, time.Second),
		"no timeout":         near.Call("/m", nil, nil, 0),
		"notify":             near.Notify("", nil, time.Second),
		"notify unencodable": near.Notify("/m", func() {}, time.Second),
	} {
		if arpc.CodeOf(err) != arpc.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKindsComeBackOnlyToPeersThatSendThem(t *testing.T) {
	far := arpc.NewHandler()
	kinds := make(chan wire.Kind, 1)
	far.Handle("/kind", func(ctx *arpc.Context) {
		kinds <- ctx.Kind()
		_ = ctx.Write(ctx.Raw())
	})
	near, _ := arpctest.Transports[1].Connect(t, arpc.NewHandler(), far, arpc.WithHello(arpc.HelloNever))
	var raw arpc.Raw
	if err := near.Call("/kind", "text", &raw, arpctest.Wait); err != nil || raw.Kind != wire.Unknown {
		t.Errorf("%+v, %v", raw, err)
	}
	if k := arpctest.Receive(t, kinds, "kind"); k != wire.Unknown {
		t.Errorf("a base peer was sent kind %d", k)
	}
}

// unwilling panics where it is encoded.
type unwilling struct{}

func (unwilling) MarshalJSON() ([]byte, error) { panic("secret of the server") }

func TestACodecThatPanicsIsAnswered(t *testing.T) {
	arpctest.EachWay(t, func(far *arpc.Handler) {
		far.SetLogger(discard)
		far.Handle("/m", func(ctx *arpc.Context) { _ = ctx.Write(unwilling{}) })
	}, func(t *testing.T, near *arpc.Client) {
		if err := near.Call("/m", nil, nil, arpctest.Wait); err == nil || !strings.HasSuffix(err.Error(), "internal error") {
			t.Error(err)
		}
	})
}

// TestWhatLeftIsNotSentAgain: a ping of the WebSocket arrives after a request
// left, and the write of its pong fails. The request has left all the same.
func TestWhatLeftIsNotSentAgain(t *testing.T) {
	far, near := arpc.NewHandler(), arpc.NewHandler()
	near.SetLimits(arpc.Limits{Grace: -1})
	called := make(chan struct{}, 10)
	far.Handle("/pay", func(ctx *arpc.Context) { called <- struct{}{}; <-ctx.Done() })
	var broken atomic.Bool
	near.BeforeSend(func(net.Conn) error {
		if broken.Load() {
			return errors.New("broken pipe")
		}
		return nil
	})
	below := make(chan net.Conn, 1) // the first; none of those behind it gets as far as hello
	dial := arpctest.Transports[2].Open(t, func(nc net.Conn, a arpc.Accepted) {
		select {
		case below <- nc.(*ws.Conn).NetConn():
		default:
		}
		far.ServeConn(nc, a)
	})
	c, err := arpc.NewClient(dial, arpc.WithHandler(near), arpc.WithBackoff(soon))
	if err != nil {
		t.Fatal(err)
	}
	isSentOnce(t, c, called, func() {
		broken.Store(true)
		if _, err := arpctest.Receive(t, below, "socket").Write([]byte{0x89, 0}); err != nil {
			t.Fatal(err)
		}
	})
}

// isSentOnce has a connection end while a call of /pay is answered: it fails as one
// that left, and is not made again.
func isSentOnce(t *testing.T, c *arpc.Client, called <-chan struct{}, end func()) {
	t.Helper()
	failed := make(chan error, 1)
	go func() { failed <- c.Call("/pay", nil, nil, arpctest.Wait) }()
	arpctest.Receive(t, called, "call")
	end()
	var coded *arpc.Error
	if err := arpctest.Receive(t, failed, "failure"); !errors.As(err, &coded) || !coded.Sent {
		t.Errorf("%#v", err)
	}
	c.Stop()
	arpctest.Closed(t, c.Done(), "client")
	if len(called) != 0 {
		t.Error("it was sent again")
	}
}
