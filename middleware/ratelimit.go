package middleware

import (
	"net"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed-fbfaa03e/arpc"
)

// RateLimit lets perSecond messages of a connection through, and burst of them at
// once: a token bucket for each connection, which goes with it.
//
// A request over it is answered with resource_exhausted and the data
// {"retryAfter": ms}; nothing behind the middleware runs. A notify over it is
// dropped, and a line in the log, one a second at most, says so.
func RateLimit(perSecond rate.Limit, burst int) arpc.HandlerFunc {
	key := new(int) // its address: each RateLimit has buckets of its own
	dropped := &rate.Sometimes{Interval: time.Second}
	return func(ctx *arpc.Context) {
		limit(ctx, connectionBucket(ctx.Client, key, perSecond, burst), dropped)
	}
}

// RateLimitBy is RateLimit with a bucket for each key that by gives; messages
// with the key "" are not limited. ByIdentity and ByAddress are keys.
//
// A bucket that is full again is forgotten. At most 65,536 are kept: beyond that
// somebody's bucket is forgotten early, and that one gets a new burst.
func RateLimitBy(perSecond rate.Limit, burst int, by func(*arpc.Context) string) arpc.HandlerFunc {
	all := newBuckets(perSecond, burst)
	dropped := &rate.Sometimes{Interval: time.Second}
	return func(ctx *arpc.Context) {
		if key := by(ctx); key != "" {
			limit(ctx, all.of(key, time.Now()), dropped)
		}
	}
}

// ByIdentity is the ID of the peer's identity, which all its connections share;
// "" where nobody asked who it is.
func ByIdentity(ctx *arpc.Context) string {
	if who := ctx.Client.Identity(); who != nil {
		return who.ID
	}
	return ""
}

// ByAddress is the peer's address without the port, "" where there is none.
// Behind a proxy it is the proxy's, unless server.TrustedProxies is set.
func ByAddress(ctx *arpc.Context) string {
	address := ctx.Client.RemoteAddr()
	if address == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(address.String())
	if err != nil {
		return address.String()
	}
	return host
}

// connectionBucket is the bucket that hangs on a client.
func connectionBucket(c *arpc.Client, key any, perSecond rate.Limit, burst int) *rate.Limiter {
	if bucket, ok := c.Get(key); ok {
		return bucket.(*rate.Limiter)
	}
	bucket := rate.NewLimiter(perSecond, burst)
	c.Set(key, bucket) // of two at the same time one stays: a burst may be one message longer
	return bucket
}

// limit takes a token for the message, or refuses it.
func limit(ctx *arpc.Context, bucket *rate.Limiter, dropped *rate.Sometimes) {
	now := time.Now()
	if bucket.AllowN(now, 1) {
		return
	}
	ctx.Abort()
	if !ctx.IsRequest() {
		dropped.Do(func() {
			ctx.Client.Handler.Logger().Warn("arpc: rate limit: notify dropped", "method", bounded(ctx.Method()), "from", ctx.Client.RemoteAddr())
		})
		return
	}
	refusal := arpc.Errorf(arpc.CodeResourceExhausted, "rate limit")
	if wait := untilToken(bucket, now); wait > 0 {
		refusal.Data = []byte(`{"retryAfter":` + strconv.FormatInt(wait.Milliseconds()+1, 10) + `}`)
	}
	_ = ctx.Error(refusal) // a lost connection is told to the hooks
}

// untilToken is how long it takes a bucket to have a token; 0 if it never will.
func untilToken(bucket *rate.Limiter, now time.Time) time.Duration {
	perSecond, lacks := float64(bucket.Limit()), 1-bucket.TokensAt(now)
	if perSecond <= 0 || bucket.Burst() < 1 || lacks <= 0 {
		return 0
	}
	return time.Duration(min(lacks/perSecond, time.Hour.Seconds()) * float64(time.Second))
}
