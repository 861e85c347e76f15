package topic_test

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-fbfaa03e/arpc/topic"
)

// model is a log that keeps everything and finds out by looking at all of it
// what a real one may still hold.
type model struct {
	limits  topic.Limits
	entries []modelEntry
	now     time.Time
}

type modelEntry struct {
	data []byte
	at   time.Time
}

// gone is how many entries from the start are over a limit.
func (m *model) gone() int {
	last := len(m.entries)
	for i := range m.entries {
		size := 0
		for _, e := range m.entries[i:] {
			size += len(e.data)
		}
		switch {
		case m.limits.Entries > 0 && last-i > m.limits.Entries:
		case m.limits.Bytes > 0 && size > m.limits.Bytes && i < last-1:
		case m.limits.Age > 0 && m.now.Sub(m.entries[i].at) > m.limits.Age:
		default:
			return i
		}
	}
	return last
}

// page is what a cursor reads next.
func (m *model) page(position, entries, room int) (from, n int) {
	from = max(position, m.gone())
	size := 0
	for _, e := range m.entries[from:] {
		size += len(e.data)
		if n == entries || n > 0 && size > room {
			break
		}
		n++
	}
	return from, n
}

// follower is a cursor, and what the model knows of it.
type follower struct {
	cursor   *topic.Cursor
	position int
	waits    bool
	closed   bool
	wakes    int // as it should be
	woken    int // as it was
}

func TestLogIsWhatTheModelSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{
			limits: topic.Limits{
				Entries: rapid.IntRange(0, 6).Draw(t, "entries"),
				Bytes:   rapid.IntRange(0, 20).Draw(t, "bytes"),
				Age:     time.Duration(rapid.IntRange(0, 5).Draw(t, "age")) * time.Second,
			},
			now: time.Unix(1_000_000, 0),
		}
		l := topic.NewLog(m.limits)
		l.SetClock(func() time.Time { return m.now })
		var followers []*follower
		follow := func(open func(topic.Reader) *topic.Cursor, position int) {
			f := &follower{position: position}
			f.cursor = open(topic.WakeFunc(func() { f.woken++ }))
			followers = append(followers, f)
		}
		one := func(t *rapid.T) *follower {
			if len(followers) == 0 {
				t.Skip("nobody follows")
			}
			return followers[rapid.IntRange(0, len(followers)-1).Draw(t, "follower")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				data := rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "data")
				m.entries = append(m.entries, modelEntry{data, m.now})
				got := l.Append(topic.Entry{Data: data})
				if int(got) != len(m.entries) {
					t.Fatalf("offset %d, want %d", got, len(m.entries))
				}
				for _, f := range followers {
					if f.waits {
						f.waits, f.wakes = false, f.wakes+1
					}
				}
			},
			"wait": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			},
			"follow": func(*rapid.T) { follow(l.Follow, len(m.entries)) },
			"follow from": func(t *rapid.T) {
				after := rapid.IntRange(0, len(m.entries)+2).Draw(t, "after")
				follow(func(r topic.Reader) *topic.Cursor { return l.FollowFrom(uint64(after), r) }, min(after, len(m.entries)))
			},
			"next": func(t *rapid.T) {
				f := one(t)
				into := make([]topic.Entry, rapid.IntRange(1, 4).Draw(t, "page"))
				room := rapid.IntRange(0, 25).Draw(t, "room")
				n, skipped, more := f.cursor.Next(into, room)
				if f.closed {
					if n != 0 || skipped != 0 {
						t.Fatalf("closed, and yet %d entries, %d skipped", n, skipped)
					}
					return
				}
				from, want := m.page(f.position, len(into), room)
				if n != want || int(skipped) != from-f.position {
					t.Fatalf("%d entries, %d skipped; want %d, %d", n, skipped, want, from-f.position)
				}
				for i, e := range into[:n] {
					if int(e.Offset) != from+i+1 || !bytes.Equal(e.Data, m.entries[from+i].data) {
						t.Fatalf("entry %d of the page: offset %d, data %x", i, e.Offset, e.Data)
					}
				}
				f.position = from + n
				if more != (f.position < len(m.entries)) {
					t.Fatalf("at %d of %d: more %v", f.position, len(m.entries), more)
				}
				f.waits = f.waits || !more
			},
			"close": func(t *rapid.T) {
				f := one(t)
				f.cursor.Close()
				f.closed, f.waits = true, false
			},
			"": func(t *rapid.T) {
				oldest := m.gone() + 1
				if oldest > len(m.entries) {
					oldest = 0
				}
				if first, last := l.Bounds(); int(last) != len(m.entries) || int(first) != oldest {
					t.Fatalf("holds %d to %d, want %d to %d", first, last, oldest, len(m.entries))
				}
				for i, f := range followers {
					if f.woken != f.wakes || int(f.cursor.Position()) != f.position {
						t.Fatalf("follower %d: woken %d times, at %d; want %d, %d", i, f.woken, f.cursor.Position(), f.wakes, f.position)
					}
				}
			},
		})
	})
}
