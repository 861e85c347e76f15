package pubsub

import (
	"slices"

	"github.com/seed-fbfaa03e/arpc/topic"
)

// TopicStats says what the topics of this node hold now. It looks at every
// subscription: it is for gauges that are read every few seconds.
func (h *Hub) TopicStats() topic.Stats {
	all := topic.Stats{Topics: h.Topics()}
	for _, r := range h.rooms() {
		all.Add(r.stats())
	}
	return all
}

// TopicStats is Hub.TopicStats.
func (s *Server) TopicStats() topic.Stats { return s.Hub.TopicStats() }

// stats are those of the subscribers of a topic.
func (r *room) stats() (all topic.Stats) {
	r.mu.Lock()
	log, subscribers := r.log, slices.Clone(r.subscribers)
	r.mu.Unlock()
	if log == nil {
		return all
	}
	_, last := log.Bounds()
	for _, s := range subscribers {
		epoch, at := s.Position()
		if epoch != log.Epoch() { // it is about to be told of the new one
			at = 0
		}
		all.Behind(last - min(at, last))
	}
	return all
}
