// Package topic is an append-only log and the cursors in it: pure memory, no
// I/O, no broker.
//
// What is appended is stored once and never changes; readers share it. A reader
// holds a place in the log, not a copy of what it has not read: if it is slow it
// lags, and if the log no longer holds its place it is told so.
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
	Offset uint64
	// Data is shared by all readers and is not to be changed.
	Data []byte

	at time.Time
}

// Log is one topic: entries with contiguous offsets. It is safe for concurrent use.
type Log struct {
	epoch  string
	limits Limits
	now    func() time.Time

	mu      sync.Mutex // guards what follows
	entries []Entry    // the oldest first
	last    uint64     // offset of the newest entry ever appended
	bytes   int
	waiting []*Cursor // cursors that have read everything
}

// NewLog returns an empty log of a new epoch. Offsets are comparable only
// within an epoch.
func NewLog(limits Limits) *Log {
	return &Log{epoch: rand.Text()[:16], limits: limits, now: time.Now}
}

// Epoch is a random name of the log's life.
func (l *Log) Epoch() string { return l.epoch }

// Append adds what encode returns for the offset it gets, and wakes the
// cursors that had read everything. encode runs under the log's lock.
func (l *Log) Append(encode func(offset uint64) []byte) (offset uint64) {
	offset, idle := l.append(encode)
	for _, c := range idle {
		c.wake()
	}
	return offset
}

func (l *Log) append(encode func(uint64) []byte) (uint64, []*Cursor) {
	l.mu.Lock()
	defer l.mu.Unlock()
	data := encode(l.last + 1)
	l.last++ // only now: if encode panics the log is as it was
	l.entries = append(l.entries, Entry{Offset: l.last, Data: data, at: l.now()})
	l.bytes += len(data)
	l.trimLocked()
	idle := l.waiting
	l.waiting = nil
	for _, c := range idle {
		c.place = none
	}
	return l.last, idle
}

// trimLocked drops what is over the limits.
func (l *Log) trimLocked() {
	oldest := time.Time{}
	if l.limits.Age > 0 {
		oldest = l.now().Add(-l.limits.Age)
	}
	drop := 0
	for drop < len(l.entries) && l.overLocked(drop, oldest) {
		l.bytes -= len(l.entries[drop].Data)
		l.entries[drop] = Entry{}
		drop++
	}
	l.entries = l.entries[drop:]
}

// overLocked reports whether the entry is to go, those before it being gone.
func (l *Log) overLocked(i int, oldest time.Time) bool {
	left := len(l.entries) - i
	switch {
	case l.limits.Entries > 0 && left > l.limits.Entries:
		return true
	case l.limits.Bytes > 0 && l.bytes > l.limits.Bytes && left > 1:
		return true
	}
	return l.entries[i].at.Before(oldest)
}

// Last is the offset of the newest entry ever appended, 0 before the first.
func (l *Log) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Empty reports whether the log holds no entry now.
func (l *Log) Empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trimLocked()
	return len(l.entries) == 0
}

// readLocked copies entries behind an offset: as many as fit, and no more than
// room bytes of them if there is more than one. from is the offset it read
// from, higher than after if entries in between are gone.
func (l *Log) readLocked(after uint64, into []Entry, room int) (n int, from uint64) {
	l.trimLocked()
	gone := l.last - uint64(len(l.entries)) // the newest offset that is not held
	from = min(max(after, gone), l.last)
	for _, e := range l.entries[from-gone:] {
		room -= len(e.Data)
		if n == len(into) || n > 0 && room < 0 {
			break
		}
		into[n] = e
		n++
	}
	return n, from
}
