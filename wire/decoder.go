package wire

import "sync"

const (
	minBuffer = 4 << 10 // the smallest buffer, and the least room offered to a read
	sizes     = 5       // buffers that are used again have 4, 8, 16, 32 and 64 KiB
)

// block is a buffer that is used again.
type block struct {
	size int // its place in blocks
	b    []byte
}

// blocks are those nobody uses, by size.
var blocks [sizes]sync.Pool

func takeBlock(size int) *block {
	if b, ok := blocks[size].Get().(*block); ok {
		return b
	}
	return &block{size, make([]byte, minBuffer<<size)}
}

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
// The buffer grows with what arrived, never with what a header claims: its
// size is at most twice the unread bytes plus a fixed step of 4 KiB (64 KiB
// while reads fill it). A Decoder is for one goroutine. The zero value is not
// usable; see NewDecoder.
type Decoder struct {
	limit      uint32
	block      *block // what buf is of, nil if it was made for a large frame
	size       int    // of the blocks that the last reads asked for
	buf        []byte
	start, end int  // unread bytes are buf[start:end]
	most       int  // most bytes that were unread since buf was taken
	filled     bool // the last read took all the room it was given
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
	case unread == 0:
		d.start, d.end = 0, 0
		d.resizeEmpty()
	case len(d.buf)-d.end < minBuffer:
		d.makeRoom(unread)
	}
	return d.buf[d.end:]
}

// resizeEmpty picks the size of a buffer that holds nothing: larger while
// reads fill it, of the usual ones after an outsized frame.
func (d *Decoder) resizeEmpty() {
	grow := d.filled && d.size < sizes-1
	if d.block != nil && !grow {
		return
	}
	if grow {
		d.size++
	}
	d.giveBack()
	d.block = takeBlock(d.size)
	d.buf, d.most = d.block.b, 0
}

// makeRoom moves the unread bytes to the front, of a larger buffer if the one
// at hand has too little room behind them.
func (d *Decoder) makeRoom(unread int) {
	if len(d.buf)-unread >= minBuffer {
		copy(d.buf, d.buf[d.start:d.end])
	} else {
		larger := make([]byte, 2*unread+minBuffer)
		copy(larger, d.buf[d.start:d.end])
		d.giveBack()
		d.buf = larger
	}
	d.start, d.end = 0, unread
}

// giveBack gives the buffer up.
func (d *Decoder) giveBack() {
	if d.block != nil {
		blocks[d.block.size].Put(d.block)
	}
	d.block, d.buf = nil, nil
}

// Advance says that n bytes were read into Buffer.
func (d *Decoder) Advance(n int) {
	d.filled = n > 0 && n == len(d.buf)-d.end
	d.end += n
	d.most = max(d.most, d.end-d.start)
}

// Buffered is the number of bytes that no frame has taken yet.
func (d *Decoder) Buffered() int { return d.end - d.start }

// Release gives the buffer up if it holds no unread byte, so that an idle
// connection holds no memory for reading. Frames taken before are no longer
// valid: somebody else may have their memory.
func (d *Decoder) Release() {
	if d.start != d.end || d.buf == nil {
		return
	}
	small := d.block != nil && d.size > 0 && d.most > 0 && d.most < len(d.buf)/4
	d.giveBack()
	d.start, d.end, d.filled = 0, 0, false
	if small {
		d.size--
	}
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
	unread := d.buf[d.start:d.end]
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
