package arpc

import (
	"context"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// lateCoders are those that a connection has for itself. Frames go through them when
// they leave, in the order in which they do, behind the journal: what is sent again
// on the next connection is coded anew. Until then they wait in the outbox as they
// came.
type lateCoders struct {
	coders []Coder // in the order of the chain; never changed
	always byte    // bits of those that have every frame
	agreed byte    // bits of those that hello came to; owned by the reader

	// Guarded by outbox.mu.
	chain *chain // for what is appended from now on; nil is none
	parts []part // of buf

	// Owned by the flusher.
	out     *chain // chain, as it was when the chunk was taken
	leaving []part // of the chunk
}

// part is bytes up to an end, and what the frames in it go through; without that
// they are as they go to the socket.
type part struct {
	end   int
	chain *chain
}

// newLateCoders makes those of one connection, nil if there are none.
func newLateCoders(k *coding) *lateCoders {
	if k == nil || k.set.late == 0 {
		return nil
	}
	l := &lateCoders{always: k.set.always}
	for _, c := range k.set.list {
		if c, ok := c.(ConnCoder); ok {
			l.coders = append(l.coders, c.PerConnection())
		}
	}
	l.chain = l.chainOf(0)
	return l
}

// chainOf is what frames go through with these coders, and those that always run.
func (l *lateCoders) chainOf(bits byte) *chain {
	ch := &chain{}
	for _, c := range l.coders {
		if c.Bit()&(bits|l.always) != 0 {
			ch.coders = append(ch.coders, c)
		}
	}
	if len(ch.coders) == 0 {
		return nil
	}
	return ch
}

// agree says what hello came to, for what leaves behind its answer.
func (l *lateCoders) agree(agreed byte) {
	if l != nil {
		l.agreed = agreed
	}
}

// own is the connection's own coder in the place of one of the Handler, if it has one.
func (l *lateCoders) own(c Coder) Coder {
	if l == nil {
		return c
	}
	for _, own := range l.coders {
		if own.Bit() == c.Bit() {
			return own
		}
	}
	return c
}

// codeLate makes coders those of what is appended from now on.
func (o *outbox) codeLate(bits byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.codeLateLocked(bits)
}

func (o *outbox) codeLateLocked(bits byte) {
	if l := o.late; l != nil {
		o.endMessageLocked()
		l.split(len(o.buf), l.chain)
		l.chain = l.chainOf(bits)
	}
}

// waitsLocked says that frames are coded, and wrapped, when they leave.
func (o *outbox) waitsLocked() bool { return o.late != nil && o.late.chain != nil }

// asIsLocked says that buf[start:] is as it goes to the socket.
func (o *outbox) asIsLocked(start int) {
	if l := o.late; l != nil {
		l.split(start, l.chain)
		l.split(len(o.buf), nil)
	}
}

func (l *lateCoders) split(end int, ch *chain) { l.parts = append(l.parts, part{end, ch}) }

// takeLocked is called when buf becomes the chunk.
func (l *lateCoders) takeLocked(buf []byte) {
	if l == nil {
		return
	}
	l.split(len(buf), l.chain)
	l.leaving, l.parts = l.parts, l.leaving[:0]
	l.out = l.chain
}

// code takes what senders appended through the coders that it waited for.
func (w *FrameWriter) code(l *lateCoders) {
	if l == nil || len(l.leaving) == 1 && l.leaving[0].chain == nil {
		return
	}
	o, plain := w.out, takeBuffer()
	defer plain.free()
	plain.b = append(plain.b, o.chunk...)
	o.chunk, w.message = o.chunk[:0], 0
	start := 0
	for _, p := range l.leaving {
		w.late = p.chain
		w.putPart(plain.b[start:p.end])
		start = p.end
	}
	w.late = l.out
}

func (w *FrameWriter) putPart(part []byte) {
	if w.late == nil {
		w.endMessage()
		w.out.chunk = append(w.out.chunk, part...)
		w.message = len(w.out.chunk)
		return
	}
	for len(part) > 0 {
		n := frameLen(part)
		w.put(part[:n])
		part = part[n:]
	}
}

// appendLate appends a frame through the connection's own coders.
func (w *FrameWriter) appendLate(frame []byte) {
	coded, err := w.late.encode(context.Background(), frame)
	if err != nil {
		w.fail(err)
		return
	}
	defer coded.free()
	w.out.chunk = append(w.out.chunk, coded.b...)
}

// neverCoded says that a frame is a ping or a pong.
func neverCoded(frame []byte) bool {
	command := wire.Cmd(frame[5]).Command()
	return frame[4] == 0 && (command == wire.Ping || command == wire.Pong)
}
