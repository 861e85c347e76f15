package sessions_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/server"
)

// door is a server with everything that is seen of its sessions.
type door struct {
	*server.Server
	address  string
	clients  chan *arpc.Client // whose sessions began
	paused   atomic.Int64
	resumed  atomic.Int64
	ended    atomic.Int64
	released chan struct{} // closed by release
	release  func()        // lets the requests to /wait and /hold be answered

	mu  sync.Mutex
	ran map[string]int // requests by their id; guarded by mu
}

// open opens a server to which the token says who somebody is, or nobody has to say
// it. It ends with the test, and leaves nothing.
func open(t testing.TB, limits arpc.Limits, identified bool) *door {
	t.Helper()
	d := &door{
		Server: server.New(), clients: make(chan *arpc.Client, 4096), released: make(chan struct{}), ran: map[string]int{},
	}
	d.release = sync.OnceFunc(func() { close(d.released) })
	h := d.Handler
	h.SetLimits(limits)
	if identified {
		h.HandleAuthenticate(func(_ context.Context, cr arpc.Credentials) (*arpc.Identity, error) {
			if cr.Source == arpc.FromUpgrade {
				return nil, nil
			}
			return &arpc.Identity{ID: cr.Token}, nil
		})
	}
	h.HandleConnected(func(c *arpc.Client) { d.clients <- c })
	h.HandlePaused(func(*arpc.Client, error) { d.paused.Add(1) })
	h.HandleResumed(func(*arpc.Client) { d.resumed.Add(1) })
	h.HandleDisconnected(func(*arpc.Client, error) { d.ended.Add(1) })
	h.Handle("/run", func(ctx *arpc.Context) { d.run(ctx); _ = ctx.Write("ran") }) // a lost session is seen otherwise
	h.Handle("/wait", func(ctx *arpc.Context) {
		d.run(ctx)
		<-d.released
		_ = ctx.Write("waited") // as above
	})
	h.Handle("/hold", func(ctx *arpc.Context) {
		d.run(ctx)
		<-d.released
	}, arpc.Inline)
	h.HandleStream("/read", func(s *arpc.Stream) {
		for range s.Messages() {
		}
	})
	listener := arpctest.Listen(t)
	d.address = listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- d.Serve(listener) }()
	t.Cleanup(func() {
		d.release()
		ctx, cancel := context.WithTimeout(context.Background(), arpctest.Wait)
		defer cancel()
		if err := d.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		<-served
		if s := d.Stats(); s != (arpc.Stats{}) {
			t.Errorf("left: %+v", s)
		}
	})
	return d
}

func (d *door) run(ctx *arpc.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ran[string(ctx.Body())]++
}

// runs is how often the request of an id ran.
func (d *door) runs(id string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ran[id]
}

// awaitResumed waits until the hooks, which come a moment later than what they tell
// of, have told so often that a session was taken up.
func (d *door) awaitResumed(t testing.TB, times int64) {
	t.Helper()
	arpctest.Eventually(t, "resumed", func() bool { return d.resumed.Load() >= times })
	if n := d.resumed.Load(); n != times {
		t.Errorf("resumed %d times, want %d", n, times)
	}
}

// session is a peer's, as the two ends have it.
type session struct {
	*peer
	ticket string
	client *arpc.Client // at the server
}

// begin connects somebody who begins a session.
func (d *door) begin(t testing.TB, token, from string) *session {
	t.Helper()
	p := connect(t, d.address, from)
	w := p.hello(token, nil)
	if w.Ticket == "" || w.Resumed != nil {
		t.Fatalf("a first hello was answered with %+v", w)
	}
	p.confirm(0)
	return &session{peer: p, ticket: w.Ticket, client: arpctest.Receive(t, d.clients, "session")}
}

// park loses the connection of a session, and waits until the server knows.
func park(t testing.TB, s *session) {
	t.Helper()
	s.Close()
	arpctest.Eventually(t, "parked", func() bool { return s.client.State() == arpc.StateWaiting })
}

// ask says hello on a new connection, for a session.
func (d *door) ask(t testing.TB, token, ticket string, received uint64) (*peer, welcome) {
	t.Helper()
	p := connect(t, d.address, "")
	return p, p.hello(token, &asked{Ticket: ticket, Received: received})
}

// resume takes a session up.
func (d *door) resume(t testing.TB, s *session, token string) {
	t.Helper()
	p, w := d.ask(t, token, s.ticket, s.received)
	if !w.resumed() || w.Received == nil || w.Ticket == "" || w.Ticket == s.ticket {
		t.Fatalf("resume: %v, %+v", w, w)
	}
	p.sent, p.received = *w.Received, s.received
	p.confirm(s.received)
	s.peer, s.ticket = p, w.Ticket
}
