package topic

// Cursor is a place in a log. Next is for one goroutine at a time; Position and
// Close are safe for concurrent use with it.
type Cursor struct {
	log  *Log
	wake func()

	// Guarded by log.mu.
	position uint64 // offset of the last entry that was read or skipped
	place    int    // in log.waiting, or none
	closed   bool
}

const none = -1

// Follow returns a cursor behind the newest entry: it reads what comes. wake is
// called, by whoever appends and holding no lock, once after Next found nothing
// more, when there is something again.
func (l *Log) Follow(wake func()) *Cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Cursor{log: l, wake: wake, position: l.last, place: none}
}

// FollowFrom returns a cursor behind the entry at an offset, whether that is
// held or not. An offset that does not exist yet counts as the newest.
func (l *Log) FollowFrom(after uint64, wake func()) *Cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Cursor{log: l, wake: wake, position: min(after, l.last), place: none}
}

// Next copies the next entries, no more than room bytes of them unless the
// first is larger, and moves behind them. skipped is how many entries in front
// of them were gone. With n zero the cursor has read everything, and is woken
// when there is more.
func (c *Cursor) Next(into []Entry, room int) (n int, skipped uint64) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.closed {
		return 0, 0
	}
	n, from := l.readLocked(c.position, into, room)
	skipped = from - c.position
	c.position = from + uint64(n)
	if n == 0 && c.place == none {
		c.place = len(l.waiting)
		l.waiting = append(l.waiting, c)
	}
	return n, skipped
}

// Position is the offset of the last entry that was read or skipped.
func (c *Cursor) Position() uint64 {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.position
}

// Close ends the cursor. Next finds nothing any more, and wake is called at
// most by an Append that is under way.
func (c *Cursor) Close() {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	c.closed = true
	if c.place == none {
		return
	}
	end := len(l.waiting) - 1
	l.waiting[c.place] = l.waiting[end]
	l.waiting[c.place].place = c.place
	l.waiting[end] = nil
	l.waiting = l.waiting[:end]
	c.place = none
}
