package scenarios

import (
	"context"
	"strings"
	"sync"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// Topics whose names begin so have something special.
const (
	short  = "short"  // holds three publications
	closed = "closed" // nobody may do anything with it
	heard  = "heard"  // nobody may publish to it
)

// A stage is the server of the table: topics, and routes that do to them, and
// to whoever asks, what no client can.
type stage struct {
	*pubsub.Server
	sockets *Sockets

	mu   sync.Mutex
	held map[string]chan struct{} // guarded by mu; topics that wait until it is closed
}

// NewServer returns the server of the table, which serves every door. Its routes
// cut the connections that came by listeners which the sockets watch.
func NewServer(sockets *Sockets) *pubsub.Server {
	s := &stage{sockets: sockets, held: map[string]chan struct{}{}}
	s.Server = pubsub.NewServer(pubsub.Authorize(s.authorize), pubsub.Topics(settings))
	mount(s.Handler)
	mountStories(s.Handler, sockets)
	s.Handler.HandleStream("/falter", s.falter)
	for method, do := range map[string]func(*arpc.Context, order) error{
		"/cut":      s.cut,
		"/drop":     s.drop,
		"/publish":  s.publish,
		"/tell-all": s.tellAll,
		"/join":     s.join,
		"/kick":     s.kick,
	} {
		s.Handler.Handle(method, func(ctx *arpc.Context) { obey(ctx, do) })
	}
	return s.Server
}

// An order is the body of these routes.
type order struct {
	Topic  string
	Method string
	Times  int
	Every  int
}

func obey(ctx *arpc.Context, do func(*arpc.Context, order) error) {
	var o order
	err := ctx.Bind(&o)
	if err == nil {
		err = do(ctx, o)
	}
	if err != nil {
		_ = ctx.Error(err)
		return
	}
	_ = ctx.Write(nil)
}

func settings(name string, s *pubsub.TopicSettings) {
	if strings.HasPrefix(name, short) {
		s.History = topic.Limits{Entries: 3}
	}
}

// authorize refuses what the names say, and waits while a topic is held.
func (s *stage) authorize(ctx context.Context, a pubsub.Access) error {
	isRefused := strings.HasPrefix(a.Topic, closed) ||
		strings.HasPrefix(a.Topic, heard) && a.Operation == pubsub.OpPublish
	if isRefused {
		return arpc.Errorf(arpc.CodePermissionDenied, "not for you")
	}
	s.mu.Lock()
	held := s.held[a.Topic]
	s.mu.Unlock()
	if held == nil {
		return nil
	}
	select {
	case <-held:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// hold lets nobody subscribe to a topic until release is called.
func (s *stage) hold(name string) (release func()) {
	held := make(chan struct{})
	s.mu.Lock()
	s.held[name] = held
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		delete(s.held, name)
		s.mu.Unlock()
		close(held)
	}
}

// cut ends the caller's session, and publishes the numbers below times to the
// topic before it can be there again.
func (s *stage) cut(ctx *arpc.Context, o order) error {
	defer s.hold(o.Topic)()
	ctx.Client.Stop()
	<-ctx.Client.Done()
	return s.publish(ctx, o)
}

// drop cuts the caller's connection, and notifies of the numbers below times. It
// cuts the next connection before each every-th of them.
func (s *stage) drop(ctx *arpc.Context, o order) error {
	if err := s.sockets.cut(ctx.Client); err != nil {
		return err
	}
	for i := range o.Times {
		if i > 0 && o.Every > 0 && i%o.Every == 0 {
			if err := s.sockets.cut(ctx.Client); err != nil {
				return err
			}
		}
		if err := ctx.Client.Notify(o.Method, i, patience); err != nil {
			return err
		}
	}
	return nil
}

// falter sends texts back in capitals, and cuts the connection at each that is "cut".
func (s *stage) falter(stream *arpc.Stream) {
	for message, err := range stream.Messages() {
		if err != nil {
			return
		}
		if string(message.Data) == "cut" {
			if err := s.sockets.cut(stream.Client()); err != nil {
				_ = stream.Fail(err)
				return
			}
		}
		if stream.Send(strings.ToUpper(string(message.Data))) != nil {
			return
		}
	}
}

// publish publishes the numbers below times.
func (s *stage) publish(_ *arpc.Context, o order) error {
	for i := range o.Times {
		if _, err := s.Publish(o.Topic, i); err != nil {
			return err
		}
	}
	return nil
}

// tellAll broadcasts the numbers below times.
func (s *stage) tellAll(_ *arpc.Context, o order) error {
	for i := range o.Times {
		if err := s.Broadcast(o.Method, i); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) join(ctx *arpc.Context, o order) error {
	return s.Hub.Join(ctx, ctx.Client, o.Topic)
}

func (s *stage) kick(ctx *arpc.Context, o order) error {
	if !s.Hub.Kick(ctx.Client, o.Topic, arpc.Errorf(arpc.CodePermissionDenied, "not any more")) {
		return arpc.Errorf(arpc.CodeNotFound, "not there")
	}
	return nil
}
