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
	seen    uint64    // bytes at the last look
	seenAt  time.Time // when they last grew
	pinged  time.Time // when a ping was last sent
}

func (k *keepalive) heardBytes(n int) { k.bytes.Add(uint64(n)) }
func (k *keepalive) heardFrame()      { k.frames.Add(1) }

func (k *keepalive) start() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.began = time.Now()
	k.seenAt, k.pinged = k.began, k.began
	first := k.conn.limits.Ping / ticksPerPing
	if k.conn.client.accepted() {
		first = k.conn.limits.FirstFrame / 2
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
	next, err := k.look(time.Now())
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

func (k *keepalive) look(now time.Time) (next time.Duration, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.frames.Load() == 0 && k.conn.client.accepted() {
		return k.awaitFirstLocked(now)
	}
	l := &k.conn.limits
	if heard := k.bytes.Load(); heard != k.seen || k.excusedLocked() {
		k.seen, k.seenAt = heard, now
	}
	quiet := now.Sub(k.seenAt)
	if quiet >= l.Idle {
		return 0, Errorf(CodeUnavailable, "nothing heard for %v", l.Idle)
	}
	if quiet >= l.Ping && now.Sub(k.pinged) >= l.Ping {
		k.pinged = now
		err = k.ping()
	}
	return min(l.Ping/ticksPerPing, l.Idle-quiet), err
}

// awaitFirstLocked is look before the first frame of an accepted connection.
// The ping half way lets a peer live that has nothing to say.
func (k *keepalive) awaitFirstLocked(now time.Time) (next time.Duration, err error) {
	limit := k.conn.limits.FirstFrame
	since := now.Sub(k.began)
	if since >= limit {
		return 0, Errorf(CodeUnavailable, "no whole frame within %v", limit)
	}
	return limit - since, k.ping()
}

// excusedLocked says that silence proves nothing: we do not read, or the peer,
// which may be an original that handles a call while it does not read, owes an
// answer.
func (k *keepalive) excusedLocked() bool {
	if k.conn.inbox.isPaused() {
		return true
	}
	return !k.conn.client.accepted() && k.conn.client.pending.count() > 0
}

func (k *keepalive) ping() error {
	frame := wire.Header{Cmd: wire.Ping}.Append(nil)
	if err := k.conn.out.appendControl(frame, false); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	k.conn.out.kick()
	return nil
}
