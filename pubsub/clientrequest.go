package pubsub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// Publish sends v to everybody who is subscribed to a topic, and returns its
// place there when the server has taken it. That is zero with a base server, which
// does not tell, and where the topic does not exist: see Hub.Publish.
//
// When the connection is lost meanwhile the error says with Sent whether the
// publication may be in the topic. With a Key it is tried again instead, as long
// as the timeout of the client allows.
func (c *Client) Publish(topic string, v any, opts ...PublishOption) (Position, error) {
	o := newPublishOptions(topic, opts)
	if err := o.check(); err != nil {
		return Position{}, err
	}
	data, kind, err := arpc.Encode(c.Handler.Codec(), v)
	if err != nil {
		return Position{}, fmt.Errorf("publish to %q: %w", topic, err)
	}
	for end := time.Now().Add(c.cfg.timeout); ; {
		p, err := c.publish(&o, arpc.Raw{Kind: kind, Data: data}, time.Until(end))
		if err == nil {
			return p, nil
		}
		again := o.Key != "" && errors.Is(err, arpc.ErrDisconnected) && !c.FailsFast()
		if !again || time.Now().After(end) {
			return Position{}, fmt.Errorf("publish to %q: %w", topic, err)
		}
	}
}

func (c *Client) publish(o *publishOptions, data arpc.Raw, timeout time.Duration) (Position, error) {
	if !c.knowsPositions() {
		return Position{}, c.base(c.Client, routePublish, o.Topic, data)
	}
	body, err := appendOptions(append([]byte(nil), data.Data...), o)
	if err != nil {
		return Position{}, err
	}
	var p positionReply
	err = c.authenticated(c.Client, func() error {
		return c.callJSON(methodPublish, arpc.Raw{Kind: data.Kind, Data: body}, &p, timeout)
	})
	return Position{Epoch: p.Epoch, Offset: p.Offset}, err
}

// callJSON calls a method whose answer is JSON whatever the codec is.
func (c *Client) callJSON(method string, body arpc.Raw, v any, timeout time.Duration) error {
	var answer arpc.Raw
	if err := c.Call(method, body, &answer, max(timeout, 1)); err != nil {
		return err
	}
	return json.Unmarshal(answer.Data, v)
}

// PublishToOne sends v to one of the subscribers of a topic, in turn. It fails
// with not_found if there is none.
func (c *Client) PublishToOne(topic string, v any) error {
	if err := checkTopic(topic); err != nil {
		return err
	}
	data, kind, err := arpc.Encode(c.Handler.Codec(), v)
	if err == nil {
		err = c.base(c.Client, routePublishToOne, topic, arpc.Raw{Kind: kind, Data: data})
	}
	if err != nil {
		return fmt.Errorf("publish to one of %q: %w", topic, err)
	}
	return nil
}

// base makes one request of the base protocol about a topic.
func (c *Client) base(on *arpc.Client, route, topic string, data arpc.Raw) error {
	body := publication{topic, data.Data, time.Now().UnixNano()}.append(nil)
	return c.authenticated(on, func() error {
		return on.Call(route, arpc.Raw{Kind: data.Kind, Data: body}, nil, c.cfg.timeout)
	})
}

// authenticated makes a call. On a connection that is so new that it is not
// authenticated yet, it sees to that first.
func (c *Client) authenticated(on *arpc.Client, call func() error) error {
	err := call()
	if unauthenticated(err) && c.cfg.password != "" {
		if err = c.authenticate(on); err == nil {
			err = call()
		}
	}
	return err
}

// unauthenticated recognises our server's answer, which the base protocol
// carries as a text.
func unauthenticated(err error) bool {
	var coded *arpc.Error
	return errors.As(err, &coded) && coded.Remote() && coded.Message == errUnauthenticated.Message
}

// History reads a part of what a topic holds. Base servers do not know it: not_found.
func (c *Client) History(topic string, q HistoryQuery) (HistoryPage, error) {
	request, err := json.Marshal(q.request(topic))
	if err != nil {
		return HistoryPage{}, err
	}
	var answer arpc.Raw
	err = c.authenticated(c.Client, func() error {
		return c.Call(methodHistory, arpc.Raw{Kind: wire.Value, Data: request}, &answer, c.cfg.timeout)
	})
	if err != nil {
		return HistoryPage{}, fmt.Errorf("history of %q: %w", topic, err)
	}
	var s historyReply
	frames, err := splitOptions(answer.Data, &s)
	if err != nil {
		return HistoryPage{}, fmt.Errorf("history of %q: %w", topic, err)
	}
	page := HistoryPage{Epoch: s.Epoch, From: s.From, Last: s.Last, More: s.More}
	for len(frames) > 0 {
		var m *Message
		if m, frames, err = cutMessage(frames, s.Epoch, c.Handler.Codec()); err != nil {
			return HistoryPage{}, fmt.Errorf("history of %q: %w", topic, err)
		}
		page.Messages = append(page.Messages, m)
	}
	return page, nil
}

// Presence returns who is in a topic, without being there.
func (c *Client) Presence(topic string) ([]Member, error) {
	request, err := json.Marshal(struct {
		Topic string `json:"topic"`
	}{topic})
	if err != nil {
		return nil, err
	}
	var roster broker.Roster
	err = c.authenticated(c.Client, func() error {
		return c.callJSON(methodPresence, arpc.Raw{Kind: wire.Value, Data: request}, &roster, c.cfg.timeout)
	})
	if err != nil {
		return nil, fmt.Errorf("presence in %q: %w", topic, err)
	}
	return roster.Members, nil
}

// patience is a context for one request.
func (c *Client) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), c.cfg.timeout)
}
