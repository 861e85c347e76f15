package drive

import (
	"math/bits"
	"time"
)

const (
	subBits = 6 // each power of two has 64 buckets: a value is known to 1.6 %
	sub     = 1 << subBits
	buckets = (40 - subBits) * sub // up to 2^39 ns, nine minutes
)

// Histogram counts durations in buckets that grow with them. It is for one
// goroutine; the zero value is empty.
type Histogram struct {
	counts [buckets]uint32
	total  int64
}

// Record counts a duration.
func (h *Histogram) Record(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.total++
}

// Total is how many durations were recorded.
func (h *Histogram) Total() int64 { return h.total }

// Merge adds what other counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// Quantile is the duration that a share q of all did not exceed, zero if there
// are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := int64(q * float64(h.total-1))
	for i, n := range h.counts {
		if rank -= int64(n); rank < 0 {
			return middleOf(i)
		}
	}
	return middleOf(buckets - 1)
}

// Microseconds is Quantile as a number.
func (h *Histogram) Microseconds(q float64) float64 {
	return float64(h.Quantile(q)) / float64(time.Microsecond)
}

// bucketOf is exact below 128 ns; above, the top seven bits choose.
func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	shift := max(bits.Len64(v)-subBits-1, 0)
	return min(shift*sub+int(v>>shift), buckets-1)
}

func middleOf(bucket int) time.Duration {
	shift := max(bucket/sub-1, 0)
	low := uint64(bucket-shift*sub) << shift
	return time.Duration(low + uint64(1)<<shift/2)
}
