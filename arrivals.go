package arpc

import (
	"sync"
	"time"
)

// fewArrivals is how many clients a second any server takes in.
const fewArrivals = 1000

// arrivals measure how many clients a Handler took in during its busiest second, so
// that those it sends away come back no faster.
type arrivals struct {
	mu      sync.Mutex // guards what follows
	clients int        // that are there
	second  int64      // after epoch
	now     int        // that came in it
	peak    int        // the most that came in one
}

func (a *arrivals) came() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if second := int64(time.Since(epoch) / time.Second); second != a.second {
		a.second, a.now = second, 0
	}
	a.clients++
	a.now++
	a.peak = max(a.peak, a.now)
}

func (a *arrivals) went() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clients--
}

// spread is the time over which those who are there come back when all are sent
// away: at least as long as it took to take so many in at the best of times.
func (a *arrivals) spread() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	rate := max(a.peak, fewArrivals)
	return min(max(time.Duration(a.clients)*time.Second/time.Duration(rate), goawaySpread), maxDelay)
}
