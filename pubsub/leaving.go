package pubsub

import (
	"context"
	"sync"
	"time"
)

// leaveRetry is how long a membership waits that the broker could not end just now.
const leaveRetry = time.Second

// leaving are members that are to leave: those whose connection was lost, and who
// may come back, and those of whom the broker does not know yet.
type leaving struct {
	hub *Hub

	mu     sync.Mutex // guards what follows
	timers map[*subscription]*time.Timer
	closed bool
}

// later ends a membership unless the member comes back in time: then it belongs
// to somebody else. The topic stays until then.
func (l *leaving) later(s *subscription) {
	switch {
	case s.holder == "":
	case s.stays && l.hub.cfg.grace > 0:
		l.wait(s, l.hub.cfg.grace)
	default:
		l.end(s)
	}
}

// end ends a membership now, or as soon as the broker can.
func (l *leaving) end(s *subscription) {
	if s.holder != "" && !s.hide() {
		l.wait(s, leaveRetry)
	}
}

func (l *leaving) wait(s *subscription, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if l.timers == nil {
		l.timers = map[*subscription]*time.Timer{}
	}
	held := l.hub.hold(s.room)
	l.timers[s] = time.AfterFunc(d, func() { l.now(s, held) })
}

func (l *leaving) now(s *subscription, held bool) {
	l.mu.Lock()
	_, waits := l.timers[s]
	delete(l.timers, s)
	l.mu.Unlock()
	if !waits {
		return
	}
	l.end(s)
	if held {
		l.hub.exit(s.room)
	}
}

// all ends every membership that waits.
func (l *leaving) all() {
	l.mu.Lock()
	l.closed = true
	timers := l.timers
	l.timers = nil
	l.mu.Unlock()
	for s, t := range timers {
		t.Stop()
		s.hide()
	}
}

// hide ends a membership, if the broker can.
func (s *subscription) hide() bool {
	h := s.room.hub
	ctx, cancel := h.patience()
	defer cancel()
	err := h.broker.Leave(ctx, s.room.name, s.member, s.holder)
	if err != nil {
		h.mountedOn().Logger().Warn("arpc: leave a topic", "topic", s.room.name, "member", s.member, "error", err)
	}
	return err == nil
}

// patience is a context for what is to be done though the hub closes: all of that
// together has the time of one request.
func (h *Hub) patience() (context.Context, context.CancelFunc) {
	h.mu.Lock()
	end := h.end
	h.mu.Unlock()
	if end.IsZero() {
		end = time.Now().Add(brokerTimeout)
	}
	return context.WithDeadline(context.Background(), end)
}

// hold counts one user more of a room that is there.
func (h *Hub) hold(r *room) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.topics[r.name] != r {
		return false
	}
	r.users++
	r.keepLocked()
	return true
}
