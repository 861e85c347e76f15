package arpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// soon is a backoff for tests that cut connections.
var soon = arpc.Backoff{First: time.Millisecond, Max: time.Millisecond, Stable: time.Hour}

func TestNotifiesArriveInOrder(t *testing.T) {
	const n = 2000
	for _, way := range []string{"dialed", "accepted"} {
		for _, tr := range arpctest.Transports {
			t.Run(tr.Name+"/"+way, func(t *testing.T) {
				got := make(chan string, n)
				far := arpc.NewHandler()
				far.Handle("/n", func(ctx *arpc.Context) { got <- string(ctx.Body()) })
				var near *arpc.Client
				if way == "dialed" {
					near, _ = tr.Connect(t, arpc.NewHandler(), far)
				} else {
					_, near = tr.Connect(t, far, arpc.NewHandler())
				}
				for i := range n {
					if err := near.Notify("/n", fmt.Sprint(i), arpctest.Wait); err != nil {
						t.Fatal(err)
					}
				}
				for i := range n {
					if body := arpctest.Receive(t, got, "notify"); body != fmt.Sprint(i) {
						t.Fatalf("got %s, want %d", body, i)
					}
				}
			})
		}
	}
}

func TestWhatWasSaidBeforeGoingIsHeard(t *testing.T) {
	const n = 500
	for _, tr := range arpctest.Transports {
		t.Run(tr.Name, func(t *testing.T) {
			far := arpc.NewHandler()
			var handled atomic.Int64
			release := make(chan struct{})
			far.Handle("/n", func(*arpc.Context) { <-release; handled.Add(1) })
			near, accepted := tr.Connect(t, arpc.NewHandler(), far)
			for range n {
				if err := near.Notify("/n", "x", arpctest.Wait); err != nil {
					t.Fatal(err)
				}
			}
			near.Stop()
			arpctest.Closed(t, accepted.Done(), "accepted client")
			close(release)
			arpctest.Eventually(t, "all handled", func() bool { return handled.Load() == n })
		})
	}
}

func TestBothEndsCallBack(t *testing.T) {
	const n = 2000
	for _, tr := range arpctest.Transports {
		t.Run(tr.Name, func(t *testing.T) {
			backAndForth := func() *arpc.Handler {
				h := arpc.NewHandler()
				h.Handle("/leaf", echo)
				h.Handle("/back", func(ctx *arpc.Context) {
					var leaf string
					if err := ctx.Client.Call("/leaf", ctx.Body(), &leaf, arpctest.Wait); err != nil {
						_ = ctx.Error(err)
						return
					}
					_ = ctx.Write(leaf)
				})
				return h
			}
			a, b := tr.Connect(t, backAndForth(), backAndForth())
			var all sync.WaitGroup
			var answered atomic.Int64
			for i := range n {
				for _, c := range []*arpc.Client{a, b} {
					all.Go(func() {
						var got string
						if err := c.Call("/back", fmt.Sprint(i), &got, arpctest.Wait); err != nil || got != fmt.Sprint(i) {
							t.Errorf("call %d: %q, %v", i, got, err)
							return
						}
						answered.Add(1)
					})
				}
			}
			all.Wait()
			if answered.Load() != 2*n {
				t.Errorf("%d of %d answered", answered.Load(), 2*n)
			}
		})
	}
}

func TestCallsFailAtOnceWhenTheConnectionDies(t *testing.T) {
	for _, tr := range arpctest.Transports {
		t.Run(tr.Name, func(t *testing.T) {
			called := make(chan struct{}, 2)
			never := func(ctx *arpc.Context) { called <- struct{}{}; <-ctx.Done() }
			far, near := arpc.NewHandler(), arpc.NewHandler()
			far.Handle("/never", never)
			near.Handle("/never", never)
			dialed, accepted := tr.Connect(t, near, far)
			failed := make(chan error, 2)
			for _, c := range []*arpc.Client{dialed, accepted} {
				go func() { failed <- c.Call("/never", nil, nil, time.Hour) }()
			}
			arpctest.Receive(t, called, "call")
			arpctest.Receive(t, called, "call back")
			accepted.Stop()
			for range 2 {
				err := arpctest.Receive(t, failed, "failure")
				var coded *arpc.Error
				if !errors.As(err, &coded) || coded.Code != arpc.CodeUnavailable || !coded.Sent || coded.Remote() {
					t.Errorf("got %#v", err)
				}
			}
			arpctest.Closed(t, accepted.Done(), "accepted client")
			if err := accepted.Call("/never", nil, nil, time.Hour); !errors.Is(err, arpc.ErrDisconnected) {
				t.Errorf("call on a dead connection: %v", err)
			}
		})
	}
}

func TestAClientComesBack(t *testing.T) {
	for _, tr := range arpctest.Transports {
		t.Run(tr.Name, func(t *testing.T) {
			far, near := arpc.NewHandler(), arpc.NewHandler()
			far.Handle("/echo", echo)
			accepted := make(chan *arpc.Client, 10)
			far.HandleConnected(func(c *arpc.Client) { accepted <- c })
			var mu sync.Mutex
			var states []arpc.State
			near.HandleStateChange(func(_ *arpc.Client, s arpc.State, _ error) {
				mu.Lock()
				defer mu.Unlock()
				states = append(states, s)
			})
			connected, disconnected := make(chan struct{}, 10), make(chan error, 10)
			near.HandleConnected(func(*arpc.Client) { connected <- struct{}{} })
			near.HandleDisconnected(func(_ *arpc.Client, err error) { disconnected <- err })
			dial := tr.Open(t, func(nc net.Conn, a arpc.Accepted) { far.ServeConn(nc, a) })
			c, err := arpc.NewClient(dial, arpc.WithHandler(near), arpc.WithBackoff(soon))
			if err != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				arpctest.Receive(t, connected, "connected hook")
				one := arpctest.Receive(t, accepted, "accepted client")
				var got string
				if err := c.Call("/echo", fmt.Sprint(i), &got, arpctest.Wait); err != nil || got != fmt.Sprint(i) {
					t.Fatalf("%q, %v", got, err)
				}
				one.Stop()
				if err := arpctest.Receive(t, disconnected, "disconnected hook"); err == nil {
					t.Error("no reason")
				}
			}
			arpctest.Receive(t, connected, "connected hook")
			last := arpctest.Receive(t, accepted, "accepted client")
			c.Stop()
			c.Stop()
			arpctest.Closed(t, c.Done(), "client")
			arpctest.Closed(t, last.Done(), "accepted client")
			if err := c.Call("/echo", nil, nil, time.Hour); !errors.Is(err, arpc.ErrStopped) {
				t.Errorf("after Stop: %v", err)
			}
			if err := c.Notify("/n", nil, time.Hour); !errors.Is(err, arpc.ErrStopped) {
				t.Errorf("after Stop: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			want := strings.Repeat("open waiting connecting ", 5) + "open waiting closed"
			if got := strings.Trim(fmt.Sprint(states), "[]"); got != want {
				t.Errorf("states %s, want %s", got, want)
			}
		})
	}
}

func TestCallsWaitForTheNextConnection(t *testing.T) {
	far := arpc.NewHandler()
	far.Handle("/echo", echo)
	accepted := make(chan *arpc.Client, 10)
	far.HandleConnected(func(c *arpc.Client) { accepted <- c })
	open := arpctest.Transports[1].Open(t, func(nc net.Conn, a arpc.Accepted) { far.ServeConn(nc, a) })
	var down atomic.Bool
	tries := make(chan struct{}, 1000)
	dial := func() (net.Conn, error) {
		if down.Load() {
			tries <- struct{}{}
			return nil, errors.New("down")
		}
		return open()
	}
	c, err := arpc.NewClient(dial, arpc.WithHandler(arpc.NewHandler()), arpc.WithBackoff(soon))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") }()
	down.Store(true)
	one := arpctest.Receive(t, accepted, "accepted client")
	one.Stop()
	arpctest.Receive(t, tries, "dial")
	var coded *arpc.Error
	if err := c.Call("/echo", "x", nil, time.Millisecond); !errors.As(err, &coded) || coded.Sent || coded.Code != arpc.CodeUnavailable {
		t.Errorf("within its timeout no connection came: %#v", err)
	}
	if err := c.Notify("/echo", "x", arpc.TimeZero); !errors.Is(err, arpc.ErrDisconnected) {
		t.Errorf("without a timeout: %v", err)
	}
	got := make(chan string, 1)
	go func() {
		var text string
		if err := c.Call("/echo", "waited", &text, arpctest.Wait); err != nil {
			text = err.Error()
		}
		got <- text
	}()
	down.Store(false)
	if text := arpctest.Receive(t, got, "answer"); text != "waited" {
		t.Error(text)
	}
	two := arpctest.Receive(t, accepted, "second client")
	defer func() { two.Stop(); arpctest.Closed(t, two.Done(), "second client") }()
}

func TestHooksComeInOrder(t *testing.T) {
	for _, tr := range arpctest.Transports {
		t.Run(tr.Name, func(t *testing.T) {
			for range 30 {
				far := arpc.NewHandler()
				far.SetLimits(arpc.Limits{Grace: -1}) // so that who says nothing is known at once
				events := make(chan string, 2)
				far.HandleConnected(func(c *arpc.Client) {
					c.Stop() // the connection may well be over before the hook is
					events <- "connected"
				})
				far.HandleDisconnected(func(*arpc.Client, error) { events <- "disconnected" })
				dial := tr.Open(t, func(nc net.Conn, a arpc.Accepted) { far.ServeConn(nc, a) })
				nc, err := dial()
				if err != nil {
					t.Fatal(err)
				}
				if first, second := arpctest.Receive(t, events, "hook"), arpctest.Receive(t, events, "hook"); first != "connected" || second != "disconnected" {
					t.Fatalf("%s, %s", first, second)
				}
				nc.Close()
			}
		})
	}
}

func TestAPanickingHookHarmsNothing(t *testing.T) {
	far := arpc.NewHandler()
	far.SetLogger(discard)
	far.HandleConnected(func(*arpc.Client) { panic("connected") })
	far.HandleDisconnected(func(*arpc.Client, error) { panic("disconnected") })
	far.HandleStateChange(func(*arpc.Client, arpc.State, error) { panic("state") })
	far.Handle("/echo", echo)
	near, accepted := arpctest.Transports[1].Connect(t, arpc.NewHandler(), far)
	var got string
	if err := near.Call("/echo", "x", &got, arpctest.Wait); err != nil || got != "x" {
		t.Errorf("%q, %v", got, err)
	}
	accepted.Stop()
	arpctest.Closed(t, accepted.Done(), "accepted client")
}

func TestValuesOfAClient(t *testing.T) {
	c, _ := arpctest.Transports[0].Connect(t, arpc.NewHandler(), arpc.NewHandler())
	if _, ok := c.Get("k"); ok {
		t.Error("a value before Set")
	}
	c.Set("k", 1)
	if v, ok := c.Get("k"); !ok || v != 1 {
		t.Error(v, ok)
	}
	c.Delete("k")
	if _, ok := c.Get("k"); ok {
		t.Error("a value after Delete")
	}
}

// TestKeepalive runs in a bubble where a minute takes no time.
func TestKeepalive(t *testing.T) {
	limits := arpc.DefaultLimits()
	for name, c := range map[string]struct {
		peer func(net.Conn) // what the far end of an accepted connection does
		ends time.Duration  // when the server ends the connection; zero: not within an hour
		slop time.Duration  // how much later it may be
	}{
		"silent from the start":     {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, limits.FirstFrame, 0},
		"half a header":             {func(c net.Conn) { _, _ = c.Write(make([]byte, 15)); _, _ = io.Copy(io.Discard, c) }, limits.FirstFrame, 0},
		"one byte a second":         {func(c net.Conn) { go io.Copy(io.Discard, c); dribble(c) }, limits.FirstFrame, 0}, //nolint:errcheck // it ends with the connection
		"only answers pings":        {answerPings, 0, 0},
		"silent after a first ping": {func(c net.Conn) { _, _ = c.Write(ping); _, _ = io.Copy(io.Discard, c) }, limits.Idle, limits.Ping / 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				ended := make(chan struct{})
				go func() { defer close(ended); c.peer(far) }()
				began := time.Now()
				client := arpc.NewHandler().ServeConn(near, arpc.Accepted{})
				select {
				case <-client.Done():
					after := time.Since(began)
					if c.ends == 0 || after < c.ends || after > c.ends+c.slop+2*time.Second {
						t.Errorf("ended after %v: %v", after, client.Err())
					}
				case <-time.After(time.Hour):
					if c.ends != 0 {
						t.Error("still there after an hour")
					}
					client.Stop()
					<-client.Done()
				}
				far.Close()
				<-ended
				synctest.Wait()
			})
		})
	}
}

var ping = wire.Append(nil, wire.Header{Cmd: wire.Ping}, "", nil)

func dribble(c net.Conn) {
	for {
		if _, err := c.Write([]byte{0}); err != nil {
			return
		}
		time.Sleep(time.Second) // in a bubble: it takes no time
	}
}

func answerPings(c net.Conn) {
	header := make([]byte, wire.HeaderLen)
	for {
		if _, err := io.ReadFull(c, header); err != nil {
			return
		}
		if _, err := c.Write(wire.Append(nil, wire.Header{Cmd: wire.Pong}, "", nil)); err != nil {
			return
		}
	}
}

func TestADeadServerIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var far []net.Conn
		dial := func() (net.Conn, error) {
			a, b := net.Pipe()
			far = append(far, b)
			go io.Copy(io.Discard, b) //nolint:errcheck // it takes everything and never answers
			return a, nil
		}
		lost := make(chan error, 1)
		h := arpc.NewHandler()
		h.HandleDisconnected(func(_ *arpc.Client, err error) { lost <- err })
		c, err := arpc.NewClient(dial, arpc.WithHandler(h), arpc.WithBackoff(arpc.Backoff{First: time.Hour, Max: time.Hour}))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := <-lost; !strings.Contains(err.Error(), "nothing heard") {
			t.Error(err)
		}
		if after := time.Since(began); after > h.Limits().Idle+h.Limits().Ping {
			t.Errorf("noticed after %v", after)
		}
		c.Stop()
		<-c.Done()
		for _, f := range far {
			f.Close()
		}
		synctest.Wait()
	})
}

func TestAnOutstandingCallIsNoReasonToHangUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := arpc.NewHandler()
		far.Handle("/slow", func(ctx *arpc.Context) {
			time.Sleep(10 * time.Minute) // in a bubble: it takes no time
			_ = ctx.Write("done")
		})
		accepted := make(chan *arpc.Client, 1)
		dial := func() (net.Conn, error) {
			a, b := net.Pipe()
			accepted <- far.ServeConn(b, arpc.Accepted{})
			return a, nil
		}
		c, err := arpc.NewClient(dial, arpc.WithHandler(arpc.NewHandler()))
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := c.Call("/slow", nil, &got, time.Hour); err != nil || got != "done" {
			t.Errorf("%q, %v", got, err)
		}
		c.Stop()
		<-c.Done()
		<-(<-accepted).Done()
	})
}

func TestDrainAnswersWhatRuns(t *testing.T) {
	far := arpc.NewHandler()
	started, release := make(chan struct{}), make(chan struct{})
	far.Handle("/slow", func(ctx *arpc.Context) {
		close(started)
		<-release
		_ = ctx.Write("done")
	})
	far.Handle("/echo", echo)
	near, accepted := arpctest.Transports[2].Connect(t, arpc.NewHandler(), far, arpc.WithHello(arpc.HelloNever))
	slow := make(chan error, 1)
	go func() { slow <- near.Call("/slow", nil, nil, arpctest.Wait) }()
	arpctest.Receive(t, started, "slow call")
	drained := make(chan error, 1)
	go func() { drained <- accepted.Drain(t.Context()) }()
	arpctest.Eventually(t, "refusal", func() bool {
		err := near.Call("/echo", nil, nil, arpctest.Wait)
		return err != nil && strings.Contains(err.Error(), "shutting down")
	})
	close(release)
	if err := arpctest.Receive(t, slow, "slow answer"); err != nil {
		t.Errorf("a call that ran: %v", err)
	}
	if err := arpctest.Receive(t, drained, "drain"); err != nil {
		t.Error(err)
	}
	arpctest.Closed(t, accepted.Done(), "accepted client")
}

func TestDrainGivesUpWithItsContext(t *testing.T) {
	far := arpc.NewHandler()
	started := make(chan struct{})
	far.Handle("/never", func(ctx *arpc.Context) { close(started); <-ctx.Done() })
	near, accepted := arpctest.Transports[1].Connect(t, arpc.NewHandler(), far)
	failed := make(chan error, 1)
	go func() { failed <- near.Call("/never", nil, nil, arpctest.Wait) }()
	arpctest.Receive(t, started, "call")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := accepted.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := arpctest.Receive(t, failed, "call"); arpc.CodeOf(err) != arpc.CodeUnavailable {
		t.Error(err)
	}
}

func TestADrainLetsASlowReaderHaveItsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 8 << 20
		h := arpc.NewHandler()
		h.Handle("/large", func(ctx *arpc.Context) { _ = ctx.Write(make([]byte, size)) })
		near, far := net.Pipe()
		c := h.ServeConn(near, arpc.Accepted{})
		got := make(chan int, 1)
		go func() {
			n := 0
			buf := make([]byte, 64<<10)
			for {
				read, err := far.Read(buf)
				n += read
				if err != nil {
					got <- n
					return
				}
				time.Sleep(100 * time.Millisecond) // in a bubble: it takes no time
			}
		}()
		if _, err := far.Write(wire.Append(nil, wire.Header{Cmd: wire.Request, Seq: 1}, "/large", nil)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.Drain(ctx); err != nil {
			t.Error(err)
		}
		<-c.Done()
		if n := <-got; n != wire.HeaderLen+len("/large")+size {
			t.Errorf("%d bytes arrived", n)
		}
	})
}

func TestAPausedReaderHasAnsweredWhatItRead(t *testing.T) {
	h := arpc.NewHandler()
	h.SetLimits(arpc.Limits{QueueFrames: 4})
	release := make(chan struct{})
	h.Handle("/n", func(*arpc.Context) { <-release })
	h.Handle("/i", echo, arpc.Inline)
	p, _ := serveRaw(t, h)
	burst := wire.Append(nil, wire.Header{Cmd: wire.Ping, Seq: 1}, "", nil)
	burst = wire.Append(burst, wire.Header{Cmd: wire.Request, Seq: 2}, "/i", nil)
	for range 10 {
		burst = wire.Append(burst, wire.Header{Cmd: wire.Notify}, "/n", nil)
	}
	if _, err := p.conn.Write(burst); err != nil {
		t.Fatal(err)
	}
	if pong, _ := p.next(); pong.Cmd != wire.Pong {
		t.Errorf("%+v", pong.Header)
	}
	if answer, _ := p.next(); answer.Seq != 2 {
		t.Errorf("%+v", answer.Header)
	}
	close(release)
}

func TestAHookDoesNotHoldUpTheNextConnection(t *testing.T) {
	far := arpc.NewHandler()
	far.HandleConnected(func(c *arpc.Client) { _ = c.Call("/never answered", nil, nil, time.Hour) })
	far.Handle("/echo", echo)
	dial := arpctest.Transports[1].Open(t, func(nc net.Conn, a arpc.Accepted) { far.ServeConn(nc, a) })
	silent, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c, err := arpc.NewClient(dial, arpc.WithHandler(arpc.NewHandler()))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Call("/echo", nil, nil, arpctest.Wait); err != nil {
		t.Error(err)
	}
	c.Stop()
	arpctest.Closed(t, c.Done(), "client")
}

// metered is a connection with a Write of its own around a real socket.
type metered struct {
	*net.TCPConn
	written *atomic.Int64
}

func (m metered) Write(p []byte) (int, error) {
	m.written.Add(int64(len(p)))
	return m.TCPConn.Write(p)
}

func TestAConnectionAroundASocketIsNotBypassed(t *testing.T) {
	far := arpc.NewHandler()
	far.Handle("/echo", echo)
	open := arpctest.Transports[1].Open(t, func(nc net.Conn, a arpc.Accepted) { far.ServeConn(nc, a) })
	var written atomic.Int64
	c, err := arpc.NewClient(func() (net.Conn, error) {
		nc, err := open()
		if err != nil {
			return nil, err
		}
		return metered{nc.(*net.TCPConn), &written}, nil
	}, arpc.WithHandler(arpc.NewHandler()))
	if err != nil {
		t.Fatal(err)
	}
	before := written.Load()
	if err := c.Call("/echo", "x", nil, arpctest.Wait); err != nil || written.Load() == before {
		t.Errorf("%d bytes went through Write, %v", written.Load()-before, err)
	}
	c.Stop()
	arpctest.Closed(t, c.Done(), "client")
}
