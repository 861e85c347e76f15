package arpc

import "sync"

// Source is something the outbox of a connection pulls from when the socket
// has room: a topic that lags, a broadcast. It lets a slow connection hold a
// place in a log instead of a copy of what it has not read.
type Source interface {
	// Fill appends whole frames to w until w is full or there is nothing more,
	// and says which. It is called by one goroutine at a time, the one that
	// writes to the connection, holding no lock of the engine. After it
	// reported false it is called again only when the client is woken for it.
	Fill(w *FrameWriter) (more bool)
}

// Sleeper is a Source that knows whose it is, so that it can be woken among many.
type Sleeper interface {
	Source
	// Client is the client that pulls from it.
	Client() *Client
}

// Wake tells connections to pull from n sources, none of which was woken before
// or each of which reported that it had nothing more. It returns at once: they
// are flushed by a few goroutines, whatever the connections do. A source whose
// client has no connection is left out.
func (h *Handler) Wake(n int, at func(i int) Sleeper) {
	if n > 0 {
		h.flushers.add(&wave{n: n, at: at})
	}
}

// wake queues a source and flushes, unless somebody else does.
func (c *Client) wake(s Source) {
	c.mu.Lock()
	cn := c.current
	c.mu.Unlock()
	if cn != nil && cn.out.wake(s) {
		cn.out.flush()
	}
}

// FrameWriter takes the frames of a Source.
type FrameWriter struct {
	out     *outbox
	batch   bool   // frames share messages
	message int    // where the message begins that is not wrapped yet
	kept    *kept  // of the session; nil if it ends with the connection
	late    *chain // the coders that the connection has for itself; nil is none
	broken  bool   // a frame could not be coded
}

// Append appends one whole frame; it is copied. A source has its own place, from
// which it goes on after a cut, so its frames are wire.Outside: a session that
// counted one that is not would have to end with the connection.
func (w *FrameWriter) Append(frame []byte) {
	w.keepOutside(frame)
	if ch := w.out.conn.session().coders(); ch != nil {
		w.appendCoded(ch, frame, false)
		return
	}
	w.put(frame)
}

// AppendShared is Append for a frame that never changes and that others get too:
// coders transform it once for all of them.
func (w *FrameWriter) AppendShared(frame []byte) {
	w.keepOutside(frame)
	if ch := w.out.conn.session().coders(); ch != nil {
		w.appendCoded(ch, frame, true)
		return
	}
	w.put(frame)
}

func (w *FrameWriter) keepOutside(frame []byte) {
	if w.kept != nil && countedFrame(frame) {
		w.kept.journal.spoil()
	}
}

// put appends a frame as it goes on the wire.
func (w *FrameWriter) put(frame []byte) {
	o := w.out
	if w.broken {
		return
	}
	if w.late != nil && !neverCoded(frame) {
		w.appendLate(frame)
	} else {
		o.chunk = append(o.chunk, frame...)
	}
	if !w.batch || len(o.chunk)-w.message >= maxMessage {
		w.endMessage()
	}
}

// endMessage wraps the frames that share a message.
func (w *FrameWriter) endMessage() {
	o := w.out
	if o.conn.ws != nil && len(o.chunk) > w.message {
		o.chunk = o.conn.ws.Wrap(o.chunk, w.message)
	}
	w.message = len(o.chunk)
}

// frameWriters are there because sources are behind an interface: one made for each
// of them would be an allocation for each subscriber of a publication.
var frameWriters = sync.Pool{New: func() any { return new(FrameWriter) }}

// end is the end of a write.
func (w *FrameWriter) end() {
	w.endMessage()
	*w = FrameWriter{}
	frameWriters.Put(w)
}

// Room is how many bytes are left in this write; with none left it is full.
func (w *FrameWriter) Room() int {
	if w.broken {
		return 0
	}
	return max(0, maxSourceWrite-len(w.out.chunk))
}

// wake queues a source and says whether the caller has to see to the flushing.
func (o *outbox) wake(s Source) (flush bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil || o.finish {
		return false
	}
	o.ready = append(o.ready, s)
	return o.takeRoleLocked()
}

// fill lets woken sources append to the chunk, in turn, until it is full.
func (o *outbox) fill(source Source) {
	w := frameWriters.Get().(*FrameWriter)
	*w = o.frameWriter()
	defer w.end()
	defer func() {
		if v := recover(); v != nil { // it may have left half a frame
			o.conn.session().logPanic("source", "", v)
			go o.conn.die(errInternal)
		}
	}()
	w.code(o.late)
	for source != nil {
		more := source.Fill(w)
		source = o.nextSource(source, more, w.Room() > 0)
	}
}

// nextSource queues a source that has more behind the others, and returns the
// first if there is room for it. If something was sent since the chunk was taken,
// that leaves before: the source may have been woken behind it, as a subscription
// is behind the answer that begins it.
func (o *outbox) nextSource(source Source, more, room bool) Source {
	o.mu.Lock()
	defer o.mu.Unlock()
	if more {
		o.ready = append(o.ready, source)
	}
	if !room || len(o.buf) > 0 {
		return nil
	}
	return o.popLocked()
}

func (o *outbox) popLocked() Source {
	if len(o.ready) == 0 {
		return nil
	}
	source := o.ready[0]
	o.ready = append(o.ready[:0], o.ready[1:]...)
	return source
}

// frameWriter is what sources append to the chunk with.
func (o *outbox) frameWriter() FrameWriter {
	o.mu.Lock()
	defer o.mu.Unlock()
	return FrameWriter{out: o, batch: o.batch, message: len(o.chunk), kept: o.kept}
}
