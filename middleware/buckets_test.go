package middleware

import (
	"strconv"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

func TestBucketsThatAreFullAgainAreForgotten(t *testing.T) {
	b := newBuckets(rate.Every(time.Second), 2)
	start := time.Now()
	use := func(from, to int, at time.Time) {
		for i := from; i < to; i++ {
			b.of(strconv.Itoa(i), at).AllowN(at, 1)
		}
	}
	use(0, minSweep, start)
	use(minSweep, minSweep+1, start) // none is full: all stay
	if n := len(b.byKey); n != minSweep+1 {
		t.Errorf("%d buckets are kept, %d are in use", n, minSweep+1)
	}
	later := start.Add(time.Minute)
	use(1000, 1000+minSweep, later)
	if n := len(b.byKey); n != minSweep {
		t.Errorf("%d buckets are kept, %d are in use", n, minSweep)
	}
}

func TestBucketsInUseAreBounded(t *testing.T) {
	b := newBuckets(rate.Every(time.Hour), 1)
	now := time.Now()
	for i := range maxBuckets + maxBuckets/2 {
		b.of(strconv.Itoa(i), now).AllowN(now, 1)
		if n := len(b.byKey); n > maxBuckets {
			t.Fatalf("%d buckets, limit %d", n, maxBuckets)
		}
	}
	if n := len(b.byKey); n < maxBuckets/2 {
		t.Errorf("only %d buckets are left", n)
	}
}
