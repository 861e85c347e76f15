package topic

// Reader is whoever a cursor was made for.
type Reader interface {
	// Wake is called by whoever appends, holding no lock, when there is
	// something to read again. It must not block.
	Wake()
}

// WakeFunc is a function as a Reader.
type WakeFunc func()

// Wake calls f.
func (f WakeFunc) Wake() { f() }

// Cursor is a place in a log. Next is for one goroutine at a time; its other
// methods are safe for concurrent use with it.
type Cursor struct {
	log    *Log
	reader Reader

	// Guarded by log.mu.
	position uint64 // offset of the last entry that was read or skipped
	place    int    // in log.waiting, or none
	closed   bool
	parked   bool // the reader looks again only when it is poked
	poked    bool // the reader is to look again
}

const none = -1

// Follow returns a cursor behind the newest entry: it reads what comes.
func (l *Log) Follow(r Reader) *Cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Cursor{log: l, reader: r, position: l.last, place: none}
}

// FollowFrom returns a cursor behind the entry at an offset, whether that is
// held or not. An offset that does not exist yet counts as the newest.
func (l *Log) FollowFrom(after uint64, r Reader) *Cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Cursor{log: l, reader: r, position: min(after, l.last), place: none}
}

// Next copies the next entries, no more than room bytes of them unless the
// first is larger, and moves behind them. skipped is how many entries in front
// of them were gone. With more false the cursor has read everything, and its
// reader is woken once when there is something again.
func (c *Cursor) Next(into []Entry, room int) (n int, skipped uint64, more bool) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.closed {
		return 0, 0, false
	}
	n, from := l.readLocked(c.position, into, room)
	skipped = from - c.position
	c.position = from + uint64(n)
	if c.position < l.last || c.poked {
		c.poked = false
		return n, skipped, true
	}
	if c.place == none {
		c.place = len(l.waiting)
		l.waiting = append(l.waiting, c)
	}
	return n, skipped, false
}

// SkipToNewest moves in front of the newest entry, if it is behind that, without
// reading what is before.
func (c *Cursor) SkipToNewest() {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last > 0 {
		c.position = max(c.position, l.last-1)
	}
}

// Park makes the reader wait until it is poked, whatever there is to read. It
// reports false if it was poked since it last looked, and is to look again.
func (c *Cursor) Park() bool {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	if c.poked {
		c.poked = false
		return false
	}
	if c.place != none {
		c.leaveLocked()
	}
	c.parked = !c.closed
	return true
}

// Poke makes the reader look again, though there may be nothing to read: it is
// woken, or the Next or Park that it is about to call says so.
func (c *Cursor) Poke() {
	if c.poke() {
		c.reader.Wake()
	}
}

func (c *Cursor) poke() (wake bool) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	switch {
	case c.place != none:
		c.leaveLocked()
	case c.parked:
		c.parked = false
	default:
		c.poked = !c.closed
		return false
	}
	return true
}

// Position is the offset of the last entry that was read or skipped.
func (c *Cursor) Position() uint64 {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.position
}

// Close ends the cursor. Next finds nothing any more, and its reader is woken
// at most by an Append that is under way. It says whether the reader waited: then
// nobody will wake it.
func (c *Cursor) Close() (waited bool) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	waited = c.parked || c.place != none
	c.closed, c.parked = true, false
	if c.place != none {
		c.leaveLocked()
	}
	return waited
}

// leaveLocked takes the cursor out of those that wait.
func (c *Cursor) leaveLocked() {
	l := c.log
	end := len(l.waiting) - 1
	l.waiting[c.place] = l.waiting[end]
	l.waiting[c.place].place = c.place
	l.waiting[end] = nil
	l.waiting = l.waiting[:end]
	c.place = none
}
