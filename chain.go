package arpc

import (
	"bytes"
	"context"
	"sync"
)

const (
	maxShared      = 256     // coded frames that a chain remembers
	maxSharedBytes = 4 << 20 // bytes of them, and of the frames they were made of
	maxSharedFrame = 1 << 20 // a longer one is coded for each connection
)

// chain is the coders that frames go through, in order.
type chain struct {
	coders []Coder

	mu     sync.Mutex // guards what follows
	shared map[*byte]*sharedFrame
	order  []*sharedFrame // the oldest first
	bytes  int
}

// sharedFrame is a frame that goes to several connections. While it is remembered
// no other can have its memory, so that its first byte tells it from others.
type sharedFrame struct {
	plain []byte
	size  int // of both, once it is coded
	code  func() ([]byte, error)
}

// encode takes a frame through the chain. The result is in a buffer that the
// caller frees. ctx is what the frame is sent with; it may be nil.
func (ch *chain) encode(ctx context.Context, frame []byte) (*buffer, error) {
	to, spare := takeBuffer(), takeBuffer()
	defer func() { spare.free() }()
	for _, c := range ch.coders {
		out, err := encodeFrame(ctx, c, to.b[:0], frame)
		if err != nil {
			to.free()
			return nil, err
		}
		to.b, frame = out, out
		to, spare = spare, to
	}
	to, spare = spare, to
	return to, nil
}

func encodeFrame(ctx context.Context, c Coder, dst, frame []byte) ([]byte, error) {
	if c, ok := c.(ContextCoder); ok && ctx != nil {
		return c.EncodeContext(ctx, dst, frame)
	}
	return c.Encode(dst, frame)
}

// share is encode for a frame that never changes. It is made once for those who
// ask for it at about the same time, and is not to be changed.
func (ch *chain) share(frame []byte) ([]byte, error) {
	if len(frame) > maxSharedFrame {
		return ch.encodeAlone(frame)
	}
	return ch.remember(frame).code()
}

func (ch *chain) encodeAlone(frame []byte) ([]byte, error) {
	coded, err := ch.encode(context.Background(), frame)
	if err != nil {
		return nil, err
	}
	defer coded.free()
	return bytes.Clone(coded.b), nil
}

// remember finds a frame, or makes a place for it.
func (ch *chain) remember(frame []byte) *sharedFrame {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if f := ch.shared[&frame[0]]; f != nil && len(f.plain) == len(frame) {
		return f
	}
	f := &sharedFrame{plain: frame, size: len(frame)}
	f.code = sync.OnceValues(func() ([]byte, error) {
		coded, err := ch.encodeAlone(f.plain)
		ch.grown(f, len(coded))
		return coded, err
	})
	ch.shared[&frame[0]] = f
	ch.order = append(ch.order, f)
	ch.bytes += f.size
	ch.forgetLocked()
	return f
}

// grown counts what a frame became.
func (ch *chain) grown(f *sharedFrame, by int) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.shared[&f.plain[0]] == f {
		f.size += by
		ch.bytes += by
		ch.forgetLocked()
	}
}

// forgetLocked keeps the bounds.
func (ch *chain) forgetLocked() {
	for len(ch.order) > maxShared || ch.bytes > maxSharedBytes {
		oldest := ch.order[0]
		ch.order[0] = nil
		ch.order = ch.order[1:]
		ch.bytes -= oldest.size
		delete(ch.shared, &oldest.plain[0])
	}
}
