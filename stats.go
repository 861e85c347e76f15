package arpc

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

// Stats is what connections and sessions hold at one moment, added up. Nothing is counted for
// it while they work: it is read from what is there.
type Stats struct {
	// Connections is how many there are, those of peers that have not said who
	// they are included.
	Connections int
	// Requests is how many requests of peers have no answer yet.
	Requests int
	// InboundFrames and InboundBytes are what waits to be handled.
	InboundFrames, InboundBytes int
	// OutboundFrames and OutboundBytes are what waits to be sent.
	OutboundFrames, OutboundBytes int
	// Calls is how many calls of ours wait for peers.
	Calls int
	// Streams is how many streams are open.
	Streams int
	// Sessions is how many there are that can be taken up when their connection
	// is lost, and Parked how many of them wait for that.
	Sessions, Parked int
	// JournalBytes is what they keep until the peer confirmed it.
	JournalBytes int
}

// Add adds what other connections hold.
func (s *Stats) Add(other Stats) {
	s.Connections += other.Connections
	s.Requests += other.Requests
	s.InboundFrames += other.InboundFrames
	s.InboundBytes += other.InboundBytes
	s.OutboundFrames += other.OutboundFrames
	s.OutboundBytes += other.OutboundBytes
	s.Calls += other.Calls
	s.Streams += other.Streams
	s.Sessions += other.Sessions
	s.Parked += other.Parked
	s.JournalBytes += other.JournalBytes
}

// Stats is what the client holds now, with a connection or between two.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	cn, on := c.current, c.parked
	c.mu.Unlock()
	s := Stats{Calls: c.pending.count()}
	switch {
	case cn != nil:
		s.Connections, on = 1, cn.session()
		s.OutboundFrames, s.OutboundBytes = cn.out.backlog()
	case on != nil:
		s.Parked = 1
		s.OutboundFrames, s.OutboundBytes = on.lasting.Load().journal.backlog()
	default:
		return s
	}
	if l := on.lasting.Load(); l != nil {
		s.Sessions = 1
		_, s.JournalBytes = l.journal.backlog()
	}
	s.Requests = int(max(0, on.unanswered.Load()))
	s.InboundFrames, s.InboundBytes = on.inbox.backlog()
	s.Streams = on.streams.count()
	return s
}

func (in *inbox) backlog() (frames, bytes int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return int(in.queued), in.bytes
}

func (o *outbox) backlog() (frames, bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.frames + o.inChunk, len(o.buf) + o.held
}

func (j *journal) backlog() (frames, bytes int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return int(j.last + 1 - j.first), len(j.buf) - j.head
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ours) + len(s.theirs)
}

// errSilent is behind the errors that say that a peer said nothing.
var errSilent = errors.New("silent")

func silence(format string, args ...any) *Error {
	e := Errorf(CodeUnavailable, format, args...)
	e.cause = errSilent
	return e
}

// The reasons that CloseReason gives.
const (
	ClosedByPeer          = "peer"            // it hung up
	ClosedByReset         = "reset"           // the network did, or the peer's process died
	ClosedByStop          = "stop"            // Stop or Restart was called
	ClosedByDrain         = "drain"           // Drain or Shutdown was called
	ClosedByGoaway        = "goaway"          // the server asked for it
	ClosedBySilence       = "silence"         // nothing came, or no whole frame
	ClosedBySlowness      = "slow"            // a write did not move, or a message did not end
	ClosedByUnread        = "unread"          // its answers were not read
	ClosedByOverrun       = "overrun"         // it sent more than could be handled
	ClosedByLimit         = "limit"           // another limit
	ClosedByFrame         = "frame"           // what it sent is no frame
	ClosedByWebSocket     = "websocket"       // what it sent is no WebSocket message of ours
	ClosedUnauthenticated = "unauthenticated" // it did not say who it is, or not any more
	ClosedByReplacement   = "replaced"        // another connection took its session up
	ClosedExpired         = "expired"         // the session was not taken up in time
	ClosedEvicted         = "evicted"         // the session had to make room for others
	ClosedByReplay        = "replayed"        // a ticket of the session was shown twice
	ClosedByGap           = "gap"             // what the session would need is not held any more
	ClosedUnknown         = "unknown"         // the server does not know the session
	ClosedByError         = "error"           // anything else: an error of a hook, of the transport
)

// CloseReason is why a connection ended, of the error that its hooks were given,
// as one of a closed set of words: for the label of a counter.
func CloseReason(err error) string {
	for _, known := range []struct {
		err    error
		reason string
	}{
		{ErrStopped, ClosedByStop},
		{errRestart, ClosedByStop},
		{errDraining, ClosedByDrain},
		{errGoaway, ClosedByGoaway},
		{errSilent, ClosedBySilence},
		{errUnread, ClosedByUnread},
		{errReplaced, ClosedByReplacement},
		{errExpired, ClosedExpired},
		{errEvicted, ClosedEvicted},
		{errReplayed, ClosedByReplay},
		{errGap, ClosedByGap},
		{errUnknown, ClosedUnknown},
		{errOverrun, ClosedByOverrun},
		{os.ErrDeadlineExceeded, ClosedBySlowness},
		{io.EOF, ClosedByPeer},
		{io.ErrUnexpectedEOF, ClosedByPeer},
		{io.ErrClosedPipe, ClosedByPeer},
		{net.ErrClosed, ClosedByPeer},
		{syscall.ECONNRESET, ClosedByReset},
		{syscall.EPIPE, ClosedByReset},
	} {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}
	var frame *wire.FrameError
	var coding *codingError
	var closing *ws.CloseError
	switch {
	case errors.As(err, &frame), errors.As(err, &coding):
		return ClosedByFrame
	case errors.As(err, &closing) && closing.Remote:
		return ClosedByPeer
	case errors.As(err, &closing):
		return ClosedByWebSocket
	}
	switch CodeOf(err) {
	case CodeUnauthenticated, CodePermissionDenied:
		return ClosedUnauthenticated
	case CodeResourceExhausted:
		return ClosedByLimit
	}
	return ClosedByError
}
