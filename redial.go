package arpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

type dialFunc func(ctx context.Context) (net.Conn, error)

// HelloMode says whether a client says hello, which is how both ends find out
// what more than the base protocol they can do.
type HelloMode byte

const (
	// HelloAuto says hello, and goes on with a base server without it.
	HelloAuto HelloMode = iota
	// HelloRequire fails where the server is a base one.
	HelloRequire
	// HelloNever speaks the base protocol only.
	HelloNever
)

const (
	helloTimeout = 5 * time.Second  // an original without a handler never answers
	baseMemory   = 10 * time.Minute // for how long a server that did not is remembered as such
)

// minRefresh keeps a server whose tokens live shortly from being asked all the time.
const minRefresh = time.Second

// TokenFunc returns the token that a client shows. It is called for each
// connection and before a token expires, one call at a time.
type TokenFunc func(ctx context.Context) (string, error)

// redialer keeps a client connected: it makes a new connection when one died.
type redialer struct {
	client   *Client
	dial     dialFunc
	backoff  Backoff
	hello    HelloMode
	token    TokenFunc
	failFast bool
	ctx      context.Context // ends with Stop
	cancel   context.CancelCauseFunc

	baseUntil time.Time // until when the server is taken for a base one; owned by whoever dials
	answered  bool      // hello was once; owned by whoever dials

	mu      sync.Mutex // guards refresh
	refresh *time.Timer
}

func newRedialer(c *Client, dial dialFunc, cfg clientConfig) *redialer {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &redialer{client: c, dial: dial, backoff: cfg.backoff, hello: cfg.hello, token: cfg.token, failFast: cfg.failFast, ctx: ctx, cancel: cancel}
}

// connect opens a connection, finds out what the server is, and makes it the
// client's.
func (d *redialer) connect(ctx context.Context) (*conn, error) {
	token, err := d.currentToken(ctx)
	if err != nil {
		return nil, err
	}
	for {
		cn, err := d.dialOnce(ctx)
		if err != nil {
			return nil, err
		}
		err = d.greet(ctx, cn, token)
		if err == nil {
			return d.open(cn)
		}
		cn.shut(errAttempt)
		<-cn.ended.wait()
		if refused(err) {
			d.client.forgo("")
		}
		if !errors.Is(err, errDeaf) || !d.mayFallBack(token) || d.answered { // then it is only slow
			return nil, err
		}
		d.baseUntil = time.Now().Add(baseMemory)
	}
}

func (d *redialer) currentToken(ctx context.Context) (string, error) {
	if d.token == nil {
		return "", nil
	}
	token, err := d.token(ctx)
	if err != nil {
		return "", fmt.Errorf("get a token: %w", err)
	}
	return token, nil
}

// greet says hello unless it is known to be in vain.
func (d *redialer) greet(ctx context.Context, cn *conn, token string) error {
	d.client.pending.setLimit(0) // the connection before may have been to another server
	if d.hello == HelloNever || d.mayFallBack(token) && time.Now().Before(d.baseUntil) {
		cn.welcomed(nil)
		return nil
	}
	w := newWait(helloTimeout, ctx.Done())
	defer w.stop()
	err := cn.greet(token, &w)
	switch {
	case err == nil:
		d.answered = true
	case !errors.Is(err, errBase):
		return err
	case !d.mayFallBack(token):
		return &Error{Code: CodeUnavailable, Message: errBase.Error()}
	default:
		cn.welcomed(nil)
	}
	return nil
}

// mayFallBack says whether a base server will do. One that cannot read a token
// does not know who we are, and none knows the session we had.
func (d *redialer) mayFallBack(token string) bool {
	return d.hello == HelloAuto && token == "" && d.client.parkedSession() == nil
}

// dialOnce opens a connection within the handshake limit and begins to read it.
func (d *redialer) dialOnce(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.client.Handler.Limits().Handshake)
	defer cancel()
	nc, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	cn := newConn(d.client, d.client.Handler, nc)
	cn.start()
	return cn, nil
}

// open makes a connection the client's.
func (d *redialer) open(cn *conn) (*conn, error) {
	c := d.client
	if !cn.open() {
		<-cn.ended.wait()
		return nil, cn.err()
	}
	if d.ctx.Err() != nil { // stopped meanwhile: Stop did not see this connection
		c.terminate(errStoppedAs(d.ctx))
	}
	return cn, nil
}

// opened tells of a connection that is the client's now.
func (d *redialer) opened(cn *conn) {
	c := d.client
	c.setState(StateOpen, cn, nil)
	hooks := c.Handler.runConnected
	if cn.session().introduced.Swap(true) {
		hooks = c.Handler.runResumed
	}
	c.hooks.add(func() { hooks(c) })
}

// ended is called when a session is over: with its last connection, or between two.
func (d *redialer) ended(s *session, cn *conn, err error) {
	if cn != nil {
		d.stopRefresh()
	}
	if cn != nil && cn.wasOpen() {
		d.client.setState(StateWaiting, nil, err)
	}
	if s.introduced.Load() {
		d.client.ended(err)
	}
}

// errStoppedAs is what the client was stopped with.
func errStoppedAs(ctx context.Context) *Error {
	reason := ErrStopped
	errors.As(context.Cause(ctx), &reason)
	return reason
}

// run waits for the connection to end and makes the next one, until Stop.
func (d *redialer) run(cn *conn) {
	failures := 0
	for cn != nil {
		began := time.Now()
		<-cn.ended.wait()
		if cn.err() == error(errRestart) {
			cn, failures = d.again(0, 0)
			continue
		}
		if time.Since(began) >= d.backoff.Stable {
			failures = 0
		}
		failures++
		// A server that sends everybody away at once is not dialed all the time.
		cn, failures = d.again(max(cn.awayFor(), d.backoff.Wait(failures)), failures)
	}
	d.client.setState(StateClosed, nil, nil)
	d.client.hooks.add(func() { d.client.done.happens() })
}

// again dials until it succeeds; nil means that the client was stopped.
func (d *redialer) again(delay time.Duration, failures int) (*conn, int) {
	for {
		if !d.sleep(delay) {
			return nil, failures
		}
		d.client.setState(StateConnecting, nil, nil)
		cn, err := d.connect(d.ctx)
		if err == nil {
			return cn, failures
		}
		d.client.setState(StateWaiting, nil, err)
		failures++
		delay = d.backoff.Wait(failures)
	}
}

func (d *redialer) sleep(delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return d.ctx.Err() == nil
	case <-d.ctx.Done():
		return false
	}
}

// scheduleRefresh gets a new token when most of the life of this one is over.
func (d *redialer) scheduleRefresh(in time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refresh != nil {
		d.refresh.Stop()
		d.refresh = nil
	}
	if in > 0 && d.token != nil && d.ctx.Err() == nil {
		d.refresh = time.AfterFunc(max(in/4*3, minRefresh), d.refreshNow)
	}
}

func (d *redialer) stopRefresh() { d.scheduleRefresh(0) }

// refreshNow shows a new token. If that fails the connection ends when the old
// one does, and the next connection shows a new one.
func (d *redialer) refreshNow() {
	ctx, cancel := context.WithTimeout(d.ctx, helloTimeout)
	defer cancel()
	token, err := d.currentToken(ctx)
	if err == nil {
		err = d.client.RefreshToken(ctx, token)
	}
	if err != nil {
		d.client.Handler.Logger().Warn("arpc: refresh the token", "error", err)
	}
}
