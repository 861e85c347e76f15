package arpc

import "sync"

// maxPooled is the largest buffer that goes back to the pool, so that one large
// message does not pin its memory.
const maxPooled = 64 << 10

// buffer is scratch space for one message. Whoever took it frees it.
type buffer struct{ b []byte }

var bufferPool = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 512)} }}

func takeBuffer() *buffer { return bufferPool.Get().(*buffer) }

func (b *buffer) free() {
	if cap(b.b) <= maxPooled {
		b.b = b.b[:0]
		bufferPool.Put(b)
	}
}
