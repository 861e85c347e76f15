package middleware

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	maxBuckets = 1 << 16
	minSweep   = 64 // fewer buckets than this are not looked through
)

// buckets are the token buckets of many keys. One that is full again is the same
// as a new one, so it needs not be kept: what is kept is bounded by how many keys
// were used within the time that fills a bucket.
type buckets struct {
	perSecond rate.Limit
	burst     int

	mu    sync.Mutex // guards what follows
	byKey map[string]*rate.Limiter
	sweep int // look for full ones when there are so many
}

func newBuckets(perSecond rate.Limit, burst int) *buckets {
	return &buckets{perSecond: perSecond, burst: burst, byKey: map[string]*rate.Limiter{}, sweep: minSweep}
}

func (b *buckets) of(key string, now time.Time) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bucket, ok := b.byKey[key]; ok {
		return bucket
	}
	if len(b.byKey) >= b.sweep {
		b.sweepLocked(now)
	}
	bucket := rate.NewLimiter(b.perSecond, b.burst)
	b.byKey[key] = bucket
	return bucket
}

// sweepLocked forgets full buckets, and a quarter of the others if there are too
// many all the same. The next sweep is when there are clearly more again, so that
// a bucket costs the same whatever their number.
func (b *buckets) sweepLocked(now time.Time) {
	for key, bucket := range b.byKey {
		if bucket.TokensAt(now) >= float64(b.burst) {
			delete(b.byKey, key)
		}
	}
	if len(b.byKey) >= maxBuckets {
		for key := range b.byKey {
			if len(b.byKey) <= maxBuckets/4*3 {
				break
			}
			delete(b.byKey, key)
		}
	}
	b.sweep = min(max(minSweep, 2*len(b.byKey)), maxBuckets)
}
