package ws

import (
	"net"

	"github.com/seed-fbfaa03e/arpc/internal/blocks"
	"github.com/seed-fbfaa03e/arpc/internal/quiet"
)

// ahead is what was read from a socket in one go. gorilla takes it in pieces,
// through a buffer that is just large enough for headers, so that a connection
// without bytes has next to no memory for them.
type ahead struct {
	reader     *quiet.Reader // nil if this is no plain socket
	size       blocks.Size
	block      *blocks.Block // nil while there is nothing to hold
	start, end int           // what is left of block
	most       int           // most bytes that a read put into block
}

func (a *ahead) empty() bool { return a.start == a.end }

// Buffer is where the socket is read to. It is for the reader, when all is taken.
func (a *ahead) Buffer() []byte {
	if a.block != nil && len(a.block.Bytes) != a.size.Bytes() {
		a.giveBack()
	}
	if a.block == nil {
		a.block = a.size.Take()
	}
	a.start, a.end = 0, 0
	return a.block.Bytes
}

// read reads once, and waits for it.
func (a *ahead) read(from net.Conn) (err error) {
	var n int
	if a.reader != nil {
		n, err = a.reader.Read()
	} else {
		n, err = from.Read(a.Buffer())
	}
	a.filled(n)
	return err
}

// filled says how many bytes were read into Buffer, which was not asked for if
// there are none.
func (a *ahead) filled(n int) {
	if n == 0 {
		return
	}
	a.end, a.most = n, max(a.most, n)
	if n == len(a.block.Bytes) {
		a.size.Grow()
	}
}

// Release gives the block up if all of it is taken.
func (a *ahead) Release() {
	if a.empty() && a.block != nil {
		a.giveBack()
	}
}

func (a *ahead) giveBack() {
	a.size.GiveBack(a.block, a.most)
	a.block, a.start, a.end, a.most = nil, 0, 0, 0
}

// take moves what fits into p.
func (a *ahead) take(p []byte) int {
	if a.empty() {
		return 0
	}
	n := copy(p, a.block.Bytes[a.start:a.end])
	a.start += n
	return n
}
