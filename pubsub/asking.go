package pubsub

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/feed"
)

// first subscribes and waits for the answer, be it to the request or to the hello
// of a connection that came in between.
func (s *Subscription) first() error {
	ctx, cancel := s.client.patience()
	defer cancel()
	err := s.request(s.client.Client)
	for errors.Is(err, arpc.ErrDisconnected) && !s.client.FailsFast() && ctx.Err() == nil && !s.isLive() {
		err = s.request(s.client.Client)
	}
	if err != nil && !s.isLive() {
		return err
	}
	select {
	case <-s.ready:
		return nil
	case <-s.done:
		return s.Err()
	case <-ctx.Done():
		return s.wrap("subscribe to", arpc.ErrTimeout)
	}
}

// request subscribes on the connection there is, unless the subscription is over.
func (s *Subscription) request(on *arpc.Client) error {
	s.asking.Lock()
	defer s.asking.Unlock()
	if s.isOver() {
		return nil
	}
	c := s.client
	if !c.knowsPositions() {
		err := c.base(on, routeSubscribe, s.Topic(), arpc.Raw{})
		if err == nil {
			s.beginBase()
		}
		return s.wrap("subscribe to", err)
	}
	err := c.authenticated(on, func() error {
		ctx, cancel := c.patience()
		defer cancel()
		var a feed.Answer
		var asked uint64
		err := on.CallProtocol(ctx, methodSubscribe, s.body(), &a, func(seq uint64) {
			asked = seq
			s.await(seq)
		})
		if err != nil {
			s.awaitNot(asked)
			return err
		}
		s.begin(&a, asked)
		return nil
	})
	return s.wrap("subscribe to", err)
}

// await makes pushes mean nothing before the answer to a request, or before the next
// connection.
func (s *Subscription) await(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaiting = seq
}

// begin takes the answer to the first request at once: who waits for it may be a
// handler, and nothing comes in order before that returns. There is nothing yet
// that it could be out of order with.
func (s *Subscription) begin(a *feed.Answer, seq uint64) {
	if !s.begun() {
		s.answered(a, seq)
	}
}

// awaitNot says that an answer does not come.
func (s *Subscription) awaitNot(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.awaiting == seq {
		s.awaiting = 0
	}
}

// body is the request: from where it is, once that is known.
func (s *Subscription) body() feed.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.o.request
	if s.placed {
		epoch, offset := s.epoch, s.offset
		r.Epoch, r.Offset, r.Last = &epoch, &offset, 0
		s.asked = offset
	}
	return r
}

// beginBase is the answer of a base server: no more than yes.
func (s *Subscription) beginBase() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live, s.placed = true, false
	s.epoch, s.offset = "", 0
	s.readyLocked()
}

// again subscribes again, because something is missing. If the connection is lost
// meanwhile the next one does.
func (s *Subscription) again() {
	if err := s.request(s.client.Client); err != nil && !isWithoutConnection(err) {
		s.refused(err)
	}
}

// isWithoutConnection says that there is none to ask on. The next one, if there is
// any, brings the subscriptions back.
func isWithoutConnection(err error) bool {
	return errors.Is(err, arpc.ErrDisconnected) || errors.Is(err, arpc.ErrStopped)
}

// retryAfter is how long a subscription waits that the server could not grant
// just now.
const retryAfter = time.Second

// refused ends a subscription that the server does not grant again, or tries
// again later if that is only for now.
func (s *Subscription) refused(err error) {
	s.client.cfg.onError(s.Topic(), err)
	if code := arpc.CodeOf(err); code == arpc.CodeUnavailable || code == arpc.CodeDeadlineExceeded {
		time.AfterFunc(retryAfter, func() {
			if !s.isWhole() && s.client.State() == arpc.StateOpen {
				s.again()
			}
		})
		return
	}
	s.ended(err)
}

// Unsubscribe ends the subscription. Its handler is not called any more, except
// for a publication that it is handling. When it returns the topic can be
// subscribed again.
func (s *Subscription) Unsubscribe() error {
	if !s.end(nil) {
		return nil
	}
	s.asking.Lock() // behind what was asked before
	defer s.asking.Unlock()
	c := s.client
	defer c.drop(s) // not before: a request for its successor is to be behind this one
	if !c.knowsPositions() {
		return s.wrap("unsubscribe from", c.base(c.Client, routeUnsubscribe, s.Topic(), arpc.Raw{}))
	}
	ctx, cancel := c.patience()
	defer cancel()
	c.unsubscribes(s.Topic())
	err := c.CallProtocol(ctx, methodUnsubscribe, map[string]string{"topic": s.Topic()}, new(json.RawMessage), nil)
	if err != nil {
		c.left(s.Topic()) // no answer has the topic
	}
	if errors.Is(err, arpc.ErrDisconnected) {
		return nil // it ended with its connection
	}
	return s.wrap("unsubscribe from", err)
}

func (s *Subscription) wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %q: %w", verb, s.Topic(), err)
}
