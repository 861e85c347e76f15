package arpctest

import (
	"bytes"
	"sync"
	"time"
)

// Path is one direction of a Conn, with its faults. They add up, and stay until
// Heal. Counts begin where the fault is set.
type Path struct {
	mu      sync.Mutex // guards what follows
	passed  int64      // bytes that went this way
	delay   time.Duration
	slice   int
	cutAt   int64 // positions; 0 is none
	flipAt  int64
	flipBit uint
	hole    bool
}

// Delay holds every piece up for a time.
func (p *Path) Delay(d time.Duration) { p.set(func() { p.delay = d }) }

// Slice hands bytes over in pieces of at most n.
func (p *Path) Slice(n int) { p.set(func() { p.slice = n }) }

// CutAfter lets n more bytes through, at least 1, and closes the connection.
func (p *Path) CutAfter(n int) { p.set(func() { p.cutAt = p.passed + int64(max(1, n)) }) }

// FlipBit falsifies a bit, 0 to 7, of the n-th byte from now, the next one being 1.
func (p *Path) FlipBit(n int, bit uint) {
	p.set(func() { p.flipAt, p.flipBit = p.passed+int64(max(1, n)), bit%8 })
}

// BlackHole swallows everything from now on, and nobody is told: what a cable does
// that was pulled.
func (p *Path) BlackHole() { p.set(func() { p.hole = true }) }

// Heal takes all faults away. What a black hole swallowed is gone, so what comes
// after it on the same connection may be no frames any more.
func (p *Path) Heal() {
	p.set(func() { p.delay, p.slice, p.cutAt, p.flipAt, p.hole = 0, 0, 0, 0, false })
}

// Passed is how many bytes went this way, swallowed ones included.
func (p *Path) Passed() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed
}

func (p *Path) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// most is how many bytes a read may ask for.
func (p *Path) most(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.slice > 0 {
		return min(n, p.slice)
	}
	return n
}

// piece is what becomes of some bytes: how many were taken, and what goes on.
type piece struct {
	taken int
	bytes []byte
}

// take takes the first of some bytes, and does to them what the faults say. cut
// says that the connection ends behind them. It does not change b.
func (p *Path) take(b []byte, closed <-chan struct{}) (taken piece, cut bool) {
	p.mu.Lock()
	delay := p.delay
	taken, cut = p.takeLocked(b)
	p.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-closed:
		}
	}
	return taken, cut
}

func (p *Path) takeLocked(b []byte) (taken piece, cut bool) {
	n := int64(len(b))
	if p.slice > 0 {
		n = min(n, int64(p.slice))
	}
	if p.cutAt > 0 && p.passed+n >= p.cutAt {
		n, cut = p.cutAt-p.passed, true
	}
	b = b[:n]
	if p.flipAt > p.passed && p.flipAt <= p.passed+n {
		b = bytes.Clone(b)
		b[p.flipAt-p.passed-1] ^= 1 << p.flipBit
	}
	p.passed += n
	if p.hole {
		b = nil
	}
	return piece{int(n), b}, cut
}
