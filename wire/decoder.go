package wire

import "github.com/seed-fbfaa03e/arpc/internal/blocks"

// least is the room behind what is unread in a new buffer, at least.
const least = blocks.Smallest

// Decoder cuts a byte stream into frames. The caller reads into Buffer, says
// how much with Advance, and takes frames with Next until there is none:
//
//	n, err := conn.Read(d.Buffer())
//	d.Advance(n)
//	for {
//		f, ok, err := d.Next()
//		…
//	}
//
// The buffer grows when a read fills it, never with what a header claims: up to
// 128 KiB it doubles, above it is at most twice the unread bytes plus 4 KiB. A
// Decoder is for one goroutine. The zero value is not usable; see NewDecoder.
type Decoder struct {
	limit      uint32
	size       blocks.Size
	filled     bool          // the last read took all the room it was given
	block      *blocks.Block // nil while there is nothing to hold
	start, end int           // unread bytes are block.Bytes[start:end]
	most       int           // most bytes that were unread since block was taken
	err        error
}

// NewDecoder returns a decoder that refuses frames whose bodyLen is over maxBody bytes.
func NewDecoder(maxBody int) *Decoder {
	d := &Decoder{}
	d.SetLimit(maxBody)
	return d
}

// SetLimit changes the limit of frames that are taken from now on.
func (d *Decoder) SetLimit(maxBody int) {
	d.limit = uint32(max(0, min(maxBody, 1<<31-1-HeaderLen)))
}

// Buffer returns room for the next read, never empty. Frames taken before are
// no longer valid.
func (d *Decoder) Buffer() []byte {
	unread := d.end - d.start
	switch {
	case d.filled, unread == 0 && d.held() != d.size.Bytes():
		d.reserve(unread)
	case unread == 0, d.start > d.held()/2:
		d.moveTo(d.block)
	}
	return d.block.Bytes[d.end:]
}

// held is the size of the buffer.
func (d *Decoder) held() int {
	if d.block == nil {
		return 0
	}
	return len(d.block.Bytes)
}

// reserve takes a block of the usual size, which is larger than the last if that
// was filled, or a buffer of its own for a frame that no block is large enough for.
func (d *Decoder) reserve(unread int) {
	if d.filled {
		d.size.Grow()
		d.filled = false
	}
	switch usual := d.size.Bytes(); {
	case unread+least > max(usual, d.held()):
		d.moveTo(&blocks.Block{Bytes: make([]byte, 2*unread+least)})
	case unread+least > usual || d.held() == usual:
		d.moveTo(d.block)
	default:
		d.moveTo(d.size.Take())
	}
}

// moveTo puts the unread bytes at the front of a block, and gives up the one that
// held them.
func (d *Decoder) moveTo(b *blocks.Block) {
	old, unread := d.block, 0
	if old != nil {
		unread = copy(b.Bytes, old.Bytes[d.start:d.end])
	}
	if old != nil && old != b {
		d.size.GiveBack(old, d.most)
	}
	if old != b {
		d.most = unread
	}
	d.block, d.start, d.end = b, 0, unread
}

// Advance says that n bytes were read into Buffer.
func (d *Decoder) Advance(n int) {
	d.filled = n > 0 && n == d.held()-d.end
	d.end += n
	d.most = max(d.most, d.end-d.start)
}

// Buffered is the number of bytes that no frame has taken yet.
func (d *Decoder) Buffered() int { return d.end - d.start }

// Release gives the buffer up if it holds no unread byte, so that an idle
// connection holds no memory for reading. Frames taken before are no longer
// valid: somebody else may have their memory.
func (d *Decoder) Release() {
	if d.start != d.end || d.block == nil {
		return
	}
	d.size.GiveBack(d.block, d.most)
	d.block, d.start, d.end, d.most, d.filled = nil, 0, 0, 0, false
}

// Next takes the next whole frame. ok is false when more bytes are needed.
// An error is a *FrameError and final: every later call returns it again.
func (d *Decoder) Next() (f Frame, ok bool, err error) {
	if d.err != nil {
		return Frame{}, false, d.err
	}
	if d.end-d.start < HeaderLen {
		return Frame{}, false, nil
	}
	if ok, err = d.next(&f); err != nil {
		d.err = err
		return Frame{}, false, err
	}
	return f, ok, nil
}

// next takes a frame of which there is a header.
func (d *Decoder) next(f *Frame) (ok bool, err error) {
	unread := d.block.Bytes[d.start:d.end]
	f.Header = ParseHeader(unread)
	if f.BodyLen > d.limit {
		return false, &FrameError{Reason: BodyTooLong, Got: uint64(f.BodyLen), Limit: uint64(d.limit)}
	}
	if f.Coders == 0 {
		if err := f.check(); err != nil {
			return false, err
		}
	}
	size := HeaderLen + int(f.BodyLen)
	if len(unread) < size {
		return false, nil
	}
	d.start += size
	f.Raw = unread[:size:size]
	if f.Coders != 0 {
		return true, nil
	}
	err = f.split()
	return err == nil, err
}
