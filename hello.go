package arpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// The methods that begin with arpc. are the protocol's own: no middleware and
// no route of the application sees them.
const (
	protocolPrefix = "arpc."
	methodHello    = "arpc.hello"
	methodToken    = "arpc.token"
	methodGoaway   = "arpc.goaway"
)

var protocolBytes = []byte(protocolPrefix)

// maxHello is the longest hello, and the longest body before authentication.
const maxHello = 16 << 10

// hello is the first frame of a client that knows extensions. Its body is JSON
// whatever the codec is.
type hello struct {
	Arpc   int      `json:"arpc"`
	Caps   []string `json:"caps"`
	Coders []string `json:"coders"`
	Codec  string   `json:"codec"`
	Token  string   `json:"token,omitempty"`
	Window int      `json:"window"`
	// Session is the one that the client's last connection had.
	Session *helloSession `json:"session,omitempty"`
}

// helloAnswer is what the server agrees to.
type helloAnswer struct {
	Arpc   int         `json:"arpc"`
	Caps   []string    `json:"caps"`
	Coders []string    `json:"coders"`
	Ping   int64       `json:"ping"` // ms without sending after which the server pings
	Window int         `json:"window"`
	Limits helloLimits `json:"limits"`
	// Expires is in how many ms the identity ends; without it, never.
	Expires int64 `json:"expires,omitempty"`
	helloLasting
}

// helloLimits are the bounds of the server that the client keeps.
type helloLimits struct {
	Body          int `json:"body"`
	Inflight      int `json:"inflight"`
	Streams       int `json:"streams"`
	Subscriptions int `json:"subscriptions"`
}

// receiveProtocol handles a request or notify of the protocol, on the reader.
func (c *conn) receiveProtocol(f *wire.Frame) error {
	if found, err := c.receiveExtension(f); found {
		return err
	}
	if f.Cmd.Command() == wire.Notify {
		if string(f.Method) == methodGoaway {
			c.receiveGoaway(f.Body)
		}
		return nil
	}
	switch string(f.Method) {
	case methodHello:
		return c.receiveHello(f)
	case methodToken:
		return c.receiveToken(f)
	}
	return c.answerProtocol(f, nil, ErrMethodNotFound, true)
}

// answerProtocol answers a request of the protocol: with JSON, or with an error
// that has a code whoever asks.
func (c *conn) answerProtocol(f *wire.Frame, v any, failure error, onReader bool) error {
	h := protocolAnswer(f)
	if failure != nil {
		h.Flags |= wire.Error | wire.Structured
		v = structured(failure)
	} else {
		h.Flags = h.Flags.WithKind(wire.Value)
	}
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("answer %s: %w", f.Method, err)
	}
	_, err = c.send(h, string(f.Method), body, sendOptions{timeout: TimeForever, onReader: onReader})
	return err
}

// protocolAnswer is the header of the answer to a request of the protocol.
func protocolAnswer(f *wire.Frame) wire.Header {
	return wire.Header{Cmd: wire.Response, Flags: wire.Outside | f.Flags&wire.Async, Seq: f.Seq}
}

// receiveHello answers the hello of a client, and keeps to what it says from
// the frame after the answer on.
func (c *conn) receiveHello(f *wire.Frame) error {
	greeting, err := c.acceptHello(f)
	var who *Identity
	if err == nil {
		who, err = c.recognize(Credentials{Source: FromHello, Token: greeting.Token})
	}
	agreed := c.agreeable(greeting.Caps)
	coders, coderNames := c.session().commonCoders(greeting.Coders)
	c.out.late.agree(coders)
	answer := helloAnswer{
		Arpc:   1,
		Caps:   c.handler.capabilityNames(agreed),
		Coders: coderNames,
		Ping:   c.limits.Ping.Milliseconds(),
		Window: c.limits.Window,
		Limits: helloLimits{Body: c.maxBody(), Inflight: c.limits.Inflight, Streams: c.limits.Streams, Subscriptions: c.handler.extensionSet().subscriptions()},
	}
	var before *session
	switch {
	case err != nil || greeting.Session == nil:
	case !slices.Contains(greeting.Caps, "resume"):
		err = errDiffers
	case agreed&capResume != 0:
		before, answer.Reason, err = c.claim(greeting.Session, who, agreed, coders)
	}
	if err != nil {
		c.refused = greeting.Session != nil
		return c.answerProtocol(f, nil, err, true)
	}
	if before != nil {
		return c.welcomeBack(f, before, who, greeting.Session.Received, answer)
	}
	c.letIn(who)
	s := c.session()
	var l *lasting
	if agreed&capResume != 0 {
		l = s.last(c, &answer.helloLasting, coders, greeting.Session != nil)
	}
	frame, then, err := c.welcomeFrame(s, f, agreed, answer)
	if err != nil {
		return err
	}
	s.agree(agreed)
	if err := c.serve(s, l, frame, 0); err != nil {
		return err
	}
	s.useCoders(coders)
	s.streams.setWindow(greeting.Window)
	c.introduce() // now: a hook may call the peer, which counts from the answer on
	run(then)
	return nil
}

// agreeable are those capabilities of a client that the two can have. One that said
// hello so late that it was asked something before may answer that before it counts.
func (c *conn) agreeable(names []string) capability {
	agreed := c.handler.capabilitiesOf(names)
	if c.client().detached || !c.limits.lasts() || c.session().asked() {
		agreed &^= capResume
	}
	return agreed
}

// welcomeFrame is the answer to hello as it goes on the wire, and what is to run
// when it is on its way.
func (c *conn) welcomeFrame(as *session, f *wire.Frame, agreed capability, answer helloAnswer) (frame []byte, then []func(), err error) {
	if who := c.client().Identity(); who != nil {
		answer.Expires = expiresIn(who.Expires)
	}
	fields, then := c.welcome(agreed, f.Body)
	body, err := marshalWith(answer, fields)
	if err == nil {
		h := protocolAnswer(f)
		h.Flags = h.Flags.WithKind(wire.Value)
		frame, err = as.encoded(make([]byte, 0, wire.HeaderLen+len(methodHello)+len(body)), h, methodHello, body, sendOptions{})
	}
	if err != nil {
		return nil, nil, fmt.Errorf("answer hello: %w", err)
	}
	return frame, then, nil
}

func run(all []func()) {
	for _, f := range all {
		f()
	}
}

func (c *conn) acceptHello(f *wire.Frame) (hello, error) {
	var greeting hello
	switch {
	case !c.client().accepted():
		return hello{}, Errorf(CodeFailedPrecondition, "hello is said by the side that dialed")
	case c.greeted.Swap(true):
		return hello{}, Errorf(CodeFailedPrecondition, "hello was said before")
	case len(f.Body) > maxHello:
		return hello{}, Errorf(CodeInvalidArgument, "hello of %d bytes, limit %d", len(f.Body), maxHello)
	}
	if err := json.Unmarshal(f.Body, &greeting); err != nil {
		return hello{}, Errorf(CodeInvalidArgument, "hello is not the JSON that it must be")
	}
	if greeting.Arpc != 1 {
		return hello{}, Errorf(CodeInvalidArgument, "hello of arpc %d, this is arpc 1", greeting.Arpc)
	}
	if name := c.session().codec.Name(); greeting.Codec != name {
		return hello{}, Errorf(CodeInvalidArgument, "the client speaks %q, the server %q", greeting.Codec, name)
	}
	return greeting, nil
}

// greet says hello on a connection that was just dialed. Where the other side
// is a base peer it returns errBase, and errDeaf where nothing came back.
func (c *conn) greet(token string, w *wait) error {
	client, own := c.client(), c.session()
	at, _, err := client.pending.add(noLimit, c)
	if err != nil {
		return err
	}
	defer client.pending.remove(at)
	caps := everyCapability
	if !c.limits.lasts() {
		caps &^= capResume
	}
	body, err := marshalWith(hello{
		Arpc:    1,
		Caps:    c.handler.capabilityNames(caps),
		Coders:  own.coderNames(),
		Codec:   own.codec.Name(),
		Token:   token,
		Window:  c.limits.Window,
		Session: client.asks(),
	}, c.greetFields())
	if err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	c.helloSeq.Store(at.seq)
	h := wire.Header{Cmd: wire.Request, Flags: wire.Outside, Seq: at.seq}
	if _, err := c.send(h, methodHello, body, w.sendOptions()); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	return at.awaitHello(w.done)
}

// helloTicks is how many parts the time for an answer to hello has. A process that
// stood still loses one of them, and not the answer that came meanwhile.
const helloTicks = 5

// awaitHello waits for what hello came to.
func (s *slot) awaitHello(done <-chan struct{}) error {
	tick := time.NewTicker(helloTimeout / helloTicks)
	defer tick.Stop()
	for range helloTicks {
		select {
		case a := <-s.answers:
			if lost := a.none.lost; lost != nil {
				return fmt.Errorf("say hello: %w", lost)
			}
			return a.none.hello
		case <-tick.C:
		case <-done:
			return ErrTimeout
		}
	}
	return errDeaf
}

var (
	errBase = errors.New("the server speaks the base protocol only")
	errDeaf = &Error{Code: CodeUnavailable, Message: "no answer to hello"}
)

// greetedBack reads the answer to hello. Only one that is clearly ours counts:
// a base server may answer anything. It is called on the reader.
func (c *conn) greetedBack(a answer) error {
	const refused = wire.Error | wire.Structured
	switch {
	case a.flags&refused == refused:
		return remoteStructured(a.body())
	case a.flags&wire.Error != 0:
		return errBase
	}
	var answer helloAnswer
	if json.Unmarshal(a.body(), &answer) != nil || answer.Arpc != 1 {
		return errBase
	}
	own, client := c.session(), c.client()
	own.agree(c.handler.capabilitiesOf(answer.Caps))
	own.peerBody.Store(int32(min(max(answer.Limits.Body, 0), math.MaxInt32)))
	c.life.follow(time.Duration(answer.Ping) * time.Millisecond)
	client.pending.setLimit(answer.Limits.Inflight)
	client.scheduleRefresh(time.Duration(answer.Expires) * time.Millisecond)
	coders, _ := own.commonCoders(answer.Coders)
	c.out.late.agree(coders)
	own.useCoders(coders)
	own.streams.setWindow(answer.Window)
	if err := c.greetedAgain(answer.helloLasting); err != nil {
		return err
	}
	c.welcomed(a.body())
	return nil
}
