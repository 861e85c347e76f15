package arpc

import (
	"net"
	"sync/atomic"
	"testing"
)

// TestAParkedJournalHasNoSpareMemory: bytes are counted, and memory is what they are
// counted for.
func TestAParkedJournalHasNoSpareMemory(t *testing.T) {
	const small = 100
	var j journal
	var all atomic.Int64
	j.limit, j.first, j.live = 1<<20, 1, true
	for range 1000 {
		j.add(make([]byte, 500))
	}
	j.buf, j.head = j.buf[:small], 0 // the rest was confirmed
	j.detach()
	j.park(&all)
	if cap(j.buf) > 2*small || all.Load() != small {
		t.Errorf("a parked journal has %d bytes for %d, and %d are counted", cap(j.buf), small, all.Load())
	}
	if _, kept, _, err := j.keep(make([]byte, small), false, &all); !kept || err != nil || all.Load() != 2*small {
		t.Errorf("kept is %v, %v, counted %d bytes", kept, err, all.Load())
	}
	j.unpark(&all)
	if _, _, _, _ = j.keep(make([]byte, small), false, &all); all.Load() != 0 {
		t.Errorf("%d bytes are counted of a journal that is not parked", all.Load())
	}
}

// TestParkedOnce: whoever finds a session in its place already leaves it there. One
// that was taken, refused and given back may be faster than who lost its connection.
func TestParkedOnce(t *testing.T) {
	h := NewHandler()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	s := newConn(newClient(h), h, far).session()
	l := newLasting(s.limits)
	s.lasting.Store(l)
	l.state = parked
	h.sessions.add(s, l)
	l.journal.appendLocked(make([]byte, 100))
	for range 2 {
		h.sessions.park(s, l, "here")
	}
	if h.Parked() != 1 || h.ParkedBytes() != 100 {
		t.Errorf("%d are parked with %d bytes", h.Parked(), h.ParkedBytes())
	}
	h.sessions.unpark(l)
	if h.Parked() != 0 || h.ParkedBytes() != 0 {
		t.Errorf("%d are left with %d bytes", h.Parked(), h.ParkedBytes())
	}
}
