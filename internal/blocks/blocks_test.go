package blocks_test

import (
	"testing"

	"github.com/seed-fbfaa03e/arpc/internal/blocks"
)

// use takes a block, and gives it back after a read.
func use(s *blocks.Size, n int) {
	b := s.Take()
	if n = min(n, len(b.Bytes)); n == len(b.Bytes) {
		s.Grow()
	}
	s.GiveBack(b, n)
}

func TestSizeFollowsWhatIsRead(t *testing.T) {
	var s blocks.Size
	if b := s.Take(); len(b.Bytes) != blocks.Smallest || s.Bytes() != blocks.Smallest {
		t.Fatalf("the first block has %d bytes", len(b.Bytes))
	}
	for _, step := range []struct {
		what         string
		reads, bytes int
		want         int
	}{
		{"reads that fill it", 10, 1 << 20, 128 << 10},
		{"reads of a quarter", 100, 32 << 10, 128 << 10},
		{"nothing", 100, 0, 128 << 10},
		{"a few small reads", 15, 100, 128 << 10},
		{"a large one between", 1, 40 << 10, 128 << 10},
		{"a few small reads again", 15, 100, 128 << 10},
		{"one more", 1, 100, 64 << 10},
		{"many", 100, 100, blocks.Smallest},
	} {
		for range step.reads {
			use(&s, step.bytes)
		}
		if s.Bytes() != step.want {
			t.Fatalf("after %s: %d bytes, want %d", step.what, s.Bytes(), step.want)
		}
	}
}

func TestABlockKeepsItsSizeWhenOthersGrow(t *testing.T) {
	var s blocks.Size
	b := s.Take()
	s.Grow()
	s.GiveBack(b, len(b.Bytes)) // to those of its own size
	for range 3 {
		if got := len(s.Take().Bytes); got != 8<<10 {
			t.Fatalf("a block of %d bytes, want %d", got, 8<<10)
		}
	}
}
