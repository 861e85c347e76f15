package arpc

import (
	"context"
	"net"
	"time"
)

type dialFunc func(ctx context.Context) (net.Conn, error)

// redialer keeps a client connected: it makes a new connection when one died.
type redialer struct {
	client  *Client
	dial    dialFunc
	backoff Backoff
	ctx     context.Context // ends with Stop
	cancel  context.CancelCauseFunc
}

func newRedialer(c *Client, dial dialFunc, b Backoff) *redialer {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &redialer{client: c, dial: dial, backoff: b, ctx: ctx, cancel: cancel}
}

// dialOnce opens a connection within the handshake limit.
func (d *redialer) dialOnce(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.client.Handler.Limits().Handshake)
	defer cancel()
	return d.dial(ctx)
}

// attach makes a connection the client's, and runs the connected hooks.
func (d *redialer) attach(nc net.Conn) *conn {
	c := d.client
	cn := newConn(c, c.Handler, nc)
	established := make(chan struct{})
	c.setState(StateOpen, cn, nil)
	cn.start(func(err error) {
		<-established // the disconnected hooks come after the connected ones
		c.setState(StateWaiting, nil, err)
		c.Handler.runDisconnected(c, err)
	})
	if d.ctx.Err() != nil { // stopped meanwhile: Stop did not see this connection
		cn.shut(context.Cause(d.ctx))
	}
	c.Handler.runConnected(c)
	close(established)
	return cn
}

// run waits for the connection to end and makes the next one, until Stop.
func (d *redialer) run(cn *conn) {
	failures := 0
	for cn != nil {
		began := time.Now()
		<-cn.ended
		if time.Since(began) >= d.backoff.Stable {
			failures = 0
		}
		cn, failures = d.again(failures + 1)
	}
	d.client.setState(StateClosed, nil, nil)
	close(d.client.done)
}

// again dials until it succeeds; nil means that the client was stopped.
func (d *redialer) again(failures int) (*conn, int) {
	for ; ; failures++ {
		if !d.sleep(d.backoff.wait(failures)) {
			return nil, failures
		}
		d.client.setState(StateConnecting, nil, nil)
		nc, err := d.dialOnce(d.ctx)
		if err == nil {
			return d.attach(nc), failures
		}
		d.client.setState(StateWaiting, nil, err)
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
