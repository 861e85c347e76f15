package pubsub

import (
	"context"
	"time"

	"github.com/seed-fbfaa03e/arpc"
)

// enter returns a topic's room, which is opened if it is not open. exit gives it
// back.
func (h *Hub) enter(ctx context.Context, name string) (*room, error) {
	r, first, err := h.take(name)
	if err != nil {
		return nil, err
	}
	if first {
		r.open(ctx)
	}
	select {
	case <-r.ready:
	case <-ctx.Done():
		h.exit(r)
		return nil, errBroker
	}
	if r.failure != nil {
		h.exit(r)
		return nil, shown(r.failure, errBroker)
	}
	return r, nil
}

// take counts one user more of a room. The first opens it.
func (h *Hub) take(name string) (r *room, first bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, false, errClosed
	}
	r = h.topics[name]
	if r == nil {
		if h.cfg.maxTopics > 0 && len(h.topics) >= h.cfg.maxTopics {
			return nil, false, arpc.Errorf(arpc.CodeResourceExhausted, "%d topics exist, limit %d", len(h.topics), h.cfg.maxTopics)
		}
		r, first = newRoom(h, name), true
		h.topics[name] = r
	}
	r.users++
	r.keepLocked()
	return r, first, nil
}

// exit counts one user less. The last one to go leaves the topic to be
// collected, unless somebody comes in time; one that could not be opened goes
// at once.
func (h *Hub) exit(r *room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.users--
	if h.closed || r.users > 0 {
		return
	}
	if r.failed() {
		if h.topics[r.name] == r {
			delete(h.topics, r.name)
		}
		return
	}
	r.keepLocked()
	r.collector = time.AfterFunc(h.cfg.linger, func() { h.collect(r) })
}

func (h *Hub) collect(r *room) {
	h.mu.Lock()
	gone := h.topics[r.name] == r && r.users == 0
	if gone {
		delete(h.topics, r.name)
	}
	h.mu.Unlock()
	if gone {
		r.shut()
	}
}

// find returns the room of a topic, nil if nobody uses it.
func (h *Hub) find(name string) *room {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.topics[name]
}

// rooms are all that are there.
func (h *Hub) rooms() []*room {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*room, 0, len(h.topics))
	for _, r := range h.topics {
		all = append(all, r)
	}
	return all
}
