package arpc_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/coder/gzip"
	"github.com/seed-fbfaa03e/arpc/coder/trace"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

const chainedBit = 1 << 2

// chained ends each frame with a number that depends on all frames before it on the
// connection.
type chained struct {
	always  bool
	out, in uint32
	fails   error
	failsAt int // the frame that it fails at, and those behind it; 0 is the first
	frames  int
}

func (c *chained) Name() string { return "chained" }
func (c *chained) Bit() byte    { return chainedBit }
func (c *chained) Always() bool { return c.always }

func (c *chained) PerConnection() arpc.Coder {
	return &chained{always: c.always, fails: c.fails, failsAt: c.failsAt}
}

func next(state uint32, frame []byte) uint32 {
	for _, b := range frame {
		state = state*31 + uint32(b)
	}
	return state
}

func (c *chained) Encode(dst, frame []byte) ([]byte, error) {
	if c.frames++; c.fails != nil && c.frames >= c.failsAt {
		return dst, c.fails
	}
	start := len(dst)
	c.out = next(c.out, frame)
	dst = binary.LittleEndian.AppendUint32(append(dst, frame...), c.out)
	dst[start+4] |= chainedBit
	wire.Finish(dst[start:])
	return dst, nil
}

func (c *chained) Decode(dst, frame []byte, _ int) ([]byte, error) {
	start, end := len(dst), len(frame)-4
	dst = append(dst, frame[:end]...)
	dst[start+4] &^= chainedBit
	wire.Finish(dst[start:])
	if c.in = next(c.in, dst[start:]); c.in != binary.LittleEndian.Uint32(frame[end:]) {
		return dst, errors.New("chained: a frame is missing, or not in its place")
	}
	return dst, nil
}

// withChained is a handler whose frames are traced, compressed and chained.
func withChained(always bool) *arpc.Handler {
	h := arpc.NewHandler()
	h.UseCoder(trace.New())
	h.UseCoder(gzip.New(64))
	h.UseCoder(&chained{always: always})
	return h
}

// Many send at once, sources too, in messages of one frame and of several: what
// leaves is coded in the order in which it leaves.
func TestConnCoderKeepsTheOrderOfFrames(t *testing.T) {
	long := strings.Repeat("again and ", 1_000)
	for _, tr := range arpctest.Transports {
		for name, hello := range map[string]arpc.HelloMode{"extended": arpc.HelloRequire, "base": arpc.HelloNever} {
			for _, always := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/always %v", tr.Name, name, always), func(t *testing.T) {
					const count = 500
					dialing, accepting := withChained(always), withChained(always)
					noted := make(chan string, 2*count)
					for _, h := range []*arpc.Handler{dialing, accepting} {
						h.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
						h.Handle("/inline", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) }, arpc.Inline)
						h.Handle("/note", func(ctx *arpc.Context) { noted <- string(ctx.Body()) })
					}
					dialed, accepted := tr.Connect(t, dialing, accepting, arpc.WithHello(hello))
					var working sync.WaitGroup
					for _, c := range []*arpc.Client{dialed, accepted} {
						for _, method := range []string{"/echo", "/inline"} {
							for _, body := range []string{"short", long} {
								working.Go(func() {
									for range 10 {
										var back string
										if err := c.Call(method, body, &back, arpctest.Wait); err != nil || back != body {
											t.Errorf("%s of %d bytes: %d, %v", method, len(body), len(back), err)
											return
										}
									}
								})
							}
						}
					}
					source := newNotes(accepted, count)
					accepted.Handler.Wake(1, func(int) arpc.Sleeper { return source })
					for i := range count {
						if got := arpctest.Receive(t, noted, "note"); got != fmt.Sprint(i) {
							t.Fatalf("note %d is %s", i, got)
						}
					}
					working.Wait()
				})
			}
		}
	}
}

// It is used where both list it, from the frame behind hello's answer on.
func TestConnCoderBeginsBehindHello(t *testing.T) {
	for name, tt := range map[string]struct {
		listed string
		coded  bool
	}{"listed": {`["chained"]`, true}, "not listed": {`[]`, false}} {
		t.Run(name, func(t *testing.T) {
			h := arpc.NewHandler()
			h.UseCoder(&chained{})
			h.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
			p, _ := serveRaw(t, h)
			p.send(wire.Header{Cmd: wire.Request, Flags: wire.Outside, Seq: 1}, "arpc.hello", greetWith(tt.listed))
			if f, ok := p.next(); !ok || f.Coders != 0 {
				t.Fatalf("the answer has coders %d", f.Coders)
			}
			var own chained
			for i := range 3 {
				p.send(wire.Header{Cmd: wire.Request, Seq: uint64(i + 2)}, "/echo", "in plain")
				p.send(wire.Header{Cmd: wire.Ping, Seq: uint64(i)}, "", "")
				for range 2 {
					f, ok := p.next()
					if !ok {
						t.Fatal("it ended")
					}
					if f.Cmd == wire.Pong {
						continue
					}
					if f.Coders != 0 != tt.coded {
						t.Errorf("coders %d", f.Coders)
					}
					if !tt.coded {
						continue
					}
					if _, err := own.Decode(nil, f.Raw, 1<<20); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

// What WebSocket itself wants answered goes between frames that wait to be coded, and
// is none.
func TestConnCoderLeavesPongsOfWebSocketAlone(t *testing.T) {
	h := arpc.NewHandler()
	h.UseCoder(&chained{always: true})
	h.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) }, arpc.Inline)
	accepted := make(chan *arpc.Client, 1)
	dial := arpctest.Transports[2].Open(t, func(nc net.Conn, a arpc.Accepted) { accepted <- h.ServeConn(nc, a) })
	conn, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	c := arpctest.Receive(t, accepted, "accepted client")
	t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "accepted client") })
	p, own, w := newRawPeer(t, conn), &chained{}, conn.(*ws.Conn)
	// One write has requests, a ping, and requests: so has the answer.
	write := func(ping bool, frames ...[]byte) {
		var buf []byte
		for _, f := range frames {
			coded, err := own.Encode(nil, f)
			if err != nil {
				t.Fatal(err)
			}
			buf = w.AppendMessage(buf, coded)
			if ping {
				buf = append(buf, 0x89, 0x80, 0, 0, 0, 0)
			}
		}
		if _, err := w.NetConn().Write(buf); err != nil {
			t.Fatal(err)
		}
	}
	answered := func() wire.Frame {
		f, ok := p.next()
		if !ok {
			t.Fatal("it ended")
		}
		plain, err := own.Decode(nil, f.Raw, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		f, err = wire.Split(plain)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	write(false, wire.Append(nil, wire.Header{Cmd: wire.Request, Flags: wire.Outside, Seq: 1}, "arpc.hello", []byte(greetWith(`["chained"]`))))
	answered()
	for i := range 5 {
		request := wire.Append(nil, wire.Header{Cmd: wire.Request, Seq: uint64(i + 2)}, "/echo", []byte("x"))
		write(true, request, request, request)
		for range 3 {
			if f := answered(); f.Seq != uint64(i+2) || string(f.Body) != "x" {
				t.Errorf("%+v", f)
			}
		}
	}
}

// acceptAll is a door over TCP, whose clients end with the test.
func acceptAll(t *testing.T, h *arpc.Handler) func() (net.Conn, error) {
	return arpctest.Transports[1].Open(t, func(nc net.Conn, a arpc.Accepted) {
		a.Connected = func(c *arpc.Client) {
			t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "accepted client") })
		}
		h.ServeConn(nc, a)
	})
}

// Each connection begins with a coder of its own, and keeps it.
func TestConnCoderIsOneForEachConnection(t *testing.T) {
	far := withChained(true)
	far.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
	dial := acceptAll(t, far)
	near := withChained(true)
	var clients []*arpc.Client
	for range 3 {
		c, err := arpc.NewClient(dial, arpc.WithHandler(near))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") })
		clients = append(clients, c)
		for _, c := range clients {
			var back string
			if err := c.Call("/echo", "again", &back, arpctest.Wait); err != nil || back != "again" {
				t.Fatal(back, err)
			}
		}
	}
}

// A session goes on over connections that are cut: what is sent again is coded anew,
// and nothing is missing or out of its place.
func TestConnCoderAcrossConnections(t *testing.T) {
	for _, always := range []bool{false, true} {
		t.Run(fmt.Sprint("always ", always), func(t *testing.T) {
			const count, cuts = 300, 10
			near, far := withChained(always), withChained(always)
			var asked atomic.Int64
			arpc.Route(far, "/next", func(ctx *arpc.Context, n int) (int, error) {
				asked.Add(1)
				return n, ctx.Client.Notify("/note", n, arpctest.Wait)
			}, arpc.Ordered)
			noted := make(chan int, count)
			near.Handle("/note", func(ctx *arpc.Context) {
				var n int
				_ = ctx.Bind(&n)
				noted <- n
			})
			open := acceptAll(t, far)
			conns := make(chan net.Conn, 100)
			c, err := arpc.NewClient(func() (net.Conn, error) {
				nc, err := open()
				if err == nil {
					conns <- nc
				}
				return nc, err
			}, arpc.WithHandler(near), arpc.WithBackoff(arpc.Backoff{First: time.Millisecond}))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") })
			var cutting sync.WaitGroup
			cutting.Go(func() {
				for i := range cuts {
					conn := <-conns
					arpctest.Eventually(t, "calls", func() bool { return asked.Load() >= int64(i*count/cuts) })
					conn.Close()
				}
			})
			for i := range count {
				if n, err := arpc.Invoke[int](t.Context(), c, "/next", i); err != nil || n != i {
					t.Fatalf("call %d: %d, %v", i, n, err)
				}
			}
			cutting.Wait()
			for i := range count {
				if n := arpctest.Receive(t, noted, "note"); n != i {
					t.Fatalf("note %d is %d", i, n)
				}
			}
			if n := asked.Load(); n != count {
				t.Errorf("%d calls ran", n)
			}
		})
	}
}

// A frame that cannot be coded ends the connection, whoever sends it: who waits for
// it would wait for ever.
func TestCoderThatFailsEndsTheConnection(t *testing.T) {
	broken := errors.New("out of numbers")
	for name, c := range map[string][2]arpc.Coder{
		"of all":           {&flip{fails: broken}, &flip{}},
		"of a connection":  {&chained{fails: broken}, &chained{}},
		"that always runs": {&chained{fails: broken, failsAt: 2, always: true}, &chained{always: true}}, // behind hello
	} {
		for what, send := range map[string]func(dialed, accepted *arpc.Client){
			"an answer": func(dialed, _ *arpc.Client) { _ = dialed.Notify("/ask", nil, arpctest.Wait) },
			"a source": func(_, accepted *arpc.Client) {
				source := newNotes(accepted, 10)
				accepted.Handler.Wake(1, func(int) arpc.Sleeper { return source })
			},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				near, far := arpc.NewHandler(), arpc.NewHandler()
				near.SetLimits(arpc.Limits{Grace: -1}) // so that no confirm is the first to fail
				far.UseCoder(c[0])
				near.UseCoder(c[1])
				far.Handle("/ask", func(ctx *arpc.Context) { _ = ctx.Client.Notify("/none", nil, arpctest.Wait) })
				ended := make(chan error, 10)
				far.HandleDisconnected(func(_ *arpc.Client, err error) { ended <- err })
				dialed, accepted := arpctest.Transports[1].Connect(t, near, far)
				send(dialed, accepted)
				if err := arpctest.Receive(t, ended, "end"); !errors.Is(err, broken) {
					t.Error(err)
				}
			})
		}
	}
}

func TestCodersOfAllComeBeforeThoseOfAConnection(t *testing.T) {
	h := arpc.NewHandler()
	h.UseCoder(&chained{})
	defer func() {
		if recover() == nil {
			t.Error("it was taken")
		}
	}()
	h.UseCoder(gzip.New(64))
}
