package arpc

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// Extension is a part of the protocol that a layer above the engine brings
// along: a capability that both ends have to list, what the two say about it in
// hello, and its methods. No middleware and no route of the application sees
// them. See Handler.Extend.
type Extension struct {
	// Capability is its name in the lists of hello. What the two ends say
	// about it stands in a field of hello of the same name.
	Capability string
	// Routes are its methods.
	Routes []ExtensionRoute
	// Subscriptions is how many a server grants one client, which the answer to
	// hello says: 0 says nothing.
	Subscriptions int

	// Greet returns what a client that dialed says in its hello; nil says
	// nothing. It runs before each connection opens and must not block.
	Greet func(*Client) any
	// Welcome takes what a client said, nil if it said nothing, and returns
	// what the answer says; nil says nothing. then, unless it is nil, runs when
	// the answer is on its way, before anything that comes later. Both run on
	// the goroutine that reads the connection, once the peer was admitted.
	Welcome func(c *Client, said json.RawMessage) (answer any, then func())
	// Welcomed takes what the answer to hello says, before the connection counts
	// as open and before anything behind the answer is handled. Without
	// agreement on the capability, or without hello, agreed is false.
	Welcomed func(c *Client, agreed bool, said json.RawMessage)
	// Paused runs on the side that accepted when the connection of a session was
	// lost that may go on with the next, once nothing more of it is handled and
	// before anything of that one is. What depends on the connection ends here:
	// the next hello says anew what the client wants. It must not block.
	Paused func(*Client)
	// Resumed runs on that side when the session goes on, behind Welcome. Both
	// run for every client, whatever it agreed to.
	Resumed func(*Client)
	// Pushed sees each notify of the server that is outside of the session,
	// which has its place in a log, before its handler does, on the goroutine
	// that reads the connection: false drops it. It runs on the side that
	// dialed, on connections that agreed to the capability.
	Pushed func(c *Client, method []byte, offset uint64) bool
	// Refreshed runs after a peer showed a new token, with the identity it led to.
	Refreshed func(*Client)
}

// ExtensionRoute is a method of an Extension. Its handler gets requests and
// notifies, and on the side that asked the answers to requests outside of the
// session as well, in order with what comes behind them, unless the request was
// given up before.
type ExtensionRoute struct {
	// Method begins with arpc. and is not one of the engine's own.
	Method string
	// Mode is how its messages run, as for Handler.Handle.
	Mode Mode
	// Handler takes them.
	Handler HandlerFunc
}

// extensions are those of a Handler. A set is never changed once it is published.
type extensions struct {
	list   []Extension
	routes map[string]extensionRoute
}

type extensionRoute struct {
	*route
	capability capability
}

// firstExtension is the bit of the first extension; the engine's own are below.
const (
	firstExtension = 16
	maxExtensions  = 15
)

// bit is the capability of the extension at an index.
func bit(i int) capability { return 1 << (firstExtension + i) }

// Extend adds an extension, for connections that are made later. One of the same
// capability takes the place of the one before; it may ask Extension for that,
// and leave to it what is not its own. It panics where the routes are not of the
// protocol, or there are more than 15 extensions.
func (h *Handler) Extend(e Extension) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := extensions{routes: map[string]extensionRoute{}}
	replaced := false
	for _, old := range h.extensionSet().list {
		if old.Capability == e.Capability {
			old, replaced = e, true
		}
		next.list = append(next.list, old)
	}
	if !replaced {
		next.list = append(next.list, e)
	}
	if len(next.list) > maxExtensions {
		panic("arpc: extend by " + e.Capability + ": too many extensions")
	}
	for i, e := range next.list {
		for _, r := range e.Routes {
			if !strings.HasPrefix(r.Method, protocolPrefix) || wire.CheckMethod(r.Method) != nil {
				panic("arpc: extend by " + e.Capability + ": method " + r.Method)
			}
			next.routes[r.Method] = extensionRoute{&route{method: r.Method, mode: r.Mode, chain: []HandlerFunc{r.Handler}}, bit(i)}
		}
	}
	h.extensions.Store(&next)
}

// Extension returns the extension of a capability, if there is one.
func (h *Handler) Extension(capability string) (Extension, bool) {
	for _, e := range h.extensionSet().list {
		if e.Capability == capability {
			return e, true
		}
	}
	return Extension{}, false
}

var noExtensions = &extensions{}

func (h *Handler) extensionSet() *extensions {
	if set := h.extensions.Load(); set != nil {
		return set
	}
	return noExtensions
}

// receiveExtension takes a message to a route of an extension.
func (c *conn) receiveExtension(f *wire.Frame) (found bool, err error) {
	r, ok := c.handler.extensionSet().routes[string(f.Method)]
	if !ok || !c.session().has(r.capability) {
		return false, nil
	}
	return true, c.routeTo(r.route, f)
}

// pushed says whether a notify that is outside of the session is to be handled.
// One that comes before the answer to hello is not: where its place is in the
// log is not known yet.
func (c *conn) pushed(f *wire.Frame) bool {
	if c.client().accepted() {
		return true
	}
	if c.helloSeq.Load() != 0 {
		return false
	}
	for i, e := range c.handler.extensionSet().list {
		if e.Pushed != nil && c.session().has(bit(i)) && !e.Pushed(c.client(), f.Method, f.Seq) {
			return false
		}
	}
	return true
}

// counted reports whether the message is one that pushed has seen.
func (ctx *Context) counted() bool {
	return ctx.cmd.Command() == wire.Notify && ctx.flags&wire.Outside != 0
}

// greetFields are what a hello says beside what the engine does.
func (c *conn) greetFields() map[string]any {
	fields := map[string]any{}
	for _, e := range c.handler.extensionSet().list {
		if e.Greet == nil {
			continue
		}
		if said := e.Greet(c.client()); said != nil {
			fields[e.Capability] = said
		}
	}
	return fields
}

// welcome asks the extensions that were agreed to for what the answer to hello
// says, and for what is to run when it is on its way.
func (c *conn) welcome(agreed capability, body []byte) (fields map[string]any, then []func()) {
	var said map[string]json.RawMessage
	for i, e := range c.handler.extensionSet().list {
		if e.Welcome == nil || agreed&bit(i) == 0 {
			continue
		}
		if said == nil { // most hellos are read once
			_ = json.Unmarshal(body, &said) // it was read before
			fields = map[string]any{}
		}
		answer, after := e.Welcome(c.client(), said[e.Capability])
		if answer != nil {
			fields[e.Capability] = answer
		}
		if after != nil {
			then = append(then, after)
		}
	}
	return fields, then
}

// pausedFor tells the extensions that a connection of a session was lost, and
// resumedFor that there is another one.
func (s *session) pausedFor() {
	for _, e := range s.handler.extensionSet().list {
		if e.Paused != nil {
			e.Paused(s.client)
		}
	}
}

func (s *session) resumedFor() {
	for _, e := range s.handler.extensionSet().list {
		if e.Resumed != nil {
			e.Resumed(s.client)
		}
	}
}

// subscriptions is how many a client may have.
func (s *extensions) subscriptions() (n int) {
	for _, e := range s.list {
		n += e.Subscriptions
	}
	return n
}

// welcomed tells the extensions what the server said, if it did.
func (c *conn) welcomed(body []byte) {
	var said map[string]json.RawMessage
	_ = json.Unmarshal(body, &said) // a base server's answer may be anything
	for i, e := range c.handler.extensionSet().list {
		if e.Welcomed != nil {
			e.Welcomed(c.client(), c.session().has(bit(i)), said[e.Capability])
		}
	}
}

// refreshed tells the extensions that the peer has another token.
func (c *conn) refreshed() {
	for _, e := range c.handler.extensionSet().list {
		if e.Refreshed != nil {
			e.Refreshed(c.client())
		}
	}
}

// marshalWith is v, which encodes as an object, with fields added to it.
func marshalWith(v any, fields map[string]any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil || len(fields) == 0 {
		return body, err
	}
	more, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	return append(append(body[:len(body)-1], ','), more[1:]...), nil
}

// Capable reports whether the connection there is now agreed to a capability.
func (c *Client) Capable(capability string) bool {
	c.mu.Lock()
	cn := c.current
	c.mu.Unlock()
	return cn != nil && cn.session().has(cn.handler.capabilitiesOf([]string{capability}))
}

// CallProtocol calls a method of an extension outside of the session, on the
// connection there is or the next: both bodies are JSON, whatever the codec is.
// What was under way on a connection that was lost fails with ErrDisconnected,
// and is not tried again. asked, unless it is nil, is called before the request
// leaves, with what Context.Seq is in a handler of its answer; it must not block.
func (c *Client) CallProtocol(ctx context.Context, method string, req, rsp any, asked func(seq uint64)) error {
	body, err := json.Marshal(req)
	if err != nil {
		return Errorf(CodeInvalidArgument, "%s: %w", method, err)
	}
	return c.callProtocol(ctx, method, string(body), rsp, asked)
}
