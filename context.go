package arpc

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// Context is one request or notify on its way through the handlers, and the
// way to answer it. It is a context.Context that ends with the connection.
//
// A Context may be kept and answered after the handler returned, from any
// goroutine; Write and Error are safe for concurrent use, and the first of
// them is the answer. Next and Abort belong to the chain and its goroutine.
type Context struct {
	// Client is the peer that sent the message.
	Client *Client

	conn   *conn
	route  *route
	method string
	body   []byte
	seq    uint64
	cmd    wire.Cmd
	flags  wire.Flags

	index    int  // of the chain; the handler at it runs or ran
	inline   bool // its handler runs on the reading goroutine
	answered atomic.Bool

	mu     sync.Mutex // guards what follows
	values map[any]any
	forgot runtime.Cleanup // answers when nobody can any more
}

var _ context.Context = (*Context)(nil)

// aborted is an index behind every chain, with room to count on.
const aborted = math.MaxInt / 2

// Method is the method of the message.
func (ctx *Context) Method() string { return ctx.method }

// Body is the body of the message as it arrived. It is not to be changed, and
// in an Inline handler not to be kept.
func (ctx *Context) Body() []byte { return ctx.body }

// Kind says what the body is; wire.Unknown if the peer did not say.
func (ctx *Context) Kind() wire.Kind { return ctx.flags.Kind() }

// Seq is the number that the sender gave the frame: a publication's offset in
// its topic, and of no meaning elsewhere.
func (ctx *Context) Seq() uint64 { return ctx.seq }

// Raw is the body with its kind. Writing it back is an exact echo.
func (ctx *Context) Raw() Raw { return Raw{Kind: ctx.Kind(), Data: ctx.body} }

// IsRequest reports whether the peer waits for an answer.
func (ctx *Context) IsRequest() bool { return ctx.cmd.Command() == wire.Request }

// Bind decodes the body into what v points to. A *string or *[]byte takes it
// as it is, a *Raw with its kind, all else is decoded by the codec.
func (ctx *Context) Bind(v any) error {
	if err := decodeValue(ctx.conn.codec, ctx.Kind(), ctx.body, v); err != nil {
		return &Error{Code: CodeInvalidArgument, Message: "the body is not what " + ctx.method + " takes", cause: err}
	}
	return nil
}

// Write answers the request with v: strings and bytes as themselves, a Raw as
// it is, nil as nothing, all else through the codec. It waits while the send
// queue is full, and returns an error if the request was answered before, is a
// notify, or if the connection is gone.
func (ctx *Context) Write(v any) error { return ctx.answer(v, 0) }

// Error answers the request with an error. The text of v, or the message of an
// *Error, is shown to the peer as it is.
func (ctx *Context) Error(v any) error { return ctx.answer(v, wire.Error) }

func (ctx *Context) answer(v any, flags wire.Flags) error {
	if !ctx.IsRequest() {
		return ErrNotRequest
	}
	if !ctx.answered.CompareAndSwap(false, true) {
		return ErrAnswered
	}
	ctx.notForgotten()
	buf := takeBuffer()
	defer buf.free()
	kind, err := ctx.encodeAnswer(buf, v, &flags)
	if err != nil {
		ctx.conn.log.Error("arpc: answer", "method", ctx.method, "error", err)
	}
	h := wire.Header{Cmd: wire.Response, Flags: flags | ctx.flags&wire.Async, Seq: ctx.seq}
	if flags&wire.Error == 0 && (ctx.Kind() != wire.Unknown || ctx.conn.kinds.Load()) {
		h.Flags = h.Flags.WithKind(kind)
	}
	_, sendErr := ctx.conn.send(h, ctx.method, buf.b, sendOptions{timeout: TimeForever, cork: ctx.inline})
	if err != nil {
		return err
	}
	return sendErr
}

// encodeAnswer puts the body of an answer into buf. What cannot be encoded or
// is over the limit becomes an error for the peer, so that it has its answer.
func (ctx *Context) encodeAnswer(buf *buffer, v any, flags *wire.Flags) (wire.Kind, error) {
	if text, ok := v.(fmt.Stringer); ok && *flags&wire.Error != 0 {
		if _, isError := v.(error); !isError {
			v = text.String()
		}
	}
	var kind wire.Kind
	var err error
	buf.b, kind, err = appendValue(buf.b, ctx.conn.codec, v)
	if err != nil {
		*flags |= wire.Error
		buf.b = append(buf.b[:0], errInternal.Message...)
		return 0, err
	}
	if limit := ctx.conn.maxBody; len(buf.b)+len(ctx.method) > limit {
		err = Errorf(CodeResourceExhausted, "answer of %d bytes, limit %d", len(buf.b), limit)
		*flags |= wire.Error
		buf.b = append(buf.b[:0], wireText(err)...)
		return 0, err
	}
	return kind, nil
}

// Next runs the rest of the chain and returns when it is done. A middleware
// that does something after the handler calls it; others need not.
func (ctx *Context) Next() {
	ctx.index++
	ctx.runChain()
}

// Abort ends the chain: what comes behind the function that calls it does not run.
func (ctx *Context) Abort() { ctx.index = aborted }

func (ctx *Context) runChain() {
	for ctx.index < len(ctx.route.chain) {
		ctx.route.chain[ctx.index](ctx)
		ctx.index++
	}
}

// run handles the message: it runs the chain, turns a panic into an answer, and
// sees to it that a request whose handler forgot it is answered all the same.
func (ctx *Context) run() {
	defer ctx.recovered()
	ctx.runChain()
	ctx.answerIfForgotten()
}

func (ctx *Context) recovered() {
	v := recover()
	if v == nil {
		return
	}
	ctx.conn.log.Error("arpc: handler panicked", "method", ctx.method, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	if ctx.IsRequest() && !ctx.answered.Load() {
		_ = ctx.Error(errInternal) // the connection may be gone too
	}
}

// forgotten is what is left of a request to answer it with.
type forgotten struct {
	conn   *conn
	method string
	flags  wire.Flags
	seq    uint64
}

// answerIfForgotten answers with an error once nobody can answer any more,
// because nothing refers to the Context. The common path never comes here.
func (ctx *Context) answerIfForgotten() {
	if !ctx.IsRequest() || ctx.answered.Load() {
		return
	}
	ctx.mu.Lock()
	defer ctx.mu.Unlock()
	if ctx.answered.Load() {
		return
	}
	ctx.forgot = runtime.AddCleanup(ctx, func(f forgotten) {
		f.conn.log.Error("arpc: handler never answered", "method", f.method)
		h := wire.Header{Cmd: wire.Response, Flags: f.flags&wire.Async | wire.Error, Seq: f.seq}
		_, _ = f.conn.send(h, f.method, []byte(errInternal.Message), sendOptions{})
	}, forgotten{ctx.conn, ctx.method, ctx.flags, ctx.seq})
}

func (ctx *Context) notForgotten() {
	ctx.mu.Lock()
	defer ctx.mu.Unlock()
	ctx.forgot.Stop()
}

// Set keeps a value for the rest of the chain, for Get and Value.
func (ctx *Context) Set(key, value any) {
	ctx.mu.Lock()
	defer ctx.mu.Unlock()
	if ctx.values == nil {
		ctx.values = map[any]any{}
	}
	ctx.values[key] = value
}

// Get returns a value that was Set.
func (ctx *Context) Get(key any) (any, bool) {
	ctx.mu.Lock()
	defer ctx.mu.Unlock()
	v, ok := ctx.values[key]
	return v, ok
}

// Deadline implements context.Context; a request does not carry one.
func (ctx *Context) Deadline() (time.Time, bool) { return ctx.conn.ctx.Deadline() }

// Done implements context.Context; it is closed when the connection ends.
func (ctx *Context) Done() <-chan struct{} { return ctx.conn.ctx.Done() }

// Err implements context.Context.
func (ctx *Context) Err() error { return ctx.conn.ctx.Err() }

// Value implements context.Context; it finds what was Set.
func (ctx *Context) Value(key any) any {
	if v, ok := ctx.Get(key); ok {
		return v
	}
	return ctx.conn.ctx.Value(key)
}
