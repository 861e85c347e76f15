package pubsub

import (
	"slices"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// room is one topic of a hub: its log, and its subscribers in the order they
// came.
type room struct {
	name string
	log  *topic.Log

	collector *time.Timer // runs while nobody is subscribed; guarded by Hub.mu

	mu          sync.Mutex // guards what follows
	subscribers []*subscription
	turn        int // whose turn it is when one is to get a publication
}

func newRoom(name string, log *topic.Log) *room { return &room{name: name, log: log} }

func (r *room) add(s *subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.room = r
	s.cursor = r.log.Follow(s.wake)
	r.subscribers = append(r.subscribers, s)
}

// remove ends a subscription and returns how many are left.
func (r *room) remove(s *subscription) int {
	s.cursor.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.subscribers, s); i >= 0 {
		r.subscribers = slices.Delete(r.subscribers, i, i+1)
		if i < r.turn {
			r.turn--
		}
	}
	return len(r.subscribers)
}

func (r *room) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.subscribers)
}

// pushToOne gives a message to the first subscriber, from the one whose turn it
// is, that takes it.
func (r *room) pushToOne(m *arpc.Message) error {
	r.mu.Lock()
	subscribers := slices.Clone(r.subscribers)
	turn := r.turn
	if len(subscribers) > 0 {
		r.turn = (turn + 1) % len(subscribers)
	}
	r.mu.Unlock()
	for i := range subscribers {
		s := subscribers[(turn+i)%len(subscribers)]
		if s.client.PushMsg(m, arpc.TimeZero) == nil {
			return nil
		}
	}
	return errNobody
}

// collectLocked calls f after a while, unless keepLocked is called first.
func (r *room) collectLocked(after time.Duration, f func()) {
	r.keepLocked()
	r.collector = time.AfterFunc(after, f)
}

func (r *room) keepLocked() {
	if r.collector != nil {
		r.collector.Stop()
		r.collector = nil
	}
}
