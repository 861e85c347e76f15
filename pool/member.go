package pool

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-fbfaa03e/arpc"
)

// member is one connection of a pool, which is there as long as its address is.
type member struct {
	address string
	ctx     context.Context
	cancel  context.CancelFunc
	calls   sync.WaitGroup // calls of the pool that are under way
	ready   atomic.Bool    // client is set

	mu     sync.Mutex // guards what follows
	ended  bool
	client *arpc.Client // never changes once ready
}

// connect begins to connect. It is called with the lock of the pool.
func (p *Pool) connect(address string) *member {
	m := &member{address: address}
	m.ctx, m.cancel = context.WithCancel(p.ctx)
	opts := append([]arpc.ClientOption{}, p.cfg.client...)
	opts = append(opts, arpc.WithHandler(p.Handler), arpc.WithFailFast())
	p.all.Go(func() { m.dial(p, opts) })
	return m
}

// dial dials until there was a connection; from then on the client sees to it.
func (m *member) dial(p *Pool, opts []arpc.ClientOption) {
	for failures := 1; ; failures++ {
		c, err := arpc.Dial(m.ctx, m.address, opts...)
		if err == nil {
			m.set(c)
			p.wake()
			<-c.Done()
			return
		}
		wait := arpc.DefaultBackoff().Wait(failures)
		if m.ctx.Err() == nil {
			p.Handler.Logger().Info("arpc: pool cannot connect", "to", m.address, "error", err, "retry", wait)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-m.ctx.Done():
			timer.Stop()
			return
		}
	}
}

func (m *member) set(c *arpc.Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.client = c
	m.ready.Store(true)
	if m.ended {
		c.Stop()
	}
}

// up reports whether a call may be tried.
func (m *member) up() bool { return m.ready.Load() && m.client.State() == arpc.StateOpen }

// retire ends a member that gets no new calls, when the last one is done.
func (m *member) retire() {
	done := make(chan struct{})
	go func() { m.calls.Wait(); close(done) }()
	select {
	case <-done:
	case <-m.ctx.Done(): // the pool was stopped: calls fail
	}
	m.end()
	<-done
}

// end stops a member at once.
func (m *member) end() {
	m.cancel()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
	if m.client != nil {
		m.client.Stop()
	}
}
