package arpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-fbfaa03e/arpc/codec"
	"github.com/seed-fbfaa03e/arpc/internal/quiet"
	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

// conn is one connection. It dies once and never comes back: a client that
// reconnects makes a new one, and what still refers to this one finds it dead.
type conn struct {
	client  *Client
	handler *Handler
	codec   codec.Codec
	limits  *Limits // shared, never changed

	raw net.Conn  // what is written to, by the outbox alone
	in  io.Reader // what is read: raw, or the messages of ws
	ws  *ws.Conn  // nil if this is not a WebSocket

	frames     *wire.Decoder
	coding     *coding       // nil where there are no coders
	plain      *quiet.Reader // reads raw into frames; nil where in has to be read
	hooks      *hooks        // of when it began
	out        outbox
	inbox      inbox
	unanswered atomic.Int64 // requests of the peer without an answer
	streams    streams
	life       keepalive
	kinds      atomic.Bool // the peer sends the kind of its bodies, so it reads ours

	agreed       atomic.Uint32    // capabilities, once hello was answered
	closeSent    atomic.Bool      // gorilla made a close frame: there is to be no second one
	greeted      atomic.Bool      // hello was said
	helloSeq     atomic.Uint64    // of the hello that waits for its answer; 0 is no seq of ours
	peerBody     atomic.Int64     // largest body the peer takes, 0 if it did not say
	authenticate AuthenticateFunc // nil where nobody has to say who it is
	admitted     atomic.Bool      // nobody has to say who it is, or the peer did
	refreshing   atomic.Bool      // a token is being looked at
	strange      int32            // frames before admission, counted by the reader
	patient      bool             // waits for bytes until the connection is silent

	goroutines sync.WaitGroup // the reader and the flusher; none starts after outbox.fail
	gone       signal         // the connection is dead
	ended      signal         // and nothing of it runs any more

	mu          sync.Mutex
	ctx         context.Context // ends when the connection is dead; made when it is first asked for
	cancel      context.CancelCauseFunc
	cause       error // why it ends; the first cause is kept
	opened      bool  // it was the client's
	leaving     bool  // the peer asked us to go: nothing new is sent
	closing     bool  // nothing more is sent
	dead        bool
	spent       atomic.Bool   // closing or leaving, for those who have no time for mu
	redialAfter time.Duration // how long the peer wants us to stay away
	linger      *linger       // once it is to end
}

func newConn(c *Client, h *Handler, nc net.Conn) *conn {
	cn := &conn{
		client:  c,
		handler: h,
		codec:   h.Codec(),
		limits:  h.limits.Load(),
		raw:     nc,
		in:      nc,
	}
	cn.out.conn = cn
	cn.inbox.conn = cn
	cn.streams.conn = cn
	cn.life.conn = cn
	if w, ok := nc.(*ws.Conn); ok {
		cn.ws, cn.raw = w, w.NetConn()
		w.Attach(cn.control, cn.out.beforeRead)
	}
	cn.out.raw = newRawWriter(cn.raw)
	all := h.hooks.Load()
	cn.hooks = all
	cn.frames = wire.NewDecoder(cn.maxBody())
	if !c.detached {
		cn.coding = newCoding(h)
	}
	cn.limitFrames(cn.maxBody())
	switch {
	case all.wrapReader != nil: // it may hold what it has read
		cn.in = all.wrapReader(nc)
	case cn.ws == nil:
		cn.plain = quiet.NewReader(cn.raw, cn.frames)
	}
	// A hook may set the read deadline, which the waiting for silence needs.
	cn.patient = all.wrapReader == nil && len(all.beforeRecv) == 0
	if c.accepted() {
		cn.authenticate = h.authenticator()
	}
	cn.admitted.Store(cn.authenticate == nil)
	return cn
}

// maxBody is the most bytes of a frame's method and body that are taken.
func (c *conn) maxBody() int {
	if c.ws != nil {
		return c.limits.WebSocketBody
	}
	return c.limits.Body
}

// start begins to read.
func (c *conn) start() {
	c.handler.workers.open()
	c.life.start()
	go func() {
		if err := c.guard(c.greetStranger); err != nil {
			c.over(err)
			return
		}
		c.readLoop()
	}()
}

// readLoop reads until the connection ends. When it is silent for a while it
// gives up what it can, and goes on as a new goroutine, because stacks grow and
// hardly ever shrink.
func (c *conn) readLoop() {
	err := c.guard(c.read)
	if errors.Is(err, quiet.ErrSilent) {
		c.inbox.rest()
		c.out.rest()
		go c.readLoop()
		return
	}
	c.over(err)
}

// over sees to the end of a connection that is not read any more, on the
// goroutine that read it. The client is told when nothing of it runs any more
// but handlers.
func (c *conn) over(err error) {
	defer c.ended.happens()
	c.shut(err)
	<-c.gone.wait()
	c.life.stop()
	c.stopLinger()
	left := c.out.left()
	c.goroutines.Wait()
	cause := c.err()
	c.client.pending.fail(cause, left)
	c.streams.close(cause)
	c.client.lost(c, cause)
	c.handler.workers.close()
}

// guard keeps a fault of the engine from leaving a connection half dead.
func (c *conn) guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("reader panicked: %v", v)
			c.log().Error("arpc: reader panicked", "panic", fmt.Sprint(v))
		}
	}()
	return f()
}

// read reads frames and dispatches them, until the connection ends or is silent.
// Before the socket is read everything that was answered meanwhile is flushed at
// once; on a WebSocket that happens below, through Attach.
func (c *conn) read() error {
	for {
		if c.ws == nil {
			c.out.beforeRead()
		}
		if err := runEach(c.hooks.beforeRecv, c.raw); err != nil {
			return fmt.Errorf("before receiving: %w", err)
		}
		n, err := c.readBytes()
		if errors.Is(err, quiet.ErrSilent) {
			return err
		}
		c.frames.Advance(n)
		c.life.heardBytes(n)
		if err := c.dispatchAll(c.frames); err != nil {
			return err
		}
		if err != nil {
			return err
		}
	}
}

// readBytes waits for bytes, where it can without memory to put them in.
func (c *conn) readBytes() (int, error) {
	switch {
	case c.plain != nil && c.patient:
		return c.plain.Await()
	case c.plain != nil:
		return c.plain.Read()
	}
	if c.ws != nil && c.patient && !c.ws.Ready() {
		c.frames.Release()
		if err := c.ws.Await(); err != nil {
			return 0, err
		}
	}
	return c.in.Read(c.frames.Buffer())
}

func (c *conn) dispatchAll(d *wire.Decoder) error {
	c.out.afterRead()
	for {
		f, ok, err := d.Next()
		if err != nil || !ok {
			return err
		}
		c.life.heardFrame()
		if c.coding != nil {
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
	if !c.admitted.Load() {
		return c.dispatchStrange(f)
	}
	return c.dispatch(f)
}

// dispatch takes one frame to where it belongs. An error ends the connection.
func (c *conn) dispatch(f *wire.Frame) error {
	if f.Coders != 0 {
		return &wire.FrameError{Reason: wire.CoderUnknown, Got: uint64(f.Coders)}
	}
	if !c.kinds.Load() && f.Flags.Kind() != wire.Unknown {
		c.kinds.Store(true)
	}
	switch f.Cmd.Command() {
	case wire.Request, wire.Notify:
		return c.receive(f)
	case wire.Response:
		a := newAnswer(f)
		if seq := c.helloSeq.Load(); seq != 0 && f.Seq == seq {
			c.helloSeq.Store(0)
			a.hello = c.greetedBack(a) // before the next frame, which may need what was agreed
		}
		if !c.client.pending.deliver(f.Seq, a) {
			c.handler.runMessage("session miss hook", c.handler.hooks.Load().sessionMiss, c.client,
				func() []byte { return bytes.Clone(f.Raw) })
			a.free()
		}
		if f.Flags&wire.Outside != 0 { // in order with what comes behind it
			_, err := c.receiveExtension(f)
			return err
		}
	case wire.Ping:
		return c.out.appendControl(wire.Header{Cmd: wire.Pong, Seq: f.Seq}.Append(nil), false)
	case wire.Stream:
		return c.receiveStream(f)
	case wire.Cancel:
		c.receiveCancel(f)
	case wire.Credit:
		return c.receiveCredit(f)
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
	if f.Cmd.Command() == wire.Request {
		c.unanswered.Add(1)
	}
	mode := r.modeOf(f.Cmd)
	if mode == Inline && c.out.full() {
		mode = Ordered // the reader does not wait for room
	}
	if mode == Inline {
		ctx := &Context{inline: true}
		ctx.begin(c, r, f, f.Body)
		ctx.run()
		return nil
	}
	return c.inbox.put(newContext(c, r, f), mode)
}

// control sends what RFC 6455 wants answered, as gorilla made it.
func (c *conn) control(frame []byte) error {
	if ws.IsClose(frame) {
		c.closeSent.Store(true)
	}
	return c.out.appendControl(frame, true)
}

// send puts a frame into the outbox, and waits for room as long as the options
// say. It returns the position of the frame's end in what the connection sends.
func (c *conn) send(h wire.Header, method string, body []byte, o sendOptions) (end uint64, err error) {
	if ch := c.coders(); ch != nil {
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
	if ch := c.coders(); ch != nil {
		if onWire, err = ch.share(frame); err != nil {
			return 0, c.uncodable(err)
		}
	}
	return c.sendBytes(onWire, o, func() []byte { return frame })
}

// sendBytes is send for the bytes of a frame as they go on the wire.
func (c *conn) sendBytes(onWire []byte, o sendOptions, frame func() []byte) (end uint64, err error) {
	p, err := c.out.appendEncoded(onWire, o.onReader)
	for errors.Is(err, errFull) {
		if err = c.awaitRoom(p.room, o); err != nil {
			c.overstock(err, frame)
			return 0, err
		}
		p, err = c.out.appendEncoded(onWire, false)
	}
	c.flush(p, o)
	return p.end, err
}

// flush does what the sender of a frame has to do for it to leave.
func (c *conn) flush(p place, o sendOptions) {
	switch {
	case !p.flush:
	case o.onReader:
		c.out.flush()
	default:
		c.out.flushWithOthers()
	}
}

// overstock tells that a message was refused, if that is why.
func (c *conn) overstock(err error, frame func() []byte) {
	if errors.Is(err, ErrOverstock) {
		c.handler.runMessage("overstock hook", c.handler.hooks.Load().overstock, c.client, frame)
	}
}

// sendOptions say how a sender waits for room in the outbox.
type sendOptions struct {
	timeout  time.Duration   // at most so long; zero does not wait
	done     <-chan struct{} // and not after this is closed
	ctx      context.Context // what it is sent with; nil if with none
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
		return c.err()
	}
}

// err is why the connection ended, or ErrDisconnected.
func (c *conn) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.errLocked()
}

func (c *conn) errLocked() error {
	if c.cause != nil {
		return c.cause
	}
	return ErrDisconnected
}

// usable reports whether the connection still takes what is sent.
func (c *conn) usable() bool { return !c.spent.Load() }

// open makes a dialed connection the client's, unless it is over already.
func (c *conn) open() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened = !c.closing
	c.useBaseCoders() // unless hello was answered
	return c.opened
}

func (c *conn) wasOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opened
}

// die ends the connection at once. The first cause is kept.
func (c *conn) die(cause error) {
	c.mu.Lock()
	again := c.dead
	c.dead, c.closing = true, true
	c.spent.Store(true)
	if c.cause == nil {
		c.cause = cause
	}
	c.mu.Unlock()
	if again {
		return
	}
	err := c.err()
	c.out.fail(err)
	c.inbox.close() // before handlers end: what waits for them does not run any more
	c.gone.happens()
	c.endContext(err)
	c.raw.Close()
}

// context ends when the connection is dead.
func (c *conn) context() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithCancelCause(context.Background())
		if c.gone.happened() {
			c.cancel(c.errLocked())
		}
	}
	return c.ctx
}

// endContext is called when the connection is gone.
func (c *conn) endContext(err error) {
	c.mu.Lock()
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel(err)
	}
}

// finish ends a connection of which everything left, or had its time to.
func (c *conn) finish() { c.die(nil) }

// closeLinger is how long a connection that ends waits for its last bytes to move.
const closeLinger = time.Second

// shut ends the connection after what was sent has left, and tells the peer
// why where the transport has words for it. It does not wait. A peer that reads
// slowly has as long as a write may be stuck.
func (c *conn) shut(cause error) { c.shutWithin(cause, c.limits.Write) }

// shutWithin is shut with a limit of its own.
func (c *conn) shutWithin(cause error, limit time.Duration) {
	c.mu.Lock()
	again := c.closing
	c.closing = true
	c.spent.Store(true)
	if c.cause == nil {
		c.cause = cause
	}
	if !again {
		c.linger = &linger{moved: c.out.moved.Load(), until: time.Now().Add(limit)}
		c.linger.timer = time.AfterFunc(min(closeLinger, limit), c.lingerOn)
	}
	c.mu.Unlock()
	if !again {
		c.out.close(c.lastWords(cause))
	}
}

// linger watches over the last bytes of a connection.
type linger struct {
	timer *time.Timer // looks whether they move
	moved uint64      // bytes that had left when it last looked
	until time.Time
}

// lingerOn ends a connection whose last bytes do not move any more, or for too long.
func (c *conn) lingerOn() {
	c.mu.Lock()
	moved := c.out.moved.Load()
	left := time.Until(c.linger.until)
	on := moved > c.linger.moved && left > 0 && !c.dead
	c.linger.moved = moved
	if on {
		c.linger.timer.Reset(min(closeLinger, left))
	}
	c.mu.Unlock()
	if !on {
		c.finish()
	}
}

func (c *conn) stopLinger() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.linger != nil {
		c.linger.timer.Stop()
	}
}

// lastWords is the WebSocket close frame for the end of a connection, unless
// there was one, or nobody is there to read it.
func (c *conn) lastWords(cause error) []byte {
	if c.ws == nil || c.closeSent.Load() || errors.Is(cause, io.EOF) {
		return nil
	}
	code, reason := closeWords(cause)
	return c.ws.AppendClose(nil, code, reason)
}

// closeWords are the WebSocket close code and reason for the end of a
// connection. A cause that has no words for the peer stays with us.
func closeWords(cause error) (code int, reason string) {
	var closing *ws.CloseError
	var bad *wire.FrameError
	var coded *Error
	switch {
	case errors.Is(cause, ErrStopped), errors.Is(cause, errGoaway), errors.Is(cause, errRestart):
		return ws.CloseNormal, ""
	case errors.Is(cause, errDraining):
		return ws.CloseGoingAway, errDraining.Message
	case errors.As(cause, &closing):
		return closing.Code, closing.Reason
	case errors.As(cause, &bad) && bad.Reason == wire.BodyTooLong:
		return ws.CloseTooBig, bad.Error()
	case errors.As(cause, &bad):
		return ws.CloseProtocol, bad.Error()
	case errors.As(cause, &coded):
		return ws.ClosePolicy, coded.Message
	}
	return ws.CloseInternal, ""
}

func (c *conn) log() *slog.Logger { return c.handler.Logger() }

// logPanic tells of a panic in code of the application.
func (c *conn) logPanic(what, method string, v any) {
	c.log().Error("arpc: "+what+" panicked", "method", method, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
}
