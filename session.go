package arpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/seed-fbfaa03e/arpc/codec"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// session is what two peers are in the middle of: requests that run, streams, what
// they agreed to. It has one connection at a time, and only one unless both ends
// agreed to take it up again when the connection was lost; see lasting.
type session struct {
	client  *Client
	handler *Handler
	codec   codec.Codec
	limits  *Limits // shared, never changed

	now        atomic.Pointer[conn]    // the connection there is, or was; nil between two
	lasting    atomic.Pointer[lasting] // nil where the session ends with its connection
	coding     *coding                 // nil where there are no coders
	inbox      inbox
	streams    streams
	unanswered atomic.Int32  // requests of the peer without an answer
	awaiting   atomic.Int32  // readers and writers of streams that wait for the peer
	kinds      atomic.Bool   // the peer sends the kind of its bodies, so it reads ours
	agreed     atomic.Uint32 // capabilities, once hello was answered
	peerBody   atomic.Int32  // largest body the peer takes, 0 if it did not say
	introduced atomic.Bool   // the connected hooks run, or ran
	body       int32         // most bytes of a frame's method and body that are taken
	turn       atomic.Uint32 // how many connections it has lost
	gone       signal        // it is over

	mu    sync.Mutex // guards what follows
	life  *life      // made when it is first asked for
	cause error      // why it is over
}

// life is a context that ends with a session.
type life struct {
	ctx context.Context
	end context.CancelCauseFunc
}

func newSession(c *Client, h *Handler) *session {
	s := &session{client: c, handler: h, codec: h.Codec(), limits: h.limits.Load()}
	s.inbox.session, s.streams.session = s, s
	if !c.detached {
		s.coding = newCoding(h)
	}
	return s
}

// cut is called when a connection of the session is dead. Unless the session goes
// on, what waits for handlers does not run any more, before those that run end.
func (s *session) cut(err error) {
	if s.lasting.Load() != nil && survives(err) {
		s.inbox.lookAgain() // a reader that waits holds up the next connection
		return
	}
	s.end(err)
}

// end ends what hangs on the session. The first cause is kept.
func (s *session) end(err error) {
	s.mu.Lock()
	again := s.cause != nil
	if !again {
		s.cause = err
	}
	life := s.life
	s.mu.Unlock()
	if again {
		return
	}
	if l := s.lasting.Load(); l != nil {
		s.handler.sessions.forget(s, l, err)
		l.journal.end()
	}
	s.inbox.close()
	s.gone.happens()
	if life != nil {
		life.end(err)
	}
}

// finish tells everybody who waits for the peer that the session is over. It is
// called once, after the last connection, c, or without one between two.
func (s *session) finish(c *conn, cause error, last left) {
	s.end(cause)
	number := last.frame
	if l := s.lasting.Load(); l != nil {
		number = max(last.counted, l.journal.end())
		s.client.unpark(s)
		s.handler.sessions.forget(s, l, cause) // it may have ended while it became a lasting one
	}
	s.client.pending.fail(cause, number, s)
	if c != nil {
		s.client.pending.fail(cause, last.frame, c)
	}
	s.streams.close(cause)
	s.client.lost(s, c, cause)
}

// err is why the session is over, or ErrDisconnected.
func (s *session) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return s.cause
	}
	return ErrDisconnected
}

// context ends with the session.
func (s *session) context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == nil {
		ctx, end := context.WithCancelCause(context.Background())
		s.life = &life{ctx, end}
		if s.cause != nil {
			end(s.cause)
		}
	}
	return s.life.ctx
}

// send sends a frame on the connection there is. Between two connections it waits
// in the journal for the next. It returns the number of the frame, see left.
func (s *session) send(h wire.Header, method string, body []byte, o sendOptions) (end uint64, err error) {
	for {
		c := s.now.Load()
		if c != nil {
			end, err = c.send(h, method, body, o)
		}
		if c != nil && !s.awaitsNext(err) {
			return end, err
		}
		if !counted(h) {
			return 0, ErrDisconnected.withSent(false, err)
		}
		buf := takeBuffer()
		buf.b, err = s.encoded(buf.b, h, method, body, o)
		var kept bool
		if err == nil {
			end, kept, err = s.keep(buf.b, o)
		}
		buf.free()
		if kept || err != nil {
			return end, err
		}
	}
}

// sendEncoded is send for a frame that is encoded already, and never changes.
func (s *session) sendEncoded(frame []byte, o sendOptions) (end uint64, err error) {
	for {
		c := s.now.Load()
		if c != nil {
			end, err = c.sendEncoded(frame, o)
		}
		if c != nil && !s.awaitsNext(err) {
			return end, err
		}
		if !countedFrame(frame) {
			return 0, ErrDisconnected.withSent(false, err)
		}
		onWire := frame
		if ch := s.coders(); ch != nil {
			if onWire, err = ch.share(frame); err != nil {
				return 0, err
			}
		}
		if end, kept, err := s.keep(onWire, o); kept || err != nil {
			return end, err
		}
	}
}

// awaitsNext says that a frame was not sent because the connection is lost, and
// that there may be another one.
func (s *session) awaitsNext(err error) bool {
	return err != nil && s.lasting.Load() != nil && errors.Is(err, ErrDisconnected) && !s.gone.happened()
}

// encoded is a frame as it goes on the wire.
func (s *session) encoded(dst []byte, h wire.Header, method string, body []byte, o sendOptions) ([]byte, error) {
	plain := wire.Append(dst, h, method, body)
	ch := s.coders()
	if ch == nil {
		return plain, nil
	}
	coded, err := ch.encode(o.ctx, plain)
	if err != nil {
		return plain, err
	}
	defer coded.free()
	return append(plain[:0], coded.b...), nil
}

// keep has the journal take a frame, and waits for room there. kept is false if
// there is a connection now.
func (s *session) keep(frame []byte, o sendOptions) (number uint64, kept bool, err error) {
	l := s.lasting.Load()
	if l == nil {
		return 0, false, ErrDisconnected.withSent(false, s.err())
	}
	w := newWait(o.timeout, o.done)
	defer w.stop()
	for {
		number, kept, room, err := l.journal.keep(frame, o.onReader, &s.handler.sessions.held)
		s.handler.sessions.relieveSoon(s.limits)
		switch {
		case !errors.Is(err, errFull):
			return number, kept, err
		case o.onReader: // the peer would wait for it in vain
			s.terminate(errGap)
			return 0, false, ErrOverstock
		case w.until(room, s.gone.wait()) != nil:
			return 0, false, ErrOverstock
		}
	}
}

// full says that what is sent has to wait.
func (s *session) full() bool {
	if c := s.now.Load(); c != nil {
		return c.out.full()
	}
	l := s.lasting.Load()
	return l != nil && l.journal.full()
}

// outlives says that the session goes on when its connection does not.
func (s *session) outlives() bool { return s.lasting.Load() != nil && !s.gone.happened() }

// asked says that the peer was ever asked something.
func (s *session) asked() bool { return s.client.pending.used() || s.streams.used() }

// rest gives up the memory of what is empty.
func (s *session) rest() {
	s.inbox.rest()
	if l := s.lasting.Load(); l != nil {
		l.journal.rest()
	}
}

// agree notes what hello came to.
func (s *session) agree(agreed capability) {
	s.agreed.Store(uint32(agreed) | uint32(capExtended))
	if agreed&capKind != 0 {
		s.kinds.Store(true)
	}
}

// has reports whether a capability was agreed.
func (s *session) has(bit capability) bool { return capability(s.agreed.Load())&bit != 0 }

// maxBody is the most bytes of a frame's method and body that are taken.
func (s *session) maxBody() int { return int(s.body) }

func (s *session) log() *slog.Logger { return s.handler.Logger() }

// logPanic tells of a panic in code of the application.
func (s *session) logPanic(what, method string, v any) {
	s.log().Error("arpc: "+what+" panicked", "method", method, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
}
