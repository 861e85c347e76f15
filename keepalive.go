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
// dead. The hot path only counts; time is looked at by a timer.
type keepalive struct {
	conn   *conn
	frames atomic.Uint64 // whole frames heard
	bytes  atomic.Uint64 // bytes heard

	mu      sync.Mutex // guards what follows
	timer   *time.Timer
	stopped bool
	began   time.Time
	seen    uint64        // bytes at the last look
	seenAt  time.Duration // when they last grew, after began
	pinged  time.Duration // when a ping was last sent
	sent    uint64        // frames sent at the last look
	sentAt  time.Duration // when they last grew
	every   time.Duration // how often we ping; of an extended client, how often the server does
	expires time.Time     // when the peer's identity ends
}

func (k *keepalive) heardBytes(n int) { k.bytes.Add(uint64(n)) }
func (k *keepalive) heardFrame()      { k.frames.Add(1) }

func (k *keepalive) start() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.began = time.Now()
	k.every = k.conn.limits.Ping
	l := k.conn.limits
	first := min(l.Ping/ticksPerPing, l.Idle)
	if k.conn.client.accepted() {
		first = min(first, l.FirstFrame/2)
	}
	k.timer = time.AfterFunc(first, k.tick)
}

func (k *keepalive) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	k.timer.Stop()
}

// tick looks at the connection, and decides when to look again.
func (k *keepalive) tick() {
	next, ping, err := k.look(time.Now())
	if err == nil && ping {
		err = k.ping()
	}
	if err != nil {
		k.conn.shut(err)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.stopped {
		k.timer.Reset(next)
	}
}

// look says when to look again, whether to ping, or why the connection is over.
func (k *keepalive) look(now time.Time) (next time.Duration, ping bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.conn.client.accepted() && (k.frames.Load() == 0 || !k.conn.admitted.Load()) {
		return k.awaitFirstLocked(now)
	}
	if !k.expires.IsZero() && !now.Before(k.expires) {
		return 0, false, Errorf(CodeUnauthenticated, "the token expired")
	}
	at := now.Sub(k.began)
	quiet := k.quietLocked(at)
	dead := k.deadAfterLocked()
	if quiet >= dead {
		return 0, false, silence("nothing heard for %v", dead)
	}
	if ping = k.pingDueLocked(at, quiet); ping {
		k.pinged = at
	}
	next = min(k.every/ticksPerPing, dead-quiet)
	if !k.expires.IsZero() {
		next = min(next, k.expires.Sub(now))
	}
	return next, ping, nil
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
	case !k.conn.has(capExtended):
		return quiet >= k.every && at-k.pinged >= k.every
	case k.conn.client.accepted():
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
	k.expires = t
	if !t.IsZero() && k.timer != nil && !k.stopped && k.conn.admitted.Load() {
		k.timer.Reset(min(time.Until(t), k.every/ticksPerPing))
	}
}

// awaitFirstLocked is look before the first frame of an accepted connection.
// The ping half way lets a peer live that has nothing to say.
func (k *keepalive) awaitFirstLocked(now time.Time) (next time.Duration, ping bool, err error) {
	limit := k.conn.limits.FirstFrame
	since := now.Sub(k.began)
	if since < limit/2 {
		return limit/2 - since, false, nil
	}
	if since >= limit {
		if k.frames.Load() > 0 {
			return 0, false, Errorf(CodeUnauthenticated, "not authenticated within %v", limit)
		}
		return 0, false, silence("no whole frame within %v", limit)
	}
	return limit - since, true, nil
}

// excusedLocked says that silence proves nothing: we do not read, or the peer,
// which may be an original that handles a call while it does not read, owes an
// answer.
func (k *keepalive) excusedLocked() bool {
	if k.conn.inbox.isPaused() {
		return true
	}
	return !k.conn.client.accepted() && !k.conn.has(capExtended) && k.conn.client.pending.count() > 0
}

func (k *keepalive) ping() error {
	frame := wire.Header{Cmd: wire.Ping}.Append(nil)
	if err := k.conn.out.appendControl(frame, false); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	k.conn.out.kick()
	return nil
}
