package arpc

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// maxBaseUnread is how much of one stream of a base peer, which knows no credit,
// may wait to be read.
const maxBaseUnread = 1 << 20

// maxRecent is how many streams that the peer opened are remembered after their
// end, so that a late frame does not open them again.
const maxRecent = 256

// streams are the streams of one session. The two sides count their ids
// apart, so an id can be in use in both directions.
type streams struct {
	session *session

	mu     sync.Mutex // guards what follows; taken before Stream.mu, never under it
	ours   map[uint64]*Stream
	theirs map[uint64]*Stream
	nextID uint64
	recent *recent // ids of theirs that are over; nil if none is
	ended  *Error  // why none can be opened any more

	window  int32 // credit that our streams begin with, from hello
	running int32 // handlers of theirs that have not returned
}

// open gives a stream of ours its id.
func (t *streams) open(s *Stream) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended != nil {
		return t.ended
	}
	if t.ours == nil {
		t.ours = map[uint64]*Stream{}
	}
	t.nextID++
	t.ours[t.nextID] = s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session, s.id, s.credit, s.allowed = t.session, t.nextID, int(t.window), t.session.limits.Window
	return nil
}

// maxCredit bounds what a stream may be ahead, whatever the peer grants.
const maxCredit = 1 << 30

// setWindow sets the credit that streams begin with, those included that were
// opened before hello was answered.
func (t *streams) setWindow(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n = max(0, min(n, maxCredit))
	for _, all := range []map[uint64]*Stream{t.ours, t.theirs} {
		for _, s := range all {
			s.addCredit(n - int(t.window))
		}
	}
	t.window = int32(n)
}

// used says that we opened a stream.
func (t *streams) used() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.nextID > 0
}

// awaitNone waits until no stream is open, or done is closed.
func (t *streams) awaitNone(done <-chan struct{}) {
	for s := t.any(); s != nil; s = t.any() {
		select {
		case <-s.ctx.Done():
		case <-done:
			return
		}
	}
}

func (t *streams) any() *Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, all := range []map[uint64]*Stream{t.ours, t.theirs} {
		for _, s := range all {
			return s
		}
	}
	return nil
}

func (t *streams) remove(s *Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.opener {
		delete(t.ours, s.id)
		return
	}
	if t.theirs[s.id] == s {
		delete(t.theirs, s.id)
		t.rememberLocked(s.id)
	}
}

// recent are the last ids of streams that are over, the oldest at place once
// there are maxRecent of them.
type recent struct {
	ids   []uint64
	place int
}

func (t *streams) rememberLocked(id uint64) {
	if t.recent == nil {
		t.recent = &recent{}
	}
	r := t.recent
	if len(r.ids) < maxRecent {
		r.ids = append(r.ids, id)
		return
	}
	r.ids[r.place] = id
	r.place = (r.place + 1) % maxRecent
}

func (t *streams) isRecentLocked(id uint64) bool {
	return t.recent != nil && slices.Contains(t.recent.ids, id)
}

// find is the stream a frame belongs to; fresh says that it opens one.
func (t *streams) find(f *wire.Frame) (s *Stream, fresh bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.Cmd&wire.Opener == 0 {
		return t.ours[f.Seq], false
	}
	if s := t.theirs[f.Seq]; s != nil {
		return s, false
	}
	if t.isRecentLocked(f.Seq) {
		return nil, false
	}
	return nil, f.Cmd.Command() == wire.Stream
}

// accept makes a stream that the peer opens, or says why not.
func (t *streams) accept(f *wire.Frame) (*Stream, error) {
	c := t.session
	handle := c.handler.router.Load().streams[string(f.Method)]
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case handle == nil:
		t.rememberLocked(f.Seq)
		return nil, ErrMethodNotFound
	case int(t.running) >= c.limits.Streams: // a stream that was canceled counts as long as its handler runs
		t.rememberLocked(f.Seq)
		return nil, Errorf(CodeResourceExhausted, "%d streams are open, limit %d", t.running, c.limits.Streams)
	}
	t.running++
	s := newStream(c.context(), c.client, string(f.Method), false)
	s.session, s.id, s.credit, s.allowed = c, f.Seq, int(t.window), c.limits.Window
	if t.theirs == nil {
		t.theirs = map[uint64]*Stream{}
	}
	t.theirs[f.Seq] = s
	go s.serve(handle)
	return s, nil
}

// served counts a handler out.
func (t *streams) served() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
}

// close ends all streams: the session is over.
func (t *streams) close(cause error) {
	t.mu.Lock()
	t.ended = ErrDisconnected.withSent(false, cause)
	all := make([]*Stream, 0, len(t.ours)+len(t.theirs))
	for _, s := range t.ours {
		all = append(all, s)
	}
	for _, s := range t.theirs {
		all = append(all, s)
	}
	t.mu.Unlock()
	for _, s := range all {
		s.finish(ErrDisconnected.withSent(true, cause))
	}
}

// receiveStream takes a stream frame of the peer, on the reader.
func (s *session) receiveStream(f *wire.Frame) error {
	st, fresh := s.streams.find(f)
	if fresh {
		var err error
		if st, err = s.streams.accept(f); err != nil {
			return s.refuseStream(f, err)
		}
	}
	if st == nil {
		return nil // over on our side: what was under way is late
	}
	limit := maxBaseUnread
	if s.has(capCredit) {
		limit = 2*s.limits.Window + s.maxBody() // one message may overdraw
	}
	if !st.push(f, limit) {
		s.log().Warn("arpc: stream dropped, its messages are not read", "stream", st.String(), "limit", limit)
		s.dropStream(st)
		return nil
	}
	switch {
	case f.Flags&wire.Error != 0: // an error ends both directions
		st.finish(nil)
	case f.Cmd&wire.Last != 0:
		st.settle()
	}
	return nil
}

// dropStream ends a stream whose reader is too far behind, without waiting for
// anything: this is the goroutine that reads the connection.
func (s *session) dropStream(st *Stream) {
	h := wire.Header{Cmd: st.cmd(wire.Stream, true), Seq: st.id}
	method := st.method
	if s.has(capCancel) {
		h.Cmd, method = st.cmd(wire.Cancel, true), ""
	}
	_, _ = s.send(h, method, nil, sendOptions{onReader: true})
	st.finish(Errorf(CodeResourceExhausted, "messages of the stream were not read in time"))
}

// refuseStream ends a stream that the peer opened and nobody takes.
func (s *session) refuseStream(f *wire.Frame, why error) error {
	buf := takeBuffer()
	defer buf.free()
	h := wire.Header{Cmd: wire.Stream | wire.Last, Seq: f.Seq}
	if s.has(capErrors) {
		h.Flags = wire.Error | s.appendError(buf, why)
	}
	_, err := s.send(h, string(f.Method), buf.b, sendOptions{onReader: true})
	return err
}

// receiveCancel takes a cancel: of a request, or with the last bit of a stream.
func (s *session) receiveCancel(f *wire.Frame) {
	if !s.has(capCancel) {
		return
	}
	if f.Cmd&wire.Last == 0 {
		s.inbox.cancel(f.Seq)
		return
	}
	if st, _ := s.streams.find(f); st != nil {
		st.finish(&Error{Code: CodeCanceled, Message: "stream canceled by the peer", remote: true})
	}
}

// receiveCredit takes a grant for a stream.
func (s *session) receiveCredit(f *wire.Frame) error {
	if !s.has(capCredit) {
		return nil
	}
	if len(f.Body) != 4 {
		return &wire.FrameError{Reason: wire.Truncated, Got: uint64(len(f.Body)), Limit: 4}
	}
	if st, _ := s.streams.find(f); st != nil {
		st.addCredit(int(min(binary.LittleEndian.Uint32(f.Body), maxCredit)))
	}
	return nil
}

// grant tells the peer that it may send n bytes more.
func (s *session) grant(st *Stream, n int) {
	if !s.has(capCredit) {
		return
	}
	body := binary.LittleEndian.AppendUint32(nil, uint32(n))
	_, _ = s.send(wire.Header{Cmd: st.cmd(wire.Credit, false), Seq: st.id}, "", body, sendOptions{timeout: TimeForever})
}
