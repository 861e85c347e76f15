package drive

import (
	"math"
	"testing"
	"time"
)

func TestQuantileIsWithinItsBucket(t *testing.T) {
	var h Histogram
	const n = 100_000
	for i := range n {
		h.Record(time.Duration(i+1) * time.Microsecond)
	}
	for _, q := range []float64{0, 0.5, 0.99, 0.999, 1} {
		want := q*(n-1)*1000 + 1000
		if got := float64(h.Quantile(q)); math.Abs(got-want) > want/64 {
			t.Errorf("Quantile(%v) is %v ns, want %v within 1.6 %%", q, got, want)
		}
	}
}

func TestHistogramTakesAnyDuration(t *testing.T) {
	for _, d := range []time.Duration{-1, 0, 1, 127, 128, 129, time.Hour} {
		var h Histogram
		h.Record(d)
		if h.Total() != 1 {
			t.Errorf("%v was not counted", d)
		}
		if got := h.Quantile(1); d < 128 && got != max(d, 0) {
			t.Errorf("%d ns is counted as %d", d, got)
		}
	}
}

func TestMergeAddsUp(t *testing.T) {
	var a, b Histogram
	a.Record(time.Millisecond)
	b.Record(time.Second)
	b.Record(time.Second)
	a.Merge(&b)
	if got := a.Quantile(1); a.Total() != 3 || got < 990*time.Millisecond {
		t.Errorf("after Merge: %d durations, the longest %v", a.Total(), got)
	}
	if got := new(Histogram).Quantile(0.5); got != 0 {
		t.Errorf("Quantile of nothing is %v", got)
	}
}
