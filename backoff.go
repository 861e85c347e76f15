package arpc

import (
	"math/rand/v2"
	"time"
)

// Backoff says how long a client waits before it dials again: a random time
// between zero and a bound that doubles with every failure. The randomness
// keeps the clients of a server that went down from coming back all at once.
type Backoff struct {
	// First is the bound of the first wait: 500 ms.
	First time.Duration
	// Max is the largest bound: 20 s.
	Max time.Duration
	// Stable is how long a connection has to hold for the bound to start at
	// First again: 10 s.
	Stable time.Duration
}

// DefaultBackoff returns the backoff of a client that is given none.
func DefaultBackoff() Backoff {
	return Backoff{First: 500 * time.Millisecond, Max: 20 * time.Second, Stable: 10 * time.Second}
}

// orDefault is b with its zero fields filled in.
func (b Backoff) orDefault() Backoff {
	d := DefaultBackoff()
	for _, f := range []struct{ field, fallback *time.Duration }{
		{&b.First, &d.First}, {&b.Max, &d.Max}, {&b.Stable, &d.Stable},
	} {
		if *f.field <= 0 {
			*f.field = *f.fallback
		}
	}
	return b
}

// delay is the wait after the given number of failures in a row, from 1.
func (b Backoff) delay(failures int, random func(int64) int64) time.Duration {
	bound := b.First
	for i := 1; i < failures && bound < b.Max; i++ {
		bound *= 2
	}
	return time.Duration(random(int64(min(bound, b.Max)) + 1))
}

// Wait is a random wait after the given number of failures in a row, from 1.
func (b Backoff) Wait(failures int) time.Duration {
	return b.orDefault().delay(failures, rand.Int64N)
}
