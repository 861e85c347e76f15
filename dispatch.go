package arpc

import (
	"bytes"

	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

func (c *conn) dispatchAll(d *wire.Decoder) error {
	c.out.afterRead()
	for {
		f, ok, err := d.Next()
		if err != nil || !ok {
			return err
		}
		c.life.heardFrame()
		if c.session().coding != nil {
			err = c.takeCoded(&f)
		} else {
			err = c.take(&f)
		}
		if err != nil {
			return err
		}
	}
}

// take takes one frame of a peer, which may be a stranger.
func (c *conn) take(f *wire.Frame) error {
	switch {
	case !c.admitted.Load():
		return c.dispatchStrange(f)
	case !c.introduced && string(f.Method) != methodHello:
		c.introduce()
	}
	return c.dispatch(f)
}

// dispatch takes one frame to where it belongs. An error ends the connection.
func (c *conn) dispatch(f *wire.Frame) error {
	if f.Coders != 0 {
		return &wire.FrameError{Reason: wire.CoderUnknown, Got: uint64(f.Coders)}
	}
	s := c.session()
	if !s.kinds.Load() && f.Flags.Kind() != wire.Unknown {
		s.kinds.Store(true)
	}
	if s.lasting.Load() != nil {
		c.count(s, f)
	}
	switch f.Cmd.Command() {
	case wire.Request, wire.Notify:
		return c.receive(f)
	case wire.Response:
		a := newAnswer(f)
		if seq := c.helloSeq.Load(); seq != 0 && f.Seq == seq {
			a.none = &absence{hello: c.greetedBack(a)} // before the next frame, which may need what was agreed
			c.helloSeq.Store(0)
		}
		if !s.client.pending.deliver(f.Seq, a) {
			c.handler.runMessage("session miss hook", c.handler.hooks.Load().sessionMiss, s.client,
				func() []byte { return bytes.Clone(f.Raw) })
			a.free()
			return nil
		}
		if f.Flags&wire.Outside != 0 { // in order with what comes behind it
			_, err := c.receiveExtension(f)
			return err
		}
	case wire.Ping:
		return c.pong(f)
	case wire.Stream:
		return s.receiveStream(f)
	case wire.Cancel:
		s.receiveCancel(f)
	case wire.Credit:
		return s.receiveCredit(f)
	case wire.Confirm:
		return c.receiveConfirm(f)
	}
	return nil // what is not known is from a later version
}

// receive takes a request or notify to its route.
func (c *conn) receive(f *wire.Frame) error {
	if f.Flags&wire.Outside != 0 && f.Cmd.Command() == wire.Notify && !c.pushed(f) {
		return nil
	}
	if bytes.HasPrefix(f.Method, protocolBytes) {
		return c.receiveProtocol(f)
	}
	if c.authenticate != nil && string(f.Method) == methodPassword && f.Cmd.Command() == wire.Request {
		return c.receivePassword(f)
	}
	return c.route(f)
}

// route hands a message to its handler, or to where it waits for it.
func (c *conn) route(f *wire.Frame) error {
	return c.routeTo(c.handler.router.Load().find(f.Method), f)
}

func (c *conn) routeTo(r *route, f *wire.Frame) error {
	s := c.session()
	if f.Cmd.Command() == wire.Request {
		s.unanswered.Add(1)
	}
	mode := r.modeOf(f.Cmd)
	if mode == Inline && c.out.full() {
		mode = Ordered // the reader does not wait for room
	}
	if mode == Inline {
		ctx := &Context{inline: true}
		ctx.begin(s, r, f, f.Body)
		ctx.run()
		return nil
	}
	return s.inbox.put(newContext(s, r, f), mode, c)
}

// control sends what RFC 6455 wants answered, as gorilla made it.
func (c *conn) control(frame []byte) error {
	if ws.IsClose(frame) {
		c.closeSent.Store(true)
	}
	return c.out.appendControl(frame, true)
}
