package arpc

import (
	"context"
	"time"
)

// wait is how long something may take: a timeout, a channel that ends it early,
// or both. It makes its timer when it first has to wait.
type wait struct {
	ctx      context.Context // whose call it is for; nil if nobody's
	done     <-chan struct{}
	timeout  time.Duration
	deadline time.Time
	timer    *time.Timer
	begun    bool // something was waited for, or sent: the clock has to be looked at
}

func newWait(timeout time.Duration, done <-chan struct{}) wait {
	w := wait{done: done, timeout: timeout}
	if timeout < TimeForever {
		w.deadline = time.Now().Add(timeout)
	}
	return w
}

// expired is closed to when the timeout passes; nil if it never does.
func (w *wait) expired() <-chan time.Time {
	if w.timer == nil && w.timeout < TimeForever {
		w.timer = time.NewTimer(w.left())
	}
	if w.timer == nil {
		return nil
	}
	return w.timer.C
}

// left is what remains of the timeout.
func (w *wait) left() time.Duration {
	if w.deadline.IsZero() || !w.begun {
		return w.timeout
	}
	return max(0, time.Until(w.deadline))
}

func (w *wait) sendOptions() sendOptions {
	o := sendOptions{timeout: w.left(), done: w.done, ctx: w.ctx}
	w.begun = true
	return o
}

// until waits for a channel to close, of two of them, and fails if it may not
// wait that long.
func (w *wait) until(changed, or <-chan struct{}) error {
	if w.timeout <= 0 {
		return ErrTimeout
	}
	w.begun = true
	select {
	case <-changed:
		return nil
	case <-or:
		return nil
	case <-w.expired():
		return ErrTimeout
	case <-w.done:
		return ErrTimeout
	}
}

func (w *wait) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}
