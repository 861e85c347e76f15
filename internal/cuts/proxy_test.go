package cuts_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/cuts"
)

// listen serves each connection with a function of its own, until the test ends.
func listen(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	listener := arpctest.Listen(t)
	arpctest.Accept(t, listener, func(c net.Conn) { serve(c); c.Close() })
	return listener.Addr().String()
}

// read reads until a connection ends, for as long as a test waits.
func read(c net.Conn) ([]byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(arpctest.Wait)); err != nil {
		return nil, err
	}
	return io.ReadAll(c)
}

// TestProxyCutsAtTheByte: exactly so many bytes of that way get through, and both
// ends see the connection end.
func TestProxyCutsAtTheByte(t *testing.T) {
	const sent = 70_000 // more than it copies at once
	for _, way := range []cuts.Way{cuts.Up, cuts.Down} {
		for _, after := range []int64{0, 1, 15, 16, 32 << 10, 32<<10 + 1, sent - 1} {
			var got atomic.Int64
			serverEnded := make(chan error, 1)
			server := listen(t, func(c net.Conn) {
				if way == cuts.Down {
					_, err := c.Write(make([]byte, sent))
					if err == nil {
						_, err = read(c)
					}
					serverEnded <- err
					return
				}
				all, err := read(c)
				got.Store(int64(len(all)))
				serverEnded <- err
			})
			p := cuts.Start(t, cuts.Config{Server: server, Plan: func(int) *cuts.Cut { return &cuts.Cut{Way: way, After: after} }})
			c, err := net.Dial("tcp", p.Address)
			if err != nil {
				t.Fatal(err)
			}
			if way == cuts.Up {
				_, _ = c.Write(make([]byte, sent)) // what is cut fails or not
			}
			all, err := read(c)
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				t.Errorf("%v %d: the client sees no end", way, after)
			}
			if err := arpctest.Receive(t, serverEnded, "end of the server's connection"); errors.As(err, &late) && late.Timeout() {
				t.Errorf("%v %d: the server sees no end", way, after)
			}
			if way == cuts.Down {
				got.Store(int64(len(all)))
			}
			if got.Load() != after {
				t.Errorf("%v: %d bytes got through, want %d", way, got.Load(), after)
			}
			if p.Cuts() != 1 {
				t.Errorf("%v %d: %d cuts", way, after, p.Cuts())
			}
			c.Close()
		}
	}
}

func TestProxyResets(t *testing.T) {
	server := listen(t, func(c net.Conn) { _, _ = read(c) })
	p := cuts.Start(t, cuts.Config{Server: server, Plan: func(n int) *cuts.Cut { return &cuts.Cut{After: 3, Reset: n == 0} }})
	for _, reset := range []bool{true, false} {
		c, err := net.Dial("tcp", p.Address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
		if _, err := read(c); errors.Is(err, syscall.ECONNRESET) != reset {
			t.Errorf("reset %v: the client saw %v", reset, err)
		}
		c.Close()
	}
}

// TestProxyCarriesEverything: what is not cut is not touched.
func TestProxyCarriesEverything(t *testing.T) {
	server := listen(t, func(c net.Conn) { _, _ = io.CopyN(c, c, 1<<20) })
	var tapped [2]atomic.Int64
	p := cuts.Start(t, cuts.Config{Server: server, Tap: func(_ int, way cuts.Way, b []byte) { tapped[way].Add(int64(len(b))) }})
	c, err := net.Dial("tcp", p.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() { _, _ = c.Write(want) }()
	got, err := read(c)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	if up, down := tapped[cuts.Up].Load(), tapped[cuts.Down].Load(); up != 1<<20 || down != 1<<20 {
		t.Errorf("the tap saw %d and %d bytes", up, down)
	}
}

// TestProxyIsDown: nothing gets through until it is up again.
func TestProxyIsDown(t *testing.T) {
	server := listen(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	p := cuts.Start(t, cuts.Config{Server: server})
	through := func() bool {
		c, err := net.Dial("tcp", p.Address)
		if err != nil {
			return false
		}
		defer c.Close()
		if _, err := c.Write([]byte("x")); err != nil {
			return false
		}
		if err := c.SetReadDeadline(time.Now().Add(arpctest.Wait)); err != nil {
			t.Fatal(err)
		}
		n, _ := c.Read(make([]byte, 1))
		return n == 1
	}
	for _, up := range []bool{true, false, true} {
		if up {
			p.Up()
		} else {
			p.Down()
		}
		if through() != up {
			t.Errorf("up %v: got through %v", up, !up)
		}
	}
}
