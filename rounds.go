package arpc

import (
	"container/heap"
	"sync"
	"time"
)

// rounds look at each connection of a Handler when it is time to, with one timer
// for all: a timer each costs more memory than all else that keeps a silent
// connection alive.
type rounds struct {
	mu    sync.Mutex
	timer *time.Timer // for the first that is due; nil before there was one
	queue dueFirst
}

// epoch is what moments are counted from: a Duration is a third of a Time.
var epoch = time.Now()

// schedule has a connection looked at after a while, and not before.
func (r *rounds) schedule(k *keepalive, in time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k.due = time.Since(epoch) + in
	if k.queued {
		heap.Fix(&r.queue, k.place)
	} else {
		heap.Push(&r.queue, k)
	}
	if k.place == 0 {
		r.armLocked(in)
	}
}

// hasten has a connection looked at after a while, if it would not be sooner.
func (r *rounds) hasten(k *keepalive, in time.Duration) {
	r.mu.Lock()
	late := !k.queued || k.due > time.Since(epoch)+in
	r.mu.Unlock()
	if late {
		r.schedule(k, in)
	}
}

// drop has a connection not looked at any more.
func (r *rounds) drop(k *keepalive) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k.queued {
		heap.Remove(&r.queue, k.place)
	}
	if len(r.queue) == 0 && r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}

func (r *rounds) armLocked(in time.Duration) {
	if r.timer == nil {
		r.timer = time.AfterFunc(in, r.run)
		return
	}
	r.timer.Reset(in)
}

// run looks at all that are due.
func (r *rounds) run() {
	for k := r.next(); k != nil; k = r.next() {
		k.tick()
	}
}

// next is one that is due. If none is, the timer is set for the first that will be.
func (r *rounds) next() *keepalive {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		return nil
	}
	if in := r.queue[0].due - time.Since(epoch); in > 0 {
		r.armLocked(in)
		return nil
	}
	return heap.Pop(&r.queue).(*keepalive)
}

// dueFirst is a heap of connections. What it writes into them is guarded by the
// lock of the rounds.
type dueFirst []*keepalive

func (q dueFirst) Len() int           { return len(q) }
func (q dueFirst) Less(i, j int) bool { return q[i].due < q[j].due }

func (q dueFirst) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push implements heap.Interface.
func (q *dueFirst) Push(k any) {
	added := k.(*keepalive)
	added.place, added.queued = len(*q), true
	*q = append(*q, added)
}

// Pop implements heap.Interface.
func (q *dueFirst) Pop() any {
	end := len(*q) - 1
	last := (*q)[end]
	(*q)[end] = nil
	*q = (*q)[:end]
	last.queued = false
	return last
}
