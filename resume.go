package arpc

import (
	"errors"
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// helloSession is how a client asks for the session that its last connection had.
type helloSession struct {
	Ticket   string `json:"ticket"`
	Received uint64 `json:"received"`
}

// helloLasting is what the answer says of a session, where resume was agreed.
type helloLasting struct {
	Ticket   string  `json:"ticket,omitempty"` // for the next connection
	Grace    int64   `json:"grace,omitempty"`  // ms that the server waits for that
	Resumed  *bool   `json:"resumed,omitempty"`
	Received *uint64 `json:"received,omitempty"`
	Reason   string  `json:"reason,omitempty"`
}

// Why a session was not taken up.
const (
	reasonExpired  = "expired"
	reasonUnknown  = "unknown"
	reasonGap      = "gap"
	reasonIdentity = "identity"
)

// fencePatience is how long the connection that a session has may take to let go
// of it: an Inline handler may be at work on it.
const fencePatience = 4 * time.Second

// fenceLinger is how long it may go on to send.
const fenceLinger = 50 * time.Millisecond

var (
	errFence     = &Error{Code: CodeUnavailable, Message: "the session is still busy with its last connection"}
	errOlder     = &Error{Code: CodeUnavailable, Message: "a newer connection asked for the session"}
	errForged    = &Error{Code: CodeInvalidArgument, Message: "received: not what this session sent"}
	errDiffers   = &Error{Code: CodeInvalidArgument, Message: "a session keeps the capabilities, coders and codec that it began with"}
	errReplayed  = &Error{Code: CodePermissionDenied, Message: "a ticket of the session was shown twice"}
	errGap       = &Error{Code: CodeResourceExhausted, Message: "what the client is missing is not held any more"}
	errAttempt   = &Error{Code: CodeUnavailable, Message: "the attempt to connect failed"}
	errNewLogin  = &Error{Code: CodePermissionDenied, Message: "the session is somebody else's"}
	errUnknown   = &Error{Code: CodeUnavailable, Message: "the server does not know the session any more"}
	errNotOurs   = &Error{Code: CodeUnavailable, Message: "the server took up a session that is over"}
	lostByReason = map[string]*Error{reasonExpired: errExpired, reasonGap: errGap, reasonIdentity: errNewLogin}
)

// claim finds the session that a client asks for, and takes it from the connection
// it has. Without one it says why not, which is told to the client; an error
// refuses the hello, and consumes nothing.
func (c *conn) claim(asked *helloSession, who *Identity, agreed capability, coders byte) (s *session, reason string, err error) {
	id, shown, ok := splitTicket(asked.Ticket)
	if !ok {
		return nil, reasonUnknown, nil
	}
	s, late := c.handler.sessions.find(id)
	switch {
	case s == nil && late:
		return nil, reasonExpired, nil
	case s == nil:
		return nil, reasonUnknown, nil
	case !sameIdentity(s.client.Identity(), who):
		return nil, reasonIdentity, nil
	}
	l := s.lasting.Load()
	if good, err := s.takes(c, l, shown); !good {
		return nil, reasonUnknown, err
	}
	if capability(s.agreed.Load()) != agreed|capExtended || l.coders != coders || s.codec.Name() != c.session().codec.Name() {
		return nil, "", errDiffers
	}
	if taken, err := s.fence(c, l); !taken {
		return nil, reasonUnknown, err
	}
	from := host(c.client().from(c)) // if it waits on
	if good, err := s.takes(c, l, shown); !good {
		s.release(l, from) // its last connection was taken up with the same
		return nil, reasonUnknown, err
	}
	switch l.journal.check(asked.Received, l.confirmed.Load()) {
	case impossible:
		s.release(l, from)
		return nil, "", errForged
	case gone:
		s.release(l, from)
		s.terminate(errGap)
		return nil, reasonGap, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.tickets.use(shown)
	return s, "", nil
}

// takes says whether a ticket is good for a session. Who shows another one has a
// copy, which is the end of it: unless that is the client itself, in an attempt that
// is read after the one that followed it.
func (s *session) takes(c *conn, l *lasting, shown secret) (good bool, err error) {
	s.mu.Lock()
	if c.arrived < l.newest {
		s.mu.Unlock()
		return false, errOlder
	}
	good = l.tickets.good(shown)
	if good {
		l.newest = c.arrived
	}
	s.mu.Unlock()
	if !good {
		s.terminate(errReplayed)
	}
	return good, nil
}

func sameIdentity(a, b *Identity) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ID == b.ID
}

// fence takes a session for a connection that is to take it up: when it returns
// true, nothing of the last one is dispatched any more, and nobody else takes it.
func (s *session) fence(c *conn, l *lasting) (taken bool, err error) {
	patience := time.NewTimer(fencePatience)
	defer patience.Stop()
	for {
		s.mu.Lock()
		if c.arrived < l.newest {
			s.mu.Unlock()
			return false, errOlder
		}
		if s.takeLocked(l) {
			s.mu.Unlock()
			s.handler.sessions.unpark(l)
			return true, nil
		}
		if s.cause != nil || l.state == lost || l.doomed != nil {
			s.mu.Unlock()
			return false, nil
		}
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed, last := l.changed, s.now.Load()
		s.mu.Unlock()
		if last != nil {
			last.shutWithin(errReplaced, fenceLinger)
		}
		select {
		case <-changed:
		case <-s.gone.wait():
		case <-patience.C:
			return false, errFence
		}
	}
}

// ticketArrived is called when the peer confirmed something on a connection whose
// hello was answered with a ticket.
func (s *session) ticketArrived() {
	l := s.lasting.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	l.tickets.arrived()
}

// last prepares a session to be one that can be taken up, which the answer says.
// asked says that the client asked for another one.
func (s *session) last(c *conn, answer *helloLasting, coders byte, asked bool) *lasting {
	l := newLasting(s.limits)
	l.id, l.coders, l.newest = newSessionID(), coders, c.arrived
	answer.Ticket, answer.Grace = l.tickets.offer(l.id), s.limits.Grace.Milliseconds()
	if asked {
		answer.Resumed = new(bool)
	}
	return l
}

// welcomeBack answers the hello of a client whose session goes on, and sends what
// it is missing.
func (c *conn) welcomeBack(f *wire.Frame, s *session, who *Identity, received uint64, answer helloAnswer) error {
	l, own := s.lasting.Load(), c.session()
	c.adopt(s)
	s.client.cameBack(own.client, who)
	c.becomes(who)
	resumed, dispatched := true, l.received.Load()
	answer.Resumed, answer.Received = &resumed, &dispatched
	s.mu.Lock()
	answer.Ticket, answer.Grace = l.tickets.offer(l.id), s.limits.Grace.Milliseconds()
	s.mu.Unlock()
	frame, then, err := c.welcomeFrame(own, f, capability(s.agreed.Load()), answer)
	if err != nil {
		return err
	}
	if err := c.serve(s, l, frame, received); err != nil {
		return err
	}
	s.client.setState(StateOpen, c, nil)
	s.client.hook(func() { s.client.Handler.runResumed(s.client) })
	run(then)
	s.resumedFor()
	return nil
}

// asks is what a client says of the session it had; nil if it had none.
func (c *Client) asks() *helloSession {
	s := c.parkedSession()
	if s == nil {
		return nil
	}
	l := s.lasting.Load()
	return &helloSession{Ticket: l.back.ticket, Received: l.received.Load()}
}

// greetedAgain takes up the session that the client had, or begins to make the one
// of this connection last. It is called on the reader, with the answer to hello.
func (c *conn) greetedAgain(said helloLasting) error {
	if said.Resumed != nil && *said.Resumed {
		return c.resumeAsked(c.client().parkedSession(), said)
	}
	c.client().forgo(said.Reason)
	s := c.session()
	var l *lasting
	if said.Ticket != "" {
		l = newLasting(s.limits)
		l.back = &comeback{ticket: said.Ticket, grace: millis(said.Grace, maxGrace)}
	}
	return c.serve(s, l, nil, 0)
}

// resumeAsked takes up the session that was asked for, if it was not ended meanwhile.
func (c *conn) resumeAsked(s *session, said helloLasting) error {
	if s == nil || said.Received == nil {
		return errNotOurs
	}
	l := s.lasting.Load()
	switch l.journal.check(*said.Received, l.confirmed.Load()) {
	case impossible:
		s.terminate(errForged)
		return errForged
	case gone:
		s.terminate(errGap)
		return errGap
	}
	s.mu.Lock()
	taken := s.takeLocked(l)
	s.mu.Unlock()
	if !taken {
		return errNotOurs
	}
	c.adopt(s)
	l.back.ticket = said.Ticket
	return c.serve(s, l, nil, *said.Received)
}

// adopt makes the connection one of another session.
func (c *conn) adopt(s *session) {
	own := c.session()
	c.owner.Store(s)
	c.limitFrames(c.maxBody())
	own.end(errAttempt)
	if own.client != s.client {
		own.client.dismiss(own, s)
	}
	c.handler.workers.close() // that was opened for the session it takes up
}

// serve begins what hello came to: on the side that was asked behind its answer,
// which is nil on the other. A session that lasts begins to count.
func (c *conn) serve(s *session, l *lasting, answer []byte, received uint64) error {
	if l == nil {
		return c.out.serve(answer, s.has(capBatch), nil, 0, nil)
	}
	var doomed *Error
	s.lasting.Store(l)
	if s.client.accepted() {
		s.handler.sessions.add(s, l)
	}
	err := c.out.serve(answer, s.has(capBatch), &l.journal, received, func() {
		s.now.Store(c)
		doomed = s.connect(c, l)
	})
	if err != nil {
		return err
	}
	l.confirmed.Store(max(received, l.confirmed.Load()))
	l.told.Store(l.received.Load())
	l.untold = 0
	if answer == nil {
		c.sendConfirm(l.received.Load()) // it proves that the ticket arrived
	}
	s.inbox.resume()
	if doomed != nil {
		c.shut(doomed)
	}
	return nil
}

// maxGrace is the longest that a client believes a server to wait.
const maxGrace = 24 * time.Hour

// forgo gives up the session that the client had, because the server did not take
// it up.
func (c *Client) forgo(reason string) {
	s := c.parkedSession()
	if s == nil {
		return
	}
	why := lostByReason[reason]
	if why == nil {
		why = errUnknown
	}
	s.terminate(why)
}

// refused says whether a refusal of hello is one of the session that it asked for.
func refused(err error) bool {
	var coded *Error
	if !errors.As(err, &coded) || !coded.Remote() {
		return false
	}
	return coded.Code == CodeInvalidArgument || coded.Code == CodeFailedPrecondition
}
