package arpc

import "sync"

// hookQueue runs the hooks of one client one after the other, in the order in
// which what they tell of happened, on a goroutine that exists while there are
// any. So a hook may call the peer, or take its time, and nothing of the
// connection waits for it.
type hookQueue struct {
	mu    sync.Mutex
	queue []func() // nil while no goroutine runs them
}

func (q *hookQueue) add(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.queue == nil {
		go q.run()
	}
	q.queue = append(q.queue, f)
}

func (q *hookQueue) run() {
	for f := q.next(); f != nil; f = q.next() {
		f()
	}
}

func (q *hookQueue) next() func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		q.queue = nil
		return nil
	}
	f := q.queue[0]
	q.queue[0] = nil
	q.queue = q.queue[1:]
	return f
}
