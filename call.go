package arpc

import (
	"context"
	"errors"
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// Call sends a request and waits at most timeout for its answer, which is
// decoded into what rsp points to; nil drops it.
//
// An error of the peer is an *Error whose Remote is true. When the connection
// is lost the call fails at once with ErrDisconnected, and Sent says whether
// the request may have reached the peer. Without a connection a dialed client
// waits for one, as long as the timeout allows.
func (c *Client) Call(method string, req, rsp any, timeout time.Duration) error {
	if timeout <= 0 {
		return Errorf(CodeInvalidArgument, "call %q: timeout %v, must be above zero", method, timeout)
	}
	return c.call(nil, timeout, method, req, rsp)
}

// CallWith is Call with a context instead of a timeout.
func (c *Client) CallWith(ctx context.Context, method string, req, rsp any) error {
	return contextual(ctx, c.call(ctx.Done(), TimeForever, method, req, rsp))
}

func (c *Client) call(done <-chan struct{}, timeout time.Duration, method string, req, rsp any) error {
	w := newWait(timeout, done)
	defer w.stop()
	body, kind, err := c.encode(method, req)
	if err != nil {
		return err
	}
	defer body.free()
	for {
		cn, err := c.connection(w)
		if err != nil {
			return err
		}
		err = c.roundTrip(cn, w, method, body.b, kind, rsp)
		if !neverSent(err) || c.accepted() {
			return err
		}
	}
}

// neverSent says that a call can be tried on the next connection.
func neverSent(err error) bool {
	var coded *Error
	return errors.As(err, &coded) && !coded.Sent && coded.Is(ErrDisconnected)
}

// roundTrip is one call on one connection.
func (c *Client) roundTrip(cn *conn, w *wait, method string, body []byte, kind wire.Kind, rsp any) error {
	s, err := c.pending.add()
	if err != nil {
		return err
	}
	defer c.pending.remove(s)
	cn.inbox.callBegan()
	h := wire.Header{Cmd: wire.Request, Flags: cn.requestFlags(kind), Seq: s.seq}
	end, err := cn.send(h, method, body, w.sendOptions())
	if cn.lostWith(err) {
		return ErrDisconnected.withSent(false, err)
	}
	if err != nil {
		return err
	}
	select {
	case a := <-s.answers:
		return cn.finishCall(a, end, rsp)
	case <-w.expired():
		return ErrTimeout.withSent(true, nil)
	case <-w.done:
		return ErrTimeout.withSent(true, nil)
	}
}

// finishCall turns what a call waited for into its result.
func (c *conn) finishCall(a answer, end uint64, rsp any) error {
	switch {
	case a.lost != nil:
		return ErrDisconnected.withSent(end <= a.left, a.lost)
	case a.flags&wire.Error != 0:
		return remoteError(string(a.body))
	}
	if err := decodeValue(c.codec, a.flags.Kind(), a.body, rsp); err != nil {
		return &Error{Code: CodeInvalidArgument, Message: "the answer is not what the caller takes", Sent: true, cause: err}
	}
	return nil
}

// requestFlags are the flags of what we send unasked: with the kind of the
// body if the peer showed that it knows kinds.
func (c *conn) requestFlags(kind wire.Kind) wire.Flags {
	if !c.kinds.Load() {
		return 0
	}
	return wire.Flags(0).WithKind(kind)
}

// lostWith reports whether err is this connection's end.
func (c *conn) lostWith(err error) bool {
	return err != nil && !errors.Is(err, ErrOverstock) && c.ctx.Err() != nil || errors.Is(err, ErrDisconnected)
}

// contextual gives an error that a context caused the code of that context.
func contextual(ctx context.Context, err error) error {
	var coded *Error
	if err == nil || ctx.Err() == nil || !errors.As(err, &coded) || coded.Remote() {
		return err
	}
	return &Error{Code: CodeOf(ctx.Err()), Message: ctx.Err().Error(), Sent: coded.Sent, cause: context.Cause(ctx)}
}
