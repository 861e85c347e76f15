package arpc

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
)

const (
	maxWrite       = 64 << 10  // most bytes in one write that may block
	maxSourceWrite = 256 << 10 // most bytes that sources fill one write with
	flushRounds    = 2         // writes a sender makes before a goroutine takes over
)

// outbox is everything that leaves on one connection, and the right to write.
//
// Senders append under mu; whoever finds the outbox idle takes the role of the
// flusher and writes what is there, without blocking. While one flushes, others
// only append, and what they append leaves in the next write. If the socket is
// full, or there is too much, a goroutine takes the role over and may block.
type outbox struct {
	conn *conn
	raw  rawWriter

	mu       sync.Mutex
	buf      []byte        // frames that wait, as they go to the socket
	frames   int           // how many
	ready    []Source      // woken sources, in order
	flushing bool          // somebody has the flusher's role
	reading  bool          // the reader handles frames, and flushes when it is done
	finish   bool          // close the connection when everything left
	batch    bool          // frames share WebSocket messages
	pressed  bool          // it was seen full: tell the inbox when it is not
	crowded  atomic.Bool   // it is full, or was when something was last appended
	deadline bool          // the flusher's: a write deadline is set
	err      error         // why nothing more is taken
	room     chan struct{} // closed when a full outbox has room; nil if nobody waits
	quiet    chan struct{} // closed when a failed outbox has no flusher any more
	appended uint64        // frames that senders ever appended
	taken    uint64        // of them, those up to the end of chunk
	before   uint64        // and those up to its beginning
	inChunk  int           // frames of senders in chunk
	held     int           // bytes of senders in chunk
	message  int           // with batch, where in buf the message begins that is not wrapped yet
	kept     *kept         // what the session counts; nil where it ends with the connection
	late     *lateCoders   // run when frames leave; nil where there are none, and never changed

	moved atomic.Uint64 // bytes that left

	// Owned by the flusher.
	chunk []byte // what is being written
	off   int    // how much of it is
}

// errFull says that there is no room now.
var errFull = errors.New("send queue full")

// place is where a frame came to be in an outbox.
type place struct {
	end   uint64          // its number there, or in the session that counts it
	flush bool            // its sender has the flusher's role
	room  <-chan struct{} // with errFull: closed when there is room
}

// append puts a frame into the outbox. The reader, which must not wait, may go
// over the bound up to twice of it, and flushes when it has handled all it read.
func (o *outbox) append(h wire.Header, method string, body []byte, onReader bool) (p place, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if onReader {
		err = o.admitReaderLocked()
	} else {
		p.room, err = o.admitLocked()
	}
	if err != nil {
		return p, err
	}
	start := len(o.buf)
	o.buf = wire.Append(o.buf, h, method, body)
	p.end = o.placeLocked(start, counted(h))
	p.flush = !(onReader && o.reading) && o.takeRoleLocked()
	return p, nil
}

// appendEncoded is append for a frame that is encoded already.
func (o *outbox) appendEncoded(frame []byte, counted, onReader bool) (p place, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if onReader {
		err = o.admitReaderLocked()
	} else {
		p.room, err = o.admitLocked()
	}
	if err != nil {
		return p, err
	}
	start := len(o.buf)
	o.buf = append(o.buf, frame...)
	p.end = o.placeLocked(start, counted)
	p.flush = !(onReader && o.reading) && o.takeRoleLocked()
	return p, nil
}

// appendControl takes what cannot wait for room: pongs, and what RFC 6455
// wants answered, which comes wrapped. A peer that provokes more of them than
// it reads loses the connection.
func (o *outbox) appendControl(frame []byte, wrapped bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.admitReaderLocked(); err != nil {
		return err
	}
	if wrapped {
		o.endMessageLocked()
	}
	start := len(o.buf)
	o.buf = append(o.buf, frame...)
	if wrapped {
		o.message = len(o.buf)
		o.asIsLocked(start)
		o.frames++
		o.watchLocked()
	} else {
		o.wrapLocked(start)
	}
	return nil
}

func (o *outbox) admitLocked() (room <-chan struct{}, err error) {
	if o.err != nil || o.finish {
		return nil, o.closedLocked()
	}
	if !o.fullLocked() {
		return nil, nil
	}
	if o.room == nil {
		o.room = make(chan struct{})
	}
	return o.room, errFull
}

// admitReaderLocked is for what the reader sends: it does not wait, and a peer
// that makes it send more than it reads loses the connection.
func (o *outbox) admitReaderLocked() error {
	if o.err != nil || o.finish {
		return o.closedLocked()
	}
	if l := o.conn.limits; o.frames > 2*l.SendFrames || len(o.buf) > 2*l.SendBytes {
		return errUnread
	}
	return nil
}

// closedLocked is for senders that found the connection at its end, maybe before
// its context was: they see the same error as those who come later.
func (o *outbox) closedLocked() error { return ErrDisconnected.withSent(false, o.err) }

func (o *outbox) fullLocked() bool {
	l := o.conn.limits
	return o.frames+o.inChunk >= l.SendFrames || len(o.buf)+o.held >= l.SendBytes
}

// full reports whether senders have to wait. Who saw it full is told through
// inbox.resume when it is not any more.
func (o *outbox) full() bool {
	if !o.crowded.Load() {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pressed = o.fullLocked()
	return o.pressed
}

// maxMessage is the size from which a message takes no further frame.
const maxMessage = 32 << 10

// wrapLocked counts the frame at buf[start:], and returns its number.
func (o *outbox) wrapLocked(start int) (number uint64) {
	o.inMessageLocked(start)
	o.frames++
	o.appended++
	o.watchLocked()
	return o.appended
}

// inMessageLocked sees to it that the frame at buf[start:] leaves in a message,
// where the transport has messages: in one of its own, or with others.
func (o *outbox) inMessageLocked(start int) {
	switch {
	case o.conn.ws == nil || o.waitsLocked():
	case !o.batch:
		o.buf = o.conn.ws.Wrap(o.buf, start)
	case len(o.buf)-o.message >= maxMessage:
		o.endMessageLocked()
	}
}

// watchLocked says so where full can see it without the lock.
func (o *outbox) watchLocked() {
	if o.fullLocked() {
		o.crowded.Store(true)
	}
}

// endMessageLocked wraps the frames that share a message.
func (o *outbox) endMessageLocked() {
	if o.batch && len(o.buf) > o.message && !o.waitsLocked() {
		o.buf = o.conn.ws.Wrap(o.buf, o.message)
	}
	o.message = len(o.buf)
}

// batchLocked makes frames share messages, or not, from the next one on.
func (o *outbox) batchLocked(batch bool) {
	o.batch = batch && o.conn.ws != nil
	o.message = len(o.buf)
}

// takeRoleLocked makes the caller the flusher if there is something to flush
// and nobody who does.
func (o *outbox) takeRoleLocked() bool {
	if o.flushing || o.err != nil || len(o.buf) == 0 && len(o.ready) == 0 && !o.finish {
		return false
	}
	o.flushing = true
	return true
}

// kick flushes what is there, unless somebody does already.
func (o *outbox) kick() {
	o.mu.Lock()
	flush := o.takeRoleLocked()
	o.mu.Unlock()
	if flush {
		o.flushWithOthers()
	}
}

// flushWithOthers is flush, after others that are ready to run had their turn:
// what they have to send leaves in the same write. Echo with ten callers a
// connection is twice as fast.
func (o *outbox) flushWithOthers() {
	runtime.Gosched()
	o.flush()
}

// afterRead says that the reader has frames to handle.
func (o *outbox) afterRead() {
	o.mu.Lock()
	o.reading = true
	o.mu.Unlock()
}

// beforeRead flushes in one write what the handled frames were answered with:
// the reader may be about to wait.
func (o *outbox) beforeRead() {
	o.mu.Lock()
	o.reading = false
	flush := o.takeRoleLocked()
	o.mu.Unlock()
	if flush {
		o.flush()
	}
}

// flush is called with the flusher's role, and gives it up. It does not block.
func (o *outbox) flush() {
	for range flushRounds {
		if !o.next() {
			return
		}
		n, err := o.tryWrite(o.chunk[o.off:min(len(o.chunk), o.off+maxSourceWrite)])
		o.off += n
		if err != nil {
			o.broken(err)
			return
		}
		if o.off < len(o.chunk) {
			break
		}
	}
	o.handOver()
}

// handOver gives the flusher's role to a goroutine that may block.
func (o *outbox) handOver() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		o.releaseLocked()
		return
	}
	o.conn.goroutines.Go(o.drain)
}

// drain writes until nothing is left. Each write has a deadline, and after one
// that moved anything the next has a new one: slow is not dead.
func (o *outbox) drain() {
	for o.next() {
		o.setDeadline(time.Now().Add(o.conn.limits.Write))
		n, err := o.blockingWrite(o.chunk[o.off:min(len(o.chunk), o.off+maxWrite)])
		o.off += n
		if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			o.broken(err)
			return
		}
	}
}

// tryWrite writes without waiting, where the socket can.
func (o *outbox) tryWrite(b []byte) (int, error) {
	if err := runEach(o.conn.hooks.beforeSend, o.conn.raw); err != nil {
		return 0, fmt.Errorf("before sending: %w", err)
	}
	n, err := o.raw.write(b)
	o.moved.Add(uint64(n))
	return n, err
}

func (o *outbox) blockingWrite(b []byte) (int, error) {
	if err := runEach(o.conn.hooks.beforeSend, o.conn.raw); err != nil {
		return 0, fmt.Errorf("before sending: %w", err)
	}
	n, err := o.conn.raw.Write(b)
	o.moved.Add(uint64(n))
	return n, err
}

// broken ends the connection because a write failed.
func (o *outbox) broken(err error) {
	o.conn.die(err)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.releaseLocked()
}

func (o *outbox) setDeadline(t time.Time) {
	_ = o.conn.raw.SetWriteDeadline(t) // on a closed socket the write says so
	o.deadline = !t.IsZero()
}

// next makes chunk the next bytes to write. When there are none it gives the
// flusher's role up and returns false.
func (o *outbox) next() bool {
	for o.off == len(o.chunk) {
		source, more, eased := o.take()
		if eased {
			o.conn.session().inbox.resume()
		}
		if source != nil || more && o.late != nil {
			o.fill(source)
		}
		if !more {
			return false
		}
	}
	return true
}

// take makes what senders appended the chunk and returns the first woken
// source. With nothing to do it gives the flusher's role up, and more is false.
// eased says that an outbox which was seen full has room again.
func (o *outbox) take() (source Source, more, eased bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	more = o.err == nil && (len(o.buf) > 0 || len(o.ready) > 0)
	if more {
		o.swapLocked()
		source = o.popLocked()
	} else {
		o.held, o.inChunk = 0, 0
		defer o.restLocked()
	}
	if o.fullLocked() {
		return source, more, false
	}
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
	o.crowded.Store(false)
	eased, o.pressed = o.pressed, false
	return source, more, eased
}

func (o *outbox) swapLocked() {
	spare := o.chunk[:0]
	if cap(spare) > maxSourceWrite+maxPooled { // one large message made it large
		spare = nil
	}
	o.endMessageLocked()
	o.late.takeLocked(o.buf)
	o.chunk, o.buf, o.off, o.message = o.buf, spare, 0, 0
	o.held, o.inChunk, o.frames = len(o.chunk), o.frames, 0
	o.before, o.taken = o.taken, o.appended
	o.kept.take()
}

// restLocked gives the flusher's role up.
func (o *outbox) restLocked() {
	if o.deadline {
		o.setDeadline(time.Time{})
	}
	o.releaseLocked()
	if o.finish && o.err == nil {
		o.conn.goroutines.Go(o.conn.finish)
	}
}

// rest gives up the memory of an outbox with nothing in it.
func (o *outbox) rest() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil && !o.flushing && len(o.buf) == 0 {
		o.buf, o.chunk, o.off, o.message = nil, nil, 0, 0
		o.before = o.taken // the chunk that left is not remembered
		o.kept.take()
	}
}

func (o *outbox) releaseLocked() {
	o.flushing = false
	if o.quiet != nil {
		close(o.quiet)
		o.quiet = nil
	}
}

// close lets what was appended leave, and last words behind it, and then ends
// the connection. Nothing more is taken.
func (o *outbox) close(lastWords []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil || o.finish {
		return
	}
	o.endMessageLocked()
	start := len(o.buf)
	o.buf = append(o.buf, lastWords...)
	o.message = len(o.buf)
	o.asIsLocked(start)
	o.finish, o.ready = true, nil
	o.detachLocked()
	if o.takeRoleLocked() {
		o.conn.goroutines.Go(o.drain)
	}
}

// fail ends the outbox at once. Senders that wait are woken.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return
	}
	o.err, o.ready = err, nil
	o.detachLocked()
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// sent is the number of bytes that left.
func (o *outbox) sent() uint64 { return o.moved.Load() }

// left waits until nobody writes any more. It is called after fail.
func (o *outbox) left() left {
	o.mu.Lock()
	quiet := o.quiet
	if o.flushing && quiet == nil {
		quiet = make(chan struct{})
		o.quiet = quiet
	}
	o.mu.Unlock()
	if quiet != nil {
		<-quiet
	}
	if o.off == 0 {
		return left{o.before, o.kept.left(false)}
	}
	return left{o.taken, o.kept.left(true)}
}
