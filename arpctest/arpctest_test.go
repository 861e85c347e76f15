package arpctest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/arpctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func echo() *arpc.Handler {
	h := arpc.NewHandler()
	h.SetLogger(slog.New(slog.DiscardHandler))
	h.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
	h.Handle("/never", func(ctx *arpc.Context) { <-ctx.Done(); _ = ctx.Error(ctx.Err()) })
	return h
}

func mustEcho(t *testing.T, c *arpc.Client, body string) {
	t.Helper()
	var got string
	if err := c.Call("/echo", body, &got, time.Minute); err != nil || got != body {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
}

func TestPairCallsBothWays(t *testing.T) {
	dialed, accepted := arpctest.Pair(t, echo(), echo())
	mustEcho(t, dialed, "there")
	mustEcho(t, accepted, "and back")
}

// The clock is that of synctest: minutes of waiting take no time.
func TestTimeIsThatOfSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := arpctest.Pair(t, echo(), echo())
		began := time.Now()
		if err := c.Call("/never", nil, nil, time.Hour); !errors.Is(err, arpc.ErrTimeout) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != time.Hour {
			t.Errorf("it took %v", took)
		}
		mustEcho(t, c, "the connection outlived the hour")
	})
}

func TestFramesInAnySplit(t *testing.T) {
	link := arpctest.NewLink(t, echo())
	c := link.Dial(t, echo())
	link.Conn().In.Slice(1)
	link.Conn().Out.Slice(1)
	mustEcho(t, c, strings.Repeat("slice ", 1000))
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := arpctest.NewLink(t, echo())
		c := link.Dial(t, echo())
		synctest.Wait() // what follows hello is on its way
		link.Conn().In.Delay(3 * time.Second)
		link.Conn().Out.Delay(2 * time.Second)
		began := time.Now()
		mustEcho(t, c, "slowly")
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A connection that is cut in the middle of a frame, at every byte of it, whose
// session ends with it: a call of which a byte left fails and says so, unless its
// answer came whole, and the next one goes over a new connection.
func TestCutAfterEachByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := echo()
		h.SetLimits(arpc.Limits{Grace: -1})
		link := arpctest.NewLink(t, h)
		c := link.Dial(t, echo())
		for way, path := range map[string]func() *arpctest.Path{
			"out": func() *arpctest.Path { return &link.Conn().Out },
			"in":  func() *arpctest.Path { return &link.Conn().In },
		} {
			for n := 1; n <= 16+len("/echo")+len("body"); n++ {
				before := link.Conn()
				path().CutAfter(n)
				err := c.Call("/echo", "body", nil, time.Minute)
				whole := n == 16+len("/echo")+len("body")
				var told *arpc.Error
				lost := errors.As(err, &told) && told.Is(arpc.ErrDisconnected) && told.Sent
				either := way == "out" && whole // the request got there, and its answer may have
				if wantLost := way == "out" || !whole; lost != wantLost && !either || !lost && err != nil {
					t.Errorf("%s, cut after %d bytes: %v", way, n, err)
				}
				mustEcho(t, c, "again")
				if link.Conn() == before {
					t.Errorf("%s: not cut after %d bytes", way, n)
				}
			}
		}
	})
}

// Whatever bit of a frame is false, nothing panics or hangs, and the client finds
// back: an answer, an error, or another connection.
func TestEveryBitOfAFrameFlipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := arpctest.NewLink(t, echo())
		c := link.Dial(t, echo())
		for way, path := range map[string]func() *arpctest.Path{
			"out": func() *arpctest.Path { return &link.Conn().Out },
			"in":  func() *arpctest.Path { return &link.Conn().In },
		} {
			for bit := range uint(8 * (16 + len("/echo") + len("body"))) {
				before := path().Passed()
				path().FlipBit(1+int(bit/8), bit%8)
				var got string
				err := c.Call("/echo", "body", &got, time.Second)
				if path().Passed() == before {
					t.Errorf("%s: nothing passed", way)
				}
				// The last four bytes are the body, which nothing guards.
				if err == nil && got == "body" && bit >= 8*uint(16+len("/echo")) {
					t.Errorf("%s, bit %d: the body is whole", way, bit)
				}
				link.Conn().Close() // a length that is too long may leave it waiting
				synctest.Wait()
				mustEcho(t, c, "again")
			}
		}
	})
}

// Nobody is told of a black hole: the silence is noticed.
func TestBlackHoleIsNoticed(t *testing.T) {
	for way, hole := range map[string]func(*arpctest.Conn){
		"in":   func(c *arpctest.Conn) { c.In.BlackHole() },
		"out":  func(c *arpctest.Conn) { c.Out.BlackHole() },
		"both": func(c *arpctest.Conn) { c.In.BlackHole(); c.Out.BlackHole() },
	} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				link := arpctest.NewLink(t, echo())
				ended := make(chan error, 1)
				h := echo()
				h.HandlePaused(func(_ *arpc.Client, err error) {
					select {
					case ended <- err:
					default:
					}
				})
				c := link.Dial(t, h)
				began := time.Now()
				hole(link.Conn())
				<-ended
				if took := time.Since(began); took > 90*time.Second {
					t.Errorf("it took %v", took)
				}
				mustEcho(t, c, "on another connection")
			})
		})
	}
}

func TestDownAndUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := arpctest.NewLink(t, echo())
		c := link.Dial(t, echo())
		link.Down()
		synctest.Wait() // so that it is known
		if err := c.Call("/echo", "x", nil, time.Minute); !errors.Is(err, arpc.ErrDisconnected) {
			t.Errorf("while it is down: %v", err)
		}
		link.Up()
		mustEcho(t, c, "back")
	})
}

func TestResetInMemoryAndOverTCP(t *testing.T) {
	near, far := net.Pipe()
	c := arpctest.Wrap(near)
	c.Reset()
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("write: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v", err)
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the other end: %v", err)
	}

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	arpctest.Wrap(dialed).Reset()
	if _, err := other.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the other end over TCP: %v", err)
	}
}

// The bytes of the caller are never falsified, only those that go on.
func TestFaultsDoNotTouchTheCallersBytes(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	c := arpctest.Wrap(near)
	defer c.Close()
	c.Out.FlipBit(2, 7)
	mine := []byte("abc")
	read := make(chan []byte, 1)
	go func() {
		got := make([]byte, 3)
		_, _ = io.ReadFull(far, got) // what it got is compared
		read <- got
	}()
	if n, err := c.Write(mine); n != 3 || err != nil {
		t.Error(n, err)
	}
	if got := <-read; !bytes.Equal(got, []byte{'a', 'b' ^ 0x80, 'c'}) || string(mine) != "abc" {
		t.Errorf("got %q of %q", got, mine)
	}
}

func ExampleLink() {
	t := &testing.T{} // the one of your test
	h := arpc.NewHandler()
	h.Handle("/hello", func(ctx *arpc.Context) { _ = ctx.Write("hello") })
	h.SetLimits(arpc.Limits{Grace: -1}) // a lost connection is the end of its session
	link := arpctest.NewLink(t, h)
	client := link.Dial(t, arpc.NewHandler(), arpc.WithFailFast())

	fmt.Println(client.Call("/hello", nil, nil, 5*time.Second))
	link.Down()
	<-link.Accepted().Done()
	err := client.Call("/hello", nil, nil, 5*time.Second)
	fmt.Println(errors.Is(err, arpc.ErrDisconnected))
	client.Stop() // your test does it by itself
	<-client.Done()
	// Output:
	// <nil>
	// true
}
