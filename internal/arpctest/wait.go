package arpctest

import (
	"testing"
	"time"
)

// Wait is how long a test waits for what must happen.
const Wait = 10 * time.Second

// Receive takes a value that must come.
func Receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(Wait):
		t.Fatalf("%s: nothing within %v", what, Wait)
		panic("unreachable")
	}
}

// Closed waits for a channel that must be closed.
func Closed(t testing.TB, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(Wait):
		t.Errorf("%s: not ended within %v", what, Wait)
	}
}

// Eventually waits until a condition holds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	EventuallyWithin(t, Wait, what, holds)
}

// EventuallyWithin is Eventually for what takes longer.
func EventuallyWithin(t testing.TB, d time.Duration, what string, holds func() bool) {
	t.Helper()
	if !Within(d, holds) {
		t.Fatalf("%s: not within %v", what, d)
	}
}

// Within waits until a condition holds, and reports whether it did in time.
func Within(d time.Duration, holds func() bool) bool {
	for end := time.Now().Add(d); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
