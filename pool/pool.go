// Package pool spreads calls over several connections, to one server or to many:
// each call goes to the next connection, and those that are down are skipped.
package pool

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc"
)

// Pool is a set of connections that are alike. It keeps them up, and follows its
// Resolver: to servers that are new it connects, from those that are gone it
// parts when its calls to them are done. All methods are safe for concurrent use.
type Pool struct {
	// Handler is what the clients of the pool do with what they receive: a clone
	// of the one that WithHandler gave. It is not to be replaced.
	Handler *arpc.Handler

	cfg    config
	find   Resolver
	ctx    context.Context // ends with Stop
	cancel context.CancelFunc
	all    sync.WaitGroup // goroutines of the pool

	mu      sync.Mutex // guards what follows
	members []*member
	next    int           // where the search for a connection begins
	changed chan struct{} // closed when a connection may have come up
}

// Option is a setting of New.
type Option func(*config)

type config struct {
	perAddress int
	refresh    time.Duration
	handler    *arpc.Handler
	client     []arpc.ClientOption
}

// PerAddress sets how many connections there are to each address; the default is 1.
func PerAddress(n int) Option { return func(c *config) { c.perAddress = max(1, n) } }

// Refresh sets how often the Resolver is asked; the default is every 30 seconds.
func Refresh(every time.Duration) Option {
	return func(c *config) {
		if every > 0 {
			c.refresh = every
		}
	}
}

// WithHandler sets the handler that the pool clones; the default is arpc.DefaultHandler.
func WithHandler(h *arpc.Handler) Option { return func(c *config) { c.handler = h } }

// WithClient sets options of every client, except arpc.WithHandler.
func WithClient(opts ...arpc.ClientOption) Option {
	return func(c *config) { c.client = append(c.client, opts...) }
}

// New returns a pool, which connects in the background until Stop. Calls wait for
// the first connection as they wait later when all are down.
func New(find Resolver, opts ...Option) *Pool {
	cfg := config{perAddress: 1, refresh: 30 * time.Second, handler: arpc.DefaultHandler}
	for _, o := range opts {
		o(&cfg)
	}
	p := &Pool{Handler: cfg.handler.Clone(), cfg: cfg, find: find, changed: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.Handler.HandleStateChange(func(*arpc.Client, arpc.State, error) { p.wake() })
	p.all.Go(p.follow)
	return p
}

// Call is Client.Call on the next connection that is up. What certainly did not
// reach a server goes to another one; while all are down, Call waits, at most
// timeout.
func (p *Pool) Call(method string, req, rsp any, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return p.CallWith(ctx, method, req, rsp)
}

// CallWith is Call with a context instead of a timeout.
func (p *Pool) CallWith(ctx context.Context, method string, req, rsp any) error {
	return p.try(ctx, func(c *arpc.Client) error { return c.CallWith(ctx, method, req, rsp) })
}

// Notify is Client.Notify on the next connection that is up. Two notifies may
// take different connections, so nothing is said about their order.
func (p *Pool) Notify(method string, v any, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return p.try(ctx, func(c *arpc.Client) error { return c.NotifyWith(ctx, method, v) })
}

// Client waits until a connection is up and returns the next one, for what the
// pool has no method for. It may go down at any time, and is stopped when the
// pool is, or when the Resolver does not know its address any more.
func (p *Pool) Client(ctx context.Context) (*arpc.Client, error) {
	m, err := p.take(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer m.calls.Done()
	return m.client, nil
}

// Up is how many connections are up.
func (p *Pool) Up() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, m := range p.members {
		if m.up() {
			n++
		}
	}
	return n
}

// Stop ends all connections, and calls on them fail. It returns when nothing of
// the pool runs any more, except handlers that have not returned.
func (p *Pool) Stop() {
	p.cancel()
	p.mu.Lock()
	members := p.members
	p.members = nil
	p.mu.Unlock()
	for _, m := range members {
		m.end()
	}
	p.all.Wait()
}

// try calls f on one connection after the other until it did not fail for want of
// one.
func (p *Pool) try(ctx context.Context, f func(*arpc.Client) error) error {
	tried := map[*member]bool{}
	for {
		m, err := p.take(ctx, tried)
		if err != nil {
			return err
		}
		err = f(m.client)
		m.calls.Done()
		var told *arpc.Error
		if !errors.As(err, &told) || told.Sent || !told.Is(arpc.ErrDisconnected) && !told.Is(arpc.ErrStopped) {
			return err
		}
		tried[m] = true // it may still look as if it were up, when its server sent it away
	}
}

// take waits for a connection that is up and was not tried, and counts a call on
// it. When any came up, those that were tried are tried again.
func (p *Pool) take(ctx context.Context, tried map[*member]bool) (*member, error) {
	for {
		m, changed := p.pick(tried)
		if m != nil {
			return m, nil
		}
		select {
		case <-changed:
			clear(tried)
		case <-ctx.Done():
			return nil, arpc.Errorf(arpc.CodeUnavailable, "no connection of the pool is up: %w", context.Cause(ctx))
		case <-p.ctx.Done():
			return nil, arpc.ErrStopped
		}
	}
}

// pick is the next member that is up, or a channel that is closed when there may be one.
func (p *Pool) pick(tried map[*member]bool) (*member, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.members {
		at := (p.next + i) % len(p.members)
		if m := p.members[at]; m.up() && !tried[m] {
			p.next = at + 1
			m.calls.Add(1)
			return m, nil
		}
	}
	return nil, p.changed
}

// wake makes those who wait look again.
func (p *Pool) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.changed)
	p.changed = make(chan struct{})
}

// follow asks the Resolver until Stop.
func (p *Pool) follow() {
	ticker := time.NewTicker(p.cfg.refresh)
	defer ticker.Stop()
	for failures := 0; ; {
		addresses, err := p.find(p.ctx)
		again := ticker.C
		switch {
		case p.ctx.Err() != nil:
			return
		case err != nil || len(addresses) == 0: // what was known goes on
			failures++
			wait := min(arpc.DefaultBackoff().Wait(failures), p.cfg.refresh)
			p.Handler.Logger().Warn("arpc: pool found no server", "error", err, "retry", wait)
			again = time.After(wait)
		default:
			failures = 0
			p.adopt(addresses)
		}
		select {
		case <-again:
		case <-p.ctx.Done():
			return
		}
	}
}

// adopt connects to addresses that are new and parts from those that are gone.
func (p *Pool) adopt(addresses []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return
	}
	var stay []*member
	for _, m := range p.members {
		if slices.Contains(addresses, m.address) {
			stay = append(stay, m)
		} else {
			p.all.Go(m.retire)
		}
	}
	addresses = slices.Compact(slices.Sorted(slices.Values(addresses)))
	for range p.cfg.perAddress { // one to each first, so that the rounds mix them
		for _, address := range addresses {
			if !slices.ContainsFunc(p.members, func(m *member) bool { return m.address == address }) {
				stay = append(stay, p.connect(address))
			}
		}
	}
	p.members = stay
}
