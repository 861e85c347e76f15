package arpc

import "testing"

// BenchmarkJournal is what a session adds to each frame that leaves, confirmed as
// the peer does it.
func BenchmarkJournal(b *testing.B) {
	j := journal{limit: 1 << 20, first: 1, live: true}
	frame := make([]byte, 16+4+64)
	frame[0] = 68
	for b.Loop() {
		if n := j.add(frame); n%confirmFrames == 0 {
			j.confirm(n - 10)
		}
	}
}
