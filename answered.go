package arpc

import "github.com/seed-fbfaa03e/arpc/wire"

// watcher is somebody who wants to know what a request was answered with, or,
// when done is set, what it was answered with.
type watcher struct {
	f    func(error)
	next *watcher
	done bool
	err  error
}

var answeredWell = &watcher{done: true}

// OnAnswered calls f once, when the request has been answered: with the error
// that the handler answered with, or nil. It is for middleware that measures or
// logs, which Context.Next alone does not serve: a Context may be answered after
// its handler returned. f runs on the goroutine that answers and must not block;
// if the request has its answer already, it runs at once.
//
// Of a notify, and of a request that every goroutine forgot, f is never called.
func (ctx *Context) OnAnswered(f func(err error)) {
	w := &watcher{f: f}
	for {
		w.next = ctx.watchers.Load()
		if w.next != nil && w.next.done {
			f(w.next.err)
			return
		}
		if ctx.watchers.CompareAndSwap(w.next, w) {
			return
		}
	}
}

// tellAnswered runs those who watch, in the order they came. An answer that could
// not be encoded, which failure says, went out as internal.
func (ctx *Context) tellAnswered(v any, flags wire.Flags, failure error) {
	outcome := answeredWell
	switch {
	case failure != nil && CodeOf(failure) == CodeUnknown:
		outcome = &watcher{done: true, err: Errorf(CodeInternal, "%w", failure)}
	case failure != nil:
		outcome = &watcher{done: true, err: failure}
	case flags&wire.Error != 0:
		outcome = &watcher{done: true, err: asError(v)}
	}
	runWatchers(ctx.watchers.Swap(outcome), outcome.err)
}

func runWatchers(w *watcher, err error) {
	if w != nil {
		runWatchers(w.next, err)
		w.f(err)
	}
}
