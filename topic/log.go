// Package topic is an append-only log and the cursors in it: pure memory, no
// I/O, no broker.
//
// What is appended is stored once and never changes; readers share it. A reader
// holds a place in the log, not a copy of what it has not read: if it is slow it
// lags, and if the log no longer holds its place it is told so. Appending costs
// the same however much is kept, and reading whoever else reads.
package topic

import (
	"crypto/rand"
	"sync"
	"time"
)

// Limits bound what a log keeps. The oldest entries go first. Zero means no
// limit of that sort.
type Limits struct {
	// Entries is how many are kept.
	Entries int
	// Bytes is how many bytes of entries are kept, the newest entry always.
	Bytes int
	// Age is how long an entry is kept. Old entries go when something is
	// appended or read.
	Age time.Duration
}

// Entry is one thing in a log.
type Entry struct {
	// Offset is its place: 1 for the first of an epoch, and one more each time.
	// Append sets it.
	Offset uint64
	// Data is shared by all readers and is not to be changed.
	Data []byte
	// Tag is what else readers want to know of it.
	Tag any
	// Weight is how many bytes it counts for beside Data.
	Weight int

	at time.Time
}

func (e *Entry) size() int { return len(e.Data) + e.Weight }

// Log is one topic: entries with contiguous offsets. It is safe for concurrent use.
type Log struct {
	epoch  string
	limits Limits
	now    func() time.Time

	mu      sync.Mutex // guards what follows
	ring    []Entry    // a power of two of places; the entry at offset o is in place o mod len
	held    int        // entries in it
	last    uint64     // offset of the newest entry ever appended
	bytes   int
	waiting []*Cursor // cursors that have read everything
	wakeAll func([]Reader)
}

// NewLog returns an empty log of a new epoch. Offsets are comparable only
// within an epoch.
func NewLog(limits Limits) *Log { return NewLogAt(NewEpoch(), 0, limits) }

// NewLogAt returns an empty log of an epoch whose newest entry, held elsewhere
// or gone, has the offset last.
func NewLogAt(epoch string, last uint64, limits Limits) *Log {
	return &Log{epoch: epoch, last: last, limits: limits, now: time.Now}
}

// NewEpoch returns a random name for the life of a log: 16 letters and digits.
func NewEpoch() string { return rand.Text()[:16] }

// WakeTogether makes Append give all cursors that it wakes to f at once, as the
// readers they were made for. It is called before there is any cursor.
func (l *Log) WakeTogether(f func([]Reader)) { l.wakeAll = f }

// Epoch is a random name of the log's life.
func (l *Log) Epoch() string { return l.epoch }

// Append adds an entry, gives it the next offset, and wakes the cursors that
// had read everything.
func (l *Log) Append(e Entry) (offset uint64) {
	offset, idle := l.append(e)
	if len(idle) == 0 {
		return offset
	}
	if l.wakeAll != nil {
		l.wakeAll(idle)
		return offset
	}
	for _, r := range idle {
		r.Wake()
	}
	return offset
}

func (l *Log) append(e Entry) (uint64, []Reader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == len(l.ring) {
		l.growLocked()
	}
	l.last++
	e.Offset = l.last
	if l.limits.Age > 0 {
		e.at = l.now()
	}
	*l.placeLocked(l.last) = e
	l.held++
	l.bytes += e.size()
	l.trimLocked(e.at)
	return l.last, l.idleLocked()
}

// idleLocked takes the cursors that wait.
func (l *Log) idleLocked() []Reader {
	if len(l.waiting) == 0 {
		return nil
	}
	idle := make([]Reader, len(l.waiting))
	for i, c := range l.waiting {
		c.place = none
		idle[i] = c.reader
		l.waiting[i] = nil
	}
	l.waiting = l.waiting[:0]
	return idle
}

const firstPlaces = 8

// growLocked doubles the places. Each entry is moved once for every doubling
// while the log grows to its limits, and never after that.
func (l *Log) growLocked() {
	old := l.ring
	l.ring = make([]Entry, max(firstPlaces, 2*len(old)))
	for o := l.firstLocked(); o <= l.last; o++ {
		*l.placeLocked(o) = old[o&uint64(len(old)-1)]
	}
}

func (l *Log) placeLocked(offset uint64) *Entry { return &l.ring[offset&uint64(len(l.ring)-1)] }

// firstLocked is the offset of the oldest entry held, or of the next to come.
func (l *Log) firstLocked() uint64 { return l.last - uint64(l.held) + 1 }

// trimLocked drops what is over the limits.
func (l *Log) trimLocked(now time.Time) {
	oldest := time.Time{}
	if l.limits.Age > 0 {
		oldest = now.Add(-l.limits.Age)
	}
	for l.held > 0 {
		e := l.placeLocked(l.firstLocked())
		if !l.overLocked(e, oldest) {
			return
		}
		l.bytes -= e.size()
		*e = Entry{}
		l.held--
	}
}

// overLocked reports whether the oldest entry is to go.
func (l *Log) overLocked(e *Entry, oldest time.Time) bool {
	switch {
	case l.limits.Entries > 0 && l.held > l.limits.Entries:
		return true
	case l.limits.Bytes > 0 && l.bytes > l.limits.Bytes && l.held > 1:
		return true
	}
	return l.limits.Age > 0 && e.at.Before(oldest)
}

// trimOldLocked drops what became too old since something was appended.
func (l *Log) trimOldLocked() {
	if l.limits.Age > 0 && l.held > 0 {
		l.trimLocked(l.now())
	}
}

// Bounds are the offset of the oldest entry held, 0 if there is none, and that
// of the newest ever appended, 0 before the first.
func (l *Log) Bounds() (first, last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trimOldLocked()
	if l.held == 0 {
		return 0, l.last
	}
	return l.firstLocked(), l.last
}

// Read copies the entries behind an offset: as many as fit, and no more than
// room bytes of them unless the first is larger. from is the offset it read
// from, higher than after if entries in between are gone.
func (l *Log) Read(after uint64, into []Entry, room int) (n int, from uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.readLocked(after, into, room)
}

func (l *Log) readLocked(after uint64, into []Entry, room int) (n int, from uint64) {
	l.trimOldLocked()
	from = min(max(after, l.firstLocked()-1), l.last)
	for n < len(into) && from+uint64(n) < l.last {
		e := l.placeLocked(from + uint64(n) + 1)
		room -= e.size()
		if n > 0 && room < 0 {
			break
		}
		into[n] = *e
		n++
	}
	return n, from
}

// SetLimits changes what is kept. Entries that were appended without a limit of
// their age are as old as the first that is set.
func (l *Log) SetLimits(limits Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits = limits
	if l.held == 0 {
		return
	}
	now := l.now()
	for o := l.firstLocked(); limits.Age > 0 && o <= l.last; o++ {
		if e := l.placeLocked(o); e.at.IsZero() {
			e.at = now
		}
	}
	l.trimLocked(now)
}

// Expires is when the newest entry will be too old to be kept; zero if there is
// none, or if entries do not grow too old.
func (l *Log) Expires() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limits.Age <= 0 || l.held == 0 {
		return time.Time{}
	}
	return l.placeLocked(l.last).at.Add(l.limits.Age)
}
