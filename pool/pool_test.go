package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend is a server that tells how often it was called.
type backend struct {
	*server.Server
	address string
	calls   atomic.Int32
}

// openBackend starts a backend; address is "" for any, which stays its own.
func openBackend(t *testing.T, address string) *backend {
	t.Helper()
	if address == "" {
		address = arpctest.Address(t, "127.0.0.1")
	}
	var ln net.Listener
	arpctest.Eventually(t, "the address", func() (free bool) {
		var err error
		ln, err = net.Listen("tcp", address)
		return err == nil
	})
	b := &backend{Server: server.New(), address: "tcp://" + ln.Addr().String()}
	b.Handler.SetLogger(slog.New(slog.DiscardHandler))
	b.Handler.Handle("/which", func(ctx *arpc.Context) {
		b.calls.Add(1)
		_ = ctx.Write(b.address)
	})
	served := make(chan error, 1)
	go func() { served <- b.Serve(ln) }()
	t.Cleanup(func() { b.stop(); <-served })
	return b
}

// stop ends a backend without waiting for anything.
func (b *backend) stop() {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = b.Shutdown(now) // it says that it did not wait
}

func newPool(t *testing.T, find Resolver, opts ...Option) *Pool {
	t.Helper()
	h := arpc.NewHandler()
	h.SetLogger(slog.New(slog.DiscardHandler))
	quick := arpc.Backoff{First: time.Millisecond, Max: 10 * time.Millisecond}
	p := New(find, append([]Option{WithHandler(h), WithClient(arpc.WithBackoff(quick))}, opts...)...)
	t.Cleanup(p.Stop)
	return p
}

func up(t *testing.T, p *Pool, n int) {
	t.Helper()
	arpctest.Eventually(t, fmt.Sprint(n, " connections up"), func() bool { return p.Up() == n })
}

func mustCall(t *testing.T, p *Pool, times int) {
	t.Helper()
	for range times {
		if err := p.Call("/which", nil, nil, arpctest.Wait); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCallsGoRound(t *testing.T) {
	a, b := openBackend(t, ""), openBackend(t, "")
	p := newPool(t, Static(a.address, b.address, a.address), PerAddress(2))
	up(t, p, 4)
	mustCall(t, p, 20)
	if a.calls.Load() != 10 || b.calls.Load() != 10 {
		t.Errorf("%d and %d calls", a.calls.Load(), b.calls.Load())
	}
	if len(a.Clients()) != 2 || len(b.Clients()) != 2 {
		t.Errorf("%d and %d connections", len(a.Clients()), len(b.Clients()))
	}
	for range 10 {
		if err := p.Notify("/which", nil, arpctest.Wait); err != nil {
			t.Fatal(err)
		}
	}
	arpctest.Eventually(t, "notifies at both", func() bool { return a.calls.Load() == 15 && b.calls.Load() == 15 })
}

func TestConnectionsThatAreDownAreSkipped(t *testing.T) {
	a, b := openBackend(t, ""), openBackend(t, "")
	never := arpctest.Address(t, "127.0.0.1") // nobody serves it
	p := newPool(t, Static(a.address, "tcp://"+never, b.address))
	up(t, p, 2)
	mustCall(t, p, 10)
	a.stop()
	up(t, p, 1)
	before := b.calls.Load()
	mustCall(t, p, 10)
	if n := b.calls.Load() - before; n != 10 {
		t.Errorf("%d of 10 calls went to the one that is up", n)
	}
	again := openBackend(t, a.address[len("tcp://"):])
	up(t, p, 2)
	mustCall(t, p, 10)
	if again.calls.Load() != 5 {
		t.Errorf("%d of 10 calls went to the one that came back", again.calls.Load())
	}
}

func TestCallsWaitWhileAllAreDown(t *testing.T) {
	gone := openBackend(t, "")
	p := newPool(t, Static(gone.address))
	up(t, p, 1)
	gone.stop()
	up(t, p, 0)
	if err := p.Call("/which", nil, nil, time.Millisecond); arpc.CodeOf(err) != arpc.CodeUnavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without time: %v", err)
	}
	called := make(chan error, 1)
	go func() { called <- p.Call("/which", nil, nil, arpctest.Wait) }()
	openBackend(t, gone.address[len("tcp://"):])
	if err := arpctest.Receive(t, called, "end of the call"); err != nil {
		t.Error(err)
	}
}

// A server that shuts down in order sends its clients away while their calls still
// run; new calls must not spin on it.
func TestServerThatSendsAwayGetsNoNewCalls(t *testing.T) {
	a, b := openBackend(t, ""), openBackend(t, "")
	began, finish := make(chan struct{}), make(chan struct{})
	a.Handler.Handle("/slow", func(ctx *arpc.Context) { close(began); <-finish; _ = ctx.Write("done") })
	p := newPool(t, Static(a.address))
	up(t, p, 1)
	slow := make(chan error, 1)
	go func() { slow <- p.Call("/slow", nil, nil, arpctest.Wait) }()
	arpctest.Closed(t, began, "beginning of the call")
	over := make(chan error, 1)
	go func() { over <- a.Shutdown(context.Background()) }()
	c, err := p.Client(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	arpctest.Eventually(t, "it is sent away", func() bool {
		return errors.Is(c.Call("/which", nil, nil, time.Millisecond), arpc.ErrDisconnected)
	})
	if err := p.Call("/which", nil, nil, 20*time.Millisecond); arpc.CodeOf(err) != arpc.CodeUnavailable {
		t.Errorf("with nobody else: %v", err)
	}
	p.adopt([]string{a.address, b.address})
	up(t, p, 2)
	mustCall(t, p, 10)
	if b.calls.Load() != 10 {
		t.Errorf("%d of 10 calls went to the one that stays", b.calls.Load())
	}
	close(finish)
	if err := arpctest.Receive(t, slow, "answer"); err != nil {
		t.Errorf("what was under way: %v", err)
	}
	if err := arpctest.Receive(t, over, "end of the shutdown"); err != nil {
		t.Error(err)
	}
}

func TestResolverIsFollowed(t *testing.T) {
	a, b := openBackend(t, ""), openBackend(t, "")
	began, finish := make(chan struct{}), make(chan struct{})
	a.Handler.Handle("/slow", func(ctx *arpc.Context) { close(began); <-finish; _ = ctx.Write("done") })
	var mu sync.Mutex
	known, failure := []string{a.address}, error(nil)
	p := newPool(t, func(context.Context) ([]string, error) {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(known), failure
	}, Refresh(time.Millisecond))
	set := func(addresses []string, err error) {
		mu.Lock()
		defer mu.Unlock()
		known, failure = addresses, err
	}
	slow := make(chan error, 1)
	go func() { slow <- p.Call("/slow", nil, nil, arpctest.Wait) }()
	arpctest.Closed(t, began, "beginning of the call")

	set([]string{b.address}, nil)
	arpctest.Eventually(t, "the new one", func() bool {
		var which string
		return p.Call("/which", nil, &which, arpctest.Wait) == nil && which == b.address
	})
	mustCall(t, p, 10)
	set(nil, errors.New("no name server")) // what was known goes on
	mustCall(t, p, 10)
	set(nil, nil)
	mustCall(t, p, 10)
	if n := len(a.Clients()); n != 1 {
		t.Errorf("%d connections to the old one, which has a call", n)
	}
	close(finish)
	if err := arpctest.Receive(t, slow, "answer"); err != nil {
		t.Errorf("what was under way: %v", err)
	}
	arpctest.Eventually(t, "it parts from the old one", func() bool { return len(a.Clients()) == 0 })
}

func TestStopEndsCallsAndThoseWhoWait(t *testing.T) {
	a := openBackend(t, "")
	a.Handler.Handle("/never", func(ctx *arpc.Context) { <-ctx.Done() })
	p := newPool(t, Static(a.address))
	up(t, p, 1)
	ended := make(chan error, 2)
	go func() { ended <- p.Call("/never", nil, nil, arpctest.Wait) }()
	idle := newPool(t, func(ctx context.Context) ([]string, error) { <-ctx.Done(); return nil, ctx.Err() })
	go func() { ended <- idle.Call("/never", nil, nil, arpctest.Wait) }()
	arpctest.Eventually(t, "the call", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.next > 0 })
	p.Stop()
	idle.Stop()
	for range 2 {
		if err := arpctest.Receive(t, ended, "end of a call"); arpc.CodeOf(err) != arpc.CodeUnavailable {
			t.Errorf("it ended with %v", err)
		}
	}
	p.Stop()
	if err := p.Call("/which", nil, nil, arpctest.Wait); !errors.Is(err, arpc.ErrStopped) {
		t.Errorf("after Stop: %v", err)
	}
}

type hosts map[string][]string

func (h hosts) LookupHost(_ context.Context, host string) ([]string, error) {
	if found, ok := h[host]; ok {
		return slices.Clone(found), nil
	}
	return nil, errors.New("no such host")
}

func TestDNSFindsEveryAddress(t *testing.T) {
	names := hosts{"backend": {"2001:db8::1", "10.0.0.2", "10.0.0.1"}}
	for address, want := range map[string][]string{
		"tcp://backend:8888": {"tcp://10.0.0.1:8888", "tcp://10.0.0.2:8888", "tcp://[2001:db8::1]:8888"},
		"ws://backend/ws":    {"ws://10.0.0.1/ws", "ws://10.0.0.2/ws", "ws://[2001:db8::1]/ws"},
	} {
		got, err := dns(names, address)(context.Background())
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", address, got, err)
		}
	}
	for _, address := range []string{"tcp://nobody:1", "tcp://%zz"} {
		if got, err := dns(names, address)(context.Background()); err == nil {
			t.Errorf("%s: %v", address, got)
		}
	}
	if got, err := DNS("tcp://localhost:1")(context.Background()); err != nil || len(got) == 0 {
		t.Errorf("localhost: %v, %v", got, err)
	}
}
