package arpc

// kept is what an outbox gives to the journal of its session, and the numbers that
// the session gave to the last frame that was appended, to the last of the chunk,
// and to the last before the chunk. It is guarded by outbox.mu.
type kept struct {
	journal                 *journal
	appended, taken, before uint64
}

func (k *kept) add(frame []byte) uint64 {
	k.appended = k.journal.add(frame)
	return k.appended
}

// take is called when what was appended becomes the chunk.
func (k *kept) take() {
	if k != nil {
		k.before, k.taken = k.taken, k.appended
	}
}

// left is the number of the last frame that may have left: of the chunk, if begun
// says that something of it did.
func (k *kept) left(begun bool) uint64 {
	switch {
	case k == nil:
		return 0
	case begun:
		return k.taken
	}
	return k.before
}

// placeLocked takes the frame at buf[start:], which the journal keeps too if the
// session counts it, and returns its number.
func (o *outbox) placeLocked(start int, counted bool) (number uint64) {
	if !counted || o.kept == nil {
		return o.wrapLocked(start)
	}
	number = o.kept.add(o.buf[start:])
	o.wrapLocked(start)
	return number
}

// serve makes this the outbox of what hello came to. Behind the answer, which is
// empty on the side that asked, and what the peer is missing, the journal of a
// session that lasts keeps what counts. begun runs before anybody else can append.
func (o *outbox) serve(answer []byte, batch bool, j *journal, received uint64, begun func()) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.admitReaderLocked(); err != nil {
		return err
	}
	if len(answer) > 0 {
		start := len(o.buf)
		o.buf = append(o.buf, answer...)
		o.wrapLocked(start)
	}
	o.batchLocked(batch)
	if o.late != nil {
		o.codeLateLocked(o.late.agreed)
	}
	if j == nil {
		return nil
	}
	last := j.replay(received, func(frames []byte) {
		o.replayLocked(frames)
		begun()
	})
	o.kept = &kept{journal: j, appended: last}
	return nil
}

// replayLocked appends frames that were sent before. They have their number, and
// the bounds of the send queue are not for them.
func (o *outbox) replayLocked(frames []byte) {
	for len(frames) > 0 {
		n := frameLen(frames)
		start := len(o.buf)
		o.buf = append(o.buf, frames[:n]...)
		o.inMessageLocked(start)
		frames = frames[n:]
	}
}

// detachLocked leaves what the session sends to its next connection.
func (o *outbox) detachLocked() {
	if o.kept != nil {
		o.kept.journal.detach()
	}
}

// left is the last frame of a connection of which the socket may have taken
// something: its number there, and that of the last that a session counts.
type left struct{ frame, counted uint64 }
