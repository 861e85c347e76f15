package arpc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// Context is one request or notify on its way through the handlers, and the
// way to answer it. It is a context.Context that ends when the request was
// answered, when the caller gave up, and with the session.
//
// A Context may be kept and answered after the handler returned, from any
// goroutine; Write and Error are safe for concurrent use, and the first of
// them is the answer. Next and Abort belong to the chain and its goroutine.
type Context struct {
	// Client is the peer that sent the message.
	Client *Client

	session *session
	route   *route
	method  string
	body    []byte
	loan    *loan // what body is in; nil if it is the Context's for good
	seq     uint64
	cmd     wire.Cmd
	flags   wire.Flags
	inline  bool   // its handler runs on the reading goroutine
	turn    uint32 // of the session, when the message came

	index    int32        // of the chain; the handler at it runs or ran
	holds    atomic.Int32 // of the loan; when nobody has one it is given back
	answered atomic.Bool
	canceled atomic.Bool             // the caller gave up
	watchers atomic.Pointer[watcher] // of the answer

	mu   sync.Mutex // guards what follows
	rare *rare      // nil until any of it is needed
}

// rare is what most requests do without.
type rare struct {
	values map[any]any
	forgot runtime.Cleanup // answers when nobody can any more
	life   context.Context // nil until it is asked for
	end    context.CancelCauseFunc
}

// rareLocked makes room for what is rare.
func (ctx *Context) rareLocked() *rare {
	if ctx.rare == nil {
		ctx.rare = &rare{}
	}
	return ctx.rare
}

// small is the size of bodies that are in one piece of memory with their Context.
const small = 80

// newContext is the Context of a message that outlives its frame.
func newContext(s *session, r *route, f *wire.Frame) *Context {
	switch n := len(f.Body); {
	case n > small && n <= longestLoan && r.request != nil:
		l := takeLoan(n)
		ctx := &Context{loan: l}
		ctx.begin(s, r, f, l.memory[:copy(l.memory, f.Body):n])
		return ctx
	case n > small:
		ctx := &Context{}
		ctx.begin(s, r, f, bytes.Clone(f.Body))
		return ctx
	}
	whole := &struct {
		Context
		body [small]byte
	}{}
	n := copy(whole.body[:], f.Body)
	whole.begin(s, r, f, whole.body[:n:n])
	return &whole.Context
}

func (ctx *Context) begin(s *session, r *route, f *wire.Frame, body []byte) {
	ctx.Client, ctx.session, ctx.route, ctx.method = s.client, s, r, r.method
	ctx.seq, ctx.cmd, ctx.flags, ctx.body = f.Seq, f.Cmd, f.Flags, body
	ctx.turn = s.turn.Load()
	if r.request != nil && !ctx.inline {
		ctx.lend()
	}
	if s.coding != nil {
		s.coding.hand(ctx)
	}
	if r.method == "" { // the route of all that have none
		ctx.method = string(f.Method)
	}
}

// contextKey finds the Context in a context that was derived from it.
type contextKey struct{}

var _ context.Context = (*Context)(nil)

// aborted is an index behind every chain, with room to count on.
const aborted = math.MaxInt32 / 2

// Method is the method of the message.
func (ctx *Context) Method() string { return ctx.method }

// Body is the body of the message as it arrived. It is not to be changed, and
// in an Inline handler not to be kept. Who first asks for that of a message to a typed
// handler when the handler has returned, and a request was answered, gets nil.
func (ctx *Context) Body() []byte {
	if !ctx.hold() { // for good
		return nil
	}
	return ctx.body
}

// BodyLen is the length of the body in bytes.
func (ctx *Context) BodyLen() int { return len(ctx.body) }

// Kind says what the body is; wire.Unknown if the peer did not say.
func (ctx *Context) Kind() wire.Kind { return ctx.flags.Kind() }

// frame is the message as it came.
func (ctx *Context) frame() []byte {
	return wire.Append(nil, wire.Header{Cmd: ctx.cmd, Flags: ctx.flags, Seq: ctx.seq}, ctx.method, ctx.body)
}

// Seq is the number that the sender gave the frame: a publication's offset in
// its topic, and of no meaning elsewhere.
func (ctx *Context) Seq() uint64 { return ctx.seq }

// Raw is the body with its kind, for as long as Body is the body. Writing it back is
// an exact echo.
func (ctx *Context) Raw() Raw { return Raw{Kind: ctx.Kind(), Data: ctx.Body()} }

// IsRequest reports whether the peer waits for an answer.
func (ctx *Context) IsRequest() bool { return ctx.cmd.Command() == wire.Request }

// Bind decodes the body into what v points to. A *string or *[]byte takes it
// as it is, a *Raw with its kind, all else is decoded by the codec.
func (ctx *Context) Bind(v any) error {
	if !ctx.hold() {
		return Errorf(CodeFailedPrecondition, "bind %q: its handler has returned and it was answered", ctx.method)
	}
	defer ctx.letGo()
	if err := decodeValue(ctx.codec(), ctx.Kind(), ctx.body, v); err != nil {
		return &Error{Code: CodeInvalidArgument, Message: "the body is not what " + ctx.method + " takes", cause: err}
	}
	return nil
}

// Write answers the request with v: strings and bytes as themselves, a Raw as
// it is, nil as nothing, all else through the codec. It waits while the send
// queue is full, and returns an error if the request was answered before, is a
// notify, or if the session is over.
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
	defer ctx.settled() // when the answer is on its way: a drain waits for that
	b, err := ctx.encodeAnswer(v, &flags)
	defer b.free()
	if err != nil {
		ctx.session.log().Error("arpc: answer", "method", ctx.method, "error", err)
	}
	h := wire.Header{Cmd: wire.Response, Flags: flags | ctx.flags&(wire.Async|wire.Outside), Seq: ctx.seq}
	if flags&wire.Error == 0 && (ctx.Kind() != wire.Unknown || ctx.session.kinds.Load()) {
		h.Flags = h.Flags.WithKind(b.kind)
	}
	o := sendOptions{timeout: TimeForever, onReader: ctx.inline, alone: ctx.session.unanswered.Load() == 1}
	sendErr := ctx.belongs()
	if sendErr == nil {
		_, sendErr = ctx.session.send(h, ctx.method, b.b, o)
	}
	ctx.tellAnswered(v, flags, err)
	if err != nil {
		return err
	}
	return sendErr
}

// belongs is an error for what was asked outside of the session on a connection
// that is gone: on the next one the answer would be that of another request.
func (ctx *Context) belongs() error {
	if ctx.flags&wire.Outside != 0 && ctx.turn != ctx.session.turn.Load() {
		return ErrDisconnected.withSent(false, nil)
	}
	return nil
}

// encodeAnswer makes the body of an answer. What cannot be encoded or is over
// the limit becomes an error for the peer, so that it has its answer.
func (ctx *Context) encodeAnswer(v any, flags *wire.Flags) (body, error) {
	if *flags&wire.Error != 0 {
		return ctx.session.encodeError(asError(v), flags), nil
	}
	b, err := ctx.encodeBody(v)
	refusal := errInternal
	if limit := ctx.session.maxBody(); err == nil && len(b.b)+len(ctx.method) > limit {
		refusal = Errorf(CodeResourceExhausted, "answer of %d bytes, limit %d", len(b.b), limit)
		err = refusal
	}
	if err != nil {
		b.free()
		*flags |= wire.Error
		return ctx.session.encodeError(refusal, flags), err
	}
	return b, nil
}

// encodeBody is encode in which a codec that panics fails.
func (ctx *Context) encodeBody(v any) (b body, err error) {
	if b, ok := asIs(v); ok {
		return b, nil
	}
	defer func() {
		if p := recover(); p != nil {
			ctx.session.logPanic("codec", ctx.method, p)
			err = fmt.Errorf("encode %T: %v", v, p)
		}
	}()
	return encode(ctx.codec(), v)
}

// encodeError is the body of an error, and the flag that says what it is.
func (s *session) encodeError(err error, flags *wire.Flags) body {
	held := takeBuffer()
	*flags |= s.appendError(held, err)
	return body{b: held.b, held: held}
}

// asError is what a handler gave to Context.Error, as an error.
func asError(v any) error {
	switch v := v.(type) {
	case error:
		return v
	case string:
		return &Error{Code: CodeUnknown, Message: v}
	}
	return &Error{Code: CodeUnknown, Message: fmt.Sprint(v)}
}

// appendError appends the body of an error: with its code for peers that know
// codes, which the flag says, and its text for others.
func (s *session) appendError(buf *buffer, err error) wire.Flags {
	if !s.has(capErrors) {
		buf.b = append(buf.b, wireText(err)...)
		return 0
	}
	body, failure := json.Marshal(structured(err))
	if failure != nil { // strings and valid JSON always encode
		panic(failure)
	}
	buf.b = append(buf.b, body...)
	return wire.Structured
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
	for int(ctx.index) < len(ctx.route.chain) {
		ctx.route.chain[ctx.index](ctx)
		ctx.index++
	}
}

// run handles the message: it runs the chain, turns a panic into an answer, and
// sees to it that a request whose handler forgot it is answered all the same.
func (ctx *Context) run() {
	defer ctx.recovered()
	if ctx.canceled.Load() {
		_ = ctx.Error(errCanceled) // it waited in a queue, and nobody waits for it
		return
	}
	ctx.runChain()
	ctx.answerIfForgotten()
}

func (ctx *Context) recovered() {
	v := recover()
	if v == nil {
		return
	}
	ctx.session.logPanic("handler", ctx.method, v)
	if ctx.IsRequest() && !ctx.answered.Load() {
		_ = ctx.Error(errInternal) // the session may be over too
	}
}

// forgotten is what is left of a request to answer it with.
type forgotten struct {
	session *session
	method  string
	flags   wire.Flags
	seq     uint64
	end     context.CancelCauseFunc
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
	ctx.session.inbox.loosen(ctx)
	more := ctx.rareLocked()
	more.forgot = runtime.AddCleanup(ctx, func(f forgotten) {
		if f.end != nil {
			f.end(ErrAnswered)
		}
		if f.session.gone.happened() {
			return // nobody is there to be answered
		}
		f.session.log().Error("arpc: handler never answered", "method", f.method)
		buf := takeBuffer()
		defer buf.free()
		flags := f.flags&(wire.Async|wire.Outside) | wire.Error | f.session.appendError(buf, errInternal)
		f.session.inbox.answered(f.seq, nil)
		_, _ = f.session.send(wire.Header{Cmd: wire.Response, Flags: flags, Seq: f.seq}, f.method, buf.b, sendOptions{})
	}, forgotten{ctx.session, ctx.method, ctx.flags, ctx.seq, more.end})
}

// settled ends what hangs on a request that is being answered.
func (ctx *Context) settled() {
	defer ctx.letGo()
	ctx.session.inbox.answered(ctx.seq, ctx)
	ctx.mu.Lock()
	defer ctx.mu.Unlock()
	if ctx.rare == nil {
		return
	}
	ctx.rare.forgot.Stop()
	if ctx.rare.end != nil {
		ctx.rare.end(ErrAnswered)
	}
}

// cancel is called when the caller gave up.
func (ctx *Context) cancel() {
	ctx.mu.Lock()
	defer ctx.mu.Unlock()
	ctx.canceled.Store(true)
	if ctx.rare != nil && ctx.rare.end != nil {
		ctx.rare.end(errCanceled)
	}
}

// lifetime is the context behind the Context. Most handlers never ask for it.
func (ctx *Context) lifetime() context.Context {
	if !ctx.IsRequest() {
		return ctx.session.context() // nothing would end it before
	}
	ctx.mu.Lock()
	defer ctx.mu.Unlock()
	r := ctx.rareLocked()
	if r.life == nil {
		r.life, r.end = context.WithCancelCause(ctx.session.context())
	}
	switch {
	case ctx.canceled.Load():
		r.end(errCanceled)
	case ctx.answered.Load():
		r.end(ErrAnswered)
	}
	return r.life
}

// Set keeps a value for the rest of the chain, for Get and Value.
func (ctx *Context) Set(key, value any) {
	ctx.mu.Lock()
	defer ctx.mu.Unlock()
	r := ctx.rareLocked()
	if r.values == nil {
		r.values = map[any]any{}
	}
	r.values[key] = value
}

// Get returns a value that was Set.
func (ctx *Context) Get(key any) (any, bool) {
	ctx.mu.Lock()
	defer ctx.mu.Unlock()
	if ctx.rare == nil {
		return nil, false
	}
	v, ok := ctx.rare.values[key]
	return v, ok
}

// Deadline implements context.Context; a request does not carry one.
func (ctx *Context) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context; it is closed when the request was answered,
// when the caller gave up, and when the session ends.
func (ctx *Context) Done() <-chan struct{} { return ctx.lifetime().Done() }

// Err implements context.Context.
func (ctx *Context) Err() error { return ctx.lifetime().Err() }

// Value implements context.Context; it finds what was Set.
func (ctx *Context) Value(key any) any {
	if key == (contextKey{}) {
		return ctx
	}
	if v, ok := ctx.Get(key); ok {
		return v
	}
	return ctx.lifetime().Value(key)
}
