package arpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// rawPeer is the far end of a pipe, spoken to frame by frame.
type rawPeer struct {
	t    testing.TB
	conn net.Conn
	d    *wire.Decoder
}

func newRawPeer(t testing.TB, conn net.Conn) *rawPeer {
	t.Cleanup(func() { conn.Close() })
	return &rawPeer{t, conn, wire.NewDecoder(wire.MaxBody)}
}

// serveRaw gives one end of a TCP connection to a handler and returns the other.
func serveRaw(t testing.TB, h *arpc.Handler) (*rawPeer, *arpc.Client) {
	t.Helper()
	accepted := make(chan *arpc.Client, 1)
	dial := arpctest.Transports[1].Open(t, func(nc net.Conn, a arpc.Accepted) { accepted <- h.ServeConn(nc, a) })
	conn, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	c := arpctest.Receive(t, accepted, "accepted client")
	t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "accepted client") })
	return newRawPeer(t, conn), c
}

func (p *rawPeer) send(h wire.Header, method, body string) {
	p.t.Helper()
	if _, err := p.conn.Write(wire.Append(nil, h, method, []byte(body))); err != nil {
		p.t.Fatal(err)
	}
}

// next returns the next frame, or ok false when the connection ended.
func (p *rawPeer) next() (f wire.Frame, ok bool) {
	p.t.Helper()
	for {
		f, ok, err := p.d.Next()
		if err != nil {
			p.t.Fatal(err)
		}
		if ok {
			return f, true
		}
		n, err := p.conn.Read(p.d.Buffer())
		p.d.Advance(n)
		if err != nil {
			return f, false
		}
	}
}

const ourHello = `{"arpc":1,"caps":["batch","cancel","errors","kind","credit","goaway","no such thing"],"coders":[],"codec":"json","window":0}`

func TestHelloIsAnswered(t *testing.T) {
	h := arpc.NewHandler()
	h.Handle("/fail", func(ctx *arpc.Context) {
		_ = ctx.Error(&arpc.Error{Code: arpc.CodePermissionDenied, Message: "not you", Data: []byte(`{"role":"guest"}`)})
	})
	p, _ := serveRaw(t, h)
	p.send(wire.Header{Cmd: wire.Request, Flags: wire.Outside, Seq: 9}, "arpc.hello", ourHello)
	f, _ := p.next()
	if f.Cmd != wire.Response || f.Flags != wire.Outside.WithKind(wire.Value) || f.Seq != 9 || string(f.Method) != "arpc.hello" {
		t.Fatalf("answer %+v", f.Header)
	}
	var answer struct {
		Arpc   int
		Caps   []string
		Ping   int
		Limits struct{ Body, Inflight int }
	}
	if err := json.Unmarshal(f.Body, &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Arpc != 1 || fmt.Sprint(answer.Caps) != "[batch cancel errors kind credit goaway]" || answer.Ping != 25_000 ||
		answer.Limits.Body != wire.MaxBody || answer.Limits.Inflight != 1024 {
		t.Errorf("answer %s", f.Body)
	}
	p.send(wire.Header{Cmd: wire.Request, Seq: 10}, "/fail", "")
	f, _ = p.next()
	if want := `{"code":"permission_denied","message":"not you","data":{"role":"guest"}}`; string(f.Body) != want || f.Flags != wire.Error|wire.Structured {
		t.Errorf("error %s, flags %b", f.Body, f.Flags)
	}
}

func TestBadHellosAreRefusedWithACode(t *testing.T) {
	for name, c := range map[string]struct{ body, says string }{
		"not JSON":      {`{"arpc":1`, "not the JSON"},
		"empty":         {``, "not the JSON"},
		"a list":        {`[]`, "not the JSON"},
		"other version": {`{"arpc":2,"codec":"json"}`, "arpc 2"},
		"other codec":   {`{"arpc":1,"codec":"msgpack"}`, `"msgpack", the server "json"`},
		"too long":      {`{"arpc":1,"codec":"json","token":"` + strings.Repeat("x", 16<<10) + `"}`, "limit 16384"},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := serveRaw(t, arpc.NewHandler())
			p.send(wire.Header{Cmd: wire.Request, Flags: wire.Outside}, "arpc.hello", c.body)
			f, _ := p.next()
			if f.Flags&(wire.Error|wire.Structured) != wire.Error|wire.Structured || !strings.Contains(string(f.Body), `"invalid_argument"`) {
				t.Errorf("flags %b, %s", f.Flags, f.Body)
			}
			var e struct{ Message string }
			if json.Unmarshal(f.Body, &e) != nil || !strings.Contains(e.Message, c.says) {
				t.Errorf("%q does not say %q", e.Message, c.says)
			}
		})
	}
	p, _ := serveRaw(t, arpc.NewHandler())
	p.send(wire.Header{Cmd: wire.Request}, "arpc.hello", ourHello)
	p.next()
	p.send(wire.Header{Cmd: wire.Request}, "arpc.hello", ourHello)
	if f, _ := p.next(); !strings.Contains(string(f.Body), "before") {
		t.Errorf("a second hello: %s", f.Body)
	}
	p.send(wire.Header{Cmd: wire.Request}, "arpc.nothing", "")
	if f, _ := p.next(); !strings.Contains(string(f.Body), "method not found") {
		t.Errorf("an unknown protocol method: %s", f.Body)
	}
}

// baseServer answers hello as servers of the original do, and echoes all else.
func baseServer(t *testing.T, answer string, flags wire.Flags) (dial func() (net.Conn, error), dials *atomic.Int32) {
	dials = new(atomic.Int32)
	return func() (net.Conn, error) {
		near, far := net.Pipe()
		dials.Add(1)
		p := newRawPeer(t, far)
		go func() {
			for f, ok := p.next(); ok; f, ok = p.next() {
				h := wire.Header{Cmd: wire.Response, Seq: f.Seq}
				body := string(f.Body)
				switch {
				case f.Cmd == wire.Ping:
					h.Cmd, body = wire.Pong, ""
				case string(f.Method) == "arpc.hello" && answer == "":
					continue
				case string(f.Method) == "arpc.hello":
					h.Flags, body = flags, answer
				}
				if _, err := far.Write(wire.Append(nil, h, string(f.Method), []byte(body))); err != nil {
					return
				}
			}
		}()
		return near, nil
	}, dials
}

func TestBaseServersAreRecognised(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		flags  wire.Flags
		dials  int32
	}{
		"no such method":    {"method not found", wire.Error, 1},
		"a catch-all":       {"catch-all", 0, 1},
		"wants a login":     {"login first", wire.Error, 1},
		"echoes the hello":  {`{"caps":[]}`, 0, 1},
		"answers a number":  {"1", 0, 1},
		"never answers":     {"", 0, 2},
		"answers a version": {`{"arpc":"1"}`, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dial, dials := baseServer(t, c.answer, c.flags)
				client, err := arpc.NewClient(dial, arpc.WithHandler(arpc.NewHandler()))
				if err != nil {
					t.Fatal(err)
				}
				var got arpc.Raw
				if err := client.Call("/echo", "hi", &got, time.Second); err != nil || string(got.Data) != "hi" {
					t.Errorf("%q, %v", got.Data, err)
				}
				if dials.Load() != c.dials {
					t.Errorf("dialed %d times, want %d", dials.Load(), c.dials)
				}
				client.Stop()
				<-client.Done()
				for _, opt := range []arpc.ClientOption{
					arpc.WithHello(arpc.HelloRequire),
					arpc.WithToken(func(context.Context) (string, error) { return "token", nil }),
				} {
					if _, err := arpc.NewClient(dial, arpc.WithHandler(arpc.NewHandler()), opt); err == nil {
						t.Error("went on with a base server")
					}
				}
				synctest.Wait()
			})
		})
	}
}

// TestAServerThatAnsweredOnceIsNoBaseServer, however slow it is later.
func TestAServerThatAnsweredOnceIsNoBaseServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, _ := baseServer(t, "", 0)
		far := arpc.NewHandler()
		var dials atomic.Int32
		client, err := arpc.NewClient(func() (net.Conn, error) {
			if n := dials.Add(1); n > 1 && n < 5 {
				return slow()
			}
			near, end := net.Pipe()
			far.ServeConn(end, arpc.Accepted{})
			return near, nil
		}, arpc.WithHandler(arpc.NewHandler()))
		if err != nil {
			t.Fatal(err)
		}
		client.Restart()
		synctest.Wait()
		for client.State() != arpc.StateOpen {
			time.Sleep(time.Second)
		}
		if n := dials.Load(); n != 5 {
			t.Errorf("open after %d dials, want 5: not without hello", n)
		}
		client.Stop()
		<-client.Done()
		synctest.Wait()
	})
}

// guard lets the tokens "ann" and "bob" in, and the cookie user=eve.
func guard(_ context.Context, cr arpc.Credentials) (*arpc.Identity, error) {
	switch {
	case cr.Source == arpc.FromUpgrade:
		if cookie, err := cr.Request.Cookie("user"); err == nil {
			return &arpc.Identity{ID: cookie.Value}, nil
		}
		return nil, nil
	case cr.Token == "ann", cr.Token == "bob":
		return &arpc.Identity{ID: cr.Token}, nil
	case cr.Token == "coded":
		return nil, arpc.Errorf(arpc.CodePermissionDenied, "banned")
	}
	return nil, errors.New("a secret of the server")
}

func withToken(token string) arpc.ClientOption {
	return arpc.WithToken(func(context.Context) (string, error) { return token, nil })
}

func TestAuthentication(t *testing.T) {
	for _, tr := range arpctest.Transports {
		t.Run(tr.Name, func(t *testing.T) {
			far := arpc.NewHandler()
			far.SetLogger(discard)
			far.HandleAuthenticate(guard)
			connected := make(chan string, 10)
			far.HandleConnected(func(c *arpc.Client) { connected <- c.Identity().ID })
			far.Handle("/who", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Client.Identity().ID) })
			dial := tr.Open(t, func(nc net.Conn, a arpc.Accepted) { far.ServeConn(nc, a) })
			for _, who := range []string{"ann", "bob"} {
				c, err := arpc.NewClient(dial, arpc.WithHandler(arpc.NewHandler()), withToken(who))
				if err != nil {
					t.Fatal(err)
				}
				var got string
				if err := c.Call("/who", nil, &got, arpctest.Wait); err != nil || got != who {
					t.Errorf("%q, %v", got, err)
				}
				if id := arpctest.Receive(t, connected, "connected hook"); id != who {
					t.Error(id)
				}
				c.Stop()
				arpctest.Closed(t, c.Done(), "client")
			}
			for token, code := range map[string]arpc.Code{"nobody": arpc.CodeUnauthenticated, "coded": arpc.CodePermissionDenied} {
				_, err := arpc.NewClient(dial, arpc.WithHandler(arpc.NewHandler()), withToken(token))
				if arpc.CodeOf(err) != code || strings.Contains(err.Error(), "secret") {
					t.Errorf("%s: %v", token, err)
				}
			}
			if len(connected) != 0 {
				t.Error("the connected hook ran for somebody who was not let in")
			}
		})
	}
}

func TestAnUpgradeRequestCanAuthenticate(t *testing.T) {
	far := arpc.NewHandler()
	far.HandleAuthenticate(guard)
	far.Handle("/who", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Client.Identity().ID) })
	dial := arpctest.Transports[1].Open(t, func(nc net.Conn, a arpc.Accepted) {
		a.Request = &http.Request{Header: http.Header{"Cookie": {"user=eve"}}}
		far.ServeConn(nc, a)
	})
	for _, hello := range []arpc.HelloMode{arpc.HelloRequire, arpc.HelloNever} {
		c, err := arpc.NewClient(dial, arpc.WithHandler(arpc.NewHandler()), arpc.WithHello(hello))
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := c.Call("/who", nil, &got, arpctest.Wait); err != nil || got != "eve" {
			t.Errorf("%q, %v", got, err)
		}
		c.Stop()
		arpctest.Closed(t, c.Done(), "client")
	}
}

func TestStrangersCanDoLittle(t *testing.T) {
	handled := atomic.Int32{}
	h := arpc.NewHandler()
	h.SetLogger(discard)
	h.HandleAuthenticate(guard)
	h.Handle("/m", func(ctx *arpc.Context) { handled.Add(1); _ = ctx.Write(nil) })
	h.HandleConnected(func(*arpc.Client) { handled.Add(1) })

	p, _ := serveRaw(t, h)
	p.send(wire.Header{Cmd: wire.Request, Seq: 1}, "/m", "")
	if f, _ := p.next(); f.Flags != wire.Error || string(f.Body) != "not authenticated" {
		t.Errorf("flags %b, %q", f.Flags, f.Body)
	}
	p.send(wire.Header{Cmd: wire.Ping, Seq: 2}, "", "")
	if f, _ := p.next(); f.Cmd != wire.Pong || f.Seq != 2 {
		t.Errorf("a ping was answered with %+v", f.Header)
	}
	p.send(wire.Header{Cmd: wire.Notify}, "/m", "")
	p.send(wire.Header{Cmd: wire.Request, Seq: 3}, "in_A", "wrong")
	if f, _ := p.next(); f.Flags != wire.Error || string(f.Body) != "not authenticated" {
		t.Errorf("flags %b, %q", f.Flags, f.Body)
	}
	p.send(wire.Header{Cmd: wire.Request, Seq: 4}, "in_A", "ann")
	if f, _ := p.next(); f.Flags != 0 || len(f.Body) != 0 || f.Seq != 4 {
		t.Errorf("flags %b, %q", f.Flags, f.Body)
	}
	if n := handled.Load(); n > 1 {
		t.Errorf("%d handlers ran before", n)
	}
	p.send(wire.Header{Cmd: wire.Request, Seq: 5}, "/m", "")
	if f, _ := p.next(); f.Flags != 0 || f.Seq != 5 {
		t.Errorf("after it: %+v", f.Header)
	}

	for name, attack := range map[string]func(*rawPeer){
		"nine frames": func(p *rawPeer) {
			for range 9 {
				p.send(wire.Header{Cmd: wire.Notify}, "/m", "")
			}
		},
		"a large body": func(p *rawPeer) { p.send(wire.Header{Cmd: wire.Notify}, "/m", strings.Repeat("x", 17<<10)) },
		"a claim of 64 MiB": func(p *rawPeer) {
			_, _ = p.conn.Write(wire.Header{BodyLen: wire.MaxBody, Cmd: wire.Request, MethodLen: 2}.Append(nil))
		},
	} {
		p, c := serveRaw(t, h)
		attack(p)
		arpctest.Closed(t, c.Done(), name)
	}
}

func TestAStrangerHasTenSecondsWhateverItPongs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := arpc.NewHandler()
		h.HandleAuthenticate(guard)
		near, far := net.Pipe()
		ended := make(chan struct{})
		go func() { defer close(ended); answerPings(far) }()
		began := time.Now()
		c := h.ServeConn(near, arpc.Accepted{})
		<-c.Done()
		if after := time.Since(began); after < 10*time.Second || after > 12*time.Second {
			t.Errorf("closed after %v: %v", after, c.Err())
		}
		<-ended
	})
}

func TestTokensExpireAndAreRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := arpc.NewHandler()
		far.SetLogger(discard)
		var refreshed atomic.Int32
		far.HandleAuthenticate(func(_ context.Context, cr arpc.Credentials) (*arpc.Identity, error) {
			if cr.Source == arpc.FromRefresh {
				refreshed.Add(1)
			}
			return &arpc.Identity{ID: cr.Token, Expires: time.Now().Add(time.Minute)}, nil
		})
		served := make(chan *arpc.Client, 10)
		dial := func() (net.Conn, error) {
			a, b := net.Pipe()
			served <- far.ServeConn(b, arpc.Accepted{})
			return a, nil
		}
		h := arpc.NewHandler()
		h.SetLogger(discard)
		var token atomic.Value
		token.Store("ann")
		c, err := arpc.NewClient(dial, arpc.WithHandler(h), arpc.WithToken(func(context.Context) (string, error) {
			return token.Load().(string), nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		one := <-served
		time.Sleep(5 * time.Minute) // in a bubble: it takes no time
		if refreshed.Load() < 5 || c.State() != arpc.StateOpen || len(served) != 0 {
			t.Errorf("refreshed %d times, state %s", refreshed.Load(), c.State())
		}
		token.Store("bob") // a token of somebody else does not prolong
		<-one.Done()
		if arpc.CodeOf(one.Err()) != arpc.CodeUnauthenticated {
			t.Error(one.Err())
		}
		two := <-served
		time.Sleep(time.Second)
		if two.Identity().ID != "bob" {
			t.Error(two.Identity())
		}
		c.Stop()
		<-c.Done()
		<-two.Done()
		synctest.Wait()
	})
}

func TestCancelReachesTheHandler(t *testing.T) {
	arpctest.EachWay(t, func(far *arpc.Handler) {
		far.Handle("/wait", func(ctx *arpc.Context) {
			near := ctx.Client
			_ = near.Notify("/started", nil, arpctest.Wait)
			<-ctx.Done()
			_ = near.Notify("/ended", string(arpc.CodeOf(context.Cause(ctx))), arpctest.Wait)
			_ = ctx.Write("too late")
		})
		far.Handle("/echo", echo)
	}, func(t *testing.T, near *arpc.Client) {
		if !strings.Contains(t.Name(), "extended") {
			return
		}
		ended := make(chan string, 1)
		ctx, cancel := context.WithCancel(t.Context())
		near.Handler.Handle("/started", func(*arpc.Context) { cancel() })
		near.Handler.Handle("/ended", func(ctx *arpc.Context) { ended <- string(ctx.Body()) })
		if err := near.CallWith(ctx, "/wait", nil, nil); arpc.CodeOf(err) != arpc.CodeCanceled {
			t.Error(err)
		}
		if code := arpctest.Receive(t, ended, "end of the handler"); code != string(arpc.CodeCanceled) {
			t.Error(code)
		}
		var got string
		if err := near.Call("/echo", "after", &got, arpctest.Wait); err != nil || got != "after" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestAQueuedRequestThatIsCanceledDoesNotRun(t *testing.T) {
	h := arpc.NewHandler()
	release, ran := make(chan struct{}), make(chan string, 10)
	h.Handle("/o", func(ctx *arpc.Context) { ran <- string(ctx.Body()); <-release; _ = ctx.Write(nil) }, arpc.Ordered)
	p, _ := serveRaw(t, h)
	p.send(wire.Header{Cmd: wire.Request}, "arpc.hello", ourHello)
	p.next()
	p.send(wire.Header{Cmd: wire.Request, Seq: 1}, "/o", "first")
	arpctest.Receive(t, ran, "first")
	p.send(wire.Header{Cmd: wire.Request, Seq: 2}, "/o", "second")
	p.send(wire.Header{Cmd: wire.Cancel, Seq: 2}, "", "")
	p.send(wire.Header{Cmd: wire.Ping}, "", "") // its answer says that the cancel was read
	p.next()
	close(release)
	if f, _ := p.next(); f.Seq != 1 || f.Flags&wire.Error != 0 {
		t.Errorf("first: %+v", f.Header)
	}
	if f, _ := p.next(); f.Seq != 2 || !strings.Contains(string(f.Body), `"canceled"`) {
		t.Errorf("second: %+v %s", f.Header, f.Body)
	}
	if len(ran) != 0 {
		t.Errorf("%q ran", <-ran)
	}
}

func TestDataOfErrors(t *testing.T) {
	arpctest.EachWay(t, func(far *arpc.Handler) {
		far.Handle("/fail", func(ctx *arpc.Context) {
			_ = ctx.Error(&arpc.Error{Code: arpc.CodeOutOfRange, Message: "too far", Data: []byte(`{"max":7}`)})
		})
	}, func(t *testing.T, near *arpc.Client) {
		err := near.Call("/fail", nil, nil, arpctest.Wait)
		var coded *arpc.Error
		if !errors.As(err, &coded) || coded.Message != "too far" {
			t.Fatal(err)
		}
		extended := strings.Contains(t.Name(), "extended")
		if extended && (coded.Code != arpc.CodeOutOfRange || string(coded.Data) != `{"max":7}`) {
			t.Errorf("%+v", coded)
		}
		if !extended && (coded.Code != arpc.CodeUnknown || coded.Data != nil) {
			t.Errorf("%+v", coded)
		}
	})
}

func TestGoawayLetsWorkEndAndComesBack(t *testing.T) {
	for _, tr := range arpctest.Transports {
		t.Run(tr.Name, func(t *testing.T) {
			far := arpc.NewHandler()
			started, release := make(chan struct{}, 10), make(chan struct{})
			far.Handle("/slow", func(ctx *arpc.Context) { started <- struct{}{}; <-release; _ = ctx.Write("done") })
			far.Handle("/echo", echo)
			accepted := make(chan *arpc.Client, 10)
			far.HandleConnected(func(c *arpc.Client) { accepted <- c })
			dial := tr.Open(t, func(nc net.Conn, a arpc.Accepted) { far.ServeConn(nc, a) })
			near, err := arpc.NewClient(dial, arpc.WithHandler(arpc.NewHandler()), arpc.WithBackoff(soon))
			if err != nil {
				t.Fatal(err)
			}
			one := arpctest.Receive(t, accepted, "first connection")
			slow := make(chan error, 1)
			go func() { slow <- near.Call("/slow", nil, nil, arpctest.Wait) }()
			arpctest.Receive(t, started, "slow call")
			drained := make(chan error, 1)
			go func() { drained <- one.Drain(t.Context()) }()
			fresh := make(chan error, 1)
			arpctest.Eventually(t, "the peer to be sent away", func() bool {
				err := near.Notify("/n", nil, arpc.TimeZero)
				return err != nil
			})
			go func() { fresh <- near.Call("/echo", nil, nil, arpctest.Wait) }() // it waits for the next connection
			close(release)
			if err := arpctest.Receive(t, slow, "slow answer"); err != nil {
				t.Errorf("a call under way: %v", err)
			}
			if err := arpctest.Receive(t, drained, "drain"); err != nil {
				t.Error(err)
			}
			if err := arpctest.Receive(t, fresh, "fresh answer"); err != nil {
				t.Errorf("a new call: %v", err)
			}
			two := arpctest.Receive(t, accepted, "second connection")
			near.Stop()
			arpctest.Closed(t, near.Done(), "client")
			arpctest.Closed(t, two.Done(), "second connection")
		})
	}
}

func TestProtocolMethodsAreNotTheApplications(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a route of the protocol could be taken")
		}
	}()
	arpc.NewHandler().Handle("arpc.mine", echo)
}

func TestAnInlineHandlerCannotWaitForItself(t *testing.T) {
	far := arpc.NewHandler()
	failed := make(chan error, 1)
	far.Handle("/inline", func(ctx *arpc.Context) {
		failed <- ctx.Client.CallWith(ctx, "/echo", nil, nil)
		_ = ctx.Write(nil)
	}, arpc.Inline)
	near, _ := arpctest.Transports[1].Connect(t, arpc.NewHandler(), far)
	if err := near.Call("/inline", nil, nil, arpctest.Wait); err != nil {
		t.Error(err)
	}
	if err := arpctest.Receive(t, failed, "call"); arpc.CodeOf(err) != arpc.CodeFailedPrecondition {
		t.Error(err)
	}
}

func TestANotifyIsNeverAnswered(t *testing.T) {
	p, _ := serveRaw(t, arpc.NewHandler())
	for _, method := range []string{"arpc.hello", "arpc.token", "arpc.nothing", "/nothing"} {
		p.send(wire.Header{Cmd: wire.Notify}, method, ourHello)
	}
	p.send(wire.Header{Cmd: wire.Ping, Seq: 1}, "", "")
	if f, _ := p.next(); f.Cmd != wire.Pong {
		t.Errorf("a notify was answered with %+v", f.Header)
	}
}

func TestAPasswordMayBeRepeated(t *testing.T) {
	h := arpc.NewHandler()
	h.HandleAuthenticate(guard)
	p, _ := serveRaw(t, h)
	for range 3 {
		p.send(wire.Header{Cmd: wire.Request, Seq: 4}, "in_A", "ann")
		if f, _ := p.next(); f.Flags != 0 || len(f.Body) != 0 {
			t.Errorf("flags %b, %q", f.Flags, f.Body)
		}
	}
}

func TestAStrayAnswerChangesNothing(t *testing.T) {
	h := arpc.NewHandler()
	p, _ := serveRaw(t, h)
	p.send(wire.Header{Cmd: wire.Response}, "arpc.hello", `{"arpc":1,"caps":["errors"],"ping":1,"window":1,"limits":{"inflight":1}}`)
	p.send(wire.Header{Cmd: wire.Request, Seq: 2}, "/missing", "")
	if f, _ := p.next(); f.Flags != wire.Error {
		t.Errorf("the server took an answer of a client for an agreement: flags %b", f.Flags)
	}
}

func TestOneTokenAtATime(t *testing.T) {
	h := arpc.NewHandler()
	asked, release := make(chan struct{}, 1000), make(chan struct{})
	h.HandleAuthenticate(func(_ context.Context, cr arpc.Credentials) (*arpc.Identity, error) {
		if cr.Source == arpc.FromRefresh {
			asked <- struct{}{}
			<-release
		}
		return &arpc.Identity{ID: "ann"}, nil
	})
	p, _ := serveRaw(t, h)
	p.send(wire.Header{Cmd: wire.Request}, "arpc.hello", ourHello)
	p.next()
	for seq := range uint64(100) {
		p.send(wire.Header{Cmd: wire.Request, Flags: wire.Outside, Seq: seq + 1}, "arpc.token", "t")
	}
	for range 99 {
		if f, _ := p.next(); !strings.Contains(string(f.Body), "resource_exhausted") {
			t.Fatalf("%s", f.Body)
		}
	}
	close(release)
	if f, _ := p.next(); f.Flags&wire.Error != 0 || len(asked) != 1 {
		t.Errorf("flags %b, asked %d times", f.Flags, len(asked))
	}
}

func TestBodiesOverThePeersLimitAreNotSent(t *testing.T) {
	far := arpc.NewHandler()
	far.SetLimits(arpc.Limits{Body: 1000})
	far.Handle("/echo", echo)
	near, _ := arpctest.Transports[1].Connect(t, arpc.NewHandler(), far)
	large := make([]byte, 1001)
	for name, err := range map[string]error{
		"call":   near.Call("/echo", large, nil, arpctest.Wait),
		"notify": near.Notify("/echo", large, arpctest.Wait),
		"stream": near.NewStream("/echo").Send(large),
	} {
		if arpc.CodeOf(err) != arpc.CodeResourceExhausted || !strings.Contains(err.Error(), "1000") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := near.Call("/echo", "small", nil, arpctest.Wait); err != nil {
		t.Error(err)
	}
}

// TestWhoSaysNothingNewIsTakenInOnce: a hello without a token changes nothing about
// a peer whom its request told.
func TestWhoSaysNothingNewIsTakenInOnce(t *testing.T) {
	far := arpc.NewHandler()
	far.SetLimits(arpc.Limits{Grace: -1}) // it is taken in before it says anything
	far.HandleAuthenticate(guard)
	far.Handle("/echo", echo)
	request := httptest.NewRequest("GET", "/", nil)
	request.AddCookie(&http.Cookie{Name: "user", Value: "eve"})
	var taken atomic.Int32
	near, err := arpc.NewClient(func() (net.Conn, error) {
		a, b := net.Pipe()
		far.ServeConn(b, arpc.Accepted{Request: request, Connected: func(*arpc.Client) { taken.Add(1) }})
		return a, nil
	}, arpc.WithHandler(arpc.NewHandler()), arpc.WithHello(arpc.HelloRequire))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Stop(); arpctest.Closed(t, near.Done(), "client") })
	if err := near.Call("/echo", "x", nil, arpctest.Wait); err != nil {
		t.Fatal(err)
	}
	if n := taken.Load(); n != 1 {
		t.Errorf("taken in %d times", n)
	}
}
