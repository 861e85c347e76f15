// Package gzip compresses frames, byte for byte as the original arpc does: what
// stands behind the coders byte, from the command on, becomes one gzip member.
//
// Handler.UseCoder adds it to the connections of a Handler, in front of what
// encrypts.
package gzip

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// Bit is the bit of a compressed frame in wire.Header.Coders.
const Bit byte = 1 << 7

// head is how many bytes of a frame stay as they are: its length and its coders.
const head = 5

// readStep is how far the buffer of a decoded frame grows ahead of what came out.
const readStep = 4 << 10

// Coder compresses frames. It is safe for concurrent use, and never changes the
// bytes that it is given.
type Coder struct {
	min     int
	writers sync.Pool
	readers sync.Pool
}

// New returns a Coder that compresses frames of at least min bytes, and those only
// if they become shorter.
func New(min int) *Coder { return &Coder{min: min} }

// Name is the name of the coder in a hello.
func (c *Coder) Name() string { return "gzip" }

// Bit is the bit that marks what it encoded.
func (c *Coder) Bit() byte { return Bit }

// Encode appends a frame to dst as it goes on the wire: compressed, with the bit
// set, or as it is.
func (c *Coder) Encode(dst, frame []byte) ([]byte, error) {
	if len(frame) < wire.HeaderLen {
		return dst, &wire.FrameError{Reason: wire.Truncated, Got: uint64(len(frame)), Limit: wire.HeaderLen}
	}
	if len(frame) < c.min {
		return append(dst, frame...), nil
	}
	start := len(dst)
	out := bytes.NewBuffer(append(dst, frame[:head]...))
	w, ok := c.writers.Get().(*gzip.Writer)
	if !ok {
		w = gzip.NewWriter(out)
	}
	defer c.writers.Put(w)
	w.Reset(out)
	_, err := w.Write(frame[head:])
	if err = errors.Join(err, w.Close()); err != nil { // a buffer takes everything
		return dst, fmt.Errorf("compress: %w", err)
	}
	coded := out.Bytes()
	if len(coded)-start >= len(frame) {
		return append(coded[:start], frame...), nil
	}
	coded[start+head-1] |= Bit
	wire.Finish(coded[start:])
	return coded, nil
}

// Decode appends the frame that was compressed to dst, without the bit. It is an
// error if that has more than maxBody bytes behind its header, and then no more
// than that was decompressed; if it is not exactly one gzip member; and if it is
// no frame. dst is returned unchanged then.
func (c *Coder) Decode(dst, frame []byte, maxBody int) ([]byte, error) {
	if len(frame) < head || frame[head-1]&Bit == 0 {
		return dst, errors.New("decompress: the frame is not compressed")
	}
	start := len(dst)
	out, err := c.inflate(append(dst, frame[:head]...), frame[head:], start+wire.HeaderLen+maxBody)
	switch {
	case err != nil:
		return dst, fmt.Errorf("decompress: %w", err)
	case len(out)-start > wire.HeaderLen+maxBody:
		return dst, &wire.FrameError{Reason: wire.BodyTooLong, Got: uint64(len(out) - start - wire.HeaderLen), Limit: uint64(maxBody)}
	case len(out)-start < wire.HeaderLen:
		return dst, &wire.FrameError{Reason: wire.Truncated, Got: uint64(len(out) - start), Limit: wire.HeaderLen}
	}
	out[start+head-1] &^= Bit
	wire.Finish(out[start:])
	return out, nil
}

// inflate appends what a member holds to dst, until that has more than limit bytes.
func (c *Coder) inflate(dst, member []byte, limit int) ([]byte, error) {
	in := bytes.NewReader(member) // an io.ByteReader: nothing is read ahead
	r, ok := c.readers.Get().(*gzip.Reader)
	if !ok {
		r = new(gzip.Reader)
	}
	defer c.readers.Put(r)
	if err := r.Reset(in); err != nil {
		return nil, err
	}
	r.Multistream(false)
	for {
		if cap(dst)-len(dst) < readStep {
			dst = append(make([]byte, 0, 2*len(dst)+readStep), dst...)
		}
		n, err := r.Read(dst[len(dst):min(cap(dst), limit+1)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit:
			return dst, nil
		case errors.Is(err, io.EOF) && in.Len() > 0:
			return nil, fmt.Errorf("%d bytes behind the end", in.Len())
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return nil, err
		}
	}
}
