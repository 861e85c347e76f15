package arpc

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// goaway is what a server says that stops: new calls are to wait for the next
// connection, and those under way have a while.
type goaway struct {
	Delay int64 `json:"delay"` // ms to wait before dialing again
	Until int64 `json:"until"` // ms that work under way may take
}

// goawaySpread is the shortest time over which clients that were sent away come back.
const goawaySpread = time.Second

// defaultUntil is what work under way has where the drain has no deadline.
const defaultUntil = time.Minute

// What a client takes of a goaway: nobody sends it away for long.
const (
	maxDelay = time.Minute
	maxUntil = time.Hour
)

// millis is a number of ms from the wire, within bounds.
func millis(ms int64, limit time.Duration) time.Duration {
	return time.Duration(min(max(ms, 0), limit.Milliseconds())) * time.Millisecond
}

// sendGoaway asks the peer to leave, and returns how long it has for that.
func (c *conn) sendGoaway(ctx context.Context) (until time.Duration, err error) {
	until = defaultUntil
	if deadline, ok := ctx.Deadline(); ok {
		until = max(0, time.Until(deadline))
	}
	body, err := json.Marshal(goaway{Delay: rand.Int64N(c.handler.arrivals.spread().Milliseconds()), Until: until.Milliseconds()})
	if err != nil {
		return 0, fmt.Errorf("send goaway: %w", err)
	}
	h := wire.Header{Cmd: wire.Notify, Flags: wire.Outside.WithKind(wire.Value)}
	_, err = c.send(h, methodGoaway, body, sendOptions{timeout: time.Second, done: ctx.Done()})
	return until, err
}

// receiveGoaway leaves the connection when nothing is under way any more. New
// calls wait for the next one from now on.
func (c *conn) receiveGoaway(body []byte) {
	var away goaway
	if c.client().accepted() {
		c.session().doom(errGoaway)
		return
	}
	if json.Unmarshal(body, &away) != nil || !c.leave(millis(away.Delay, maxDelay)) {
		return
	}
	go c.leaveInTime(millis(away.Until, maxUntil))
}

// goodbye is what a client says whose session ends with the connection: the server
// need not wait for it.
func (c *conn) goodbye() []byte {
	h := wire.Header{Cmd: wire.Notify, Flags: wire.Outside}
	frame, err := c.session().encoded(nil, h, methodGoaway, nil, sendOptions{})
	if err != nil || c.ws == nil {
		return frame
	}
	return c.ws.Wrap(frame, 0)
}

// doom has a session end with its connection.
func (s *session) doom(why *Error) {
	l := s.lasting.Load()
	if l == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.doomed = why
}

// leave makes the connection one that nothing new is sent on, and reports
// whether it was not before.
func (c *conn) leave(delay time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving || c.closing {
		return false
	}
	c.leaving, c.redialAfter = true, max(0, delay)
	c.spent.Store(true)
	return true
}

// leaveInTime waits for what is under way, in both directions, and hangs up.
func (c *conn) leaveInTime(until time.Duration) {
	s := c.session()
	ctx, cancel := context.WithTimeout(s.context(), until)
	defer cancel()
	s.client.pending.awaitNone(ctx.Done())
	s.streams.awaitNone(ctx.Done())
	select {
	case <-s.inbox.drain():
	case <-ctx.Done():
	}
	c.shut(errGoaway)
}

// awayFor is how long the peer asked us to stay away, if it did.
func (c *conn) awayFor() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.redialAfter
}
