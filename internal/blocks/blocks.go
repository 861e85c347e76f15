// Package blocks lends buffers to read into. They are used again, by whichever
// connection reads next, and how large they are follows what its reads fill.
package blocks

import "sync"

const (
	// Smallest is how many bytes the first block of a connection has.
	Smallest = 4 << 10

	sizes    = 6  // 4, 8, 16, 32, 64 and 128 KiB
	patience = 16 // blocks of which little was used, in a row, until one is smaller
)

// Block is a buffer on loan.
type Block struct {
	// Bytes is all of it.
	Bytes []byte
	size  uint8
}

// free are the blocks nobody uses, by size.
var free [sizes]sync.Pool

// Size is how large the blocks of one connection are. The zero value is
// Smallest. It is for one goroutine.
type Size struct {
	size  uint8
	roomy uint8 // blocks in a row of which little was used
}

// Bytes is the size in bytes.
func (s *Size) Bytes() int { return Smallest << s.size }

// Grow makes the next block larger, up to 128 KiB, because a read filled one.
func (s *Size) Grow() {
	s.roomy = 0
	if s.size < sizes-1 {
		s.size++
	}
}

// Take lends a block of this size.
func (s *Size) Take() *Block {
	if b, ok := free[s.size].Get().(*Block); ok {
		return b
	}
	return &Block{make([]byte, s.Bytes()), s.size}
}

// GiveBack takes a block back of which no more than so many bytes were used. When
// it is less than a quarter of many blocks in a row, the next is smaller; none
// says nothing. A Block that was not taken is dropped.
func (s *Size) GiveBack(b *Block, used int) {
	if len(b.Bytes) != Smallest<<b.size {
		return
	}
	switch {
	case used >= len(b.Bytes)/4:
		s.roomy = 0
	case used > 0 && s.size > 0:
		s.roomy++
	}
	if s.roomy == patience {
		s.size, s.roomy = s.size-1, 0
	}
	free[b.size].Put(b)
}
