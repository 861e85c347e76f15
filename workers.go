package arpc

import "sync"

// maxIdleWorkers is how many goroutines of a Handler stay for the next message.
const maxIdleWorkers = 256

// workers runs handlers on goroutines that are used again: a fresh one spends
// more on growing its stack than on most calls. Idle ones end when the last
// connection of the Handler does.
type workers struct {
	mu    sync.Mutex
	idle  []chan job
	conns int
}

// job is one message, or the ordered queue of a connection if ctx is nil.
type job struct {
	conn *conn
	ctx  *Context
}

func (j job) do() {
	if j.ctx == nil {
		j.conn.inbox.runOrdered()
		return
	}
	j.conn.inbox.runConcurrent(j.ctx)
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

// run never blocks: the last worker that became idle takes the job, or a new one.
func (w *workers) run(j job) {
	if worker := w.take(); worker != nil {
		worker <- j
		return
	}
	go w.work(j)
}

func (w *workers) take() chan job {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.idle)
	if n == 0 {
		return nil
	}
	worker := w.idle[n-1]
	w.idle = w.idle[:n-1]
	return worker
}

func (w *workers) work(j job) {
	self := make(chan job, 1)
	for ok := true; ok; j, ok = <-self {
		j.do()
		if !w.rest(self) {
			return
		}
	}
}

// rest makes a worker idle, unless there are enough or nobody to work for.
func (w *workers) rest(self chan job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns == 0 || len(w.idle) >= maxIdleWorkers {
		return false
	}
	w.idle = append(w.idle, self)
	return true
}
