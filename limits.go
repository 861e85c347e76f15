package arpc

import (
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

// Limits bound what a peer can make this end hold, do and wait for. Handler.SetLimits
// takes them; a field that is zero keeps its default, which stands behind it.
type Limits struct {
	// Body is the largest body with its method, in bytes, on all transports
	// but WebSocket: 64 MiB less 16.
	Body int
	// WebSocketBody is the same on WebSocket: 1 MiB.
	WebSocketBody int

	// Handshake bounds dialing and upgrading: 10 s.
	Handshake time.Duration
	// FirstFrame is how long an accepted connection may take to its first
	// whole frame: 10 s. Half way it is pinged, after a second where sessions
	// are kept, so that a peer which only listens can show that it lives.
	FirstFrame time.Duration
	// Message is how long a WebSocket message may take from its first frame
	// to its last byte: 10 s.
	Message time.Duration
	// Ping is the silence after which a peer is pinged: 25 s.
	Ping time.Duration
	// Idle is the silence after which a peer is dead: 60 s.
	Idle time.Duration
	// Write is how long a write may go without moving a byte: 10 s.
	Write time.Duration

	// Inflight is how many requests of one connection run at once: 1024. More
	// of them wait in the inbound queue. While calls of ours wait for the peer,
	// as many more may run in the place of handlers that wait for them, up to
	// four times the limit.
	Inflight int
	// QueueFrames bounds the inbound queue of a connection: 4096 frames. When
	// it is full the connection is not read.
	QueueFrames int
	// QueueBytes bounds the bodies in it: 4 MiB, in up to twice as much memory
	// and at least 256 bytes each.
	QueueBytes int
	// Streams is how many streams that the peer opened may be open on one
	// connection: 256.
	Streams int
	// Window is how many bytes a peer may send on a stream ahead of what was
	// read from it: 256 KiB. One message may go over it.
	Window int
	// SendFrames bounds the send queue of a connection: 4096 frames. When it
	// is full senders wait.
	SendFrames int
	// SendBytes bounds the bytes in it: 16 MiB.
	SendBytes int

	// Grace is how long a session is kept whose connection was lost, for its
	// client to come back: 60 s. Below zero sessions end with their connection,
	// on the side that accepts and on the side that dials.
	Grace time.Duration
	// Journal bounds what a session keeps until the peer confirmed it, to send
	// it again on the next connection: 1 MiB. When it is full the oldest goes,
	// and a session that would need it cannot be taken up; without a connection
	// senders wait.
	Journal int
	// Parked is how many sessions of a Handler wait for their clients: 10,000.
	// One more ends the oldest: of the same identity, if there is one.
	Parked int
	// ParkedPerIdentity is how many of them one identity may have: 16.
	ParkedPerIdentity int
	// ParkedPerAddress is how many may have come from one address: 1,024.
	ParkedPerAddress int
	// ParkedBytes bounds what their journals hold together: 256 MiB, which is 256
	// full ones, or 26 KiB for each of 10,000. What goes over it ends the sessions
	// that hold most.
	ParkedBytes int
}

// DefaultLimits returns the limits that hold where nothing else is set.
func DefaultLimits() Limits {
	return Limits{
		Body:          wire.MaxBody,
		WebSocketBody: 1 << 20,
		Handshake:     10 * time.Second,
		FirstFrame:    10 * time.Second,
		Message:       10 * time.Second,
		Ping:          25 * time.Second,
		Idle:          60 * time.Second,
		Write:         10 * time.Second,
		Inflight:      1024,
		QueueFrames:   4096,
		QueueBytes:    4 << 20,
		Streams:       256,
		Window:        256 << 10,
		SendFrames:    4096,
		SendBytes:     16 << 20,

		Grace:             60 * time.Second,
		Journal:           1 << 20,
		Parked:            10_000,
		ParkedPerIdentity: 16,
		ParkedPerAddress:  1024,
		ParkedBytes:       256 << 20,
	}
}

// WebSocket is what l means to a ws.Conn, where frames are not known: several
// small ones, or the end of one and the start of the next, may share a message.
func (l Limits) WebSocket() ws.Limits {
	const slack = 64 << 10
	return ws.Limits{MaxMessage: l.WebSocketBody + slack, MessageTimeout: l.Message}
}

// orDefault is l with its zero fields filled in.
func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ field, fallback *int }{
		{&l.Body, &d.Body},
		{&l.WebSocketBody, &d.WebSocketBody},
		{&l.Inflight, &d.Inflight},
		{&l.QueueFrames, &d.QueueFrames},
		{&l.QueueBytes, &d.QueueBytes},
		{&l.Streams, &d.Streams},
		{&l.Window, &d.Window},
		{&l.SendFrames, &d.SendFrames},
		{&l.SendBytes, &d.SendBytes},
		{&l.Journal, &d.Journal},
		{&l.Parked, &d.Parked},
		{&l.ParkedPerIdentity, &d.ParkedPerIdentity},
		{&l.ParkedPerAddress, &d.ParkedPerAddress},
		{&l.ParkedBytes, &d.ParkedBytes},
	} {
		if *f.field <= 0 {
			*f.field = *f.fallback
		}
	}
	l.Inflight = min(l.Inflight, 1<<slotBits) // no more can wait for an answer
	for _, f := range []struct{ field, fallback *time.Duration }{
		{&l.Handshake, &d.Handshake},
		{&l.FirstFrame, &d.FirstFrame},
		{&l.Message, &d.Message},
		{&l.Ping, &d.Ping},
		{&l.Idle, &d.Idle},
		{&l.Write, &d.Write},
	} {
		if *f.field <= 0 {
			*f.field = *f.fallback
		}
	}
	if l.Grace == 0 {
		l.Grace = d.Grace
	}
	return l
}

// lasts says whether sessions may outlive their connection.
func (l *Limits) lasts() bool { return l.Grace > 0 }
