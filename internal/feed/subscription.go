// Package feed is how a log reaches a client: a subscription is the client's
// place in it, and a source of the client's connection.
package feed

import (
	"slices"
	"sync"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// Options are what a subscription is for.
type Options struct {
	// Topic is its name in events.
	Topic string
	// Events says that the client knows events. Others are never told.
	Events bool
	// Latest gives the newest entry alone where several wait.
	Latest bool
	// Hides, unless it is nil, says that an entry with a tag is not for this
	// client.
	Hides func(tag any) bool
	// Older, unless it is nil, is asked for entries that the log does not hold any
	// more. It answers, later and from another goroutine, by calling Supply once.
	Older func(s *Subscription, r Range)
	// Missed, unless it is nil, is told how many entries were gone before the
	// client read them. It must not block.
	Missed func(n uint64)
}

// Range is the entries behind After, up to UpTo, of an epoch.
type Range struct {
	Epoch       string
	After, UpTo uint64
}

// Subscription is a client's place in a log. Its methods are safe for concurrent use.
type Subscription struct {
	client *arpc.Client
	o      Options

	mu       sync.Mutex // guards what follows; held while frames are copied to the connection
	epoch    string
	cursor   *topic.Cursor
	position uint64   // of the client, when it has read what was copied
	hidden   bool     // it was moved since without anything to show for it
	notes    [][]byte // frames to be sent before anything else
	last     []byte   // the frame to be sent last
	started  bool
	closed   bool

	// While the log no longer holds the client's place.
	missing uint64        // the newest offset that has to be supplied; 0 if none has to
	asked   bool          // for it
	older   []topic.Entry // supplied
	ahead   []topic.Entry // read from the log, to be sent after that
}

var _ arpc.Sleeper = (*Subscription)(nil)

// Subscribe returns a subscription behind an offset of a log. Nothing is sent
// before Start.
func Subscribe(c *arpc.Client, l *topic.Log, after uint64, o Options) *Subscription {
	s := &Subscription{client: c, o: o}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.placeLocked(l, after)
	return s
}

func (s *Subscription) placeLocked(l *topic.Log, after uint64) {
	s.epoch, s.position, s.hidden = l.Epoch(), after, false
	s.cursor = l.FollowFrom(after, s)
	s.missing, s.asked, s.older, s.ahead = 0, false, nil, nil
}

// Client implements arpc.Sleeper.
func (s *Subscription) Client() *arpc.Client { return s.client }

// Wake implements topic.Reader.
func (s *Subscription) Wake() { s.client.Handler.Wake(1, func(int) arpc.Sleeper { return s }) }

// Together is how a log wakes its subscriptions at once.
func Together(h *arpc.Handler) func([]topic.Reader) {
	return func(all []topic.Reader) {
		h.Wake(len(all), func(i int) arpc.Sleeper { return all[i].(arpc.Sleeper) })
	}
}

// Start begins to send, once.
func (s *Subscription) Start() {
	s.mu.Lock()
	began := s.started
	s.started = true
	s.mu.Unlock()
	if !began {
		s.Wake()
	}
}

// Position is what the client has got, or what was copied for it.
func (s *Subscription) Position() (epoch string, offset uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch, s.position
}

// Follow goes on in another log: where it is, if that is of the same epoch and
// reaches so far; otherwise behind begin, which the client is told.
func (s *Subscription) Follow(l *topic.Log, begin uint64) {
	_, last := l.Bounds()
	s.mu.Lock()
	waited := s.cursor.Close() && s.started
	switch {
	case s.closed:
	case s.epoch == l.Epoch() && s.position <= last:
		s.placeLocked(l, s.position)
	default:
		s.placeLocked(l, begin)
		s.noteLocked(Event{Topic: s.o.Topic, Event: Epoch, Epoch: s.epoch, Offset: begin}.Frame())
	}
	s.mu.Unlock()
	if waited {
		s.Wake()
	}
}

// Tell sends a frame before what comes, to a client that knows events.
func (s *Subscription) Tell(frame []byte) {
	s.mu.Lock()
	s.noteLocked(frame)
	cursor := s.cursor
	s.mu.Unlock()
	cursor.Poke()
}

// noteLocked sends a frame before what comes, to a client that knows events.
func (s *Subscription) noteLocked(frame []byte) {
	if s.o.Events && frame != nil {
		s.notes = append(s.notes, frame)
	}
}

// Close ends the subscription: nothing is copied any more when it returns.
func (s *Subscription) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeLocked()
}

func (s *Subscription) closeLocked() {
	s.closed = true
	s.cursor.Close()
	s.older, s.ahead, s.notes = nil, nil, nil
}

// End is Close with a last word, which comes behind what was copied before.
func (s *Subscription) End(lastWord []byte) {
	s.mu.Lock()
	if !s.o.Events {
		s.closeLocked()
	}
	s.last = lastWord
	cursor := s.cursor
	s.mu.Unlock()
	cursor.Poke()
}

// Supply gives what Older was asked for: entries of the range without a hole
// between them, or behind it as well, and none if they are gone. What is of another
// epoch, "" if nobody knows, or was asked for before the subscription went
// elsewhere, is left out: the log that follows says more.
func (s *Subscription) Supply(r Range, epoch string, entries []topic.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.asked || r != s.wantedLocked() || epoch != "" && epoch != r.Epoch {
		return
	}
	s.asked, s.older = false, within(entries, r)
	if len(s.older) == 0 {
		s.lostLocked(s.missing)
	}
	s.cursor.Poke()
}

// wantedLocked is what has to be supplied.
func (s *Subscription) wantedLocked() Range { return Range{s.epoch, s.position, s.missing} }

// within are the entries that are in a range. What is behind it is still to come
// from the log.
func within(entries []topic.Entry, r Range) []topic.Entry {
	for len(entries) > 0 && entries[0].Offset <= r.After {
		entries = entries[1:]
	}
	for len(entries) > 0 && entries[len(entries)-1].Offset > r.UpTo {
		entries = entries[:len(entries)-1]
	}
	return entries
}

// lostLocked moves the client behind an offset, because what is before it is gone.
func (s *Subscription) lostLocked(to uint64) {
	missed := to - s.position
	s.position, s.hidden = to, false
	if s.o.Missed != nil {
		s.o.Missed(missed)
	}
	s.noteLocked(Event{Topic: s.o.Topic, Event: Gap, Epoch: s.epoch, Offset: to, Missed: missed}.Frame())
}

// pageEntries is how many entries are taken from the log at once.
const pageEntries = 32

// Fill implements arpc.Source.
func (s *Subscription) Fill(w *arpc.FrameWriter) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closed && w.Room() > 0 {
		if s.last != nil {
			w.Append(s.last)
			s.closeLocked()
			return false
		}
		s.sendNotesLocked(w)
		if s.missing > 0 {
			if !s.catchUpLocked(w) {
				return !s.cursor.Park()
			}
		} else if !s.followLocked(w) {
			return false
		}
	}
	return !s.closed
}

func (s *Subscription) sendNotesLocked(w *arpc.FrameWriter) {
	for _, frame := range s.notes {
		w.Append(frame)
	}
	s.notes = nil
}

// followLocked sends what the log has for the client, and says whether there is more.
func (s *Subscription) followLocked(w *arpc.FrameWriter) (more bool) {
	var page [pageEntries]topic.Entry
	if s.o.Latest {
		s.cursor.SkipToNewest()
	}
	n, skipped, more := s.cursor.Next(page[:], w.Room())
	if skipped > 0 && (!s.o.Latest || n == 0) && s.leftBehindLocked(w, page[:n]) {
		return true
	}
	s.sendLocked(w, page[:n])
	return more
}

// leftBehindLocked asks for what the log does not hold any more, or gives it up.
// page is what came behind it.
func (s *Subscription) leftBehindLocked(w *arpc.FrameWriter, page []topic.Entry) (asked bool) {
	upTo := s.cursor.Position() - uint64(len(page))
	if s.o.Older == nil {
		s.jumpLocked(w, upTo)
		return false
	}
	if s.o.Latest && upTo-1 > s.position { // the newest alone is asked for
		s.position, s.hidden = upTo-1, true
	}
	s.missing, s.ahead = upTo, slices.Clone(page)
	return true
}

// catchUpLocked sends what was supplied, and then what the log had behind that.
// It reports false if there is nothing to be sent before more is supplied.
func (s *Subscription) catchUpLocked(w *arpc.FrameWriter) bool {
	switch {
	case s.position >= s.missing:
		if s.ahead = s.sendSomeLocked(w, s.ahead); len(s.ahead) == 0 {
			s.missing, s.older, s.ahead = 0, nil, nil
		}
		return true
	case len(s.older) > 0:
		s.older = s.sendSomeLocked(w, s.older)
		return true
	case !s.asked:
		s.asked = true
		s.o.Older(s, s.wantedLocked())
	}
	return false
}

// sendSomeLocked sends entries as long as there is room, and returns the others.
func (s *Subscription) sendSomeLocked(w *arpc.FrameWriter, entries []topic.Entry) []topic.Entry {
	for len(entries) > 0 && w.Room() > 0 {
		s.sendLocked(w, entries[:1])
		entries = entries[1:]
	}
	return entries
}

// sendLocked sends entries.
func (s *Subscription) sendLocked(w *arpc.FrameWriter, entries []topic.Entry) {
	for i := range entries {
		e := &entries[i]
		if e.Offset != s.position+1 {
			s.jumpLocked(w, e.Offset-1)
		}
		s.position = e.Offset
		if e.Tag != nil && s.o.Hides != nil && s.o.Hides(e.Tag) {
			s.hidden = true
			continue
		}
		if s.hidden {
			s.sendSkipLocked(w, e.Offset-1)
		}
		w.AppendShared(e.Data)
	}
}

// jumpLocked moves the client behind an offset that is not the next.
func (s *Subscription) jumpLocked(w *arpc.FrameWriter, to uint64) {
	if s.o.Latest {
		s.hidden = true
		return
	}
	s.lostLocked(to)
	s.sendNotesLocked(w)
}

// sendSkipLocked tells the client where it is, before it gets what comes next.
func (s *Subscription) sendSkipLocked(w *arpc.FrameWriter, to uint64) {
	s.hidden = false
	if s.o.Events {
		w.Append(Event{Topic: s.o.Topic, Event: Skip, Epoch: s.epoch, Offset: to}.Frame())
	}
}
