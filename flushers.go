package arpc

import (
	"runtime"
	"sync"
)

// flushers write for publishers, who only append and wake: each woken source is
// flushed by one of a few goroutines, which end when there is nothing left. While
// they go through many connections, publishers go on appending, and each
// connection gets what came meanwhile in one write.
type flushers struct {
	mu      sync.Mutex
	queue   []*wave
	running int
}

// wave is sources that were woken at once.
type wave struct {
	n, next int
	at      func(i int) Sleeper
}

// waveStep is how many sources a flusher takes of a wave at a time: few enough
// that all flushers end together.
const waveStep = 8

// add takes a wave. It costs the same however many sources are in it.
func (f *flushers) add(w *wave) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, w)
	for f.running < runtime.GOMAXPROCS(0) && f.running < len(f.queue)+w.n/waveStep {
		f.running++
		go f.work()
	}
}

func (f *flushers) work() {
	for w, from, to := f.take(); w != nil; w, from, to = f.take() {
		for i := from; i < to; i++ {
			s := w.at(i)
			s.Client().wake(s)
		}
	}
}

// take returns the next part of the oldest wave, nil when there is none.
func (f *flushers) take() (w *wave, from, to int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) == 0 {
		f.queue = nil
		f.running--
		return nil, 0, 0
	}
	w = f.queue[0]
	from, to = w.next, min(w.next+waveStep, w.n)
	w.next = to
	if to == w.n {
		f.queue[0] = nil
		f.queue = f.queue[1:]
	}
	return w, from, to
}
