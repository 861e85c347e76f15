package arpc

import (
	"runtime"
	"sync"
)

// flushers write for publishers, who only append and wake: each woken outbox
// is flushed by one of a few goroutines, which end when there is nothing left.
type flushers struct {
	mu      sync.Mutex
	queue   []*outbox // outboxes whose flusher's role is theirs
	running int
}

// add takes an outbox together with its flusher's role.
func (f *flushers) add(o *outbox) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, o)
	if f.running < runtime.GOMAXPROCS(0) {
		f.running++
		go f.work()
	}
}

func (f *flushers) work() {
	for o := f.take(); o != nil; o = f.take() {
		o.flush()
	}
}

func (f *flushers) take() *outbox {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) == 0 {
		f.queue = nil
		f.running--
		return nil
	}
	o := f.queue[0]
	f.queue[0] = nil
	f.queue = f.queue[1:]
	return o
}
