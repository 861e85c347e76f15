package pubsub

import (
	"context"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/feed"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// room is one topic on this node: what the broker delivers of it, and its
// subscribers. It is the broker's Receiver.
type room struct {
	hub  *Hub
	name string

	// Guarded by Hub.mu.
	users     int
	collector *time.Timer // runs while there are none

	ready   chan struct{} // closed when the room is open, or failed to
	failure error         // why it did
	loader  loader

	mu          sync.Mutex // guards what follows
	log         *topic.Log // the newest entries; nil before the room is open
	early       []broker.Entry
	cancel      func()
	shutAlready bool
	subscribers []*subscription
	turn        int // whose turn it is when one is to get a frame
	presence    presence
	suspect     uint64 // the newest offset when the broker was last seen elsewhere
}

var _ broker.Receiver = (*room)(nil)

func newRoom(h *Hub, name string) *room {
	r := &room{hub: h, name: name, ready: make(chan struct{}), suspect: nothing}
	r.loader.room = r
	r.presence.room = r
	return r
}

// What a node holds of a topic in memory, whatever the broker keeps.
const (
	windowEntries = 4096
	windowBytes   = 16 << 20
)

// window is what the room's log keeps: no more than the topic does.
func window(kept topic.Limits) topic.Limits {
	if kept.Entries == 0 || kept.Entries > windowEntries {
		kept.Entries = windowEntries
	}
	if kept.Bytes == 0 || kept.Bytes > windowBytes {
		kept.Bytes = windowBytes
	}
	return kept
}

// newLog returns a log for what comes behind a state.
func (r *room) newLog(s broker.State) *topic.Log {
	l := topic.NewLogAt(s.Epoch, s.Last, window(r.hub.cfg.of(r.name).Retention))
	l.WakeTogether(feed.Together(r.hub.mountedOn()))
	return l
}

// open follows the topic. It is called once.
func (r *room) open(ctx context.Context) {
	defer close(r.ready)
	state, cancel, err := r.hub.broker.Subscribe(ctx, r.name, r.hub.cfg.of(r.name), r)
	if err != nil {
		r.failure = err
		return
	}
	r.mu.Lock()
	r.log, r.cancel = r.newLog(state), cancel
	for _, e := range r.early {
		r.takeLocked(e)
	}
	r.early = nil
	shut := r.shutAlready
	r.mu.Unlock()
	if shut {
		cancel()
	}
}

// failed reports whether the room could not be opened.
func (r *room) failed() bool {
	select {
	case <-r.ready:
		return r.failure != nil
	default:
		return false
	}
}

// shut ends what the room has with the broker.
func (r *room) shut() {
	r.mu.Lock()
	cancel := r.cancel
	r.cancel, r.shutAlready = nil, true
	r.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

func (r *room) keep() {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	r.keepLocked()
}

func (r *room) keepLocked() {
	if r.collector != nil {
		r.collector.Stop()
		r.collector = nil
	}
}

// Deliver implements broker.Receiver.
func (r *room) Deliver(e broker.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log == nil {
		r.early = append(r.early, e)
		return
	}
	r.takeLocked(e)
}

// takeLocked appends an entry. If there is a hole before it, the log begins anew
// behind that, and subscribers get what is missing from the broker.
func (r *room) takeLocked(e broker.Entry) {
	_, last := r.log.Bounds()
	if e.Offset <= last {
		return
	}
	if e.Offset > last+1 {
		r.replaceLocked(broker.State{Epoch: r.log.Epoch(), Last: e.Offset - 1})
	}
	r.log.Append(entryOf(e))
}

// entryOf is an entry as a log holds it.
func entryOf(e broker.Entry) topic.Entry {
	entry := topic.Entry{Offset: e.Offset, Data: e.Frame}
	if e.Origin != 0 {
		entry.Tag = e.Origin
	}
	return entry
}

// Reset implements broker.Receiver.
func (r *room) Reset(s broker.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log == nil {
		r.early = nil // Subscribe is about to say where it stands
		return
	}
	r.replaceLocked(s)
}

// replaceLocked begins a log behind a state. Within an epoch subscribers stay
// where they are, or go back to the newest if the topic lost its end; in another
// one they begin with the oldest that is held.
func (r *room) replaceLocked(s broker.State) {
	begin := s.Last
	if s.First > 0 && s.Epoch != r.log.Epoch() {
		begin = s.First - 1
	}
	r.log = r.newLog(s)
	for _, sub := range r.subscribers {
		sub.Follow(r.log, begin)
	}
}

// Changed implements broker.Receiver.
func (r *room) Changed(c broker.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.presence.changedLocked(c)
}

// TakeOne implements broker.Receiver: the first subscriber, from the one whose
// turn it is, that takes the frame gets it.
func (r *room) TakeOne(frame []byte) bool {
	m := arpc.EncodedMessage(frame)
	r.mu.Lock()
	turn, n := r.turn, len(r.subscribers)
	if n > 0 {
		r.turn = (turn + 1) % n
	}
	r.mu.Unlock()
	for i := range n {
		s := r.subscriber(turn + i)
		if s != nil && s.Client().PushMsg(m, arpc.TimeZero) == nil {
			return true
		}
	}
	return false
}

// subscriber is one of them, counted round.
func (r *room) subscriber(i int) *subscription {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.subscribers) == 0 {
		return nil
	}
	return r.subscribers[i%len(r.subscribers)]
}

// state is where the room stands, and the log that it is true of.
func (r *room) state() (feed.State, *topic.Log) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first, last := r.log.Bounds()
	return feed.State{Epoch: r.log.Epoch(), First: first, Last: last}, r.log
}

// add adds a subscription behind an offset of a log, unless the room has another
// log by now.
func (r *room) add(s *subscription, l *topic.Log, after uint64, o feed.Options) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log != l {
		return false
	}
	s.Subscription = feed.Subscribe(s.session.client, l, after, o)
	s.index = len(r.subscribers)
	r.subscribers = append(r.subscribers, s)
	return true
}

// remove removes a subscription, if it is there.
func (r *room) remove(s *subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.index < 0 {
		return
	}
	end := len(r.subscribers) - 1
	moved := r.subscribers[end]
	r.subscribers[s.index], moved.index = moved, s.index
	r.subscribers[end] = nil
	r.subscribers = r.subscribers[:end]
	s.index = -1
}
