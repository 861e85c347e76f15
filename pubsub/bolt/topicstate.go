package bolt

import (
	"slices"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/topic"
)

func newEpoch() string { return topic.NewEpoch() }

// topicState is one topic: its head, as it was delivered, and who follows it.
type topicState struct {
	name string

	// Owned by the committer.
	keys  keys
	floor uint64 // the oldest entry in the file; below head.first some wait to be deleted
	// written says that the file knows the topic.
	written bool

	mu        sync.Mutex // guards what follows
	head      head       // changed by the committer alone, which therefore reads it without mu
	followers []*follower
	idle      time.Time // since when nobody follows it, or it is empty
	gone      bool      // the broker has forgotten it
}

// follower is one node. Its calls come one after the other: entries from the
// committer, members from whoever changes them.
type follower struct {
	mu       sync.Mutex
	receiver broker.Receiver
}

// Deliver implements broker.Receiver.
func (f *follower) Deliver(e broker.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.receiver.Deliver(e)
}

// Reset implements broker.Receiver.
func (f *follower) Reset(s broker.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.receiver.Reset(s)
}

// Changed implements broker.Receiver.
func (f *follower) Changed(c broker.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.receiver.Changed(c)
}

// TakeOne implements broker.Receiver.
func (f *follower) TakeOne(frame []byte) bool { return f.receiver.TakeOne(frame) }

// follow adds a node. It is not ok if the topic is gone.
func (t *topicState) follow(f *follower) (state head, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return head{}, false
	}
	t.followers = append(t.followers, f)
	return t.head, true
}

func (t *topicState) unfollow(f *follower) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.followers = slices.DeleteFunc(t.followers, func(other *follower) bool { return other == f })
	t.idle = time.Now()
}

// now is where the topic stands.
func (t *topicState) now() head {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.head
}

// advance moves the topic to what was written, and delivers it.
func (t *topicState) advance(h head, entries []broker.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h.empty() && !t.head.empty() {
		t.idle = time.Now()
	}
	t.head = h
	for _, e := range entries {
		for _, f := range t.followers {
			f.Deliver(e)
		}
	}
}

// end ends the topic if it is to be forgotten: nobody has followed it since a
// time, and nothing keeps it.
func (t *topicState) end(since time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	held := t.head.settings.Keep && !t.head.empty()
	t.gone = t.gone || len(t.followers) == 0 && !held && t.idle.Before(since)
	return t.gone
}

// leave lets all followers go.
func (t *topicState) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.followers, t.gone = nil, true
}
