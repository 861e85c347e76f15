package server_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/server"
	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

// slow is a route that tells when it has begun, and answers when it may.
type slow struct {
	begun chan *arpc.Context
	may   chan struct{}
}

func newSlow() *slow {
	return &slow{begun: make(chan *arpc.Context, 10), may: make(chan struct{})}
}

func (s *slow) handle(ctx *arpc.Context) {
	s.begun <- ctx
	<-s.may
	_ = ctx.Write("done")
}

func TestShutdownAnswersWhatIsInFlightAndRefusesTheRest(t *testing.T) {
	route := newSlow()
	h := open(t, func(s *server.Server) { s.Handler.Handle("/slow", route.handle) })
	answers := make(chan error, len(doors))
	clients := map[string]*arpc.Client{}
	for _, door := range doors {
		c := dial(t, h.address(door), arpc.WithHello(arpc.HelloNever)) // one that is not asked to leave
		clients[door] = c
		go func() {
			var got string
			err := c.Call("/slow", nil, &got, arpctest.Wait)
			if err == nil && got != "done" {
				err = errors.New("answered " + got)
			}
			answers <- err
		}()
	}
	for range doors {
		arpctest.Receive(t, route.begun, "call")
	}
	stopped := make(chan error, 1)
	go func() { stopped <- h.Shutdown(context.Background()) }()

	for _, door := range doors {
		var refusal error
		arpctest.Eventually(t, "refusal over "+door, func() bool {
			refusal = clients[door].Call("/echo", "new", nil, arpctest.Wait)
			return refusal != nil
		})
		if !strings.Contains(refusal.Error(), "shutting down") {
			t.Errorf("%s: a new request got %v", door, refusal)
		}
	}
	if err := arpctest.Receive(t, h.serving, "Serve"); !errors.Is(err, server.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	if _, err := h.tryKnock("tcp"); err == nil {
		t.Error("TCP is open")
	}
	if answer := handshake(t, h, http.Header{}, ""); answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a handshake got %s", answer.Status)
	}
	select {
	case err := <-stopped:
		t.Errorf("Shutdown returned with calls in flight: %v", err)
	default:
	}
	for _, c := range clients {
		c.Handler.HandleStateChange(func(c *arpc.Client, _ arpc.State, _ error) { c.Stop() }) // no redial
	}
	close(route.may)
	for range doors {
		if err := arpctest.Receive(t, answers, "answer"); err != nil {
			t.Errorf("a call in flight: %v", err)
		}
	}
	if err := arpctest.Receive(t, stopped, "Shutdown"); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if n := len(h.Clients()); n != 0 {
		t.Errorf("%d clients are left", n)
	}
	for range doors {
		h.expectEnd(t, "shutting down")
	}
}

// TestShutdownWaitsForAnswersThatComeLater: a handler may have handed its
// Context on and returned, and its caller waits all the same.
func TestShutdownWaitsForAnswersThatComeLater(t *testing.T) {
	for mode, name := range map[arpc.Mode]string{arpc.Auto: "auto", arpc.Inline: "inline", arpc.Ordered: "ordered"} {
		t.Run(name, func(t *testing.T) {
			kept := make(chan *arpc.Context, 1)
			h := open(t, func(s *server.Server) {
				s.Handler.Handle("/later", func(ctx *arpc.Context) { kept <- ctx }, mode)
			})
			c := dial(t, h.tcp, arpc.WithHello(arpc.HelloNever)) // one that is not asked to leave
			answered := make(chan error, 1)
			go func() { answered <- c.Call("/later", nil, nil, arpctest.Wait) }()
			ctx := arpctest.Receive(t, kept, "request")
			stopped := make(chan error, 1)
			go func() { stopped <- h.Shutdown(context.Background()) }()
			arpctest.Eventually(t, "refusal", func() bool { return c.Call("/echo", nil, nil, arpctest.Wait) != nil })
			if err := ctx.Write("late"); err != nil {
				t.Errorf("the answer: %v", err)
			}
			if err := arpctest.Receive(t, answered, "answer"); err != nil {
				t.Errorf("the caller: %v", err)
			}
			if err := arpctest.Receive(t, stopped, "Shutdown"); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
	}
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	eachDoor(t, nil, func(t *testing.T, h *house, door string) {
		begun := make(chan struct{})
		ended := make(chan error, 1)
		h.Handler.Handle("/stuck", func(ctx *arpc.Context) {
			close(begun)
			<-ctx.Done()
			ended <- ctx.Err()
		})
		p := h.knock(t, door)
		p.send(t, request(1, "/stuck", ""))
		arpctest.Closed(t, begun, "handler")
		enough := errors.New("waited long enough")
		ctx, cancel := context.WithCancelCause(context.Background())
		stopped := make(chan error, 1)
		go func() { stopped <- h.Shutdown(ctx) }()
		if err := arpctest.Receive(t, h.serving, "Serve"); !errors.Is(err, server.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
		cancel(enough)
		if err := arpctest.Receive(t, stopped, "Shutdown"); !errors.Is(err, enough) {
			t.Errorf("Shutdown: %v", err)
		}
		if err := arpctest.Receive(t, ended, "end of the handler's context"); !errors.Is(err, context.Canceled) {
			t.Errorf("its context: %v", err)
		}
		if n := len(h.Clients()); n != 0 {
			t.Errorf("%d clients are left", n)
		}
		assertGoingAway(t, door, p.end(t))
	})
}

// TestWhoComesInDuringShutdownIsAnswered: a request that begins in that moment is
// one that is under way.
func TestWhoComesInDuringShutdownIsAnswered(t *testing.T) {
	for range 50 {
		var begun, answered atomic.Int32
		first := make(chan struct{}, 20)
		h := open(t, func(s *server.Server) {
			s.Handler.Handle("/slow", func(ctx *arpc.Context) {
				begun.Add(1)
				first <- struct{}{}
				runtime.Gosched()
				_ = ctx.Write("done")
			})
		})
		var peers sync.WaitGroup
		for range 20 {
			peers.Go(func() {
				p, err := h.tryKnock("tcp")
				if err != nil {
					return
				}
				defer p.Close()
				_, _ = p.Write(request(1, "/slow", "")) // it may be too late
				if f, err := p.next(); err == nil && string(f.Body) == "done" {
					answered.Add(1)
				}
			})
		}
		arpctest.Receive(t, first, "request")
		if err := h.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		peers.Wait()
		if b, a := begun.Load(), answered.Load(); a != b {
			t.Fatalf("%d requests began, %d were answered", b, a)
		}
	}
}

// assertGoingAway: a WebSocket is told why, TCP has no words for it.
func assertGoingAway(t *testing.T, door string, end error) {
	t.Helper()
	if door == "tcp" {
		return
	}
	var closed *ws.CloseError
	if !errors.As(end, &closed) || closed.Code != ws.CloseGoingAway || closed.Reason != "shutting down" {
		t.Errorf("the peer was told %v", end)
	}
}

// TestShutdownLetsAnswersLeave: what was answered before, however large, is not
// cut off.
func TestShutdownLetsAnswersLeave(t *testing.T) {
	const size = 12 << 20 // more than sockets hold
	eachDoor(t, limits(arpc.Limits{WebSocketBody: 2 * size}), func(t *testing.T, h *house, door string) {
		body := strings.Repeat("x", size)
		answered := make(chan struct{})
		h.Handler.Handle("/large", func(ctx *arpc.Context) {
			defer close(answered)
			_ = ctx.Write(body)
		})
		p := h.knock(t, door)
		p.send(t, request(7, "/large", ""))
		arpctest.Closed(t, answered, "handler")
		stopped := make(chan error, 1)
		go func() { stopped <- h.Shutdown(context.Background()) }()
		f := p.until(t, wire.Response)
		if f.Seq != 7 || f.Flags&wire.Error != 0 || string(f.Body) != body {
			t.Errorf("seq %d, flags %x, %d bytes", f.Seq, f.Flags, len(f.Body))
		}
		assertGoingAway(t, door, p.end(t))
		if err := arpctest.Receive(t, stopped, "Shutdown"); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// atOnce has clients known that have not said a word.
func atOnce(s *server.Server) { s.Handler.SetLimits(arpc.Limits{Grace: -1}) }

// TestNobodySlipsInDuringShutdown: whoever is accepted while it begins is gone
// when it returns.
func TestNobodySlipsInDuringShutdown(t *testing.T) {
	for range 20 {
		h := open(t, atOnce)
		var knocking sync.WaitGroup
		var over atomic.Bool
		for _, door := range doors {
			for range 4 {
				knocking.Go(func() {
					for !over.Load() {
						if p, err := h.tryKnock(door); err == nil {
							defer p.Close()
						}
					}
				})
			}
		}
		arpctest.Eventually(t, "clients", func() bool { return len(h.Clients()) > 10 })
		err := h.Shutdown(t.Context())
		left := len(h.Clients())
		over.Store(true)
		knocking.Wait()
		if err != nil || left != 0 {
			t.Fatalf("%v, %d clients are left", err, left)
		}
	}
}

// TestNobodyIsLetInAfterShutdown returned, by a handshake that was under way.
func TestNobodyIsLetInAfterShutdown(t *testing.T) {
	var s *server.Server
	entered, may := make(chan struct{}), make(chan struct{})
	enter := sync.OnceFunc(func() { close(entered) }) // others may come before Shutdown begins
	h := open(t, func(of *server.Server) {
		s = of
		s.Handler.HandleStateChange(func(_ *arpc.Client, state arpc.State, _ error) {
			if state == arpc.StateOpen { // accepted, and not yet among the clients
				enter()
				<-may
			}
		})
	})
	p := h.knock(t, "tcp")
	p.send(t, request(1, "/nowhere", ""))
	arpctest.Closed(t, entered, "connection")
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = s.Shutdown(context.Background())
	}()
	arpctest.Eventually(t, "Shutdown under way", func() bool {
		other, err := h.tryKnock("tcp")
		if err == nil {
			other.Close()
		}
		return err != nil
	})
	select {
	case <-stopped:
		t.Error("Shutdown returned before the last connection ended")
	default:
	}
	close(may)
	arpctest.Closed(t, stopped, "Shutdown")
	if p.end(t) == nil {
		t.Error("the connection goes on")
	}
}
