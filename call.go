package arpc

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// Call sends a request and waits at most timeout for its answer, which is
// decoded into what rsp points to; nil drops it.
//
// An error of the peer is an *Error whose Remote is true. A call goes on when its
// connection is lost and the session is not: the answer comes on the next. When
// the session is lost it fails at once with ErrDisconnected, and Sent says whether
// the request may have reached the peer. Without a connection a dialed client
// waits for one, as long as the timeout allows; what never left in a lost session
// is sent in the next. Other errors: ErrTimeout, ErrOverstock when the send queue
// stays full, ErrStopped, and invalid_argument for a bad method, a timeout that is
// not above zero and a request that cannot be encoded or sent.
func (c *Client) Call(method string, req, rsp any, timeout time.Duration) error {
	if timeout <= 0 {
		return Errorf(CodeInvalidArgument, "call %q: timeout %v, must be above zero", method, timeout)
	}
	return c.call(caller{}, timeout, method, req, rsp)
}

// CallWith is Call with a context instead of a timeout.
func (c *Client) CallWith(ctx context.Context, method string, req, rsp any) error {
	return contextual(ctx, c.call(callFrom(ctx), TimeForever, method, req, rsp))
}

// caller is who makes a call: what ends its patience, and the request that it
// handles meanwhile, if it does.
type caller struct {
	ctx     context.Context // nil if there is none
	done    <-chan struct{}
	handles *Context
}

func callFrom(ctx context.Context) caller {
	handles, _ := ctx.Value(contextKey{}).(*Context)
	return caller{ctx: ctx, done: ctx.Done(), handles: handles}
}

func (c *Client) call(by caller, timeout time.Duration, method string, req, rsp any) error {
	if by.handles != nil && by.handles.Client == c && by.handles.inline {
		return Errorf(CodeFailedPrecondition, "call %q: an Inline handler blocks the answer that it would wait for", method)
	}
	w := newWait(timeout, by.done)
	w.ctx = by.ctx
	defer w.stop()
	b, err := c.encode(method, req)
	if err != nil {
		return err
	}
	defer b.free()
	for {
		s, err := c.connection(&w)
		if err != nil {
			return err
		}
		at, err := c.place(s, by, &w)
		if err != nil {
			return err
		}
		err = c.roundTrip(s, at, &w, method, b.b, b.kind, rsp)
		if !neverSent(err) || c.accepted() {
			return err
		}
	}
}

// neverSent says that a call can be tried in the next session.
func neverSent(err error) bool {
	if err == nil {
		return false
	}
	var coded *Error // on the heap, so not for a call that succeeds
	return errors.As(err, &coded) && !coded.Sent && coded.Is(ErrDisconnected)
}

// callProtocol calls a method of the protocol: outside of sessions, and not held
// back. asked, unless it is nil, is told the seq before it leaves.
func (c *Client) callProtocol(ctx context.Context, method, body string, rsp any, asked func(seq uint64)) error {
	w := newWait(TimeForever, ctx.Done())
	defer w.stop()
	s, err := c.connection(&w)
	if err != nil {
		return contextual(ctx, err)
	}
	cn := s.now.Load()
	if cn == nil {
		return ErrDisconnected.withSent(false, nil)
	}
	at, _, err := c.pending.add(noLimit, cn)
	if err != nil {
		return err
	}
	defer c.pending.remove(at)
	if asked != nil {
		asked(at.seq)
	}
	end, err := cn.ask(at, &w, method, []byte(body), wire.Text)
	if err != nil {
		return contextual(ctx, err)
	}
	a, err := s.await(at, &w)
	if err != nil {
		return contextual(ctx, err)
	}
	if err := a.failure(end); err != nil {
		return err
	}
	defer a.free()
	return json.Unmarshal(a.body(), rsp)
}

// place finds a place among the calls that wait. While the peer runs as many
// as it said it wants, it waits, unless the caller handles a request of that
// very peer: then the peer waits too.
func (c *Client) place(s *session, by caller, w *wait) (*slot, error) {
	for {
		at, fewer, err := c.pending.add(0, s)
		if errors.Is(err, errHeld) {
			at, fewer, err = c.pending.add(s.extraCalls(by), s)
		}
		if !errors.Is(err, errHeld) {
			return at, err
		}
		if err := w.until(fewer, s.gone.wait()); err != nil {
			return nil, err
		}
	}
}

// extraCalls is how many calls there may be beyond what the peer wants at once.
func (s *session) extraCalls(by caller) int {
	if by.handles != nil && by.handles.Client == s.client {
		return noLimit
	}
	return s.inbox.open()
}

// roundTrip is one call in one session.
func (c *Client) roundTrip(s *session, at *slot, w *wait, method string, body []byte, kind wire.Kind, rsp any) error {
	defer c.pending.remove(at)
	end, err := s.request(at, 0, w, method, body, kind)
	if err != nil {
		return err
	}
	a, err := s.await(at, w)
	if err != nil {
		return err
	}
	defer a.free() // what rsp points to has no part of it
	return s.finishCall(a, end, rsp)
}

// checkBody says whether the peer takes a body, if it told its limit.
func (s *session) checkBody(method string, body []byte) error {
	if limit, n := int(s.peerBody.Load()), len(method)+len(body); limit > 0 && n > limit {
		return Errorf(CodeResourceExhausted, "body of %d bytes, the peer takes %d", n, limit)
	}
	return nil
}

// request sends a request from the place of a call.
func (s *session) request(at *slot, flags wire.Flags, w *wait, method string, body []byte, kind wire.Kind) (end uint64, err error) {
	if err := s.checkBody(method, body); err != nil {
		return 0, err
	}
	s.inbox.waitBegan()
	h := wire.Header{Cmd: wire.Request, Flags: flags | s.requestFlags(kind), Seq: at.seq}
	o := w.sendOptions()
	o.alone = s.client.pending.count() == 1
	end, err = s.send(h, method, body, o)
	if s.lostWith(err) {
		return 0, ErrDisconnected.withSent(false, err)
	}
	return end, err
}

// ask sends a request that is no part of the session.
func (c *conn) ask(at *slot, w *wait, method string, body []byte, kind wire.Kind) (end uint64, err error) {
	s := c.session()
	if err := s.checkBody(method, body); err != nil {
		return 0, err
	}
	s.inbox.waitBegan()
	h := wire.Header{Cmd: wire.Request, Flags: wire.Outside | s.requestFlags(kind), Seq: at.seq}
	end, err = c.send(h, method, body, w.sendOptions())
	if err != nil && c.gone.happened() {
		return 0, ErrDisconnected.withSent(false, err)
	}
	return end, err
}

// await waits for the answer, and tells the peer if it waits no longer.
func (s *session) await(at *slot, w *wait) (answer, error) {
	if !w.deadline.IsZero() {
		s.client.pending.expireAt(at, w.deadline)
	}
	var a answer
	if w.done == nil { // a receive costs half of a select
		a = <-at.answers
	} else {
		select {
		case a = <-at.answers:
		case <-w.done:
			return answer{}, s.giveUp(at)
		}
	}
	if a.none != nil && a.none.expired {
		return answer{}, s.giveUp(at)
	}
	return a, nil
}

// giveUp tells the peer that a call waits no longer.
func (s *session) giveUp(at *slot) error {
	s.cancelCall(at.seq)
	return ErrTimeout.withSent(true, nil)
}

// cancelCall tells a peer that knows the word that nobody waits any more. It is
// advice: if there is no room for it, the answer will find nobody.
func (s *session) cancelCall(seq uint64) {
	if s.has(capCancel) {
		_, _ = s.send(wire.Header{Cmd: wire.Cancel, Seq: seq}, "", nil, sendOptions{})
	}
}

// failure is the error that an answer stands for, nil if it is none.
func (a answer) failure(end uint64) error {
	switch {
	case a.none != nil:
		return ErrDisconnected.withSent(end <= a.none.left, a.none.lost)
	case a.flags&wire.Structured != 0:
		return remoteStructured(a.body())
	case a.flags&wire.Error != 0:
		return remoteError(string(a.body()))
	}
	return nil
}

// finishCall turns what a call waited for into its result.
func (s *session) finishCall(a answer, end uint64, rsp any) error {
	if err := a.failure(end); err != nil {
		return err
	}
	if err := decodeValue(s.codec, a.flags.Kind(), a.body(), rsp); err != nil {
		return &Error{Code: CodeInvalidArgument, Message: "the answer is not what the caller takes", Sent: true, cause: err}
	}
	return nil
}

// requestFlags are the flags of what we send unasked: with the kind of the
// body if the peer showed that it knows kinds.
func (s *session) requestFlags(kind wire.Kind) wire.Flags {
	if !s.kinds.Load() {
		return 0
	}
	return wire.Flags(0).WithKind(kind)
}

// lostWith reports whether err is this session's end.
func (s *session) lostWith(err error) bool {
	return err != nil && !errors.Is(err, ErrOverstock) && s.gone.happened() || errors.Is(err, ErrDisconnected)
}

// contextual gives an error that a context caused the code of that context.
func contextual(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	var coded *Error
	if !errors.As(err, &coded) || coded.Remote() {
		return err
	}
	return &Error{Code: CodeOf(ctx.Err()), Message: ctx.Err().Error(), Sent: coded.Sent, cause: context.Cause(ctx)}
}
