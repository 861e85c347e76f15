package arpc_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
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

func TestCallAsync(t *testing.T) {
	arpctest.EachWay(t, func(far *arpc.Handler) {
		far.Handle("/echo", echo)
		far.Handle("/never", func(ctx *arpc.Context) { <-ctx.Done() })
		far.SetLogger(discard)
	}, func(t *testing.T, near *arpc.Client) {
		type result struct {
			text string
			err  error
		}
		got := make(chan result, 100)
		back := func(ctx *arpc.Context, err error) {
			var r result
			if r.err = err; err == nil {
				r.err = ctx.Bind(&r.text)
				// A callback may call: it does not run where answers are read.
				if err := ctx.Client.Call("/echo", "inner", nil, arpctest.Wait); err != nil {
					r.err = err
				}
			}
			got <- r
		}
		for i := range 50 {
			if err := near.CallAsync("/echo", fmt.Sprint(i), back, arpctest.Wait); err != nil {
				t.Fatal(err)
			}
		}
		seen := map[string]bool{}
		for range 50 {
			r := arpctest.Receive(t, got, "answer")
			if r.err != nil || seen[r.text] {
				t.Fatalf("%+v", r)
			}
			seen[r.text] = true
		}
		if err := near.CallAsync("/missing", nil, back, arpctest.Wait); err != nil {
			t.Fatal(err)
		}
		if r := arpctest.Receive(t, got, "error"); arpc.CodeOf(r.err) != arpc.CodeNotFound {
			t.Error(r.err)
		}
		if err := near.CallAsync("/never", nil, back, time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if r := arpctest.Receive(t, got, "timeout"); !errors.Is(r.err, arpc.ErrTimeout) {
			t.Error(r.err)
		}
		if err := near.CallAsync("/echo", nil, nil, arpctest.Wait); err != nil {
			t.Error(err)
		}
		if err := near.CallAsync("/echo", make(chan int), back, arpctest.Wait); arpc.CodeOf(err) != arpc.CodeInvalidArgument {
			t.Error(err)
		}
	})
}

type sayRequest struct{ Room, Text string }

type sayReply struct{ ID int }

func TestTypedRoutes(t *testing.T) {
	arpctest.EachWay(t, func(far *arpc.Handler) {
		far.SetLogger(discard)
		arpc.Route(far, "/say", func(ctx *arpc.Context, req sayRequest) (sayReply, error) {
			switch req.Text {
			case "coded":
				return sayReply{}, fmt.Errorf("wrapped: %w", arpc.Errorf(arpc.CodeAborted, "try again"))
			case "secret":
				return sayReply{}, errors.New("a secret of the server")
			}
			return sayReply{len(req.Room) + len(req.Text)}, nil
		})
	}, func(t *testing.T, near *arpc.Client) {
		reply, err := arpc.Invoke[sayReply](t.Context(), near, "/say", sayRequest{"ab", "cde"})
		if err != nil || reply.ID != 5 {
			t.Errorf("%+v, %v", reply, err)
		}
		for text, want := range map[string]string{"coded": "try again", "secret": "internal error"} {
			if _, err := arpc.Invoke[sayReply](t.Context(), near, "/say", sayRequest{Text: text}); err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%s: %v", text, err)
			}
		}
		if err := near.Call("/say", "no object", nil, arpctest.Wait); err == nil || !strings.Contains(err.Error(), "/say") {
			t.Errorf("a body of another type: %v", err)
		}
		if err := near.Notify("/say", sayRequest{}, arpctest.Wait); err != nil {
			t.Error(err)
		}
	})
	h := arpc.NewHandler()
	arpc.Route(h, "/say", func(*arpc.Context, sayRequest) (sayReply, error) { return sayReply{}, nil }, arpc.Ordered)
	h.Handle("/plain", echo)
	want := []arpc.RouteInfo{
		{Method: "/plain"},
		{Method: "/say", Mode: arpc.Ordered, Request: reflect.TypeFor[sayRequest](), Reply: reflect.TypeFor[sayReply]()},
	}
	if got := h.Routes(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// Chat is a service.
type Chat struct{ said atomic.Int32 }

func (c *Chat) Say(_ *arpc.Context, req sayRequest) (sayReply, error) {
	return sayReply{int(c.said.Add(1))}, nil
}
func (c *Chat) Raw(ctx *arpc.Context)               { _ = ctx.Write(ctx.Raw()) }
func (c *Chat) NotAHandler(int) error               { return nil }
func (c *Chat) OtherResults(*arpc.Context, int) int { return 0 }

func TestRegister(t *testing.T) {
	far := arpc.NewHandler()
	if got := far.Register(&Chat{}); fmt.Sprint(got) != "[Chat.Raw Chat.Say]" {
		t.Error(got)
	}
	near, _ := arpctest.Transports[1].Connect(t, arpc.NewHandler(), far)
	for want := 1; want < 4; want++ {
		if reply, err := arpc.Invoke[sayReply](t.Context(), near, "Chat.Say", sayRequest{}); err != nil || reply.ID != want {
			t.Errorf("%+v, %v", reply, err)
		}
	}
	if text, err := arpc.Invoke[string](t.Context(), near, "Chat.Raw", "as it is"); err != nil || text != "as it is" {
		t.Error(text, err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a value without handlers was registered")
		}
	}()
	far.Register(struct{}{})
}

func TestMiddlewareOrder(t *testing.T) {
	far := arpc.NewHandler()
	var mu sync.Mutex
	var order []string
	step := func(name string) arpc.HandlerFunc {
		return func(*arpc.Context) { mu.Lock(); defer mu.Unlock(); order = append(order, name) }
	}
	far.Use(step("1"))
	far.Use(func(ctx *arpc.Context) { step("2 in")(ctx); ctx.Next(); step("2 out")(ctx) })
	far.Handle("/m", func(ctx *arpc.Context) { step("handler")(ctx); _ = ctx.Write(nil) }, arpc.Inline)
	far.Handle("/stop", func(ctx *arpc.Context) { _ = ctx.Error("stopped"); ctx.Abort() }, arpc.Inline)
	far.Use(step("3"))
	far.Handle("/late", func(ctx *arpc.Context) { step("late")(ctx); _ = ctx.Write(nil) }, arpc.Inline)
	near, _ := arpctest.Transports[0].Connect(t, arpc.NewHandler(), far)
	for method, want := range map[string]string{
		"/m":    "[1 2 in handler 3 2 out]",
		"/late": "[1 2 in 3 late 2 out]",
		"/stop": "[1 2 in 2 out]",
	} {
		mu.Lock()
		order = nil
		mu.Unlock()
		_ = near.Call(method, nil, nil, arpctest.Wait)
		arpctest.Eventually(t, method, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return fmt.Sprint(order) == want
		})
	}
	far.Handle("/added", echo) // while serving
	if err := near.Call("/added", nil, nil, arpctest.Wait); err != nil {
		t.Error(err)
	}
}

func TestSessionMissAndDuplicateAnswers(t *testing.T) {
	h := arpc.NewHandler()
	missed := make(chan *arpc.Message, 100)
	h.HandleSessionMiss(func(_ *arpc.Client, m *arpc.Message) { missed <- m })
	p, c := serveRaw(t, h)
	got := make(chan error, 1)
	go func() { got <- c.Call("/ask", "q", nil, arpctest.Wait) }()
	f, _ := p.next()
	for range 50 {
		p.send(wire.Header{Cmd: wire.Response, Seq: f.Seq}, "/ask", "a")
	}
	for _, seq := range []uint64{0, 1 << 53, 1<<64 - 1} {
		p.send(wire.Header{Cmd: wire.Response, Seq: seq}, "/ask", "stray")
	}
	if err := arpctest.Receive(t, got, "answer"); err != nil {
		t.Error(err)
	}
	for range 49 + 3 {
		m := arpctest.Receive(t, missed, "missed answer")
		if m.Cmd() != wire.Response || m.Method() != "/ask" {
			t.Errorf("%v %q %+v", m.Cmd(), m.Method(), m.Body())
		}
	}
}

func TestOverstockSaysWhatWasRefused(t *testing.T) {
	h := arpc.NewHandler()
	h.SetLogger(discard)
	h.SetSendQueueSize(4)
	refused := make(chan *arpc.Message, 1000)
	h.HandleOverstock(func(_ *arpc.Client, m *arpc.Message) { refused <- m })
	near, far := net.Pipe() // nobody reads
	defer far.Close()
	c := h.ServeConn(near, arpc.Accepted{})
	defer func() { far.Close(); arpctest.Closed(t, c.Done(), "client") }()
	var failed error
	for i := 0; failed == nil && i < 100; i++ {
		failed = c.Notify("/n", fmt.Sprint(i), arpc.TimeZero)
	}
	if !errors.Is(failed, arpc.ErrOverstock) {
		t.Fatal(failed)
	}
	if m := arpctest.Receive(t, refused, "refused message"); m.Method() != "/n" || m.Cmd() != wire.Notify {
		t.Errorf("%q", m.Method())
	}
	if err := c.Notify("/n", "waits", time.Millisecond); !errors.Is(err, arpc.ErrOverstock) {
		t.Error(err)
	}
}

func TestHooksAroundTheSocket(t *testing.T) {
	for _, tr := range arpctest.Transports {
		t.Run(tr.Name, func(t *testing.T) {
			far := arpc.NewHandler()
			far.Handle("/echo", echo)
			var recv, send, read atomic.Int32
			var broken atomic.Bool
			far.BeforeRecv(func(c net.Conn) error { recv.Add(1); return nil })
			far.BeforeSend(func(c net.Conn) error {
				send.Add(1)
				if broken.Load() {
					return errors.New("no")
				}
				return nil
			})
			far.SetReaderWrapper(func(c net.Conn) io.Reader { return countingReader{c, &read} })
			near, accepted := tr.Connect(t, arpc.NewHandler(), far)
			if err := near.Call("/echo", "x", nil, arpctest.Wait); err != nil {
				t.Fatal(err)
			}
			if recv.Load() == 0 || send.Load() == 0 || read.Load() == 0 {
				t.Errorf("hooks ran %d, %d and %d times", recv.Load(), send.Load(), read.Load())
			}
			ended := make(chan struct{})
			accepted.OnDisconnected(func(*arpc.Client) { close(ended) })
			broken.Store(true)
			_ = accepted.Notify("/n", nil, arpctest.Wait)
			arpctest.Closed(t, ended, "connection whose hook failed")
			if err := accepted.Err(); err == nil || !strings.Contains(err.Error(), "before sending") {
				t.Error(err)
			}
		})
	}
}

type countingReader struct {
	io.Reader
	n *atomic.Int32
}

func (r countingReader) Read(p []byte) (int, error) { r.n.Add(1); return r.Reader.Read(p) }

func TestDroppedRequestsAreTold(t *testing.T) {
	h := arpc.NewHandler()
	h.SetLimits(arpc.Limits{Inflight: 1})
	dropped := make(chan string, 10)
	h.HandleMessageDropped(func(_ *arpc.Client, m *arpc.Message) { dropped <- string(m.Body().Data) })
	started := make(chan struct{})
	h.Handle("/wait", func(ctx *arpc.Context) { close(started); <-ctx.Done() })
	p, c := serveRaw(t, h)
	p.send(wire.Header{Cmd: wire.Request, Seq: 1}, "/wait", "runs")
	arpctest.Receive(t, started, "handler")
	p.send(wire.Header{Cmd: wire.Request, Seq: 2}, "/wait", "waits")
	p.send(wire.Header{Cmd: wire.Ping}, "", "")
	p.next()
	c.Stop()
	if body := arpctest.Receive(t, dropped, "dropped request"); body != "waits" {
		t.Error(body)
	}
}

func TestRestart(t *testing.T) {
	for _, tr := range arpctest.Transports {
		far := arpc.NewHandler()
		far.Handle("/echo", echo)
		var connections atomic.Int32
		far.HandleConnected(func(*arpc.Client) { connections.Add(1) })
		near, _ := tr.Connect(t, arpc.NewHandler(), far)
		for range 3 {
			if err := near.Call("/echo", "x", nil, arpctest.Wait); err != nil {
				t.Fatal(err)
			}
			near.Restart()
		}
		if err := near.Call("/echo", "x", nil, arpctest.Wait); err != nil {
			t.Fatal(err)
		}
		arpctest.Eventually(t, "connections", func() bool { return connections.Load() == 4 })
	}
}

func TestFailFast(t *testing.T) {
	open := arpctest.Transports[1].Open(t, func(nc net.Conn, a arpc.Accepted) { arpc.NewHandler().ServeConn(nc, a) })
	var down atomic.Bool
	dial := func() (net.Conn, error) {
		if down.Load() {
			return nil, errors.New("down")
		}
		return open()
	}
	c, err := arpc.NewClient(dial, arpc.WithHandler(arpc.NewHandler()), arpc.WithFailFast())
	if err != nil {
		t.Fatal(err)
	}
	down.Store(true)
	c.Restart()
	arpctest.Eventually(t, "failure", func() bool {
		return errors.Is(c.Call("/m", nil, nil, time.Hour), arpc.ErrDisconnected)
	})
	c.Stop()
	arpctest.Closed(t, c.Done(), "client")
}

func TestDialAddresses(t *testing.T) {
	h := arpc.NewHandler()
	h.Handle("/seen", func(ctx *arpc.Context) {
		seen := ""
		if r := ctx.Client.Request(); r != nil {
			seen = r.Header.Get("X-Test") + " " + r.Header.Get("Sec-WebSocket-Protocol")
		}
		_ = ctx.Write(seen)
	})
	upgrade := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := ws.Upgrade(w, r, ws.UpgradeOptions{Subprotocols: []string{"arpc"}})
		if err != nil {
			return
		}
		c := h.ServeConn(conn, arpc.Accepted{Request: r})
		t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "accepted client") })
	})
	plain, secure := httptest.NewServer(upgrade), httptest.NewTLSServer(upgrade)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	trust := secure.Client().Transport.(*http.Transport).TLSClientConfig

	serve := func(ln net.Listener, err error) net.Listener {
		if err != nil {
			t.Fatal(err)
		}
		arpctest.Accept(t, ln, func(nc net.Conn) {
			c := h.ServeConn(nc, arpc.Accepted{})
			t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "accepted client") })
		})
		return ln
	}
	tcp := serve(net.Listen("tcp", "127.0.0.1:0"))
	unix := serve(net.Listen("unix", t.TempDir()+"/s"))
	tlsLn := serve(tls.Listen("tcp", "127.0.0.1:0", secure.TLS))

	for address, want := range map[string]string{
		"tcp://" + tcp.Addr().String():                  "",
		"unix://" + unix.Addr().String():                "",
		"tls://" + tlsLn.Addr().String():                "",
		"ws" + strings.TrimPrefix(plain.URL, "http"):    "hi arpc",
		"wss" + strings.TrimPrefix(secure.URL, "https"): "hi arpc",
	} {
		c, err := arpc.Dial(t.Context(), address, arpc.WithHandler(arpc.NewHandler()), arpc.WithTLS(trust),
			arpc.WithHeader(http.Header{"X-Test": {"hi"}}), arpc.WithSubprotocols("arpc"))
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if seen, err := arpc.Invoke[string](t.Context(), c, "/seen", nil); err != nil || seen != want {
			t.Errorf("%s: %q, %v", address, seen, err)
		}
		if c.RemoteAddr() == nil {
			t.Errorf("%s: no remote address", address)
		}
		c.Stop()
		arpctest.Closed(t, c.Done(), "client")
	}
	for _, address := range []string{"ftp://x", "://", "ws://127.0.0.1:1/", "tcp://127.0.0.1:1"} {
		ctx, cancel := context.WithTimeout(t.Context(), arpctest.Wait)
		if _, err := arpc.Dial(ctx, address); err == nil {
			t.Errorf("%s: connected", address)
		}
		cancel()
	}
}
