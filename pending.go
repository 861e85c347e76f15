package arpc

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// slotBits is how much of a seq is the index of its slot; the rest is a
// generation, so that an answer to a call that was given up finds nobody.
const slotBits = 16

// answer is what a call waits for: an answer of the peer, or why there is none.
type answer struct {
	flags wire.Flags
	held  *buffer  // the body; nil if there is none
	none  *absence // nil if the peer answered
}

// absence is why a call gets no answer of the peer.
type absence struct {
	expired bool   // the time is over
	lost    error  // the session is
	left    uint64 // with lost, the number of the last frame that may have left
	hello   error  // the reader took the answer to hello; this is what it came to
}

// newAnswer is the answer in a frame of the peer, copied.
func newAnswer(f *wire.Frame) answer {
	held := takeBuffer()
	held.b = append(held.b, f.Body...)
	return answer{flags: f.Flags, held: held}
}

// body is nil if there is none.
func (a answer) body() []byte {
	if a.held == nil {
		return nil
	}
	return a.held.b
}

// free gives the memory of the body back. Nothing may refer to it any more.
func (a answer) free() {
	if a.held != nil {
		a.held.free()
	}
}

// errHeld says that the peer runs as many requests of ours as it told us to.
var errHeld = errors.New("held back")

// pending holds the calls that wait for an answer. A seq carries the index of
// its slot, so an answer finds its call without a map, and a slot keeps its
// channel, so a call allocates none.
type pending struct {
	mu    sync.Mutex
	slots []*slot
	free  []*slot
	calls atomic.Int32
	limit int32         // how many the peer wants at once, zero if it did not say
	fewer chan struct{} // closed when there are fewer calls; nil if nobody waits
	alarm *alarm        // calls expire; nil before one could
}

// alarm is the timer of all calls that wait.
type alarm struct {
	timer *time.Timer
	rings time.Duration // when it does, after epoch; zero if it does not
}

// slot is the place of one call. Between add and remove it belongs to the
// call, whose goroutine alone receives from the channel.
type slot struct {
	seq     uint64 // of the call that waits here; its low bits are the index
	answers chan answer

	// Guarded by pending.mu.
	waits    bool      // no answer was delivered yet
	of       any       // the *session that it ends with, or the *conn
	deadline time.Time // when it expires; zero is never
}

// setLimit sets how many calls the peer wants at once.
func (p *pending) setLimit(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = int32(min(max(n, 0), 1<<slotBits))
}

// add makes a place for a call. It fails when 2^16 calls wait, and with errHeld,
// and a channel that is closed when there may be room, when there are as many
// as the peer wants. extra is how many more than that there may be, of what the
// call ends with.
func (p *pending) add(extra int, of any) (*slot, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit > 0 && p.count() >= int(p.limit)+extra {
		return nil, p.fewerLocked(), errHeld
	}
	s, err := p.addLocked(of)
	return s, nil, err
}

// fewerLocked is closed when there are fewer calls than now.
func (p *pending) fewerLocked() <-chan struct{} {
	if p.fewer == nil {
		p.fewer = make(chan struct{})
	}
	return p.fewer
}

// awaitNone waits until no call waits for the peer, or done is closed.
func (p *pending) awaitNone(done <-chan struct{}) {
	for {
		p.mu.Lock()
		calls, fewer := p.calls.Load(), p.fewerLocked()
		p.mu.Unlock()
		if calls == 0 {
			return
		}
		select {
		case <-fewer:
		case <-done:
			return
		}
	}
}

func (p *pending) addLocked(of any) (*slot, error) {
	if len(p.free) == 0 {
		if len(p.slots) == 1<<slotBits {
			return nil, &Error{Code: CodeResourceExhausted, Message: "65536 calls wait for an answer"}
		}
		s := &slot{seq: uint64(len(p.slots)), answers: make(chan answer, 1)}
		p.slots = append(p.slots, s)
		p.free = append(p.free, s)
	}
	s := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	s.seq += 1 << slotBits
	s.waits, s.of = true, of
	p.calls.Add(1)
	return s, nil
}

// remove gives the place of a call back. The answer it may have got is dropped.
func (p *pending) remove(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !s.waits {
		select {
		case <-s.answers:
		default:
		}
	}
	s.waits, s.of, s.deadline = false, nil, time.Time{}
	p.calls.Add(-1)
	p.free = append(p.free, s)
	if p.fewer != nil {
		close(p.fewer)
		p.fewer = nil
	}
}

// deliver hands an answer to the call that waits for it, if one does. It never
// blocks, however often a peer answers.
func (p *pending) deliver(seq uint64, a answer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	index := seq & (1<<slotBits - 1)
	if index >= uint64(len(p.slots)) {
		return false
	}
	s := p.slots[index]
	if s.seq != seq || !s.waits {
		return false
	}
	s.waits = false
	s.answers <- a
	return true
}

// fail ends the calls that end with a session, or with a connection. The others
// still expire.
func (p *pending) fail(lost error, left uint64, of any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	alarming := false
	for _, s := range p.slots {
		switch {
		case !s.waits:
		case s.of == of:
			s.waits = false
			s.answers <- answer{none: &absence{lost: lost, left: left}}
		case !s.deadline.IsZero():
			alarming = true
		}
	}
	if p.alarm != nil && !alarming {
		p.alarm.timer.Stop()
		p.alarm.rings = 0
	}
}

// restAfterAlarm is how long no call expires after some did, so that those which
// do so one after the other are not looked for each on its own.
const restAfterAlarm = time.Millisecond

// expireAt sets when a call expires. There is one timer for all of them, which
// rings for the first and is not touched by those behind it: a call that has its
// answer in time, as most do, costs none.
func (p *pending) expireAt(s *slot, deadline time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !s.waits {
		return
	}
	s.deadline = deadline
	if at := deadline.Sub(epoch); p.alarm == nil || p.alarm.rings == 0 || at < p.alarm.rings {
		p.ringLocked(at, time.Until(deadline))
	}
}

func (p *pending) ringLocked(at, in time.Duration) {
	if p.alarm == nil {
		p.alarm = &alarm{time.AfterFunc(in, p.expire), at}
		return
	}
	p.alarm.rings = at
	p.alarm.timer.Reset(in)
}

// expire ends the calls whose time is over.
func (p *pending) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var next time.Time
	for _, s := range p.slots {
		switch {
		case !s.waits || s.deadline.IsZero():
		case !s.deadline.After(now):
			s.waits = false
			s.answers <- answer{none: &absence{expired: true}}
		case next.IsZero() || s.deadline.Before(next):
			next = s.deadline
		}
	}
	p.alarm.rings = 0
	if !next.IsZero() {
		p.ringLocked(next.Sub(epoch), max(restAfterAlarm, next.Sub(now)))
	}
}

// noLimit is for calls that are not held back: the protocol's own, and those of
// handlers that the peer waits for.
const noLimit = math.MaxInt - 1<<slotBits

// used says that there was a call.
func (p *pending) used() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.slots) > 0
}

// count is how many calls wait for the peer.
func (p *pending) count() int { return int(p.calls.Load()) }
