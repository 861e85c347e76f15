package arpc

import (
	"context"
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// CallAsync sends a request and returns; f is called once with what came of it,
// on a goroutine of its own: the answer as a Context to bind it from, or the
// error that Call would have returned. The error that CallAsync itself returns
// means that nothing was sent and f is not called. A nil f drops the answer.
func (c *Client) CallAsync(method string, req any, f func(*Context, error), timeout time.Duration) error {
	if timeout <= 0 {
		return Errorf(CodeInvalidArgument, "call %q: timeout %v, must be above zero", method, timeout)
	}
	b, err := c.encode(method, req)
	if err != nil {
		return err
	}
	defer b.free()
	w := newWait(timeout, nil)
	for {
		s, err := c.connection(&w)
		if err != nil {
			return err
		}
		at, err := c.place(s, caller{}, &w)
		if err != nil {
			return err
		}
		end, err := s.request(at, wire.Async, &w, method, b.b, b.kind)
		if err == nil {
			go c.finishAsync(s, at, end, &w, method, f)
			return nil
		}
		c.pending.remove(at)
		if !neverSent(err) || c.accepted() {
			return err
		}
	}
}

// finishAsync waits for the answer and calls back.
func (c *Client) finishAsync(s *session, at *slot, end uint64, w *wait, method string, f func(*Context, error)) {
	a, err := s.await(at, w)
	c.pending.remove(at)
	w.stop()
	if err == nil {
		err = a.failure(end)
	}
	if f == nil {
		return
	}
	ctx := &Context{Client: c, session: s, method: method, body: a.body(), cmd: wire.Response, flags: a.flags}
	c.Handler.protect("callback", func() { f(ctx, err) })
}

// Invoke calls a method and returns the answer as a Reply.
func Invoke[Reply any](ctx context.Context, c *Client, method string, req any) (Reply, error) {
	var reply Reply
	err := c.CallWith(ctx, method, req, &reply)
	return reply, err
}
