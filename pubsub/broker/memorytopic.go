package broker

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc/topic"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// memoryTopic is one topic of a Memory.
type memoryTopic struct {
	broker *Memory
	name   string
	log    *topic.Log

	mu        sync.Mutex // guards what follows, and puts entries in order
	settings  Settings
	followers []*follower
	turn      int // whose turn it is when one is to get a frame
	keys      Keys
	members   map[string]held
	version   uint64      // of the members
	collector *time.Timer // runs while nobody follows
	gone      bool        // the broker has forgotten it
}

// follower is one node.
type follower struct{ receiver Receiver }

// held is a member and whom it belongs to.
type held struct {
	Member
	holder string
}

func newMemoryTopic(b *Memory, name string, s Settings) *memoryTopic {
	t := &memoryTopic{broker: b, name: name, log: topic.NewLog(s.Retention), settings: s, members: map[string]held{}}
	if s.Keep {
		t.collectLaterLocked(s.Retention.Age) // nobody follows it, and nobody may ever
	}
	return t
}

// append adds an entry and delivers it. It is not ok if the topic is gone.
func (t *memoryTopic) append(a Append) (p Position, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return Position{}, false
	}
	t.setLocked(a.Settings)
	now := time.Time{}
	if a.Key != "" {
		now = time.Now()
		if p, ok := t.keys.Find(a.Key, now); ok {
			return p, true
		}
	}
	_, last := t.log.Bounds()
	p = Position{t.log.Epoch(), last + 1}
	wire.SetSeq(a.Frame, p.Offset) // before anybody sees it
	t.log.Append(topic.Entry{Data: a.Frame, Tag: a.Origin})
	if a.Key != "" {
		t.keys.Remember(a.Key, p, t.settings, now)
	}
	for _, f := range t.followers {
		f.receiver.Deliver(Entry{p.Offset, a.Frame, a.Origin})
	}
	return p, true
}

func (t *memoryTopic) setLocked(s Settings) {
	if s.Retention != t.settings.Retention {
		t.log.SetLimits(s.Retention)
	}
	t.settings = s
}

func (t *memoryTopic) read(q Query) Page {
	page := Page{State: t.state()}
	after := q.After
	end := page.State.Last + 1
	if q.Before > 0 {
		end = min(end, q.Before)
	}
	if end <= after+1 {
		return page
	}
	if q.Newest {
		after = max(after, end-min(end, uint64(q.Entries)+1))
	}
	into := make([]topic.Entry, min(uint64(q.Entries), end-after-1))
	n, _ := t.log.Read(after, into, maxInt)
	for _, e := range into[:n] {
		if e.Offset < end {
			page.Entries = append(page.Entries, Entry{e.Offset, e.Data, e.Tag.(uint64)})
		}
	}
	page.Entries = q.Fit(page.Entries)
	return page
}

const maxInt = int(^uint(0) >> 1)

// Fit drops entries over the bounds of the query: the first ones if it wants the
// newest, otherwise the last. One entry stays in any case.
func (q Query) Fit(entries []Entry) []Entry {
	if q.Newest {
		slices.Reverse(entries)
		entries = Query{Entries: q.Entries, Bytes: q.Bytes}.Fit(entries)
		slices.Reverse(entries)
		return entries
	}
	room := q.Bytes
	for i, e := range entries {
		room -= len(e.Frame)
		if i == q.Entries || i > 0 && room < 0 {
			return entries[:i]
		}
	}
	return entries
}

func (t *memoryTopic) state() State {
	first, last := t.log.Bounds()
	return State{Epoch: t.log.Epoch(), First: first, Last: last}
}

// follow adds a node. It is not ok if the topic is gone.
func (t *memoryTopic) follow(s Settings, r Receiver) (state State, cancel func(), ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return State{}, nil, false
	}
	t.setLocked(s)
	t.keepLocked()
	f := &follower{r}
	t.followers = append(t.followers, f)
	return t.state(), func() { t.unfollow(f) }, true
}

func (t *memoryTopic) unfollow(f *follower) {
	if t.removeFollower(f) {
		t.broker.collect(t)
	}
}

// removeFollower removes a node and says whether the topic is to be forgotten.
func (t *memoryTopic) removeFollower(f *follower) (collect bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.followers, f)
	if i < 0 || t.gone {
		return false
	}
	t.followers = slices.Delete(t.followers, i, i+1)
	return len(t.followers) == 0
}

// collectLaterLocked looks at the topic again when what it holds may be too old.
func (t *memoryTopic) collectLaterLocked(after time.Duration) {
	t.keepLocked()
	if t.settings.Retention.Age > 0 {
		t.collector = time.AfterFunc(after, func() { t.broker.collect(t) })
	}
}

func (t *memoryTopic) keepLocked() {
	if t.collector != nil {
		t.collector.Stop()
		t.collector = nil
	}
}

// endIfIdle ends the topic if nothing holds it.
func (t *memoryTopic) endIfIdle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.followers) > 0 {
		return false
	}
	if first, _ := t.log.Bounds(); first > 0 && t.settings.Keep {
		t.collectLaterLocked(time.Until(t.log.Expires()) + time.Millisecond)
		return false
	}
	t.gone = true
	return true
}

// end is called when the broker closes.
func (t *memoryTopic) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone = true
	t.keepLocked()
	t.followers = nil
}

func (t *memoryTopic) sendToOne(frame []byte) bool {
	t.mu.Lock()
	followers := slices.Clone(t.followers)
	turn := t.turn
	t.turn++
	t.mu.Unlock()
	for i := range followers {
		if followers[(turn+i)%len(followers)].receiver.TakeOne(frame) {
			return true
		}
	}
	return false
}

func (t *memoryTopic) enter(m Member, holder string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, was := t.members[m.ID]
	if was {
		m.Since = before.Since
	}
	t.members[m.ID] = held{m, holder}
	if !was || before.User != m.User || !bytes.Equal(before.Info, m.Info) {
		t.changeLocked(Change{Member: m})
	}
}

func (t *memoryTopic) leave(id, holder string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, was := t.members[id]
	if was && before.holder == holder {
		delete(t.members, id)
		t.changeLocked(Change{Left: true, Member: before.Member})
	}
}

func (t *memoryTopic) changeLocked(c Change) {
	t.version++
	c.Version = t.version
	for _, f := range t.followers {
		f.receiver.Changed(c)
	}
}

func (t *memoryTopic) roster() Roster {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := Roster{Members: make([]Member, 0, len(t.members)), Version: t.version}
	for _, m := range t.members {
		r.Members = append(r.Members, m.Member)
	}
	return r
}
