package arpc

import (
	"slices"
	"sync"
)

// maxIdleWorkers is how many goroutines of a Handler stay for the next message.
const maxIdleWorkers = 256

// workers runs handlers on goroutines that are used again: a fresh one spends
// more on growing its stack than on most calls. Idle ones end when the last
// connection of the Handler does.
//
// Jobs wait in a queue for as long as it takes a goroutine to wake. Only one is
// woken at a time, and before it runs its first job it wakes the next if there
// are more jobs: so a handler that blocks holds up nobody, and a burst of short
// ones is done by few goroutines instead of one each.
type workers struct {
	mu     sync.Mutex
	queue  []job
	head   int             // of queue: what is before it was taken
	idle   []chan struct{} // closed or sent to, to wake one
	waking bool            // a worker was woken, or started, and took no job yet
	conns  int
}

// job is one message, or the ordered queue of a connection if ctx is nil.
type job struct {
	session *session
	ctx     *Context
}

func (j job) do() {
	if j.ctx == nil {
		j.session.inbox.runOrdered()
		return
	}
	j.session.inbox.runConcurrent(j.ctx)
}

// open counts a connection in.
func (w *workers) open() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns++
}

// close counts a connection out.
func (w *workers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns--
	if w.conns > 0 {
		return
	}
	for _, worker := range w.idle {
		close(worker)
	}
	w.idle = nil
}

// run never blocks, and never waits for a handler.
func (w *workers) run(j job) {
	w.mu.Lock()
	if w.head > 0 && len(w.queue) == cap(w.queue) {
		w.queue = slices.Delete(w.queue, 0, w.head)
		w.head = 0
	}
	w.queue = append(w.queue, j)
	wake := w.wakeLocked()
	w.mu.Unlock()
	wake.up(w)
}

// sleeper is a worker that is to be woken.
type sleeper struct {
	worker chan struct{} // nil starts a new one
	needed bool
}

func (s sleeper) up(w *workers) {
	switch {
	case s.worker != nil:
		s.worker <- struct{}{}
	case s.needed:
		go w.work()
	}
}

// wakeLocked picks a worker for the jobs that wait, the last that became idle,
// unless one is on its way.
func (w *workers) wakeLocked() sleeper {
	if w.waking || w.head == len(w.queue) {
		return sleeper{}
	}
	w.waking = true
	n := len(w.idle)
	if n == 0 {
		return sleeper{needed: true}
	}
	worker := w.idle[n-1]
	w.idle = w.idle[:n-1]
	return sleeper{worker, true}
}

func (w *workers) work() {
	self := make(chan struct{}, 1)
	for woken := true; woken; _, woken = <-self {
		for j, ok := w.take(true); ok; j, ok = w.take(false) {
			j.do()
		}
		if !w.rest(self) {
			return
		}
	}
}

// take takes the next job. first says that the worker was on its way until now.
func (w *workers) take(first bool) (j job, ok bool) {
	w.mu.Lock()
	if first {
		w.waking = false
	}
	j, ok = w.takeLocked()
	wake := w.wakeLocked()
	w.mu.Unlock()
	wake.up(w)
	return j, ok
}

func (w *workers) takeLocked() (j job, ok bool) {
	if w.head == len(w.queue) {
		return job{}, false
	}
	j = w.queue[w.head]
	w.queue[w.head] = job{}
	w.head++
	if w.head == len(w.queue) {
		w.queue, w.head = w.queue[:0], 0
	}
	return j, true
}

// rest makes a worker idle, unless there are enough or nobody to work for.
func (w *workers) rest(self chan struct{}) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns == 0 || len(w.idle) >= maxIdleWorkers {
		return false
	}
	w.idle = append(w.idle, self)
	return true
}
