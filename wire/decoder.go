package wire

const (
	minBuffer = 4 << 10  // first allocation, and the least room offered to a read
	maxIdle   = 64 << 10 // a larger buffer is given up once it is drained
)

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
	buf        []byte
	start, end int  // unread bytes are buf[start:end]
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
// reads fill it, smaller after an outsized frame.
func (d *Decoder) resizeEmpty() {
	switch {
	case d.buf == nil || len(d.buf) > maxIdle:
		d.buf = make([]byte, minBuffer)
	case d.filled && len(d.buf) < maxIdle:
		d.buf = make([]byte, 2*len(d.buf))
	}
}

// makeRoom moves the unread bytes to the front, of a larger buffer if the one
// at hand has too little room behind them.
func (d *Decoder) makeRoom(unread int) {
	dst := d.buf
	if len(dst)-unread < minBuffer {
		dst = make([]byte, 2*unread+minBuffer)
	}
	copy(dst, d.buf[d.start:d.end])
	d.buf, d.start, d.end = dst, 0, unread
}

// Advance says that n bytes were read into Buffer.
func (d *Decoder) Advance(n int) {
	d.filled = n > 0 && n == len(d.buf)-d.end
	d.end += n
}

// Buffered is the number of bytes that no frame has taken yet.
func (d *Decoder) Buffered() int { return d.end - d.start }

// Release gives the buffer up if it holds no unread byte, so that an idle
// connection holds no memory for reading.
func (d *Decoder) Release() {
	if d.start == d.end {
		d.buf, d.start, d.end, d.filled = nil, 0, 0, false
	}
}

// Next takes the next whole frame. ok is false when more bytes are needed.
// An error is a *FrameError and final: every later call returns it again.
func (d *Decoder) Next() (f Frame, ok bool, err error) {
	if d.err != nil {
		return Frame{}, false, d.err
	}
	f, ok, d.err = d.next()
	return f, ok, d.err
}

func (d *Decoder) next() (f Frame, ok bool, err error) {
	unread := d.buf[d.start:d.end]
	if len(unread) < HeaderLen {
		return Frame{}, false, nil
	}
	h := ParseHeader(unread)
	if h.BodyLen > d.limit {
		return Frame{}, false, &FrameError{Reason: BodyTooLong, Got: uint64(h.BodyLen), Limit: uint64(d.limit)}
	}
	if h.Coders == 0 {
		if err := h.check(); err != nil {
			return Frame{}, false, err
		}
	}
	size := HeaderLen + int(h.BodyLen)
	if len(unread) < size {
		return Frame{}, false, nil
	}
	d.start += size
	raw := unread[:size:size]
	if h.Coders != 0 {
		return Frame{Header: h, Raw: raw}, true, nil
	}
	f, err = split(h, raw)
	return f, err == nil, err
}
