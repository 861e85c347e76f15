package arpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// Stream is a sequence of messages in each direction under one method. Either
// side ends its direction when it has said everything; the stream is gone when
// both have, when either fails or cancels it, and with the session.
//
// One goroutine at a time may send and one may receive, at the same time; the
// other methods are safe for concurrent use.
type Stream struct {
	client *Client
	method string
	opener bool // we opened it

	ctx    context.Context
	cancel context.CancelCauseFunc

	mu       sync.Mutex // guards what follows
	session  *session   // nil until the first frame
	id       uint64
	chunks   []chunk // received and not read
	unread   int     // their bytes
	consumed int     // bytes read and not granted again
	allowed  int     // bytes that the peer may send, where credit was agreed
	credit   int     // bytes that may be sent; without credit agreed it does not count
	sentEnd  bool    // our direction is over
	gotEnd   bool    // theirs is
	failure  error   // what receiving ends with instead of io.EOF
	closed   bool    // both are, or it was canceled
	changed  chan struct{}
}

// chunk is one message of a stream.
type chunk struct {
	kind wire.Kind
	body []byte
}

// maxChunks is how many messages of one stream may wait to be read: those without
// a body need no credit.
const maxChunks = 1 << 18

// chunkCost is what holding a message costs beside its body, in bytes.
const chunkCost = 64

// ErrStreamClosed is returned by a stream that was closed on this side.
var ErrStreamClosed = &Error{Code: CodeCanceled, Message: "stream closed"}

func newStream(parent context.Context, c *Client, method string, opener bool) *Stream {
	s := &Stream{client: c, method: method, opener: opener, changed: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancelCause(parent)
	return s
}

// NewStream returns a stream to a method of the peer. It is opened by the first
// message, or by the end of one without messages.
func (c *Client) NewStream(method string) *Stream {
	return newStream(context.Background(), c, method, true)
}

// Client is the peer at the other end.
func (s *Stream) Client() *Client { return s.client }

// Method is the method that the stream was opened with.
func (s *Stream) Method() string { return s.method }

// Context ends with the stream.
func (s *Stream) Context() context.Context { return s.ctx }

// Send sends a message, encoded as Client.Call encodes a request. It waits while
// the receiver is behind, which peers with the capability credit tell, and while
// the send queue is full. It fails when the stream is over in this direction.
func (s *Stream) Send(v any) error { return s.SendWith(context.Background(), v) }

// SendWith is Send until ctx ends.
func (s *Stream) SendWith(ctx context.Context, v any) error { return s.send(ctx, v, false) }

// SendAndClose sends a last message.
func (s *Stream) SendAndClose(v any) error { return s.send(context.Background(), v, true) }

// CloseSend ends this direction. Doing it again does nothing.
func (s *Stream) CloseSend() error { return s.end(nil) }

// Fail ends the stream with an error, which is what the peer's Recv and Send
// return. To a base peer it is the end of this direction like any other.
func (s *Stream) Fail(err error) error { return s.end(err) }

func (s *Stream) send(ctx context.Context, v any, last bool) error {
	b, err := s.client.encode(s.method, v)
	if err != nil {
		return err
	}
	defer b.free()
	on, err := s.attach(ctx)
	if err != nil {
		return err
	}
	if err := on.checkBody(s.method, b.b); err != nil {
		return err
	}
	if len(b.b) == 0 && !last && !on.has(capExtended) {
		return Errorf(CodeInvalidArgument, "an empty message on a stream to a base peer, which would drop it")
	}
	if err := s.awaitCredit(ctx, on, len(b.b), last); err != nil {
		return err
	}
	h := wire.Header{Cmd: s.cmd(wire.Stream, last), Flags: on.requestFlags(b.kind), Seq: s.id}
	_, err = on.send(h, s.method, b.b, sendOptions{timeout: TimeForever, done: ctx.Done()})
	if err != nil {
		s.refund(on, len(b.b))
	}
	if last {
		s.settle()
	}
	return contextual(ctx, err)
}

// cmd is a command with the bits of a stream.
func (s *Stream) cmd(c wire.Cmd, last bool) wire.Cmd {
	if s.opener {
		c |= wire.Opener
	}
	if last {
		c |= wire.Last
	}
	return c
}

// attach is the session of the stream: the current one when it is first asked for.
func (s *Stream) attach(ctx context.Context) (*session, error) {
	s.mu.Lock()
	on, err := s.session, s.sendErrorLocked()
	s.mu.Unlock()
	if on != nil || err != nil {
		return on, err
	}
	w := newWait(TimeForever, ctx.Done())
	defer w.stop()
	on, err = s.client.connection(&w)
	if err != nil {
		return nil, contextual(ctx, err)
	}
	return on, on.streams.open(s)
}

// sendErrorLocked is why nothing can be sent any more.
func (s *Stream) sendErrorLocked() error {
	switch {
	case !s.sentEnd && !s.closed:
		return nil
	case s.failure != nil:
		return s.failure
	}
	return ErrStreamClosed
}

// awaitCredit takes the credit for a message. A message may overdraw it, so that
// one of any size can be sent.
func (s *Stream) awaitCredit(ctx context.Context, on *session, n int, last bool) error {
	for {
		s.mu.Lock()
		err := s.sendErrorLocked()
		free := !on.has(capCredit) || s.credit > 0 || n == 0
		if err == nil && free {
			if on.has(capCredit) {
				s.credit -= n
			}
			s.sentEnd = last
		}
		changed := s.changed
		s.mu.Unlock()
		if err != nil || free {
			return err
		}
		if !s.wait(ctx, changed) {
			return contextual(ctx, ErrTimeout)
		}
	}
}

// refund gives back the credit of a message that was not sent.
func (s *Stream) refund(on *session, n int) {
	if on.has(capCredit) {
		s.addCredit(n)
	}
}

// end ends our direction.
func (s *Stream) end(failure error) error {
	on, err := s.attach(context.Background())
	if errors.Is(err, ErrStreamClosed) {
		return nil
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	again := s.sentEnd || s.closed
	s.sentEnd = true
	s.mu.Unlock()
	if again {
		return nil
	}
	buf := takeBuffer()
	defer buf.free()
	h := wire.Header{Cmd: s.cmd(wire.Stream, true), Seq: s.id}
	if failure != nil && on.has(capErrors) { // the text of an error would be data to a base peer
		h.Flags = wire.Error | on.appendError(buf, failure)
	}
	_, err = on.send(h, s.method, buf.b, sendOptions{timeout: TimeForever})
	if h.Flags != 0 {
		s.finish(ErrStreamClosed)
	}
	s.settle()
	return err
}

// Recv waits for the next message and decodes it into what v points to. It
// returns io.EOF after the last, or the error that the peer ended with.
func (s *Stream) Recv(v any) error { return s.RecvWith(context.Background(), v) }

// RecvWith is Recv until ctx ends.
func (s *Stream) RecvWith(ctx context.Context, v any) error {
	next, err := s.next(ctx)
	if err != nil {
		return err
	}
	if err := decodeValue(s.client.Handler.Codec(), next.kind, next.body, v); err != nil {
		return Errorf(CodeInvalidArgument, "message of stream %q: %w", s.method, err)
	}
	return nil
}

// Messages ranges over the messages until the end. An error of the stream is
// the last thing it yields. Leaving the loop early closes the stream.
func (s *Stream) Messages() iter.Seq2[Raw, error] {
	return func(yield func(Raw, error) bool) {
		for {
			next, err := s.next(context.Background())
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(Raw{}, err)
				return
			case !yield(Raw{next.kind, next.body}, nil):
				s.Close()
				return
			}
		}
	}
}

func (s *Stream) next(ctx context.Context) (chunk, error) {
	for {
		s.mu.Lock()
		next, ok, err := s.popLocked()
		grant := s.grantLocked(len(next.body))
		changed := s.changed
		s.mu.Unlock()
		if grant > 0 {
			s.session.grant(s, grant)
		}
		if ok || err != nil {
			return next, err
		}
		if !s.wait(ctx, changed) {
			return chunk{}, contextual(ctx, ErrTimeout)
		}
	}
}

// wait waits for the stream to change, which the peer makes it do. The reader
// must not wait for us meanwhile.
func (s *Stream) wait(ctx context.Context, changed <-chan struct{}) bool {
	s.mu.Lock()
	on := s.session
	s.mu.Unlock()
	if on != nil {
		on.awaiting.Add(1)
		defer on.awaiting.Add(-1)
		on.inbox.waitBegan()
	}
	select {
	case <-changed:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Stream) popLocked() (next chunk, ok bool, err error) {
	switch {
	case len(s.chunks) > 0:
		next = s.chunks[0]
		s.chunks[0] = chunk{}
		s.chunks = s.chunks[1:]
		s.unread -= chunkCost + len(next.body)
		return next, true, nil
	case s.failure != nil:
		return chunk{}, false, s.failure
	case s.gotEnd:
		return chunk{}, false, io.EOF
	case s.closed:
		return chunk{}, false, ErrStreamClosed
	}
	return chunk{}, false, nil
}

// grantLocked is how much credit to give after n bytes were read: a large piece
// now and then, not a little each time.
func (s *Stream) grantLocked(n int) int {
	s.consumed += n
	if s.session == nil || s.gotEnd || s.closed || !s.session.has(capCredit) || s.consumed < s.session.limits.Window/2 {
		return 0
	}
	grant := s.consumed
	s.consumed = 0
	s.allowed += grant
	return grant
}

// Close ends both directions now. What the peer still sends is dropped.
func (s *Stream) Close() {
	s.mu.Lock()
	on, over := s.session, s.closed
	s.mu.Unlock()
	if over {
		return
	}
	if on != nil && on.has(capCancel) {
		_, _ = on.send(wire.Header{Cmd: s.cmd(wire.Cancel, true), Seq: s.id}, "", nil, sendOptions{timeout: TimeForever})
	} else if on != nil {
		_ = s.end(nil)
	}
	s.finish(ErrStreamClosed)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chunks, s.unread = nil, 0
}

// push takes a frame of the peer. It reports whether there was room for it.
func (s *Stream) push(f *wire.Frame, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.gotEnd {
		return true
	}
	last := f.Cmd&wire.Last != 0
	switch {
	case f.Flags&wire.Error != 0:
		s.failure = streamFailure(f)
	case len(f.Body) > 0 && s.allowed <= 0 && s.session.has(capCredit):
		return false // it was not granted
	case len(f.Body) > 0 || !last:
		if s.session.has(capCredit) {
			s.allowed -= len(f.Body)
		}
		s.chunks = append(s.chunks, chunk{f.Flags.Kind(), append([]byte(nil), f.Body...)})
		s.unread += chunkCost + len(f.Body)
	}
	s.gotEnd = last
	s.wakeLocked()
	return s.unread <= limit && len(s.chunks) <= maxChunks
}

func streamFailure(f *wire.Frame) error {
	if f.Flags&wire.Structured != 0 {
		return remoteStructured(f.Body)
	}
	return remoteError(string(f.Body))
}

// addCredit takes a grant of the peer.
func (s *Stream) addCredit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credit = min(s.credit+n, maxCredit)
	s.wakeLocked()
}

func (s *Stream) wakeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// settle forgets the stream if both directions are over.
func (s *Stream) settle() {
	s.mu.Lock()
	over := s.sentEnd && s.gotEnd
	s.mu.Unlock()
	if over {
		s.finish(nil)
	}
}

// finish ends the stream on this side. What was received can still be read; then
// comes the cause, unless the peer had said everything.
func (s *Stream) finish(cause error) {
	s.mu.Lock()
	over := s.closed
	s.closed = true
	if !over && !s.gotEnd && s.failure == nil {
		s.failure = cause
	}
	on := s.session
	s.wakeLocked()
	s.mu.Unlock()
	if over {
		return
	}
	s.cancel(cause)
	if on != nil {
		on.streams.remove(s)
	}
}

// serve runs the handler of a stream that the peer opened. The stream ends when
// the handler returns.
func (s *Stream) serve(f func(*Stream)) {
	defer s.served()
	f(s)
}

func (s *Stream) served() {
	if v := recover(); v != nil {
		s.session.logPanic("stream handler", s.method, v)
		_ = s.end(errInternal) // the session may be over too
	}
	_ = s.end(nil)
	s.mu.Lock()
	heard := s.gotEnd
	s.mu.Unlock()
	if !heard {
		s.Close()
	}
	s.session.streams.served()
}

func (s *Stream) String() string { return fmt.Sprintf("stream %d of %s", s.id, s.method) }
