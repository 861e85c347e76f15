package arpc

import (
	"context"
	"errors"
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// send puts a frame into the outbox, and waits for room as long as the options
// say. It returns the position of the frame's end in what the connection sends.
func (c *conn) send(h wire.Header, method string, body []byte, o sendOptions) (end uint64, err error) {
	if c.helloSeq.Load() != 0 && counted(h) {
		h.Flags |= wire.Outside // the session begins with the answer: the server counts from there
	}
	if ch := c.session().coders(); ch != nil {
		return c.sendCoded(ch, h, method, body, o)
	}
	p, err := c.out.append(h, method, body, o.onReader)
	for errors.Is(err, errFull) {
		if err = c.awaitRoom(p.room, o); err != nil {
			c.overstock(err, func() []byte { return wire.Append(nil, h, method, body) })
			return 0, err
		}
		p, err = c.out.append(h, method, body, false)
	}
	c.flush(p, o)
	return p.end, err
}

// sendEncoded is send for a frame that is encoded already, and never changes.
func (c *conn) sendEncoded(frame []byte, o sendOptions) (end uint64, err error) {
	onWire := frame
	if ch := c.session().coders(); ch != nil {
		if onWire, err = ch.share(frame); err != nil {
			return 0, c.uncodable(err)
		}
	}
	return c.sendBytes(onWire, countedFrame(frame), o, func() []byte { return frame })
}

// sendBytes is send for the bytes of a frame as they go on the wire.
func (c *conn) sendBytes(onWire []byte, counted bool, o sendOptions, frame func() []byte) (end uint64, err error) {
	p, err := c.out.appendEncoded(onWire, counted, o.onReader)
	for errors.Is(err, errFull) {
		if err = c.awaitRoom(p.room, o); err != nil {
			c.overstock(err, frame)
			return 0, err
		}
		p, err = c.out.appendEncoded(onWire, counted, false)
	}
	c.flush(p, o)
	return p.end, err
}

// flush does what the sender of a frame has to do for it to leave.
func (c *conn) flush(p place, o sendOptions) {
	switch {
	case !p.flush:
	case o.onReader, o.alone:
		c.out.flush()
	default:
		c.out.flushWithOthers()
	}
}

// overstock tells that a message was refused, if that is why.
func (c *conn) overstock(err error, frame func() []byte) {
	if errors.Is(err, ErrOverstock) {
		c.handler.runMessage("overstock hook", c.handler.hooks.Load().overstock, c.client(), frame)
	}
}

// sendOptions say how a sender waits for room in the outbox.
type sendOptions struct {
	timeout  time.Duration   // at most so long; zero does not wait
	done     <-chan struct{} // and not after this is closed
	ctx      context.Context // what it is sent with; nil if with none
	alone    bool            // no other call is under way whose frame could leave with this one
	onReader bool            // never waits for room, and leaves the flushing to the reader if it is at work
}

func (c *conn) awaitRoom(room <-chan struct{}, o sendOptions) error {
	if o.timeout <= 0 {
		return ErrOverstock
	}
	var expired <-chan time.Time
	if o.timeout < TimeForever {
		timer := time.NewTimer(o.timeout)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-room:
		return nil
	case <-o.done:
		return ErrOverstock
	case <-expired:
		return ErrOverstock
	case <-c.gone.wait():
		return ErrDisconnected.withSent(false, c.err())
	}
}
