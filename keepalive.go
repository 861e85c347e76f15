package arpc

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// ticksPerPing is how often a connection is looked at between two pings: what
// it trades is precision for timers.
const ticksPerPing = 5

// keepalive pings a peer that is silent and ends a connection whose peer is
// dead. The hot path only counts; time is looked at on the rounds of the Handler.
type keepalive struct {
	conn   *conn
	frames atomic.Uint64 // whole frames heard
	bytes  atomic.Uint64 // bytes heard

	// Guarded by the lock of the rounds.
	due    time.Duration // when to look next, after epoch
	place  int           // among those that wait for that
	queued bool          // there is such a place

	stopped bool
	mu      sync.Mutex    // guards stopped and what follows
	began   time.Duration // after epoch
	seen    uint64        // bytes at the last look
	seenAt  time.Duration // when they last grew, after began
	pinged  time.Duration // when a ping was last sent
	sent    uint64        // bytes sent at the last look
	sentAt  time.Duration // when they last grew
	every   time.Duration // how often we ping; of an extended client, how often the server does
	expires *time.Time    // when the peer's identity ends; nil is never
	counted uint64        // frames of the session at the last look
}

func (k *keepalive) heardBytes(n int) { k.bytes.Add(uint64(n)) }
func (k *keepalive) heardFrame()      { k.frames.Add(1) }

func (k *keepalive) start() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.began = time.Since(epoch)
	k.every = k.conn.limits.Ping
	l := k.conn.limits
	first := min(l.Ping/ticksPerPing, l.Idle)
	if k.conn.client().accepted() {
		first = min(first, k.askAfter())
	}
	k.rounds().schedule(k, first)
}

func (k *keepalive) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	k.rounds().drop(k)
}

func (k *keepalive) rounds() *rounds { return &k.conn.handler.rounds }

// tick looks at the connection, and decides when to look again. What may take
// its time does so on a goroutine of its own: others are to be looked at too.
func (k *keepalive) tick() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return
	}
	at := time.Since(epoch) - k.began
	next, ping, err := k.lookLocked(at)
	if err != nil {
		go k.conn.shut(err) // at its end those are told who were not yet
		return
	}
	if ping {
		go k.ping()
	}
	k.rounds().schedule(k, next)
}

// lookLocked says when to look again, whether to ping, or why the connection is
// over.
func (k *keepalive) lookLocked(at time.Duration) (next time.Duration, ping bool, err error) {
	s := k.conn.session()
	if s.client.accepted() && (k.frames.Load() == 0 || !k.conn.admitted.Load()) {
		return k.awaitFirstLocked(at)
	}
	valid := k.validLocked()
	if valid <= 0 {
		return 0, false, Errorf(CodeUnauthenticated, "the token expired")
	}
	quiet := k.quietLocked(at)
	dead := k.deadAfterLocked()
	if quiet >= dead {
		return 0, false, silence("nothing heard for %v", dead)
	}
	if ping = k.pingDueLocked(at, quiet); ping {
		k.pinged = at
	}
	return min(k.every/ticksPerPing, dead-quiet, valid, k.confirmLocked(s)), ping, nil
}

// confirmLocked confirms what came until a while ago, when nothing came since, and
// says when to look again.
func (k *keepalive) confirmLocked(s *session) (next time.Duration) {
	l := s.lasting.Load()
	if l == nil {
		return TimeForever
	}
	received := l.received.Load()
	quiet := received == k.counted
	if quiet {
		l.journal.rest()
	}
	k.counted = received
	switch {
	case received == l.told.Load():
		return TimeForever
	case quiet:
		go k.confirm(l)
	}
	return confirmAfter
}

func (k *keepalive) confirm(l *lasting) {
	k.conn.confirm(l)
	k.conn.out.kick()
}

// confirmSoon has the connection looked at when something is to be confirmed.
func (k *keepalive) confirmSoon() { k.rounds().hasten(k, confirmAfter) }

// validLocked is for how long the peer's identity is believed.
func (k *keepalive) validLocked() time.Duration {
	if k.expires == nil {
		return TimeForever
	}
	return time.Until(*k.expires)
}

// quietLocked is for how long nothing was heard.
func (k *keepalive) quietLocked(at time.Duration) time.Duration {
	if heard := k.bytes.Load(); heard != k.seen || k.excusedLocked() {
		k.seen, k.seenAt = heard, at
	}
	if sent := k.conn.out.sent(); sent != k.sent {
		k.sent, k.sentAt = sent, at
	}
	return at - k.seenAt
}

// deadAfterLocked is the silence after which the peer is dead. It grows with
// the interval that a server announced.
func (k *keepalive) deadAfterLocked() time.Duration {
	l := k.conn.limits
	return l.Idle + max(0, k.every-l.Ping)
}

// pingDueLocked reports whether to ping. An extended server pings when it sent
// nothing for a while, so that its clients hear something; they only listen,
// because the timers of a page are not to be relied on. A base peer is pinged
// when it is silent.
func (k *keepalive) pingDueLocked(at, quiet time.Duration) bool {
	switch {
	case !k.conn.session().has(capExtended):
		return quiet >= k.every && at-k.pinged >= k.every
	case k.conn.client().accepted():
		return at-k.sentAt >= k.every || quiet >= k.every && at-k.pinged >= k.every
	}
	return false
}

// follow takes the interval at which the server said it pings.
func (k *keepalive) follow(every time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if every > 0 {
		k.every = every
	}
}

// expireAt sets when the peer's identity ends; zero is never.
func (k *keepalive) expireAt(t time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.expires = nil
	if t.IsZero() {
		return
	}
	k.expires = &t
	if !k.stopped && k.conn.admitted.Load() {
		k.rounds().schedule(k, min(time.Until(t), k.every/ticksPerPing))
	}
}

// askSilent is when a peer that said nothing is pinged if those who want to know of
// it were not told yet, because with its first frame it may say that it was here
// before. If it only listens, the pong is that frame.
const askSilent = time.Second

// askAfter is when a peer that said nothing is pinged. Half way to the limit is
// early enough for one that has nothing to say to live.
func (k *keepalive) askAfter() time.Duration {
	half := k.conn.limits.FirstFrame / 2
	if k.conn.admitted.Load() && !k.conn.session().introduced.Load() {
		return min(half, askSilent)
	}
	return half
}

// awaitFirstLocked is look before the first frame of an accepted connection.
func (k *keepalive) awaitFirstLocked(at time.Duration) (next time.Duration, ping bool, err error) {
	limit := k.conn.limits.FirstFrame
	if ask := k.askAfter(); at < ask {
		return ask - at, false, nil
	}
	if at >= limit {
		if k.frames.Load() > 0 {
			return 0, false, Errorf(CodeUnauthenticated, "not authenticated within %v", limit)
		}
		return 0, false, silence("no whole frame within %v", limit)
	}
	return limit - at, true, nil
}

// excusedLocked says that silence proves nothing: we do not read, or the peer,
// which may be an original that handles a call while it does not read, owes an
// answer.
func (k *keepalive) excusedLocked() bool {
	s := k.conn.session()
	if s.inbox.isPaused() {
		return true
	}
	return !s.client.accepted() && !s.has(capExtended) && s.client.pending.count() > 0
}

func (k *keepalive) ping() {
	if l := k.conn.session().lasting.Load(); l != nil {
		k.conn.confirm(l)
	}
	frame := wire.Header{Cmd: wire.Ping}.Append(nil)
	if err := k.conn.out.appendControl(frame, false); err != nil {
		k.conn.shut(fmt.Errorf("ping: %w", err))
		return
	}
	k.conn.out.kick()
}
