package arpc

import (
	"slices"
	"sync"
	"weak"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// inbox holds the requests and notifies of one session that cannot run yet,
// and decides what runs. Work waits here, so that the reader does not.
type inbox struct {
	session *session

	mu       sync.Mutex
	running  int32                            // requests in handlers, Ordered ones not counted
	queued   int32                            // frames in waiting and ordered
	bytes    int                              // and their bodies
	waiting  []*Context                       // requests beyond the bound of running ones
	ordered  []*Context                       // notifies and Ordered requests
	active   map[uint64]*Context              // requests that can be canceled, by seq
	loose    map[uint64]weak.Pointer[Context] // and those whose handler returned without an answer
	changed  chan struct{}                    // closed when a reader that waits has to look again; nil if it does not wait
	idle     chan struct{}
	draining bool // a worker runs ordered
	refusing bool // shutting down: requests are answered with errDraining
	closed   bool
}

// put takes a message that does not run inline. It is called by the reader.
func (in *inbox) put(ctx *Context, mode Mode, from *conn) error {
	refusal, work := in.admit(ctx, mode, from)
	switch {
	case refusal != nil && ctx.IsRequest():
		ctx.inline = true // it is answered here, on the reader
		return ctx.Error(refusal)
	case refusal != nil:
		return refusal // a notify would be lost in silence: the connection ends
	case work.session != nil:
		in.session.handler.workers.run(work)
	}
	return nil
}

// admit finds a place for a message, and work for a worker if it can run now.
// While the queue is full the reader waits here, unless something is awaited
// from the peer: the answer may be behind this message.
func (in *inbox) admit(ctx *Context, mode Mode, from *conn) (refusal *Error, work job) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.overfullLocked() && !in.closed && !from.gone.happened() {
		if in.awaitsPeer() {
			return errOverrun, job{}
		}
		in.pauseLocked(from)
	}
	if in.closed && !ctx.counted() { // what was counted is not sent again
		return nil, job{}
	}
	if in.refusing && ctx.IsRequest() {
		return errDraining, job{}
	}
	in.rememberLocked(ctx)
	switch {
	case mode == Ordered:
		in.enqueueLocked(&in.ordered, ctx)
		if !in.draining {
			in.draining = true
			return nil, job{session: in.session}
		}
	case in.mayRunLocked():
		in.running++
		return nil, job{in.session, ctx}
	default:
		in.enqueueLocked(&in.waiting, ctx)
	}
	return nil, job{}
}

// awaitsPeer reports whether anything of ours waits for a frame of the peer.
func (in *inbox) awaitsPeer() bool {
	return in.session.client.pending.count() > 0 || in.session.awaiting.Load() > 0
}

// pauseLocked waits until the queue shrinks or something is awaited. What the
// reader has answered so far leaves before.
func (in *inbox) pauseLocked(from *conn) {
	in.mu.Unlock()
	from.out.beforeRead()
	in.mu.Lock()
	if in.overfullLocked() && !in.closed && !from.gone.happened() && !in.awaitsPeer() {
		changed := make(chan struct{})
		in.changed = changed
		in.mu.Unlock()
		<-changed
		in.mu.Lock()
	}
	from.out.afterRead()
}

// lookAgain wakes a reader that waits.
func (in *inbox) lookAgain() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.lookAgainLocked()
}

// dropOutside drops the requests that wait and are no part of the session: who
// asked says on the next connection what it wants there.
func (in *inbox) dropOutside() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, queue := range []*[]*Context{&in.waiting, &in.ordered} {
		kept := (*queue)[:0:0]
		for _, ctx := range *queue {
			if ctx.IsRequest() && ctx.flags&wire.Outside != 0 {
				in.queued--
				in.bytes -= len(ctx.body)
				delete(in.active, ctx.seq)
				in.session.unanswered.Add(-1)
				continue
			}
			kept = append(kept, ctx)
		}
		*queue = kept
	}
	in.quietLocked()
}

// lookAgainLocked wakes a reader that waits.
func (in *inbox) lookAgainLocked() {
	if in.changed != nil {
		close(in.changed)
		in.changed = nil
	}
}

// mayRunLocked reports whether one more request may run now. Who makes it true
// again calls resume, which waits for mu: nothing is queued in between unseen.
func (in *inbox) mayRunLocked() bool {
	return int(in.running) < in.bound() && !in.session.full()
}

func (in *inbox) overfullLocked() bool {
	return int(in.queued) >= in.session.limits.QueueFrames || in.bytes >= in.session.limits.QueueBytes
}

func (in *inbox) enqueueLocked(queue *[]*Context, ctx *Context) {
	*queue = append(*queue, ctx)
	in.queued++
	in.bytes += len(ctx.body)
}

func (in *inbox) dequeueLocked(queue *[]*Context) *Context {
	if len(*queue) == 0 {
		return nil
	}
	ctx := (*queue)[0]
	(*queue)[0] = nil
	*queue = (*queue)[1:]
	in.queued--
	in.bytes -= len(ctx.body)
	in.lookAgainLocked()
	return ctx
}

// runOrdered runs the ordered messages until there are none.
func (in *inbox) runOrdered() {
	for ctx := in.nextOrdered(); ctx != nil; ctx = in.nextOrdered() {
		ctx.run()
		ctx.letGo()
	}
}

func (in *inbox) nextOrdered() *Context {
	in.mu.Lock()
	defer in.mu.Unlock()
	ctx := in.dequeueLocked(&in.ordered)
	if ctx == nil {
		in.draining = false
		in.ordered = nil
		in.quietLocked()
	}
	return ctx
}

// runConcurrent runs a request, and then those that waited for it to end.
func (in *inbox) runConcurrent(ctx *Context) {
	for ; ctx != nil; ctx = in.nextWaiting() {
		ctx.run()
		ctx.letGo()
	}
}

func (in *inbox) nextWaiting() *Context {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.running--
	if in.mayRunLocked() {
		if ctx := in.dequeueLocked(&in.waiting); ctx != nil {
			in.running++
			return ctx
		}
	}
	in.quietLocked()
	return nil
}

// resume starts requests that waited for the send queue to have room, or for
// the bound to rise.
func (in *inbox) resume() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.waiting) > 0 && in.mayRunLocked() {
		ctx := in.dequeueLocked(&in.waiting)
		if ctx == nil {
			return
		}
		in.running++
		in.session.handler.workers.run(job{in.session, ctx})
	}
}

// waitBegan says that something is awaited from the peer now: a paused reader
// looks again, because the answer may be behind what it holds, and a request
// may run in the place of the handler that waits.
func (in *inbox) waitBegan() {
	in.mu.Lock()
	in.lookAgainLocked()
	waiting := len(in.waiting) > 0
	in.mu.Unlock()
	if waiting {
		in.resume()
	}
}

// bound is how many requests may be in handlers. One that waits for the peer
// does not run, and if it counted, two peers whose handlers all call back would
// wait for each other for ever. Which handlers wait is not known; how many calls
// do is. Handlers stay bounded all the same, at four times the limit.
func (in *inbox) bound() int {
	limit := in.session.limits.Inflight
	return limit + min(in.session.client.pending.count(), 3*limit)
}

// rememberLocked keeps a request for the caller to cancel, if it can.
func (in *inbox) rememberLocked(ctx *Context) {
	if !ctx.IsRequest() || !in.session.has(capCancel) {
		return
	}
	if in.active == nil {
		in.active = map[uint64]*Context{}
	}
	in.active[ctx.seq] = ctx
}

// answered drops a request that has its answer.
func (in *inbox) answered(seq uint64, ctx *Context) {
	left := in.session.unanswered.Add(-1)
	if left > 0 && !in.session.has(capCancel) {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.active[seq] == ctx { // the peer may have used the seq again
		delete(in.active, seq)
	}
	delete(in.loose, seq)
	in.quietLocked()
}

// loosen keeps a request that its handler left unanswered only as long as
// somebody else does.
func (in *inbox) loosen(ctx *Context) {
	if !in.session.has(capCancel) {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.active[ctx.seq] != ctx {
		return
	}
	delete(in.active, ctx.seq)
	if in.loose == nil {
		in.loose = map[uint64]weak.Pointer[Context]{}
	}
	in.loose[ctx.seq] = weak.Make(ctx)
}

// cancel tells a request that its caller gave up. It is answered all the same.
func (in *inbox) cancel(seq uint64) {
	in.mu.Lock()
	ctx := in.active[seq]
	if ctx == nil {
		ctx = in.loose[seq].Value()
	}
	in.mu.Unlock()
	if ctx != nil {
		ctx.cancel()
	}
}

// rest gives up the memory of what is empty.
func (in *inbox) rest() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.active) == 0 {
		in.active = nil
	}
	if len(in.loose) == 0 {
		in.loose = nil
	}
}

// open is how many requests of the peer run or wait.
func (in *inbox) open() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return int(in.running + in.queued)
}

// isPaused reports whether the reader waits for the queue, so that silence is ours.
func (in *inbox) isPaused() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.changed != nil
}

// drain refuses new requests and returns a channel that is closed when none runs
// or waits, and every one has its answer.
func (in *inbox) drain() <-chan struct{} {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.refusing = true
	if in.idle == nil {
		in.idle = make(chan struct{})
		in.quietLocked()
	}
	return in.idle
}

func (in *inbox) quietLocked() {
	if in.idle == nil || in.running > 0 || in.queued > 0 || in.draining || in.session.unanswered.Load() > 0 {
		return
	}
	select {
	case <-in.idle:
	default:
		close(in.idle)
	}
}

// close drops the requests that wait: nobody is there to be answered. What is
// ordered is still handled, so that a peer may say something and go.
func (in *inbox) close() {
	s := in.session
	dropped := in.dropWaiting()
	if len(dropped) == 0 {
		return
	}
	s.client.hooks.add(func() {
		for _, ctx := range dropped {
			s.handler.runMessage("dropped hook", s.handler.hooks.Load().dropped, s.client, ctx.frame)
		}
	})
}

func (in *inbox) dropWaiting() []*Context {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	dropped := slices.Clone(in.waiting)
	for in.dequeueLocked(&in.waiting) != nil {
	}
	in.lookAgainLocked()
	in.quietLocked()
	return dropped
}
