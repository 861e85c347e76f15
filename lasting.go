package arpc

import (
	"errors"
	"math"
	"net"
	"sync/atomic"
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// What is confirmed without waiting for silence.
const (
	confirmFrames = 256
	confirmBytes  = 64 << 10
)

// confirmAfter is how long nothing that counts came, when the rest is confirmed.
const confirmAfter = time.Second

// lasting is what makes a session one that outlives its connection: what the two
// ends counted, and what is kept to be sent again. A server has one for each client:
// what only some need is behind a pointer.
type lasting struct {
	journal   journal
	counted   uint64        // frames that were handed to dispatch; owned by the reader
	received  atomic.Uint64 // the same, as of when the reader last had nothing to handle
	told      atomic.Uint64 // of them, those that the peer was told of
	confirmed atomic.Uint64 // frames of ours that the peer told of; written by the reader
	untold    uint32        // bytes received since; owned by the reader

	coders byte // that hello came to, on the side that accepted; never changes

	// Guarded by session.mu.
	state   lastingState
	changed chan struct{} // closed when state does; nil if nobody waits
	doomed  *Error        // why it is to end, whatever becomes of its connection

	// Of the side that accepted, which gives tickets; guarded by session.mu.
	id      sessionID // never changes
	tickets tickets
	newest  time.Duration // when the newest connection arrived that asked for the session, after epoch

	wait *parking  // while it waits for its client; guarded by sessions.mu
	back *comeback // of the side that dialed, nil on the other; never changes
}

// comeback is what the side that dialed needs to take its session up.
type comeback struct {
	ticket string        // shown for it; owned by whoever dials, and the reader
	grace  time.Duration // for which the server keeps it
	expiry *time.Timer   // gives up; guarded by session.mu
}

// lastingState is where a lasting session is.
type lastingState byte

const (
	connected lastingState = iota
	parked
	moving // its connection is about to park it, or another one to take it up
	lost
)

func newLasting(l *Limits) *lasting {
	s := &lasting{newest: math.MinInt64}
	s.journal.limit, s.journal.first = l.Journal, 1
	return s
}

// errReplaced ends a connection whose session another one takes up.
var errReplaced = &Error{Code: CodeUnavailable, Message: "the session is taken up by another connection"}

// survives says whether a lasting session outlives a connection that ended for a
// reason: what the network did to it, and not what either end decided.
func survives(cause error) bool {
	if errors.Is(cause, errReplaced) || errors.Is(cause, errDeaf) || errors.Is(cause, errAttempt) {
		return true
	}
	var network net.Error
	switch CloseReason(cause) {
	case ClosedByPeer, ClosedByReset, ClosedBySilence, ClosedBySlowness:
		return true
	case ClosedByError:
		return errors.As(cause, &network) // and not an error of a hook
	}
	return false
}

// count counts a frame of the peer that is about to be dispatched.
func (c *conn) count(s *session, f *wire.Frame) {
	if !counted(f.Header) {
		return
	}
	l := s.lasting.Load()
	l.counted++
	l.untold += wire.HeaderLen + f.BodyLen
	switch untold := l.counted - l.told.Load(); {
	case untold >= confirmFrames || l.untold >= confirmBytes:
		l.untold = 0
		l.publish()
		c.confirm(l)
	case untold == 1:
		c.life.confirmSoon()
	}
}

// publish says what was received to those who do not read the connection. It is
// called by the reader.
func (s *session) publish() {
	if l := s.lasting.Load(); l != nil {
		l.publish()
	}
}

func (l *lasting) publish() {
	if l.received.Load() != l.counted {
		l.received.Store(l.counted)
	}
}

// confirm tells the peer what was received, if that is new. It leaves with what is
// sent next, or when the reader has handled what it read.
func (c *conn) confirm(l *lasting) {
	if n := l.received.Load(); l.told.Swap(n) != n {
		c.sendConfirm(n)
	}
}

func (c *conn) sendConfirm(n uint64) {
	_, _ = c.send(wire.Header{Cmd: wire.Confirm, Seq: n}, "", nil, sendOptions{onReader: true}) // a lost connection is told of elsewhere
}

// receiveConfirm drops what the peer has.
func (c *conn) receiveConfirm(f *wire.Frame) error {
	s := c.session()
	l := s.lasting.Load()
	if l == nil {
		return nil
	}
	if !l.journal.confirm(f.Seq) {
		return Errorf(CodeInvalidArgument, "%d frames confirmed, more than were sent", f.Seq)
	}
	l.confirmed.Store(max(f.Seq, l.confirmed.Load()))
	if s.client.accepted() {
		s.ticketArrived()
	}
	s.inbox.resume()
	return nil
}

// pong answers a ping, and confirms.
func (c *conn) pong(f *wire.Frame) error {
	if l := c.session().lasting.Load(); l != nil {
		l.publish()
		c.confirm(l)
	}
	return c.out.appendControl(wire.Header{Cmd: wire.Pong, Seq: f.Seq}.Append(nil), false)
}

// park keeps a session whose connection ended, if it is one that lasts. It runs on
// the goroutine that read the connection: nothing more is dispatched.
func (s *session) park(c *conn, cause error, last left) bool {
	l := s.lasting.Load()
	if l == nil || !survives(cause) {
		return false
	}
	l.journal.leftUpTo(last.counted)
	s.mu.Lock()
	fresh := !s.client.accepted() && !s.introduced.Load() // an attempt that came to nothing
	if s.cause != nil || l.doomed != nil || fresh {
		s.mu.Unlock()
		return false
	}
	s.now.Store(nil)
	s.turn.Add(1)
	s.setLastingLocked(l, moving) // nobody takes it up before all of this is done
	s.mu.Unlock()
	s.inbox.dropOutside()
	if s.client.accepted() {
		s.pausedFor()
	}
	s.client.pending.fail(cause, last.frame, c)
	s.client.paused(s, cause)
	s.release(l, host(s.client.from(c)))
	return true
}

// release has a session that has no connection wait for the next one, which is to
// come from an address.
func (s *session) release(l *lasting, address string) {
	accepted := s.client.accepted()
	s.mu.Lock()
	s.setLastingLocked(l, parked)
	if !accepted {
		l.back.expiry = time.AfterFunc(l.back.grace+s.limits.Idle, func() { s.expire(errExpired) })
	}
	doomed := l.doomed
	s.mu.Unlock()
	if accepted {
		s.handler.sessions.park(s, l, address)
	}
	if doomed != nil {
		s.terminate(doomed)
	}
}

// takeLocked has a session that is parked wait for the connection that is about to
// take it up, and for no other one.
func (s *session) takeLocked(l *lasting) bool {
	if l.state != parked || s.cause != nil || l.doomed != nil {
		return false
	}
	s.setLastingLocked(l, moving)
	return true
}

func (s *session) setLastingLocked(l *lasting, state lastingState) {
	l.state = state
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
	if b := l.back; b != nil && b.expiry != nil {
		b.expiry.Stop()
		b.expiry = nil
	}
}

// errExpired is why sessions end that nobody took up in time.
var errExpired = &Error{Code: CodeUnavailable, Message: "the session was not taken up in time"}

// terminate ends a session, whether it has a connection or not.
func (s *session) terminate(cause *Error) {
	l := s.lasting.Load()
	s.mu.Lock()
	c := s.now.Load()
	if l != nil && l.doomed == nil {
		l.doomed = cause
	}
	ends := c == nil && l != nil && l.state == parked && s.cause == nil
	if ends {
		s.setLastingLocked(l, lost)
	}
	s.mu.Unlock()
	switch {
	case ends:
		s.lose(cause)
	case c != nil:
		c.shut(cause)
	}
}

// expire ends a session that is still parked.
func (s *session) expire(cause error) {
	l := s.lasting.Load()
	s.mu.Lock()
	ends := l.state == parked && s.cause == nil
	if ends {
		s.setLastingLocked(l, lost)
	}
	s.mu.Unlock()
	if ends {
		s.lose(cause)
	}
}

// lose is the end of a session that has no connection.
func (s *session) lose(cause error) {
	s.finish(nil, cause, left{})
	s.handler.workers.close()
}

// connect makes a connection the one of the session, and returns why it is to end
// at once, if it is. It is called by the reader of the connection.
func (s *session) connect(c *conn, l *lasting) (doomed *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLastingLocked(l, connected)
	return l.doomed
}
