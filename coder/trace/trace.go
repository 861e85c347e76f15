// Package trace carries the trace of a caller to the handler: a traceparent as
// the W3C has it, at the end of the body of requests and notifies.
//
//	offset      size  field
//	n           11    "traceparent"
//	n + 11      55    00-<trace>-<span>-<flags>
//	n + 66      2     68, the length of all three, big-endian
//
// n is where the body ended without it. Handler.UseCoder adds the coder, in front
// of what compresses and encrypts. It is used where both ends list it, and towards
// peers that say no hello only where WithBase asks for that.
package trace

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/wire"
)

const (
	// Bit is the bit of a frame with a trace in wire.Header.Coders.
	Bit byte = 1 << 0
	// Len is the length of a traceparent, in bytes.
	Len = 55

	name    = "traceparent"
	bitsAt  = 4
	tailLen = 2
)

// Coder carries traces. It is safe for concurrent use.
type Coder struct {
	current func(context.Context) string
	base    bool
}

var _ arpc.ContextCoder = (*Coder)(nil)

// Option is an option of New.
type Option func(*Coder)

// From makes the coder ask f for the traceparent of what is sent with a context,
// "" if it has none; the default is Parent.
func From(f func(context.Context) string) Option { return func(c *Coder) { c.current = f } }

// WithBase sends traces to peers that say no hello too. They have to have this
// coder, or they take the trace for a part of the body.
func WithBase() Option { return func(c *Coder) { c.base = true } }

// New returns a Coder.
func New(opts ...Option) *Coder {
	c := &Coder{current: Parent}
	for _, o := range opts {
		o(c)
	}
	return c
}

// parentKey finds a traceparent in a context.
type parentKey struct{}

// With is ctx with a traceparent for what is sent with it.
func With(ctx context.Context, traceparent string) context.Context {
	return context.WithValue(ctx, parentKey{}, traceparent)
}

// Parent is the traceparent of a context, "" if it has none: what With put there,
// and in the Context of a handler what came with its message.
func Parent(ctx context.Context) string {
	parent, _ := ctx.Value(parentKey{}).(string)
	return parent
}

// Name is the name of the coder in a hello.
func (c *Coder) Name() string { return "trace" }

// Bit is the bit that marks what it encoded.
func (c *Coder) Bit() byte { return Bit }

// AgreedOnly says that peers have to say that they have it.
func (c *Coder) AgreedOnly() bool { return !c.base }

// Encode appends a frame as it is: without a context it has no trace.
func (c *Coder) Encode(dst, frame []byte) ([]byte, error) { return append(dst, frame...), nil }

// EncodeContext appends a request or notify with the trace of its context, and
// what has none, or one that is no traceparent, as it is.
func (c *Coder) EncodeContext(ctx context.Context, dst, frame []byte) ([]byte, error) {
	if len(frame) < wire.HeaderLen {
		return dst, &wire.FrameError{Reason: wire.Truncated, Got: uint64(len(frame)), Limit: wire.HeaderLen}
	}
	command := wire.ParseHeader(frame).Cmd.Command()
	if command != wire.Request && command != wire.Notify {
		return append(dst, frame...), nil
	}
	parent := c.current(ctx)
	if !valid(parent) {
		return append(dst, frame...), nil
	}
	start := len(dst)
	out := append(dst, frame...)
	out = append(out, name...)
	out = append(out, parent...)
	out = binary.BigEndian.AppendUint16(out, uint16(len(name)+len(parent)+tailLen))
	out[start+bitsAt] |= Bit
	wire.Finish(out[start:])
	return out, nil
}

// Decode appends the frame without its trace.
func (c *Coder) Decode(dst, frame []byte, maxBody int) ([]byte, error) {
	out, _, err := c.decode(dst, frame, maxBody)
	return out, err
}

// DecodeContext is Decode that returns the trace for Parent to find.
func (c *Coder) DecodeContext(dst, frame []byte, maxBody int) (out []byte, key, value any, err error) {
	out, parent, err := c.decode(dst, frame, maxBody)
	if err != nil || !valid(parent) {
		return out, nil, nil, err
	}
	return out, parentKey{}, parent, nil
}

var errNoTrace = errors.New("trace: the frame does not end with a traceparent")

func (c *Coder) decode(dst, frame []byte, maxBody int) (out []byte, parent string, err error) {
	if len(frame) < wire.HeaderLen+tailLen || frame[bitsAt]&Bit == 0 {
		return dst, "", errNoTrace
	}
	length := int(binary.BigEndian.Uint16(frame[len(frame)-tailLen:]))
	end := len(frame) - length
	if length < len(name)+tailLen || end < wire.HeaderLen || string(frame[end:end+len(name)]) != name {
		return dst, "", errNoTrace
	}
	if n := end - wire.HeaderLen; n > maxBody {
		return dst, "", &wire.FrameError{Reason: wire.BodyTooLong, Got: uint64(n), Limit: uint64(maxBody)}
	}
	start := len(dst)
	out = append(slices.Grow(dst, end), frame[:end]...)
	out[start+bitsAt] &^= Bit
	wire.Finish(out[start:])
	return out, string(frame[end+len(name) : len(frame)-tailLen]), nil
}

// valid reports whether text is a traceparent of version 00.
func valid(text string) bool {
	if len(text) != Len || text[:3] != "00-" {
		return false
	}
	for i, c := range []byte(text) {
		switch {
		case i == 2 || i == 35 || i == 52:
			if c != '-' {
				return false
			}
		case (c < '0' || c > '9') && (c < 'a' || c > 'f'):
			return false
		}
	}
	return true
}
