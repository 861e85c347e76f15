package pubsub

import (
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/feed"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// A page is what is read of the broker at once.
const (
	loadEntries = 1024
	loadBytes   = 256 << 10
	loadRetry   = time.Second // while the broker is away
)

// loader reads for subscribers what the room does not hold any more. Whoever
// wants the same shares a read, so that many that come back at once cost little
// more than one.
type loader struct {
	room *room

	mu      sync.Mutex // guards what follows
	wanted  []want
	running bool
}

type want struct {
	subscription *feed.Subscription
	what         feed.Range
}

// ask is a feed.Options.Older.
func (l *loader) ask(s *feed.Subscription, what feed.Range) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted = append(l.wanted, want{s, what})
	if !l.running {
		l.running = l.room.hub.work(l.run)
	}
}

func (l *loader) run() {
	for wanted := l.take(); wanted != nil; wanted = l.take() {
		l.serve(wanted)
	}
}

func (l *loader) take() []want {
	l.mu.Lock()
	defer l.mu.Unlock()
	wanted := l.wanted
	l.wanted = nil
	l.running = wanted != nil
	return wanted
}

// serve reads pages until everybody has one, from the lowest offset on.
func (l *loader) serve(wanted []want) {
	for len(wanted) > 0 {
		lowest := wanted[0].what.After
		for _, w := range wanted {
			lowest = min(lowest, w.what.After)
		}
		page, ok := l.read(lowest)
		if !ok {
			return // the hub is closed
		}
		wanted = supply(wanted, page)
	}
}

// supply gives a page to all that want some of it, and returns the others.
func supply(wanted []want, p page) (left []want) {
	for _, w := range wanted {
		if n := len(p.entries); n > 0 && p.entries[n-1].Offset <= w.what.After {
			left = append(left, w)
			continue
		}
		w.subscription.Supply(w.what, p.epoch, p.entries)
	}
	return left
}

// page is a part of a topic, as logs hold it.
type page struct {
	epoch   string
	entries []topic.Entry
}

// read reads one page, when the broker can.
func (l *loader) read(after uint64) (p page, ok bool) {
	h := l.room.hub
	for {
		ctx, cancel := h.within()
		found, err := h.broker.Read(ctx, l.room.name, broker.Query{After: after, Entries: loadEntries, Bytes: loadBytes})
		cancel()
		if err == nil {
			p.epoch = found.State.Epoch
			for _, e := range found.Entries {
				p.entries = append(p.entries, entryOf(e))
			}
			return p, true
		}
		h.mountedOn().Logger().Warn("arpc: read a topic", "topic", l.room.name, "after", after, "error", err)
		select {
		case <-time.After(loadRetry):
		case <-h.ctx.Done():
			return page{}, false
		}
	}
}
