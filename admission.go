package arpc

import (
	"context"
	"errors"
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// methodPassword is how a base peer says who it is.
const methodPassword = "in_A"

// maxStrange is how many frames a peer may send before it said who it is.
const maxStrange = 8

// greetStranger prepares for a peer that has to say who it is. A WebSocket may
// have said it with the request it began with.
func (c *conn) greetStranger() error {
	if c.authenticate == nil {
		return nil
	}
	if c.client().request != nil {
		who, err := c.recognize(Credentials{Source: FromUpgrade})
		if err != nil {
			return err
		}
		c.letIn(who)
		if c.admitted.Load() && !c.limits.lasts() {
			c.introduce()
		}
	}
	if !c.admitted.Load() {
		c.limitFrames(maxHello + wire.MaxMethodLen)
	}
	return nil
}

// dispatchStrange takes a frame of a peer that has not said who it is: hello,
// a password, ping and pong, and little of anything.
func (c *conn) dispatchStrange(f *wire.Frame) error {
	if c.strange++; c.strange > maxStrange {
		return Errorf(CodeUnauthenticated, "%d frames before authentication, limit %d", c.strange, maxStrange)
	}
	defer func() {
		if c.admitted.Load() {
			c.limitFrames(c.maxBody())
		}
	}()
	switch {
	case f.Coders != 0 || f.Cmd.Command() == wire.Ping || f.Cmd.Command() == wire.Pong:
		return c.dispatch(f)
	case f.Cmd.Command() != wire.Request:
		return nil
	case string(f.Method) == methodHello:
		return c.receiveHello(f)
	case string(f.Method) == methodPassword:
		return c.receivePassword(f)
	}
	return c.answerPlain(f, ErrUnauthenticated)
}

// receivePassword lets a base peer in; one that is in may say it again. If a hub
// asks for the password too, it gets the same frame and gives the answer.
func (c *conn) receivePassword(f *wire.Frame) error {
	if !c.admitted.Load() {
		who, err := c.recognize(Credentials{Source: FromPassword, Token: string(f.Body)})
		if err != nil {
			return c.answerPlain(f, err)
		}
		c.letIn(who)
		c.introduce()
	}
	if r := c.handler.router.Load().find(f.Method); r.method != "" {
		return c.route(f)
	}
	return c.answerPlain(f, nil)
}

// answerPlain answers as the base protocol does.
func (c *conn) answerPlain(f *wire.Frame, failure error) error {
	h := wire.Header{Cmd: wire.Response, Flags: f.Flags & wire.Async, Seq: f.Seq}
	var body []byte
	if failure != nil {
		h.Flags |= wire.Error
		body = []byte(wireText(failure))
	}
	_, err := c.send(h, string(f.Method), body, sendOptions{onReader: true})
	return err
}

// recognize asks the application who the peer is. It returns nil where nobody is
// asked, and where an upgrade request does not tell.
func (c *conn) recognize(cr Credentials) (*Identity, error) {
	if c.authenticate == nil || cr.Source == FromHello && cr.Token == "" && c.admitted.Load() {
		return c.client().Identity(), nil
	}
	cr.Client, cr.Request = c.client(), c.client().request
	who, err := c.authenticate(c.session().context(), cr)
	switch {
	case err != nil:
		return nil, c.refusal(cr, err)
	case who == nil && cr.Source != FromUpgrade:
		return nil, ErrUnauthenticated
	}
	return who, nil
}

// letIn admits a peer that is known, or that nobody asks.
func (c *conn) letIn(who *Identity) {
	if who == nil {
		return
	}
	client := c.client()
	before := client.Identity()
	client.setIdentity(who)
	c.becomes(who)
	if c.introduced && who != before && client.connected != nil {
		client.connected(client)
	}
}

// becomes makes the connection one of somebody who is known, if it is.
func (c *conn) becomes(who *Identity) {
	if who != nil {
		c.life.expireAt(who.Expires)
	}
	c.admitted.Store(true)
}

// introduce tells those who want to know that a peer is there.
func (c *conn) introduce() {
	c.introduced = true
	c.session().introduce()
}

// wasSomebody says whether those are told of a connection that ended who want to
// know. One that the network cut before it said a word may have come to take a
// session up.
func (c *conn) wasSomebody(cause error) bool {
	if c.refused {
		return false
	}
	if !c.admitted.Load() || !c.limits.lasts() || c.life.frames.Load() > 0 {
		return c.admitted.Load()
	}
	reason := CloseReason(cause)
	return reason != ClosedByPeer && reason != ClosedByReset
}

func (s *session) introduce() {
	if !s.introduced.Swap(true) {
		s.client.admit()
	}
}

// refusal is what a peer is told that was not let in.
func (c *conn) refusal(cr Credentials, err error) error {
	c.log().Info("arpc: not authenticated", "from", c.raw.RemoteAddr(), "by", string(cr.Source), "error", err)
	var coded *Error
	if errors.As(err, &coded) {
		return coded
	}
	return ErrUnauthenticated
}

// receiveToken answers a token off the reader: asking who somebody is takes time.
func (c *conn) receiveToken(f *wire.Frame) error {
	if c.refreshing.Swap(true) {
		return c.answerProtocol(f, nil, Errorf(CodeResourceExhausted, "one token at a time"), true)
	}
	request, token := *f, string(f.Body)
	request.Method, request.Body, request.Raw = []byte(methodToken), nil, nil
	go func() {
		defer c.refreshing.Store(false)
		answer, err := c.refresh(token)
		_ = c.answerProtocol(&request, answer, err, false) // it fails if the connection is gone
	}()
	return nil
}

// refresh handles a token that was sent while connected. The identity stays
// what it is; only how long it is believed changes.
func (c *conn) refresh(token string) (any, error) {
	if c.authenticate == nil {
		return tokenAnswer{}, nil
	}
	client := c.client()
	before := client.Identity()
	who, err := c.authenticate(c.session().context(), Credentials{Source: FromRefresh, Token: token, Client: client, Request: client.request})
	switch {
	case err != nil:
		return nil, c.refusal(Credentials{Source: FromRefresh}, err)
	case who == nil || before == nil || who.ID != before.ID:
		return nil, Errorf(CodePermissionDenied, "the token is somebody else's")
	}
	client.setIdentity(who)
	c.life.expireAt(who.Expires)
	c.refreshed()
	return tokenAnswer{Expires: expiresIn(who.Expires)}, nil
}

// tokenAnswer is the answer to a token.
type tokenAnswer struct {
	Expires int64 `json:"expires,omitempty"`
}

// expiresIn is in how many ms something expires; 0 is never.
func expiresIn(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return max(1, time.Until(at).Milliseconds())
}

// Identity is who the peer said it is, on the accepting side; nil where nobody
// asked. The value it points to is not to be changed.
func (c *Client) Identity() *Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identity
}

func (c *Client) setIdentity(who *Identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.identity = who
}

// RefreshToken sends a new token on the connection there is, so that the
// identity does not expire. A server that asks for none takes any.
func (c *Client) RefreshToken(ctx context.Context, token string) error {
	var answer tokenAnswer
	if err := c.callProtocol(ctx, methodToken, token, &answer, nil); err != nil {
		return err
	}
	c.scheduleRefresh(time.Duration(answer.Expires) * time.Millisecond)
	return nil
}
