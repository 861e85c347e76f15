package arpc

import (
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

func (c *conn) log() *slog.Logger { return c.handler.Logger() }

// logPanic tells of a panic in code of the application.
func (c *conn) logPanic(what, method string, v any) {
	c.log().Error("arpc: "+what+" panicked", "method", method, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
}
