package arpc

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// journal holds the counted frames of a session that the peer has not confirmed,
// as they are on the wire without what a WebSocket adds, to send them again on the
// next connection. While there is one its outbox gives each frame to the journal
// in the order in which they leave; between two connections senders do.
type journal struct {
	mu     sync.Mutex    // guards what follows; taken under outbox.mu, never the other way round
	buf    []byte        // frames, one behind the other
	head   int           // where the first that is held begins
	first  uint64        // its number; last+1 if none is held
	last   uint64        // number of the last frame of the session
	left   uint64        // number of the last that a socket may have taken something of
	limit  int           // of bytes held
	live   bool          // a connection takes frames
	over   bool          // nothing is taken any more
	spoilt bool          // a frame left that is not in here: the session cannot be taken up
	parked bool          // what is held is counted with that of all parked sessions
	room   chan struct{} // closed when a full journal has room; nil if nobody waits
}

// counted says whether a frame is one that sessions count. Nothing else decides.
func counted(h wire.Header) bool {
	switch h.Cmd.Command() {
	case wire.Ping, wire.Pong, wire.Confirm:
		return false
	}
	return h.Flags&wire.Outside == 0
}

// countedFrame is counted for a frame that no coder has transformed.
func countedFrame(frame []byte) bool {
	return counted(wire.Header{Cmd: wire.Cmd(frame[5]), Flags: wire.Flags(frame[6])})
}

// frameLen is the length of the first of some whole frames.
func frameLen(frames []byte) int {
	return wire.HeaderLen + int(binary.LittleEndian.Uint32(frames))
}

// add takes a frame that leaves on the connection there is, and returns its
// number. What is held too long by the peer makes room for it.
func (j *journal) add(frame []byte) uint64 {
	j.mu.Lock()
	if end := len(j.buf) + len(frame); end <= cap(j.buf) && end-j.head <= j.limit { // nearly always
		j.buf = append(j.buf, frame...)
		j.last++
		number := j.last
		j.mu.Unlock()
		return number
	}
	defer j.mu.Unlock()
	for j.first <= j.last && len(j.buf)-j.head+len(frame) > j.limit {
		j.dropLocked()
	}
	if len(frame) > j.limit {
		j.last++
		j.first = j.last + 1
		return j.last
	}
	j.appendLocked(frame)
	return j.last
}

// keep takes a frame while there is no connection. kept is false if there is one.
// What is larger than all that is held waits for one too. The reader of a connection
// that ended, which does not wait, may go over the bound up to twice of it. all is
// what the parked sessions hold together.
func (j *journal) keep(frame []byte, onReader bool, all *atomic.Int64) (number uint64, kept bool, room <-chan struct{}, err error) {
	limit := j.limit
	if onReader {
		limit *= 2
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.live:
		return 0, false, nil, nil
	case j.over:
		return 0, false, nil, ErrDisconnected.withSent(false, nil)
	case len(j.buf)-j.head+len(frame) > limit:
		if j.room == nil {
			j.room = make(chan struct{})
		}
		return 0, false, j.room, errFull
	}
	j.appendLocked(frame)
	if j.parked {
		all.Add(int64(len(frame)))
	}
	return j.last, true, nil, nil
}

// park counts what is held into what all parked sessions hold, and gives up the
// memory beyond that.
func (j *journal) park(all *atomic.Int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.buf, j.head = append([]byte(nil), j.buf[j.head:]...), 0
	j.parked = true
	all.Add(int64(len(j.buf)))
}

// unpark counts it out. Only keep has changed it since, and nothing does before the
// session has a connection.
func (j *journal) unpark(all *atomic.Int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.parked = false
	all.Add(-int64(len(j.buf) - j.head))
}

// held is how many bytes are held.
func (j *journal) held() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.buf) - j.head
}

// full says that senders have to wait for a connection.
func (j *journal) full() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.live && !j.over && len(j.buf)-j.head+wire.HeaderLen > j.limit
}

func (j *journal) appendLocked(frame []byte) {
	if len(j.buf)+len(frame) > cap(j.buf) && j.head > len(j.buf)/2 {
		j.buf = append(j.buf[:0], j.buf[j.head:]...)
		j.head = 0
	}
	j.buf = append(j.buf, frame...)
	j.last++
}

func (j *journal) dropLocked() {
	j.head += frameLen(j.buf[j.head:])
	j.first++
	if j.first > j.last {
		j.buf, j.head = j.buf[:0], 0
	}
}

// confirm drops what the peer has, and is false if it has more than was sent. The
// memory stays for the next frames until the peer is silent, see rest.
func (j *journal) confirm(received uint64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if received > j.last {
		return false
	}
	for j.first <= received {
		j.dropLocked()
	}
	j.easeLocked()
	return true
}

func (j *journal) easeLocked() {
	if j.room != nil {
		close(j.room)
		j.room = nil
	}
}

// missing says what a peer that received so many frames is to be sent again.
type missing int

const (
	nothingMissing missing = iota // all of it is held
	impossible                    // it claims more than there was, or less than it confirmed
	gone                          // some of it is not held any more
)

// check says whether a session can be taken up by a peer that received so much.
func (j *journal) check(received, confirmed uint64) missing {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case received > j.last || received < confirmed:
		return impossible
	case received+1 < j.first || j.spoilt:
		return gone
	}
	return nothingMissing
}

// replay drops what the peer has and gives the rest to a connection, which takes
// frames from now on. It returns the number of the last.
func (j *journal) replay(received uint64, to func(frames []byte)) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.first <= received && j.first <= j.last {
		j.dropLocked()
	}
	to(j.buf[j.head:])
	j.live = true
	j.easeLocked()
	return j.last
}

// detach says that the connection takes nothing more.
func (j *journal) detach() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.live = false
}

// leftUpTo says that a socket may have taken some of the frames up to this one.
func (j *journal) leftUpTo(number uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.left = max(j.left, number)
}

// spoil says that a counted frame leaves that is not held.
func (j *journal) spoil() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.spoilt = true
}

// end takes nothing more, and returns the number of the last frame of which a
// socket may have taken something.
func (j *journal) end() (left uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.over, j.live = true, false
	j.buf, j.head, j.first = nil, 0, j.last+1
	j.easeLocked()
	return j.left
}

// rest gives up memory that nothing is in.
func (j *journal) rest() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.buf) == 0 {
		j.buf = nil
	}
}
