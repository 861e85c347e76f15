// Package drive makes calls and measures how long they take: as many as answers
// come back (Callers, Windows), or at a steady rate (Steady).
package drive

import (
	"errors"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc/bench/control"
)

// Caller is a connection that answers know their calls on. Call sends one text
// and waits until the same text is back; it is safe for concurrent use.
type Caller interface {
	Call() error
	Close() error
}

// Pipe is a connection without calls: what is sent comes back in the same
// order. It is for one goroutine.
type Pipe interface {
	// Send sends one message, or keeps it for Flush.
	Send() error
	// Flush sends what was kept.
	Flush() error
	// Receive waits for one message.
	Receive() error
	// Buffered says that the next Receive may not wait.
	Buffered() bool
	Close() error
}

// Callers keeps n calls in flight on each connection for a time.
func Callers(connections []Caller, n int, d time.Duration) (control.Outcome, error) {
	until := time.Now().Add(d)
	return measure(len(connections)*n, func(i int, h *Histogram) error {
		return callUntil(connections[i/n], until, h)
	})
}

func callUntil(c Caller, until time.Time, h *Histogram) error {
	for from := time.Now(); from.Before(until); {
		if err := c.Call(); err != nil {
			return err
		}
		now := time.Now()
		h.Record(now.Sub(from))
		from = now
	}
	return nil
}

// Windows keeps n messages in flight on each connection for a time.
func Windows(connections []Pipe, n int, d time.Duration) (control.Outcome, error) {
	until := time.Now().Add(d)
	return measure(len(connections), func(i int, h *Histogram) error {
		return keepWindow(connections[i], n, until, h)
	})
}

func keepWindow(p Pipe, n int, until time.Time, h *Histogram) error {
	sent := make([]time.Time, n)
	for i := range sent {
		sent[i] = time.Now()
		if err := p.Send(); err != nil {
			return err
		}
	}
	if err := p.Flush(); err != nil {
		return err
	}
	for oldest, inFlight := 0, n; inFlight > 0; oldest = (oldest + 1) % n {
		if err := p.Receive(); err != nil {
			return err
		}
		now := time.Now()
		h.Record(now.Sub(sent[oldest]))
		if now.Before(until) {
			sent[oldest] = now
			if err := p.Send(); err != nil {
				return err
			}
		} else {
			inFlight--
		}
		if p.Buffered() {
			continue
		}
		if err := p.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// Steady makes a number of calls a second for a time: n callers on each
// connection take turns, spread evenly. A call that is late because the one
// before it took too long counts from when it was due.
func Steady(connections []Caller, n, perSecond int, d time.Duration) (control.Outcome, error) {
	callers := len(connections) * n
	every := time.Second * time.Duration(callers) / time.Duration(perSecond)
	start := time.Now()
	return measure(callers, func(i int, h *Histogram) error {
		first := start.Add(every * time.Duration(i) / time.Duration(callers))
		return callEvery(connections[i%len(connections)], first, every, start.Add(d), h)
	})
}

func callEvery(c Caller, due time.Time, every time.Duration, until time.Time, h *Histogram) error {
	for ; due.Before(until); due = due.Add(every) {
		wait := time.Until(due)
		time.Sleep(wait)
		from := due
		if wait > 0 { // waking up late is the timer's, not the contender's
			from = time.Now()
		}
		if err := c.Call(); err != nil {
			return err
		}
		h.Record(time.Since(from))
	}
	return nil
}

// measure runs n workers, each with a histogram of its own, until all are done.
func measure(n int, work func(i int, h *Histogram) error) (control.Outcome, error) {
	histograms := make([]Histogram, n)
	failures := make([]error, n)
	start := time.Now()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { failures[i] = work(i, &histograms[i]) })
	}
	all.Wait()
	took := time.Since(start)
	if err := errors.Join(failures...); err != nil {
		return control.Outcome{}, err
	}
	total := &histograms[0]
	for i := range histograms[1:] {
		total.Merge(&histograms[i+1])
	}
	return control.Outcome{
		Calls:   total.Total(),
		Seconds: took.Seconds(),
		P50:     total.Microseconds(0.5),
		P99:     total.Microseconds(0.99),
		P999:    total.Microseconds(0.999),
	}, nil
}
