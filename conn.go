package arpc

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/quiet"
	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

// conn is one connection. It dies once and never comes back: a client that
// reconnects makes a new one, and what still refers to this one finds it dead.
// What two peers are in the middle of belongs to their session.
type conn struct {
	handler *Handler
	limits  *Limits                 // shared, never changed
	arrived time.Duration           // when it was accepted, before any upgrade, after epoch
	owner   atomic.Pointer[session] // the one it began with, or the one it takes up

	raw net.Conn  // what is written to, by the outbox alone
	in  io.Reader // what is read: raw, or the messages of ws
	ws  *ws.Conn  // nil if this is not a WebSocket

	frames *wire.Decoder
	plain  *quiet.Reader // reads raw into frames; nil where in has to be read
	hooks  *hooks        // of when it began
	out    outbox
	life   *keepalive

	closeSent    atomic.Bool      // gorilla made a close frame: there is to be no second one
	greeted      atomic.Bool      // hello was said
	helloSeq     atomic.Uint64    // of the hello that waits for its answer; 0 is no seq of ours
	authenticate AuthenticateFunc // nil where nobody has to say who it is
	admitted     atomic.Bool      // nobody has to say who it is, or the peer did
	refreshing   atomic.Bool      // a token is being looked at
	strange      int32            // frames before admission, counted by the reader
	introduced   bool             // the session is, as the reader knows
	refused      bool             // it was to take a session up, and that was refused; owned by the reader
	patient      bool             // waits for bytes until the connection is silent
	half         bool             // guarded by mu: nothing is sent any more, or nothing read

	goroutines sync.WaitGroup // the reader and the flusher; none starts after outbox.fail
	gone       signal         // the connection is dead
	ended      signal         // and nothing of it runs any more

	mu          sync.Mutex
	cause       error // why it ends; the first cause is kept
	opened      bool  // it was the client's
	leaving     bool  // the peer or Restart wants us to go: nothing new is sent
	closing     bool  // nothing more is sent
	dead        bool
	spent       atomic.Bool   // closing or leaving, for those who have no time for mu
	redialAfter time.Duration // how long the peer wants us to stay away
	linger      *linger       // once it is to end
}

func newConn(c *Client, h *Handler, nc net.Conn) *conn {
	s := newSession(c, h)
	cn := &conn{handler: h, limits: s.limits, raw: nc, in: nc}
	cn.owner.Store(s)
	cn.out.conn = cn
	cn.out.late = newLateCoders(s.coding)
	cn.life = &keepalive{conn: cn}
	if w, ok := nc.(*ws.Conn); ok {
		cn.ws, cn.raw = w, w.NetConn()
		w.Attach(cn.control, cn.out.beforeRead)
	}
	cn.out.raw = newRawWriter(cn.raw)
	all := h.hooks.Load()
	cn.hooks = all
	s.body = int32(min(cn.maxBody(), math.MaxInt32))
	cn.frames = wire.NewDecoder(cn.maxBody())
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
	cn.introduced = !c.accepted() // whoever dials says when it is
	s.now.Store(cn)
	return cn
}

// session is whose connection this is. It changes once at most, when hello says
// that the connection takes up another one.
func (c *conn) session() *session { return c.owner.Load() }

func (c *conn) client() *Client { return c.session().client }

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
		c.session().rest()
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
	c.session().publish()
	c.shut(err)
	if c.closeHalf() { // everything was sent, and the peer has closed
		c.die(nil)
	}
	<-c.gone.wait()
	c.life.stop()
	c.stopLinger()
	left := c.out.left()
	c.goroutines.Wait()
	s, cause := c.session(), c.err()
	if s.park(c, cause, left) {
		return
	}
	s.finish(c, cause, left)
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
		c.session().publish()
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
