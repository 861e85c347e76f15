package ws

import (
	"sync"

	"github.com/seed-fbfaa03e/arpc/internal/quiet"
)

// ahead is what was read from a socket in one go. gorilla takes it in pieces,
// through a buffer that is just large enough for headers, so that a connection
// without bytes has next to no memory for them.
type ahead struct {
	reader     *quiet.Reader // nil if gorilla reads the socket itself
	block      *[readAhead]byte
	start, end int // what is left of block
}

var blocks = sync.Pool{New: func() any { return new([readAhead]byte) }}

func (a *ahead) empty() bool { return a.start == a.end }

// Buffer is where the socket is read to. It is for the reader, when all is taken.
func (a *ahead) Buffer() []byte {
	if a.block == nil {
		a.block = blocks.Get().(*[readAhead]byte)
	}
	a.start, a.end = 0, 0
	return a.block[:]
}

// filled says how many bytes were read into Buffer, which was not asked for if
// there are none.
func (a *ahead) filled(n int) {
	if n > 0 {
		a.end = n
	}
}

// Release gives the block up if all of it is taken.
func (a *ahead) Release() {
	if a.empty() && a.block != nil {
		blocks.Put(a.block)
		a.block, a.start, a.end = nil, 0, 0
	}
}

// take moves what fits into p.
func (a *ahead) take(p []byte) int {
	if a.empty() {
		return 0
	}
	n := copy(p, a.block[a.start:a.end])
	a.start += n
	return n
}
