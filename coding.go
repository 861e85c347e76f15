package arpc

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

// maxCodedExtra is how much longer a frame may be on the wire than the limit
// that it has to keep before coders ran and after.
const maxCodedExtra = 256

// coding is what a session does with coders. It has none where its Handler
// has no coders.
type coding struct {
	set  *coderSet
	used atomic.Pointer[chain] // for what we send; nil is none

	// Owned by the reader.
	limit   int       // of the frames of the peer
	decided bool      // whether the peer says hello is known
	carried []carried // by the frame that is being handled
}

// carried is what came with a frame for its Context.
type carried struct{ key, value any }

func newCoding(h *Handler) *coding {
	set := h.coders.Load()
	if set == nil {
		return nil
	}
	k := &coding{set: set}
	k.use(0)
	return k
}

// use makes coders the ones that frames of ours go through from now on, beside
// those that all do.
func (k *coding) use(agreed byte) { k.used.Store(k.set.chain(agreed | k.set.always)) }

// coders is what frames of ours go through now; nil is none.
func (s *session) coders() *chain {
	if s.coding == nil {
		return nil
	}
	return s.coding.used.Load()
}

// coderNames are what hello lists.
func (s *session) coderNames() []string {
	if s.coding == nil {
		return []string{}
	}
	return s.coding.set.names()
}

// commonCoders are those of ours that the peer lists too.
func (s *session) commonCoders(names []string) (agreed byte, common []string) {
	if s.coding == nil {
		return 0, []string{}
	}
	agreed = s.coding.set.common(names)
	return agreed, s.coding.set.namesOf(agreed)
}

// useCoders makes coders that were agreed to those of this session.
func (s *session) useCoders(agreed byte) {
	if s.coding != nil {
		s.coding.use(agreed)
	}
}

// useBaseCoders does it for a peer that says no hello.
func (c *conn) useBaseCoders() {
	s := c.session()
	if s.coding == nil || s.has(capExtended) {
		return
	}
	s.coding.use(s.coding.set.base)
	c.out.codeLate(s.coding.set.base)
}

// limitFrames sets the limit of the frames of the peer.
func (c *conn) limitFrames(maxBody int) {
	if k := c.session().coding; k != nil {
		k.limit = maxBody
		maxBody += maxCodedExtra
	}
	c.frames.SetLimit(maxBody)
}

// sendCoded is send through coders.
func (c *conn) sendCoded(ch *chain, h wire.Header, method string, body []byte, o sendOptions) (end uint64, err error) {
	plain := takeBuffer()
	defer plain.free()
	plain.b = wire.Append(plain.b, h, method, body)
	coded, err := ch.encode(o.ctx, plain.b)
	if err != nil {
		return 0, c.uncodable(err)
	}
	defer coded.free()
	return c.sendBytes(coded.b, counted(h), o, func() []byte { return wire.Append(nil, h, method, body) })
}

// uncodable ends the connection because a frame of ours cannot be coded: who
// waits for it would wait for ever.
func (c *conn) uncodable(err error) error {
	err = Errorf(CodeInternal, "code a frame: %w", err)
	c.shut(err)
	return err
}

// takeCoded takes a frame of the peer through its coders to where it belongs. An
// error ends the connection.
func (c *conn) takeCoded(f *wire.Frame) error {
	if command := f.Cmd.Command(); f.Coders == 0 && (command == wire.Ping || command == wire.Pong) {
		return c.take(f)
	}
	k := c.session().coding
	switch missing := k.set.always &^ f.Coders; {
	case f.Coders&^k.set.bits != 0:
		return &wire.FrameError{Reason: wire.CoderUnknown, Got: uint64(f.Coders)}
	case missing != 0:
		return badCoding(fmt.Errorf("coders %d missing", missing))
	case f.Coders == 0 && int64(f.BodyLen) > int64(k.limit):
		return &wire.FrameError{Reason: wire.BodyTooLong, Got: uint64(f.BodyLen), Limit: uint64(k.limit)}
	}
	if f.Coders != 0 {
		a, b := takeBuffer(), takeBuffer()
		defer a.free()
		defer b.free()
		if err := k.decode(f, c.out.late, a, b); err != nil {
			return badCoding(err)
		}
	}
	if !k.decided {
		k.decided = true
		if c.client().accepted() && string(f.Method) != methodHello {
			c.useBaseCoders()
		}
	}
	err := c.take(f)
	clear(k.carried)
	k.carried = k.carried[:0]
	return err
}

// decode makes f the frame that it was before its coders, in one of two buffers.
func (k *coding) decode(f *wire.Frame, late *lateCoders, to, spare *buffer) error {
	raw := f.Raw
	most := k.limit + maxCodedExtra // what the coders in front of one added is still there
	for i := len(k.set.list) - 1; i >= 0; i-- {
		c := k.set.list[i]
		if f.Coders&c.Bit() == 0 {
			continue
		}
		out, err := k.decodeBy(late.own(c), to.b[:0], raw, most)
		if err != nil {
			return err
		}
		to.b, raw = out, out
		to, spare = spare, to
	}
	plain, err := wire.Split(raw)
	switch {
	case err != nil:
		return err
	case plain.Coders != 0:
		return &wire.FrameError{Reason: wire.CoderUnknown, Got: uint64(plain.Coders)}
	case int64(plain.BodyLen) > int64(k.limit):
		return &wire.FrameError{Reason: wire.BodyTooLong, Got: uint64(plain.BodyLen), Limit: uint64(k.limit)}
	}
	*f = plain
	return nil
}

func (k *coding) decodeBy(c Coder, dst, frame []byte, maxBody int) ([]byte, error) {
	carrier, ok := c.(ContextCoder)
	if !ok {
		return c.Decode(dst, frame, maxBody)
	}
	out, key, value, err := carrier.DecodeContext(dst, frame, maxBody)
	if key != nil {
		k.carried = append(k.carried, carried{key, value})
	}
	return out, err
}

// badCoding is err as the end of a connection: what a coder does not take is no
// frame.
func badCoding(err error) error {
	var bad *wire.FrameError
	if errors.As(err, &bad) {
		return err
	}
	return &codingError{ws.CloseError{Code: ws.CloseProtocol, Reason: err.Error()}, err}
}

// codingError is a frame that could not be decoded. The peer is told why.
type codingError struct {
	words ws.CloseError
	cause error
}

func (e *codingError) Error() string { return "bad frame: " + e.cause.Error() }

// Unwrap gives the words for the peer, and the cause.
func (e *codingError) Unwrap() []error { return []error{&e.words, e.cause} }

// hand gives a Context what came with its frame.
func (k *coding) hand(ctx *Context) {
	for _, v := range k.carried {
		ctx.Set(v.key, v.value)
	}
}

// appendCoded appends a frame of a source through coders. shared says that others
// get it too and it never changes.
func (w *FrameWriter) appendCoded(ch *chain, frame []byte, shared bool) {
	if shared {
		coded, err := ch.share(frame)
		w.appendUnless(err, coded)
		return
	}
	coded, err := ch.encode(context.Background(), frame)
	if err != nil {
		w.appendUnless(err, nil)
		return
	}
	defer coded.free()
	w.put(coded.b)
}

func (w *FrameWriter) appendUnless(err error, coded []byte) {
	if err != nil {
		w.fail(err)
		return
	}
	w.put(coded)
}

// fail ends the connection because a frame cannot be coded: beside its writers, of
// which this is one.
func (w *FrameWriter) fail(err error) {
	w.broken = true
	c := w.out.conn // w is soon another's
	go func() { _ = c.uncodable(err) }()
}
