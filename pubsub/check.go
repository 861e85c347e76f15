package pubsub

import (
	"time"

	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
)

// check compares from time to time what was delivered with what the broker has:
// it may have lost the end of a topic, or the way to us, without knowing.
func (h *Hub) check() {
	ticker := time.NewTicker(h.cfg.check)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-h.ctx.Done():
			return
		}
		for _, r := range h.rooms() {
			if !r.check() {
				break // it is away, and says so to those who ask
			}
		}
	}
}

// check looks at one topic, and says whether the broker could be asked. What is under way just now is not lost, so a
// difference counts only if it is there at the next look too.
func (r *room) check() bool {
	ctx, cancel := r.hub.within()
	defer cancel()
	state, err := r.hub.broker.State(ctx, r.name)
	if err != nil {
		return false
	}
	r.compare(state)
	return true
}

// compare begins anew where the broker twice was not where the room is.
func (r *room) compare(state broker.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log == nil || state.Epoch == "" {
		return
	}
	_, last := r.log.Bounds()
	same := state.Epoch == r.log.Epoch()
	if same && state.Last == last {
		r.suspect = nothing
		return
	}
	if r.suspect != last {
		r.suspect = last
		return
	}
	r.suspect = nothing
	r.hub.mountedOn().Logger().Warn("arpc: the broker is not where it was thought to be",
		"topic", r.name, "epoch", state.Epoch, "newest", state.Last, "delivered", last)
	r.replaceLocked(broker.State{Epoch: state.Epoch, First: state.First, Last: state.Last})
}

// nothing is an offset that no entry has.
const nothing = ^uint64(0)
